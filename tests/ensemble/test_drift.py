"""Drift: adversarial validation, stability index, recency weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from hyperfusion import (
    HyperFusionRegressor,
    drift_report,
    make_hyperfusion,
    recency_weights,
)
from hyperfusion.ensemble import _drift
from hyperfusion.exceptions import InvalidInputError


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(_drift, "_N_TREES", 20)


def posts(n, seed, shift=0.0):
    rng = np.random.RandomState(seed)
    table = pd.DataFrame(
        {
            "meta__likes": rng.normal(size=n),
            "user__fans": rng.normal(size=n) + shift,
            "time__days": np.arange(n) / n + (shift > 0),
        }
    )
    table["meta__kind"] = pd.Categorical(rng.choice(["photo", "video"], n))
    return table


def test_what_has_not_changed_is_chance():
    columns = ["meta__likes", "meta__kind"]
    report = drift_report(
        None, posts(400, 0)[columns], posts(300, 1)[columns], random_state=0
    )
    assert report.auc == pytest.approx(0.5, abs=0.07)


def test_the_column_that_changed_is_named():
    report = drift_report(
        None, posts(400, 0), posts(300, 1, shift=1.5), exclude="time", random_state=0
    )
    assert report.auc > 0.8
    assert report.columns.index[0] == "user__fans"
    assert report.columns["importance"].sum() == pytest.approx(1)
    assert "time__days" not in report.columns.index


def test_missing_cells_and_new_levels_count():
    train, test = posts(300, 0), posts(300, 1)
    test.loc[::2, "meta__likes"] = np.nan
    test["meta__kind"] = pd.Categorical(["film"] * 300)
    report = drift_report(None, train, test, exclude=["time"], random_state=0)
    assert report.auc > 0.95
    assert set(report.columns.index[:2]) == {"meta__likes", "meta__kind"}
    assert report.columns.loc["meta__likes", "missing_test"] == 0.5


def test_a_fitted_pipeline_encodes_both_tables():
    rng = np.random.RandomState(0)
    raw = pd.DataFrame({"likes": rng.poisson(9, 200), "views": rng.poisson(9, 200)})
    model = make_hyperfusion(numeric=["likes", "views"], members=[Ridge()], cv=2)
    model.fit(raw, raw["likes"])
    later = raw.assign(likes=raw["likes"] * 5 + 50)
    report = drift_report(model, raw, later, random_state=0)
    assert "likes" in report.columns.index[0]
    arrays = drift_report(None, raw.to_numpy(), later.to_numpy(), random_state=0)
    assert arrays.columns.index[0] == 0


@pytest.mark.parametrize("dtype", [bool, "boolean", "Int64", "int8"])
def test_columns_of_any_kind_of_number(dtype):
    rng = np.random.RandomState(0)
    train, test = (
        pd.DataFrame({"new": (rng.rand(100) < p).astype(int)}).astype(dtype)
        for p in (0.5, 0.9)
    )
    report = drift_report(None, train, test, random_state=0)
    plain = [t.astype(float) for t in (train, test)]
    assert report.auc == drift_report(None, *plain, random_state=0).auc


def test_report_leaves_the_global_generator_alone():
    before = np.random.get_state()[2]
    drift_report(None, posts(50, 0), posts(50, 1))
    assert np.random.get_state()[2] == before


def test_faults_of_the_report_are_named():
    table = posts(50, 0)
    with pytest.raises(InvalidInputError, match=r"differ: \['time__days'\]"):
        drift_report(None, table, table.drop(columns="time__days"))
    with pytest.raises(InvalidInputError, match="neither columns nor blocks"):
        drift_report(None, table, table, exclude="clock")
    with pytest.raises(InvalidInputError, match="leaves no column"):
        drift_report(None, table, table, exclude=["time", "user", "meta"])
    with pytest.raises(InvalidInputError, match="at least 5 rows"):
        drift_report(None, table, table.iloc[:3])


def test_recency_weights_are_above_0():
    weights = recency_weights(np.arange(3) * 1000.0, 0.5)
    assert weights.min() > 0
    assert weights[-1] == 1
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    old = recency_weights(np.arange(60) * 1000.0, 0.5)
    model = HyperFusionRegressor([Ridge()], cv=3).fit(X, y, sample_weight=old)
    assert np.isfinite(model.predict(X)).all()


def test_recency_weights_by_hand():
    assert_allclose(recency_weights([0.0, 10.0, 30.0], 10), [1 / 8, 1 / 4, 1])
    days = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-03"]), index=[7, 3])
    assert_allclose(recency_weights(days, 2), [0.5, 1])
    assert_allclose(recency_weights(days, "48h"), [0.5, 1])
    assert_allclose(recency_weights(days.dt.tz_localize("UTC"), "1D"), [0.25, 1])
    with pytest.raises(InvalidInputError, match="missing in row 1"):
        recency_weights([1.0, np.nan], 2)
    with pytest.raises(InvalidInputError, match="the times are numbers"):
        recency_weights([1.0, 2.0], "2D")
    with pytest.raises(InvalidInputError, match=r"row 1.*can't read 'yesterday'"):
        recency_weights(["2024-01-01", "yesterday"], "2D")
    for half_life in ("abc", "5 moons", 1e300):
        with pytest.raises(InvalidInputError, match=r"is not a duration.*'180D'"):
            recency_weights(["2024-01-01"], half_life)
    with pytest.raises(ValueError, match="half_life"):
        recency_weights([1.0, 2.0], 0)


def test_recent_posts_count_more_in_the_whole_pipeline():
    rng = np.random.RandomState(0)
    raw = pd.DataFrame({"likes": rng.normal(size=300)})
    raw["when"] = pd.date_range("2024-01-01", periods=300)
    y = np.where(np.arange(300) < 200, -1.0, 1.0) * raw["likes"]
    model = make_hyperfusion(numeric=["likes"], members=[Ridge()], cv=3, random_state=0)
    weights = recency_weights(raw["when"], "20D")
    model.fit(raw, y, predict__sample_weight=weights)
    assert np.corrcoef(model.predict(raw), raw["likes"])[0, 1] > 0.9
    model.fit(raw, y)
    assert np.corrcoef(model.predict(raw), raw["likes"])[0, 1] < -0.9
