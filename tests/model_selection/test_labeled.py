"""Cross-validation where some targets are missing."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)

from hyperfusion import PseudoLabelWrapper, spearman_scorer
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import (
    LabeledSplit,
    StratifiedRegressionKFold,
    labeled_scorer,
)


@pytest.fixture
def data():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 3))
    y = X[:, 0] + 0.3 * rng.normal(size=120)
    y[rng.permutation(120)[:40]] = np.nan
    return X, y


class Spy(RegressorMixin, BaseEstimator):
    """Needs labels for all it predicts, and counts what it is fitted on."""

    def fit(self, X, y):
        self.n_rows_, self.n_missing_ = len(y), int(np.isnan(y).sum())
        self.mean_ = float(np.nanmean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@given(
    st.lists(st.booleans(), min_size=12, max_size=60).filter(lambda m: sum(m) >= 6),
    st.sampled_from([KFold(3), TimeSeriesSplit(3), StratifiedRegressionKFold(3), 3]),
)
def test_unlabeled_rows_always_train_and_never_validate(labeled, cv):
    labeled = np.array(labeled)
    y = np.where(labeled, np.arange(len(labeled), dtype=float), np.nan)
    folds = list(LabeledSplit(cv).split(y, y))
    assert len(folds) == LabeledSplit(cv).get_n_splits(y, y) == 3
    for train, test in folds:
        assert labeled[test].all()
        assert set(np.flatnonzero(~labeled)) <= set(train)
        assert not set(train) & set(test)
        assert (np.diff(train) > 0).all()
    validated = np.concatenate([test for _, test in folds])
    assert len(validated) == len(set(validated))


def test_labeled_rows_are_cut_as_without_the_others(data):
    X, y = data
    known = np.flatnonzero(~np.isnan(y))
    for cv in (KFold(4, shuffle=True, random_state=0), TimeSeriesSplit(4)):
        plain = cv.split(X[known], y[known])
        ours = LabeledSplit(cv).split(X, y)
        for (train, test), (more, same) in zip(plain, ours, strict=True):
            assert_array_equal(known[test], same)
            assert set(known[train]) == set(more[~np.isnan(y[more])])


def test_given_folds_hold_positions_among_all_rows(data):
    X, y = data
    pairs = [(np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))]
    found = list(LabeledSplit(pairs).split(X, y))
    assert LabeledSplit(pairs).get_n_splits(X, y) == 2
    for (train, test), (more, known) in zip(pairs, found, strict=True):
        assert_array_equal(known, test[~np.isnan(y[test])])
        assert_array_equal(more, np.union1d(train, np.flatnonzero(np.isnan(y))))


def test_folds_that_come_once_serve_every_candidate(data):
    X, y = data
    folds = list(KFold(2).split(X))
    options = {"scoring": "neg_mean_absolute_error", "error_score": "raise"}
    grid = {"alpha": [1.0, 10.0]}
    model = PseudoLabelWrapper(Ridge(), cv=2, max_rounds=1, random_state=0)
    scores = [
        GridSearchCV(model, grid, cv=LabeledSplit(cv), refit=False, **options)
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for cv in (folds, iter(folds))
    ]
    assert_array_equal(*scores)


def test_groups_stay_together(data):
    X, y = data
    groups = np.arange(120) % 6
    for train, test in LabeledSplit(GroupKFold(3)).split(X, y, groups):
        known = train[~np.isnan(y[train])]
        assert not set(groups[known]) & set(groups[test])
    assert LabeledSplit(LeaveOneGroupOut()).get_n_splits(X, y, groups) == 6


def test_all_labeled_is_the_splitter_itself(data):
    X, _ = data
    cv = KFold(3)
    for ours, plain in zip(
        LabeledSplit(cv).split(X, X[:, 0]), cv.split(X), strict=True
    ):
        assert_array_equal(ours[0], plain[0])
        assert_array_equal(ours[1], plain[1])


def test_no_label_at_all(data):
    X, y = data
    with pytest.raises(InvalidInputError, match="no label"):
        next(LabeledSplit(3).split(X, np.full(len(y), np.nan)))
    with pytest.raises(ValueError, match="no label"):
        labeled_scorer("r2")(Ridge().fit(X, X[:, 0]), X, np.full(len(y), np.nan))


def test_cross_val_score_and_search_work(data):
    X, y = data
    model = PseudoLabelWrapper(Ridge(), cv=2, max_rounds=1, random_state=0)
    cv = LabeledSplit(KFold(2))
    scores = cross_val_score(model, X, y, cv=cv, scoring="neg_mean_absolute_error")
    assert np.isfinite(scores).all()
    search = GridSearchCV(
        model,
        {"estimator__alpha": [1.0, 1e6], "alpha": [1.0]},
        cv=cv,
        scoring={"src": labeled_scorer(spearman_scorer), "own": labeled_scorer()},
        refit="src",
        return_train_score=True,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_["estimator__alpha"] == 1.0
    assert search.cv_results_["mean_train_src"].min() > 0
    assert np.isfinite(search.predict(X)).all()
    own = GridSearchCV(
        model, {"alpha": [1.0]}, cv=cv, return_train_score=True, refit=False
    )
    assert np.isfinite(own.fit(X, y).cv_results_["mean_train_score"]).all()


def test_training_parts_hold_all_unlabeled_rows(data):
    X, y = data
    result = cross_validate(
        Spy(), X, y, cv=LabeledSplit(4), return_estimator=True,
        scoring=labeled_scorer("neg_mean_absolute_error"),
    )  # fmt: skip
    assert [model.n_missing_ for model in result["estimator"]] == [40] * 4
    assert [model.n_rows_ for model in result["estimator"]] == [100] * 4


def test_scorer_looks_at_labeled_rows_under_any_folds(data):
    X, y = data
    scores = cross_val_score(
        Spy(), X, y, cv=3, scoring=labeled_scorer("neg_mean_absolute_error")
    )
    for score, (train, test) in zip(scores, KFold(3).split(X), strict=True):
        known = test[~np.isnan(y[test])]
        mean = np.nanmean(y[train])
        assert score == pytest.approx(
            -mean_absolute_error(y[known], np.full(len(known), mean))
        )


def test_scorer_takes_frames_weights_callables_and_pickles(data):
    X, y = data
    frame, target = pd.DataFrame(X), pd.Series(y)
    model = Ridge().fit(X, X[:, 0])
    known = ~np.isnan(y)
    weight = np.arange(120.0)
    scorer = pickle.loads(pickle.dumps(labeled_scorer("neg_mean_absolute_error")))
    assert "neg_mean_absolute_error" in repr(scorer)
    found = scorer(model, frame, target, sample_weight=weight)
    expected = mean_absolute_error(
        y[known], model.predict(X[known]), sample_weight=weight[known]
    )
    assert found == pytest.approx(-expected)
    assert labeled_scorer(lambda model, X, y: len(y))(model, X, y) == known.sum()
    with pytest.raises(ValueError, match="mistaken"):
        labeled_scorer("mistaken")


def test_groups_are_routed(data):
    X, y = data
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            Spy(),
            X,
            y,
            cv=LabeledSplit(GroupKFold(3)),
            params={"groups": np.arange(120) % 6},
            scoring="neg_mean_absolute_error",
        )
    assert len(scores) == 3
    assert clone(LabeledSplit(3), safe=False).cv == 3
