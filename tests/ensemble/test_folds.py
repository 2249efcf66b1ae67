"""Folds of the ensemble: what is refused, what it leaves alone, single and repeated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit, TimeSeriesSplit
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    HyperFusionRegressor,
    PseudoLabelWrapper,
    StratifiedRegressionKFold,
    predict_interval,
)
from hyperfusion.exceptions import InvalidInputError
from tests.ensemble.pseudo_rows import with_unlabeled


@pytest.fixture
def data():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 4))
    return X, X[:, 0] + np.sin(3 * X[:, 1]) + 0.5 * rng.normal(size=120)


class Column(RegressorMixin, BaseEstimator):
    """Predicts a column, whatever the labels."""

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y, sample_weight=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X)[:, self.column]


@pytest.mark.parametrize(
    "cv",
    [
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        ShuffleSplit(4, test_size=0.5, random_state=0),
        ShuffleSplit(1, test_size=0.9, random_state=0),
        KFold(3),
    ],
    ids=["repeated", "shuffled", "single", "folds"],
)
def test_a_label_never_moves_its_own_prediction(data, cv):
    X, y = data
    y += X[:, 1]  # so that two members count
    members = [Column(0), Column(1), Column(2)]
    ensemble = HyperFusionRegressor(members, cv=cv, weighting="simplex")
    row = min(int(validated.min()) for _, validated in cv.split(X))
    weight = np.ones(len(y))
    weight[row] = 50.0  # so that absolute errors, which one row hardly moves, do move
    before = ensemble.fit(X, y, sample_weight=weight).oof_predictions_
    y[row] -= 100.0 * np.sign(before[row])
    after = ensemble.fit(X, y, sample_weight=weight).oof_predictions_
    assert after[row] == before[row]
    assert np.nanmax(np.abs(after - before)) > 1e-9


def test_intervals_of_a_single_split_are_those_of_the_weights_that_predict():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(3000, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=3000)
    ensemble = HyperFusionRegressor(
        [LinearRegression(), DummyRegressor()],
        cv=ShuffleSplit(1, test_size=0.3, random_state=0),
    ).fit(X[:1000], y[:1000])
    assert_allclose(ensemble.weights_, [[1, 0]])
    assert np.nanstd(ensemble.oof_residuals_) == pytest.approx(0.1, rel=0.15)
    held = predict_interval(ensemble, X[1000:], coverage=0.8)
    inside = (held["lower"] <= y[1000:]) & (y[1000:] <= held["upper"])
    assert inside.mean() == pytest.approx(0.8, abs=0.05)


def test_pseudo_labels_of_repeated_folds_do_not_see_validated_labels(data):
    X, y = data
    rng = np.random.RandomState(1)
    unlabeled = rng.normal(size=(40, 4))
    members = [Column(0), Column(1)]
    ensemble = HyperFusionRegressor(
        members,
        cv=RepeatedKFold(n_splits=2, n_repeats=2, random_state=0),
        weighting="simplex",
        random_state=0,
    )
    fits = []
    for shift in (0.0, 100.0):
        y[0] += shift
        fits.append(ensemble.fit(X, y).__dict__.copy())
    for k, (_, rows) in enumerate(ensemble.splits_):
        for name in ("_crossed_weights", "_crossed_bias"):
            same = np.array_equal(fits[0][name][k], fits[1][name][k])
            # one row need not move weights, whose loss is robust
            assert same if 0 in rows else not (same and name == "_crossed_bias"), name
    wrapper = PseudoLabelWrapper(ensemble, min_gain_se=None, max_rounds=1)
    wrapper.fit(*with_unlabeled(X, y, unlabeled))
    assert wrapper.n_iter_ == 1


def test_fold_without_weight_is_named_before_anything_is_fitted(data):
    X, y = data
    weight = np.r_[np.ones(90), np.zeros(30)]
    fitted = []

    class Counting(Column):
        def fit(self, X, y, sample_weight=None):
            fitted.append(1)
            return super().fit(X, y)

    ensemble = HyperFusionRegressor([Counting()], cv=TimeSeriesSplit(3))
    with pytest.raises(InvalidInputError, match=r"all 30 rows that fold 2 validates"):
        ensemble.fit(X, y, sample_weight=weight)
    assert not fitted
    weight[-1] = 1e-300
    ensemble.fit(X, y, sample_weight=weight)


def test_one_number_weighs_all_rows_alike(data):
    X, y = data
    members = [Ridge(), DecisionTreeRegressor(max_depth=3)]
    one = HyperFusionRegressor(members, random_state=0).fit(X, y, sample_weight=2.0)
    all_ = HyperFusionRegressor(members, random_state=0)
    all_.fit(X, y, sample_weight=np.full(120, 2.0))
    assert_array_equal(one.oof_predictions_, all_.oof_predictions_)


def test_negative_weights_are_refused(data):
    with pytest.raises(ValueError, match="Negative values"):
        HyperFusionRegressor([Ridge()]).fit(
            *data, sample_weight=np.r_[-1.0, np.ones(119)]
        )


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([(np.arange(60), np.arange(60, 121))], r"position 120 in the validation part"),
        ([(np.arange(-1, 60), np.arange(60, 120))], r"position -1 in the training"),
        ([(np.arange(61), np.arange(60, 120))], r"Fold 0 of cv trains .* row 60"),
        ([(np.arange(0), np.arange(60, 120))], r"no row in the training part of fold"),
        ([(np.arange(60), np.linspace(60, 119, 60))], r"positions .* dtype float64"),
    ],
)
def test_folds_that_can_not_be_are_named(data, cv, message):
    with pytest.raises(InvalidInputError, match=message):
        HyperFusionRegressor([Ridge()], cv=cv).fit(*data)


def test_missing_groups_are_named(data):
    X, y = data
    groups = np.array(["a", "b", "c", None] * 30, dtype=object)
    with pytest.raises(InvalidInputError, match=r"groups is missing in row 3 \(30"):
        HyperFusionRegressor([Ridge()], cv=3).fit(X, y, groups=groups)


def test_global_generator_stays_as_it_is(data):
    X, y = data
    trees = DecisionTreeRegressor(max_features=1)
    before = np.random.get_state()[1].copy()
    position = np.random.get_state()[2]
    HyperFusionRegressor([trees], cv=3).fit(X, y)
    list(StratifiedRegressionKFold().split(X, y))
    assert_array_equal(np.random.get_state()[1], before)
    assert np.random.get_state()[2] == position


def test_fits_without_a_seed_differ(data):
    trees = DecisionTreeRegressor(max_features=1)
    found = [HyperFusionRegressor([trees], cv=3).fit(*data) for _ in range(2)]
    assert (found[0].oof_predictions_ != found[1].oof_predictions_).any()


@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (120, {"y": np.full(120, np.nan)}, "NaN"),
        (120, {"sample_weight": np.full(120, -1.0)}, "Negative"),
        (4, {}, "n_splits=5"),
    ],
)
def test_refused_fit_leaves_a_fitted_ensemble_alone(data, rows, change, message):
    X, y = data
    ensemble = HyperFusionRegressor([Ridge()], random_state=0).fit(X, y)
    before = ensemble.predict(X)
    with pytest.raises(ValueError, match=message):
        ensemble.fit(**({"X": X[:rows, :2], "y": y[:rows]} | change))
    assert_array_equal(ensemble.predict(X), before)
