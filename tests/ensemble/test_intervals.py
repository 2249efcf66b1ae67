"""Conformal intervals: quantiles by hand, coverage, groups, and its report."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import betabinom
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    HyperFusionRegressor,
    coverage_report,
    predict_interval,
)
from hyperfusion.ensemble._intervals import Calibration, chance_range
from hyperfusion.ensemble._weights import disagreement, fit_variance
from hyperfusion.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("n", "coverage", "expected"),
    [
        (9, 0.9, 9),  # ceil(10 * 0.9) = 9, the largest of 9
        (8, 0.9, math.inf),  # ceil(9 * 0.9) = 9 of 8
        (19, 0.9, 18),
        (19, 0.95, 19),
        (18, 0.95, math.inf),
        (4, 0.5, 3),  # ceil(5 * 0.5) = 3
        (99, 0.9, 90),
    ],
)
def test_quantile_by_hand(n, coverage, expected):
    scores = np.random.RandomState(0).permutation(np.arange(1.0, n + 1))
    assert Calibration.fit(scores, np.ones(n), coverage).quantile == expected


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    st.integers(1, 99),
    st.sampled_from([1e-6, 1.0, 7.0]),
)
def test_quantile_is_that_of_the_definition(scores, percent, unit):
    n = len(scores)
    rank = -(-(n + 1) * percent // 100)  # ceil, in whole numbers
    expected = sorted(scores)[rank - 1] if rank <= n else math.inf
    weight = np.full(n, unit)
    assert Calibration.fit(np.array(scores), weight, percent / 100).quantile == expected


def test_weights_in_quantiles():
    scores = np.array([5.0, 1.0, 2.0, 3.0, 99.0])
    weight = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    # the row without weight does not count: ceil(5 * 0.5) = 3rd of 1, 2, 3, 5
    assert Calibration.fit(scores, weight, 0.5).quantile == 3
    # effective rows 4^2 / 10 = 1.6, scaled weights 1.2 and 0.4: 1.2 / 2.6 = 0.46
    pair = np.array([3.0, 1.0])
    assert Calibration.fit(np.array([1.0, 2.0]), pair, 0.46).quantile == 1
    assert Calibration.fit(np.array([1.0, 2.0]), pair, 0.47).quantile == 2
    assert Calibration.fit(np.array([1.0, 2.0]), pair, 0.62).quantile == math.inf


def test_disagreement_by_hand():
    predictions = [np.array([1.0, 5.0]), np.array([4.0, 5.0])]
    bias, weights = np.array([0.0, 1.0]), np.array([0.2, 0.2])
    # freed of bias: 1 and 3, then 5 and 4; variances 1 and 0.25
    assert_allclose(disagreement(predictions, bias, weights), [1.0, 0.25])


def test_variance_is_recovered():
    rng = np.random.RandomState(0)
    spread = rng.exponential(size=20_000)
    error = rng.normal(size=20_000) * np.sqrt(0.5 + 3 * spread)
    assert_allclose(fit_variance(error, spread, np.ones(20_000)), [0.5, 3], rtol=0.1)
    for unit in (1e-5, 1e5):
        scaled = fit_variance(unit * error, unit**2 * spread, np.ones(20_000))
        assert_allclose(
            scaled,
            fit_variance(error, spread, np.ones(20_000)) * [unit**2, 1],
            rtol=1e-6,
        )
    useless = fit_variance(error, rng.permutation(spread), np.ones(20_000))
    assert useless[1] < 0.2
    assert_array_equal(fit_variance(np.zeros(5), np.zeros(5), np.ones(5)), 0)


def draw(n, seed, noise=1.0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, 3))
    return X, X @ [1.0, 0.5, 0.0] + noise * rng.standard_t(4, size=n)


def held(interval, y):
    return ((interval["lower"] <= y) & (y <= interval["upper"])).to_numpy()


def test_coverage_is_exact_with_a_single_split():
    shares = []
    for seed in range(120):
        X, y = draw(400, seed)
        split = [(np.arange(51), np.arange(51, 100))]
        model = HyperFusionRegressor([LinearRegression()], cv=split).fit(
            X[:100], y[:100]
        )
        interval = predict_interval(model, X[100:], coverage=0.8)
        shares.append(held(interval, y[100:]).mean())
    # 49 rows calibrate: exactly 0.8 in the mean; its error over seeds is about 0.005
    assert np.mean(shares) == pytest.approx(0.8, abs=0.02)


def test_coverage_with_folds_and_unequal_noise():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(3000, 2))
    y = X[:, 1] + np.where(X[:, 0] > 0, 2.0, 0.1) * rng.normal(size=3000)
    members = [Ridge(), DecisionTreeRegressor(min_samples_leaf=5, random_state=0)]
    model = HyperFusionRegressor(members, weighting="equal", random_state=0)
    model.fit(X[:1500], y[:1500])
    interval = predict_interval(model, X[1500:])
    assert held(interval, y[1500:]).mean() == pytest.approx(0.9, abs=0.03)
    width = (interval["upper"] - interval["lower"]).to_numpy()
    noisy = X[1500:, 0] > 0
    assert width[noisy].mean() > 1.5 * width[~noisy].mean()


def with_users(x, new):
    """A column of numbers with users: one for all rows that are not `new`."""
    users = np.where(new, [f"u{i}" for i in range(len(x))], "known")
    return pd.DataFrame({"meta__x": x, "user__user": pd.Categorical(users)})


def test_groups_are_covered_each_by_itself():
    rng = np.random.RandomState(0)
    x, new = rng.normal(size=2000), rng.rand(2000) < 0.5
    y = x + np.where(new, 3.0, 0.5) * rng.normal(size=2000)
    X = with_users(x, new)
    model = HyperFusionRegressor([Ridge()], random_state=0).fit(X[:1000], y[:1000])
    plain = held(predict_interval(model, X[1000:]), y[1000:])
    apart = held(predict_interval(model, X[1000:], groups="user"), y[1000:])
    odd = new[1000:]
    assert plain[odd].mean() < 0.85 < 0.99 < plain[~odd].mean()
    assert apart[odd].mean() == pytest.approx(0.9, abs=0.04)
    assert apart[~odd].mean() == pytest.approx(0.9, abs=0.04)


def posts_with_users(n=60):
    users = np.array(["a", "b", "c", "d", None] * (n // 5), dtype=object)
    users[-1] = "once"
    X = pd.DataFrame({"meta__n": np.arange(n, dtype="float32")})
    X["user__user"] = pd.Categorical(users)
    return X, np.sin(np.arange(n) * 5.0)


def test_an_user_is_known_where_the_fold_was_trained_on_another_post():
    X, y = posts_with_users()
    cv = [(np.arange(50), np.arange(50, 60)), (np.arange(40, 60), np.arange(20))]
    model = HyperFusionRegressor([Ridge()], cv=cv).fit(X, y)
    expected = X["user__user"].isin(list("abcd")).to_numpy(dtype=float)
    expected[20:50] = np.nan
    assert_array_equal(model._user_known, expected)

    later = X.iloc[:6].copy()
    later["user__user"] = pd.Categorical(["a", "x", None, "once", "b", "c"])
    report = coverage_report(model, later, y[:6], coverage=0.5)
    assert report.loc[("user", "known"), "n"] == 4
    assert report.loc[("user", "new"), "n"] == 2
    interval = predict_interval(model, later, coverage=0.5, groups="user")
    margin = (interval["upper"] - interval["lower"]) / 2 / model.oof_std_[0]
    scores = np.abs(model.oof_residuals_) / model.oof_std_[0]
    known = np.sort(scores[expected == 1])  # 24 rows: ceil(25 * 0.5) = 13th
    new = np.sort(scores[expected == 0])  # 6 rows: ceil(7 * 0.5) = 4th
    assert_allclose(
        margin, [known[12], new[3], new[3], known[12], known[12], known[12]]
    )


def test_too_few_rows_give_infinite_intervals_and_say_so():
    x, y = draw(30, 0)
    X = with_users(x[:, 0], np.arange(30) < 5)
    model = HyperFusionRegressor([Ridge()], cv=3).fit(X, y)
    later = X.assign(user__user=pd.Categorical(["new"] * 5 + ["known"] * 25))
    with pytest.warns(UserWarning, match="5 of 'new'"):
        interval = predict_interval(model, later, groups="user")
    assert np.isinf(interval["upper"][:5]).all()
    assert np.isfinite(interval["upper"][5:]).all()


class Wrapper(RegressorMixin, BaseEstimator):
    """Keeps a fitted model in ``estimator_``, as wrappers do."""

    def __init__(self, estimator=None):
        self.estimator = estimator

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def predict(self, X):
        return self.estimator_.predict(X)


def test_the_ensemble_is_found_wherever_it_is():
    X, y = draw(80, 0)
    frame = pd.DataFrame(X, index=np.arange(80) + 500).add_prefix("x")
    ensemble = HyperFusionRegressor([("ridge", Ridge())], cv=3, random_state=0)
    scaled = StandardScaler().set_output(transform="pandas")
    plain = clone(ensemble).fit(scaled.fit_transform(frame), y)
    expected = predict_interval(plain, scaled.transform(frame))
    piped = make_pipeline(clone(scaled), ensemble)
    search = GridSearchCV(piped, {"hyperfusionregressor__ridge__alpha": [1.0]}, cv=2)
    for model in (
        piped,
        Wrapper(piped),
        make_pipeline(clone(scaled), Wrapper(ensemble)),
        make_pipeline(piped),
        search,
    ):
        found = predict_interval(model.fit(frame, y), frame)
        pd.testing.assert_frame_equal(found, expected)
    assert list(expected.columns) == ["prediction", "lower", "upper"]
    assert list(expected.index) == list(frame.index)
    assert_allclose(expected["prediction"], piped.predict(frame))


def test_rows_without_validation_or_weight_do_not_calibrate():
    X, y = draw(100, 0)
    y[:20] += 1000.0
    weight = np.r_[np.zeros(20), np.ones(80)]
    model = HyperFusionRegressor([Ridge()], cv=TimeSeriesSplit(3))
    interval = predict_interval(model.fit(X, y, sample_weight=weight), X)
    assert (interval["upper"] - interval["lower"]).max() < 50


def test_faults_are_named():
    X, y = draw(40, 0)
    model = HyperFusionRegressor([Ridge()], cv=3).fit(X, y)
    with pytest.raises(InvalidInputError, match="no HyperFusionRegressor inside"):
        predict_interval(VotingRegressor([("a", Ridge())]).fit(X, y), X)
    with pytest.raises(InvalidInputError, match="user__user"):
        predict_interval(model, X, groups="user")
    with pytest.raises(ValueError, match="coverage"):
        predict_interval(model, X, coverage=90)
    with pytest.raises(InvalidInputError, match=r"by\['week'\] must hold"):
        coverage_report(model, X, y, by={"week": [1, 2]})


def test_chance_range_holds_19_of_20_reports():
    outside = []
    for seed in range(60):
        X, y = draw(300, seed)
        split = [(np.arange(50), np.arange(50, 150))]
        model = HyperFusionRegressor([LinearRegression()], cv=split).fit(
            X[:150], y[:150]
        )
        row = coverage_report(model, X[150:], y[150:]).loc[("all", "all")]
        outside.append(not row["low"] <= row["coverage"] <= row["high"])
    # the error of this mean is 0.03
    assert np.mean(outside) < 0.11


def test_chance_range_of_a_small_group_rests_on_its_own_rows():
    of_x = make_column_transformer(("passthrough", ["meta__x"]))
    member = make_pipeline(of_x, LinearRegression())
    drift = []
    for seed in range(25):
        x, y = draw(1500, seed)
        new = np.r_[np.arange(500) < 20, np.arange(1000) < 500]
        X = with_users(x[:, 0], new)
        model = HyperFusionRegressor([member], cv=KFold(5))
        report = coverage_report(
            model.fit(X[:500], y[:500]),
            X[500:],
            y[500:],
            groups="user",
        )
        assert set(report["n"]) == {500, 1000}
        drift.append(report["drift"].to_numpy())
    # 5% of them at most lie outside; the error of these means is 0.044
    assert np.mean(drift, axis=0).max() < 0.15


def test_chance_range_by_hand():
    scores = np.arange(1.0, 20.0)  # 19 rows: ceil(20 * 0.9) = 18 of them
    one = Calibration.fit(scores, np.ones(19), 0.9)
    assert (one.quantile, one.rank) == (18, 18)
    expected = betabinom.ppf([0.025, 0.975], 50, 18, 2) / 50
    assert_allclose(chance_range([50], [one]), expected)
    # posts of a group with too few rows are covered for sure
    few = Calibration.fit(scores[:5], np.ones(5), 0.9)
    assert chance_range([50], [few]) == (1, 1)
    assert_allclose(chance_range([50, 50], [one, few]), (expected + 1) / 2)
    # two groups: their sum, drawn
    other = Calibration.fit(np.arange(99.0), np.ones(99), 0.9)
    rng = np.random.RandomState(0)
    drawn = [
        betabinom.rvs(n, a, b, size=200_000, random_state=rng)
        for n, a, b in ((50, 18, 2), (30, 90, 10))
    ]
    by_draws = np.quantile(np.sum(drawn, axis=0), [0.025, 0.975]) / 80
    assert_allclose(chance_range([50, 30], [one, other]), by_draws, atol=1 / 80)


def test_own_groups_by_user_are_not_replaced():
    X, y = posts_with_users()
    model = HyperFusionRegressor([Ridge()], cv=3, random_state=0).fit(X, y)
    mine = np.where(np.arange(60) < 20, "me", "others")
    report = coverage_report(model, X, y, by={"user": mine})
    assert report.loc["user", "n"].to_dict() == {"me": 20, "others": 40}


def test_report_counts_by_hand_and_finds_drift():
    X, y = draw(600, 0)
    model = HyperFusionRegressor([Ridge()], random_state=0).fit(X[:300], y[:300])
    y[500:] -= 3
    weeks = np.repeat([1, 2, 3], 100)
    report = coverage_report(model, X[300:], y[300:], by={"week": weeks})
    inside = held(predict_interval(model, X[300:]), y[300:])
    for week in (1, 2, 3):
        row = report.loc[("week", week)]
        assert row["coverage"] == pytest.approx(inside[weeks == week].mean())
        assert row["gap"] == pytest.approx(row["coverage"] - 0.9)
        assert row["low"] < 0.9 < row["high"]
    assert report["drift"].to_dict() == {
        ("all", "all"): True,
        ("week", 1): False,
        ("week", 2): False,
        ("week", 3): True,
    }
    assert report.loc[("week", 3), "bias"] == pytest.approx(-3, abs=0.5)
    # ten posts are too few to tell 0.8 from 0.9
    few = coverage_report(model, X[300:310], y[300:310])
    assert not few["drift"].any()
