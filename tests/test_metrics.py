"""Scores: agreement with scipy, hand calculations, weights, ties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from hyperfusion import evaluate, spearman_score, spearman_scorer, within_user_spearman

pairs = st.lists(
    st.tuples(st.integers(-5, 5), st.floats(-1e6, 1e6, width=32)),
    min_size=3,
    max_size=40,
)


@given(pairs)
def test_agrees_with_scipy_with_ties(values):
    a, b = (np.array(v, dtype=float) for v in zip(*values, strict=True))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert spearman_score(a, b) == 0
    else:
        assert spearman_score(a, b) == pytest.approx(spearmanr(a, b)[0], abs=1e-9)


def test_equation_11_without_ties():
    rng = np.random.RandomState(0)
    a, b = rng.permutation(50), rng.permutation(50)
    d = a - b
    by_hand = 1 - 6 * np.sum(d**2) / (50 * (50**2 - 1))
    assert spearman_score(a, b) == pytest.approx(by_hand)


def test_weights_of_zero_and_whole_numbers():
    rng = np.random.RandomState(0)
    a, b = rng.normal(size=(2, 30))
    assert spearman_score(a, b, sample_weight=np.full(30, 7.0)) == pytest.approx(
        spearman_score(a, b)
    )
    heavy = spearman_score([1, 2, 3, 4], [1, 2, 3, 0], sample_weight=[1, 1, 1, 1e-9])
    assert heavy == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_no_number(bad):
    with pytest.raises(ValueError, match="y_pred contains"):
        spearman_score([1, 2, 3], [1, bad, 3])
    with pytest.raises(ValueError, match="inconsistent"):
        spearman_score([1, 2, 3], [1, 2])


def test_within_user_by_hand():
    y = [1, 2, 3, 1, 2, 3, 4, 5, 5]
    p = [1, 2, 3, 4, 3, 2, 1, 0, 9]
    users = list("aaabbbbcc")  # a: 1, b: -1 over four posts; c has two posts
    assert within_user_spearman(y, p, users) == pytest.approx((3 - 4) / 7)
    assert np.isnan(within_user_spearman([1, 1, 1], [1, 2, 3], list("aaa")))


@pytest.mark.parametrize("missing", [None, np.nan, "", pd.NA])
def test_rows_without_a_user_count_for_none(missing):
    users = [*list("aaabbbb"), missing, missing, missing]
    y, p = [1, 2, 3, 1, 2, 3, 4, 1, 2, 3], [1, 2, 3, 4, 3, 2, 1, 3, 2, 1]
    expected = (3 - 4) / 7
    assert within_user_spearman(y, p, users) == pytest.approx(expected)
    numbers = pd.Series(users).map({"a": 7.0, "b": 8.0})
    assert within_user_spearman(y, p, numbers) == pytest.approx(expected)
    scores = evaluate(
        Oracle(p),
        np.arange(10)[:, None],
        y,
        users=users,
        splits={"all": [(np.arange(10), np.arange(10))]},
        n_bootstrap=1,
    ).scores.set_index(["users", "metric"])["score"]
    assert scores["all", "within_user_src"] == pytest.approx(expected)


def test_users_are_told_apart_as_everywhere():
    users = pd.array([7, 7, 7, None], dtype="Int64")
    mixed = [7, "7", 7.0, None]
    for values in (users, mixed, pd.Series(mixed, dtype="category")):
        assert within_user_spearman([1, 2, 3, 9], [1, 3, 2, 0], values) == 0.5


class Oracle(RegressorMixin, BaseEstimator):
    """A model that predicts given numbers by row."""

    def __init__(self, predictions):
        self.predictions = predictions

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.asarray(self.predictions, dtype=float)[X[:, 0]]


def test_scorer_in_a_search_survives_constant_predictions():
    X = np.arange(20.0)[:, None]
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring=spearman_scorer, cv=2)
    assert search.fit(X, X[:, 0]).best_score_ == pytest.approx(1.0)
    assert spearman_scorer(DummyRegressor().fit(X, X[:, 0]), X, X[:, 0]) == 0
