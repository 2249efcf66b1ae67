"""What the ensemble takes, and how it refuses the rest: tables, targets, members."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
    PseudoLabelWrapper,
    evaluate,
    spearman_score,
)
from hyperfusion.exceptions import InvalidInputError


def test_feature_table_with_categories_and_missing_cells():
    rng = np.random.RandomState(0)
    kinds = rng.choice(["a", "b", "c"], 120)
    X = pd.DataFrame({"meta__n": rng.normal(size=120).astype("float32")})
    X["meta__kind"] = pd.Categorical(kinds)
    y = X["meta__n"].to_numpy() + 3.0 * (kinds == "b")
    X.loc[::7, "meta__n"] = np.nan
    ensemble = HyperFusionRegressor(
        [Ridge(), ExtraTreesRegressor(20), CatBoostHuberRegressor(iterations=30)],
        cv=3,
        random_state=0,
    ).fit(X, y)
    assert spearman_score(y, ensemble.oof_predictions_) > 0.7
    unseen = X.iloc[:5].copy()
    unseen["meta__kind"] = pd.Categorical(["new"] * 5)
    assert np.isfinite(ensemble.predict(unseen)).all()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "members is empty"),
        ([("a", Ridge()), ("a", Ridge())], "must be unique"),
        ([("a__b", Ridge())], "can't contain '__'"),
        ([("a", StandardScaler())], "must be a scikit-learn regressor"),
        ("better", "members"),
    ],
)
def test_bad_members(data, members, message):
    with pytest.raises(ValueError, match=message):
        HyperFusionRegressor(members).fit(*data)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.r_[np.inf, np.ones(19)], "inf in row 0"),
        (np.r_[np.ones(19), np.nan], "nan in row 19"),
        (np.ones(7), "X has 20 rows, y has 7"),
        (None, "y to be passed"),
        (np.array(["a"] * 20), "must be numbers"),
        (np.r_[np.ones(19), 1e300], r"y is 1e\+300 in row 19"),
    ],
)
def test_bad_targets(y, message):
    with pytest.raises(ValueError, match=message):
        HyperFusionRegressor([Ridge()]).fit(np.ones((20, 2)), y)


def test_one_row_and_fewer_rows_than_folds():
    with pytest.raises(InvalidInputError, match="n_splits=5 must be"):
        HyperFusionRegressor([Ridge()]).fit(np.ones((1, 2)), [1.0])
    with pytest.raises(InvalidInputError, match="number of rows, which is 4"):
        HyperFusionRegressor([Ridge()]).fit(np.ones((4, 2)), np.arange(4.0))


def frames(X, y):
    table = pd.DataFrame(X, columns=[f"meta__{c}" for c in "abcde"])
    table["meta__kind"] = pd.Categorical(np.where(y > 0, "up", "down"))
    return table


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "pyarrow dtypes", "nullable"])
def test_tables_of_other_libraries(data, kind):
    X, y = data
    table = frames(X, y)
    convert = {
        "polars": lambda t: pytest.importorskip("polars").from_pandas(t),
        "pyarrow": lambda t: pytest.importorskip("pyarrow").Table.from_pandas(t),
        "pyarrow dtypes": lambda t: t.astype(
            dict.fromkeys(t.columns[:5], "double[pyarrow]")
        ),
        "nullable": lambda t: t.astype(dict.fromkeys(t.columns[:5], "Float64")),
    }[kind]
    members = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=2))]
    ensemble = HyperFusionRegressor(members, cv=3, random_state=0)
    for model in (ensemble, PseudoLabelWrapper(ensemble)):
        expected = clone(model).fit(table, y).predict(table)
        found = clone(model).fit(convert(table), y).predict(convert(table))
        # other libraries order levels otherwise, so that float32 sums round otherwise
        assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    numbers = table.drop(columns="meta__kind")
    plain = clone(ensemble).fit(convert(numbers), y)
    assert_allclose(plain.predict(convert(numbers)), plain.predict(numbers), rtol=1e-5)


def test_an_array_after_a_table(data):
    X, y = data
    table = frames(X, y)
    for model in (
        HyperFusionRegressor([Ridge()], cv=3, random_state=0),
        PseudoLabelWrapper(Ridge(), cv=3, random_state=0),
    ):
        numbers = table.drop(columns="meta__kind")
        model.fit(numbers, y)
        assert_allclose(model.predict(numbers.to_numpy()), model.predict(numbers))
        model.fit(table, y)
        with pytest.raises(InvalidInputError, match="a DataFrame with the columns"):
            model.predict(table.to_numpy())


def test_indices_in_another_order_are_told(data):
    X, y = data
    table, target = pd.DataFrame(X), pd.Series(y)
    model = HyperFusionRegressor([Ridge()], cv=3)
    for fit in (
        model.fit,
        PseudoLabelWrapper(model).fit,
        lambda X, y: evaluate(model, X, y, splits="random"),
    ):
        with pytest.warns(UserWarning, match="in another order"):
            fit(table, target[::-1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit(table, target)
            fit(table, target.set_axis(target.index + 1000))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(40), "y is 1 in all 40 rows"),
        (np.arange(6.0), "There are 6 rows"),
        (np.r_[np.arange(300.0), 1e7], r"y is 1e\+07 in row 300.*log1p"),
    ],
)
def test_odd_targets_give_one_warning(y, message):
    X = np.column_stack([np.arange(len(y)), np.ones(len(y))])
    with pytest.warns(UserWarning, match=message) as record:
        HyperFusionRegressor([Ridge()], cv=2).fit(X, y)
    assert len(record) == 1
    assert record[0].filename == __file__


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, lambda X: X.astype(object)])
def test_columns_that_are_empty_in_some_fold(kind):
    X = np.random.RandomState(0).normal(size=(40, 3))
    X[1:, 1], X[:, 2] = np.nan, np.nan
    members = [HistGradientBoostingRegressor(max_iter=2), Ridge()]
    model = HyperFusionRegressor(members, cv=2, random_state=0)
    assert np.isfinite(model.fit(kind(X), X[:, 0]).predict(kind(X))).all()
