"""Pseudo-labels: that they help where they can, and can't fool their validation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import HyperFusionRegressor, PseudoLabelWrapper, spearman_score
from hyperfusion.ensemble._pseudo_rounds import PseudoLabelRounds, Rows
from tests.ensemble.pseudo_rows import ALWAYS, one_direction, with_unlabeled


@pytest.mark.parametrize("seed", [0, 1])
def test_unlabeled_rows_that_help_are_used(seed):
    X, y, unlabeled, _, X_test, y_test = one_direction(seed)
    member = make_pipeline(PCA(1, random_state=0), Ridge())
    alone = HyperFusionRegressor([member], random_state=0).fit(X, y)
    model = PseudoLabelWrapper(
        member, alpha=-1.0, max_share=1.0, max_rounds=1, random_state=0
    ).fit(*with_unlabeled(X, y, unlabeled))
    assert model.termination_condition_ == "max_iter"
    assert model.trace_["kept"].tolist() == [True]
    before, after = alone.predict(X_test), model.predict(X_test)
    assert spearman_score(y_test, after) > spearman_score(y_test, before) + 0.02
    assert mean_absolute_error(y_test, after) < mean_absolute_error(y_test, before)


def twins(seed, n=300):
    """Noisy rows, an unlabeled twin beside each of them, and later rows."""
    rng = np.random.RandomState(seed)

    def draw(n):
        X = rng.uniform(-2, 2, size=(n, 2))
        return X, X[:, 0] + 1.5 * rng.normal(size=n)

    (X, y), (X_test, y_test) = draw(n), draw(1000)
    return X, y, X + 1e-3 * rng.normal(size=X.shape), X_test, y_test


@pytest.mark.parametrize("seed", range(3))
def test_what_fools_naive_validation_is_refused(seed):
    X, y, unlabeled, X_test, y_test = twins(seed)
    member = KNeighborsRegressor(16, weights="distance")
    cv = KFold(5, shuffle=True, random_state=seed)
    before = spearman_score(y, cross_val_predict(member, X, y, cv=cv))
    # naive: a model of all rows labels the twins, then they join every training part
    labels = clone(member).fit(X, y).predict(unlabeled)
    naive = np.empty(len(y))
    for train, test in cv.split(X):
        rows = np.concatenate([X[train], unlabeled])
        targets = np.concatenate([y[train], labels])
        naive[test] = clone(member).fit(rows, targets).predict(X[test])
    all_rows = np.concatenate([X, unlabeled])
    fooled = clone(member).fit(all_rows, np.concatenate([y, labels]))
    plain = clone(member).fit(X, y)
    assert spearman_score(y, naive) > before + 0.2, "looks better in validation"
    error = mean_absolute_error(y_test, plain.predict(X_test))
    assert mean_absolute_error(y_test, fooled.predict(X_test)) > error, "is worse"

    # other seeds keep a round by chance about once in a hundred
    model = PseudoLabelWrapper(
        member, cv=cv, alpha=-1.0, max_share=1.0, random_state=0
    ).fit(*with_unlabeled(X, y, unlabeled))
    assert model.termination_condition_ == "no_improvement"
    assert not model.trace_["kept"].any()
    assert (model.labeled_iter_[len(y) :] == -1).all()
    ours = HyperFusionRegressor([member], cv=cv).fit(X, y)
    assert_array_equal(model.predict(X_test), ours.predict(X_test))


def test_a_member_that_memorizes_does_not_see_validation_rows():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(400, 3)), rng.normal(size=400)
    member = KNeighborsRegressor(1)
    model = PseudoLabelWrapper(
        HyperFusionRegressor([member, DecisionTreeRegressor()], cv=4, random_state=0),
        **ALWAYS,
    ).fit(*with_unlabeled(X, y, X))  # every validation row is there again, unlabeled
    assert model.trace_["kept"].tolist() == [True] * len(model.trace_)
    assert (model.trace_["src_after"].abs() < 0.15).all()
    leaky = clone(member).fit(X, y).predict(X)
    assert spearman_score(y, leaky) > 0.99


def rounds_of(estimator, X, y, unlabeled):
    rows = Rows.read(estimator, *with_unlabeled(X, y, unlabeled), None, None)
    wrapper = PseudoLabelWrapper(estimator)
    return PseudoLabelRounds(wrapper, rows.fit(clone(estimator), None), rows)


def test_labels_of_a_fold_never_change_its_own_pseudo_labels():
    rng = np.random.RandomState(0)
    X, y, unlabeled = (
        rng.normal(size=(80, 3)),
        rng.normal(size=80),
        rng.normal(size=(60, 3)),
    )
    cv = list(KFold(4).split(X))
    estimator = HyperFusionRegressor([DecisionTreeRegressor()], cv=cv, random_state=0)
    other = y.copy()
    other[cv[2][1]] += 100.0
    found = []
    for target in (y, other):
        rounds = rounds_of(estimator, X, target, unlabeled)
        nothing = np.zeros((4, 60), dtype=bool)
        parts, _ = rounds._label(nothing, rounds._committee())
        # unweighted: the weights rest on errors in the other folds, see the notes
        extra = [(*rounds._extra(p)[:2], None) for p in parts]
        again = rounds.rows.fit(rounds._again(), extra)
        found.append((parts, again.estimators_))
    (one, models), (two, others) = found
    assert_array_equal(one[2].chosen, two[2].chosen)
    assert_array_equal(one[2].labels, two[2].labels)
    assert_array_equal(models[2][0].predict(X), others[2][0].predict(X))
    assert (models[0][0].predict(X) != others[0][0].predict(X)).any()


class Shifted(RegressorMixin, BaseEstimator):
    """A linear model that is off by a constant."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y, sample_weight=None):
        self.model_ = Ridge().fit(X, y, sample_weight)
        return self

    def predict(self, X):
        return self.model_.predict(X) * (1 + self.shift / 100) + self.shift


def test_confidence_is_the_spread_without_the_members_biases():
    rng = np.random.RandomState(0)
    X, unlabeled = rng.normal(size=(90, 2)), rng.normal(size=(30, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=90)
    members = [("low", Shifted(-5.0)), ("high", Shifted(9.0))]
    estimator = HyperFusionRegressor(members, cv=3, weighting="equal", random_state=0)
    rounds = rounds_of(estimator, X, y, unlabeled)
    parts, _ = rounds._label(np.zeros((3, 30), dtype=bool), None)
    for k, part in enumerate(parts):
        low, high = (m.predict(unlabeled) for m in rounds.first.estimators_[k])
        assert_allclose(part.labels, (low + high) / 2)
        others = [j for j in range(3) if j != k]
        bias = rounds.first._bias[others].mean(axis=0)
        spread = np.abs((low - bias[0]) - (high - bias[1])) / 2
        assert_allclose(part.confidence, -spread)
        rows = np.concatenate([rounds.first.splits_[j][1] for j in others])
        noise = np.mean((y - rounds.first.oof_predictions_)[rows] ** 2)
        assert_allclose(part.weight, noise / (noise + spread**2))
