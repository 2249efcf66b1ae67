import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from hyperfusion import HyperFusionRegressor, IQRFilter
from hyperfusion.exceptions import InvalidInputError


@parametrize_with_checks([IQRFilter()])
def test_scikit_learn_as_a_sampler(estimator, check):
    check(estimator)


# 0 to 100 in steps of 1: quartiles 25 and 75, fences -50 and 150.
Y = np.arange(101.0)


def rows(y, **columns):
    return pd.DataFrame({"a": np.zeros(len(y)), **columns}), np.asarray(y, float)


def fences_of(values, **parameters):
    row_filter = IQRFilter(max_share=1.0, **parameters)
    row_filter.fit_resample(*rows(values))
    return row_filter.target_fences_


def test_fences_by_hand():
    assert fences_of(Y) == (-50.0, 150.0)
    assert fences_of(Y, factor=3) == (-125.0, 225.0)


def test_rows_beyond_a_fence_go_and_rows_on_it_stay():
    kept_X, kept_y = IQRFilter().fit_resample(*rows([*Y, 160.0]))
    assert len(kept_X) == 101
    assert kept_y.max() == 100
    low, high = fences_of(Y)
    fences = fences_of([*np.linspace(0, 100, 101), low, high])
    assert low >= fences[0]
    assert high <= fences[1]


def test_types_and_indices_are_kept():
    X, y = rows([*Y, 999.0])
    X.index = [f"post{i}" for i in range(102)]
    series = pd.Series(y, index=X.index)
    row_filter = IQRFilter()
    kept_X, kept_y = row_filter.fit_resample(X, series)
    assert kept_X.equals(X.iloc[:101])
    assert kept_y.equals(series.iloc[:101])
    assert_array_equal(row_filter.sample_indices_, np.arange(101))
    array_X, _ = row_filter.fit_resample(X.to_numpy(), list(y))
    assert_array_equal(array_X, X.to_numpy()[:101])


def test_columns_drop_rows_as_well():
    outlying = np.where(np.arange(101) == 3, 170.0, Y)
    X, y = rows(Y, followers=outlying, likes=outlying)
    row_filter = IQRFilter(columns=["followers", "likes"])
    row_filter.fit_resample(X, y)
    assert_array_equal(np.setdiff1d(np.arange(101), row_filter.sample_indices_), [3])
    assert row_filter.dropped_by_ == {"followers": 1, "likes": 1, "target": 0}


def test_missing_is_no_outlier_and_infinite_always_is():
    values = Y.copy()
    values[:3] = [np.nan, np.inf, -np.inf]
    X, y = rows(Y, followers=values)
    row_filter = IQRFilter(columns="followers")
    row_filter.fit_resample(X, y)
    assert_array_equal(np.setdiff1d(np.arange(101), row_filter.sample_indices_), [1, 2])
    clipped = IQRFilter(columns="followers").fit_transform(X)
    assert np.isnan(clipped["followers"][0])
    assert np.isfinite(clipped["followers"][1:]).all()


def test_no_fences_where_the_quartiles_meet_or_values_are_few():
    X, y = rows(np.r_[np.zeros(95), np.arange(5)])
    assert IQRFilter(max_share=0).fit_resample(X, y)[1].max() == 4
    X, y = rows([0.0, 1.0, 99.0])
    assert len(IQRFilter(max_share=0).fit_resample(X, y)[1]) == 3


def test_too_many_rows_are_refused_with_the_numbers():
    X, y = rows([*Y, *[500.0] * 9])
    with pytest.raises(InvalidInputError, match=r"9 of 110 rows \(8.2%.*'target': 9"):
        IQRFilter().fit_resample(X, y)
    assert len(IQRFilter(max_share=0.1).fit_resample(X, y)[0]) == 101


def test_transform_clips_cells_and_keeps_rows():
    X = pd.DataFrame({"a": Y, "b": Y, "c": pd.Categorical(["x"] * 101)})
    mender = IQRFilter(columns=["a"]).fit(X)
    later = X.assign(a=999.0, b=999.0)
    out = mender.transform(later)
    assert_array_equal(out["a"], np.full(101, 150))
    assert out[["b", "c"]].equals(later[["b", "c"]])
    assert later["a"].eq(999).all()
    array = IQRFilter(columns=[0]).fit(X[["a", "b"]].to_numpy())
    assert_array_equal(array.transform([[999.0, 999.0]]), [[150, 999]])


def test_by_default_it_clips_all_numbers_of_a_table_and_nothing_else():
    X = pd.DataFrame(
        {"a": [*Y, 999.0], "b": 1, "c": pd.Categorical(["x"] * 102), "d": ["y"] * 102}
    )
    out = IQRFilter().fit_transform(X)
    assert out["a"].max() < 200
    assert out[["c", "d"]].equals(X[["c", "d"]])
    assert out["b"].eq(1).all()


def test_in_a_pipeline_it_clips():
    X = np.column_stack([Y, Y])
    X[3] = 1e6
    model = make_pipeline(IQRFilter(), LinearRegression()).fit(X, Y)
    assert np.abs(model.predict(X)).max() < 1e3


@pytest.mark.filterwarnings("ignore:y is 10000 in row 0")
def test_as_row_filter_of_the_ensemble():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 2))
    y = X[:, 0].copy()
    y[::50] = 1e4
    members = [("linear", LinearRegression())]
    model = HyperFusionRegressor(members, cv=4, row_filter=IQRFilter(), random_state=0)
    predictions = model.fit(X, y).predict(X)
    honest = np.delete(np.arange(200), np.arange(0, 200, 50))
    assert_allclose(predictions[honest], X[honest, 0], atol=1e-6)
    assert len(model.oof_predictions_) == 200


cells = st.one_of(st.sampled_from([np.nan, np.inf, -np.inf, 3e38]), st.floats(width=32))


@settings(max_examples=15, deadline=None)
@given(st.lists(cells, min_size=1, max_size=20))
def test_any_columns(values):
    X = pd.DataFrame({"a": np.asarray(values, np.float32)})
    mender = IQRFilter(columns=["a"]).fit(X)
    out = mender.transform(X)["a"]
    low, high = mender.lower_[0], mender.upper_[0]
    inside = X["a"].between(low, high)
    assert_array_equal(out[inside], X["a"][inside])
    assert out[X["a"].notna()].notna().all()
    assert out[X["a"].isna()].isna().all()


@pytest.mark.parametrize("y", [["a", "b"] * 30, np.ones((60, 2)), None])
def test_cells_are_mended_whatever_the_target_is(y):
    X = np.random.RandomState(0).normal(size=(60, 2))
    X[0] = 1e6
    assert np.abs(IQRFilter().fit(X, y).transform(X)).max() < 10


def test_numbers_among_objects_are_clipped():
    numbers = np.arange(20.0)[:, None]
    numbers[3] = 1e6
    expected = IQRFilter().fit_transform(numbers)
    assert expected.max() < 100
    found = IQRFilter().fit_transform(numbers.astype(object))
    np.testing.assert_array_equal(found, expected)
