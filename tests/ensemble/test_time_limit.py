"""A time limit, on a clock of the test's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import (
    HyperFusionRegressor,
    PostEncoder,
    PseudoLabelWrapper,
    make_hyperfusion,
)
from hyperfusion._anatomy import final_step
from hyperfusion.ensemble._costs import Cost, cost_of, n_columns_read
from hyperfusion.ensemble._presets import preset_members

SECONDS = {"quick": 1.0, "usual": 4.0, "slow": 20.0}


class Clock:
    """Seconds that pass only where members say so."""

    seconds = 0.0


class Timed(RegressorMixin, BaseEstimator):
    """Takes a number of seconds by the test's clock; random where it has no seed."""

    def __init__(self, seconds=1.0, random_state=None):
        self.seconds = seconds
        self.random_state = random_state

    def fit(self, X, y):
        Clock.seconds += self.seconds
        Timed.fits.append(self.seconds)
        self.n_features_in_ = np.shape(X)[1]
        self.noise_ = np.random.RandomState(self.random_state).normal()
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return self.mean_ + 1e-3 * self.noise_ * np.asarray(X)[:, 0]


def declared_cost(member, n_rows, n_columns):
    seconds = final_step(member).seconds
    return Cost(Timed.declared.get(seconds, seconds), 0)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("hyperfusion._progress._clock", lambda: Clock.seconds)
    monkeypatch.setattr(
        "hyperfusion.ensemble._fold_ensemble.cost_of",
        declared_cost,
    )
    Clock.seconds, Timed.fits, Timed.declared = 0.0, [], {}


@pytest.fixture
def data():
    X = np.random.RandomState(0).normal(size=(60, 3))
    return X, X[:, 0]


def ensemble(limit=None, **params):
    members = [(name, Timed(seconds)) for name, seconds in SECONDS.items()]
    members = params.pop("members", members[::-1])
    return HyperFusionRegressor(members, time_limit=limit, random_state=0, **params)


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (1000, ["slow", "usual", "quick"]),
        (126, ["slow", "usual", "quick"]),
        (124, ["usual", "quick"]),
        (26, ["usual", "quick"]),
        (20, ["quick"]),
        (6, ["quick"]),
    ],
)
def test_members_that_fit_are_fitted_in_the_order_given(data, limit, kept):
    model = ensemble(limit).fit(*data)
    assert [name for name, _ in model.members_] == kept
    assert [name for name, _ in model.plan_] == kept
    assert set(model.skipped_) == set(SECONDS) - set(kept)
    assert len(model.estimators_[0]) == len(kept) == model.weights_.shape[1]
    assert limit * 1.1 >= Clock.seconds
    assert list(model.fold_scores_.index[: len(kept)]) == [(0, n) for n in kept]


def test_no_limit_skips_nothing(data):
    model = ensemble().fit(*data)
    assert model.skipped_ == {}
    assert [name for name, _ in model.plan_] == list(SECONDS)[::-1]


def test_why_a_member_was_skipped(data):
    model = ensemble(20).fit(*data)
    assert model.skipped_["slow"].startswith("needs about ")
    assert "15.0 s are left" in model.skipped_["slow"]
    assert Timed.fits == [1.0] * 5  # nothing of them was started


@pytest.mark.parametrize("refit", ["folds", "full"])
def test_a_refit_of_the_plan_gives_the_same_bits(data, refit):
    first = ensemble(40, refit=refit).fit(*data)
    assert first.skipped_
    again = clone(first).set_params(members=first.plan_, time_limit=None).fit(*data)
    assert_array_equal(first.predict(data[0]), again.predict(data[0]))
    assert_array_equal(first.oof_predictions_, again.oof_predictions_)


def test_the_cheapest_member_is_always_fitted(data):
    with pytest.warns(UserWarning, match="time_limit=3 is too short.*'quick'"):
        model = ensemble(3).fit(*data)
    assert [name for name, _ in model.plan_] == ["quick"]


def test_the_fit_on_all_rows_counts(data):
    # 5 folds and 1.25 for all rows: 6.25 and 25 seconds
    assert len(ensemble(32, refit="full").fit(*data).plan_) == 2
    assert len(ensemble(30, refit="full").fit(*data).plan_) == 1


def test_a_member_that_takes_longer_than_declared_is_dropped_between_folds(data):
    Timed.declared[20.0] = 5.0
    model = ensemble(90).fit(*data)
    assert "after 1 of its folds" in model.skipped_["slow"]
    assert Timed.fits.count(20.0) == 1
    assert Clock.seconds <= 99


def test_a_slow_machine_is_noticed_on_the_cheapest_member(data):
    members = [("a", Timed(100.0)), ("b", Timed(120.0))]
    Timed.declared.update({100.0: 20.0, 120.0: 24.0})  # ten times as slow
    model = ensemble(800, members=members).fit(*data)
    assert set(model.skipped_) == {"b"}
    assert 120.0 not in Timed.fits


def test_encoding_counts(data, monkeypatch):
    encode = PostEncoder._fit_transform

    def slowly(self, X, y):
        Clock.seconds += 10
        return encode(self, X, y)

    monkeypatch.setattr(PostEncoder, "_fit_transform", slowly)
    posts = pd.DataFrame({"n": data[0][:, 0], "m": data[0][:, 1]})
    members = [(name, Timed(SECONDS[name])) for name in ("quick", "usual")]
    for limit, n_members in ((36, 2), (34, 1)):
        model = make_hyperfusion(
            numeric=["n", "m"], members=members, time_limit=limit, random_state=0
        )
        assert len(model.fit(posts, data[1])[-1].plan_) == n_members


@pytest.mark.parametrize(("limit", "n_rounds"), [(1000, 1), (12, 1), (9, 0)])
def test_rounds_of_pseudo_labels_keep_the_limit(data, limit, n_rounds):
    y = np.where(np.arange(60) < 40, data[1], np.nan)
    model = ensemble(limit, members=[("a", Timed(1.0)), ("b", Timed(1e-3))])
    wrapper = PseudoLabelWrapper(model, max_rounds=1).fit(data[0], y)
    assert wrapper.n_iter_ == n_rounds
    if not n_rounds:
        assert wrapper.termination_condition_ == "time_limit"


def test_declared_costs_grow_with_rows_columns_and_trees():
    forest = ExtraTreesRegressor(100)
    assert cost_of(forest, 200, 10).seconds == 2 * cost_of(forest, 100, 10).seconds
    assert cost_of(forest, 100, 20).bytes == 2 * cost_of(forest, 100, 10).bytes
    twice = ExtraTreesRegressor(200)
    assert cost_of(twice, 100, 10).seconds == 2 * cost_of(forest, 100, 10).seconds
    inside = make_pipeline(StandardScaler(), forest)
    assert cost_of(inside, 100, 10) == cost_of(forest, 100, 10)
    assert cost_of(Timed(), 100, 10).seconds > 0


def test_members_of_few_columns_are_cheap():
    X = pd.DataFrame(np.ones((2, 400)), columns=[f"text__v__{i}" for i in range(400)])
    X["time__hour"] = 1.0
    read = {name: n_columns_read(m, X) for name, m in preset_members("default")}
    assert read["context"] == read["context_catboost"] == 1
    assert read["boosting"] == read["catboost"] == 401
    members = dict(preset_members("default"))
    costs = {n: cost_of(m, 1000, read[n]).seconds for n, m in members.items()}
    assert costs["context"] < costs["boosting"] < costs["catboost"]
