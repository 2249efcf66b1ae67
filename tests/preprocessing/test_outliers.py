import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
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


def test_fences_by_hand():
    X, y = rows(Y)
    row_filter = IQRFilter(action="drop").fit(X, y)
    assert row_filter.target_fences_ == (-50.0, 150.0)
    drops = IQRFilter(factor=3, action="drop")
    assert drops.fit(X, y).target_fences_ == (-125.0, 225.0)


def test_rows_beyond_a_fence_go_and_rows_on_it_stay():
    X, y = rows([*Y, 160.0])
    kept_X, kept_y = IQRFilter().fit_resample(X, y)
    assert len(kept_X) == 101
    assert kept_y.max() == 100
    low, high = IQRFilter(action="drop").fit(X, y).target_fences_
    edge = np.array([*np.linspace(0, 100, 101), low, high])
    fences = IQRFilter(action="drop").fit(rows(edge)[0], edge).target_fences_
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


def test_columns_with_their_own_factors():
    outlying = np.where(np.arange(101) == 3, 170.0, Y)
    X, y = rows(Y, followers=outlying, likes=outlying)
    keeps = IQRFilter(columns={"followers": 3.0}).fit_resample(X, y)[0]
    assert len(keeps) == 101
    row_filter = IQRFilter(columns={"followers": 1.5, "likes": 1.5})
    row_filter.fit_resample(X, y)
    assert 3 not in row_filter.sample_indices_
    assert row_filter.n_dropped_ == 1
    assert row_filter.dropped_by_ == {"followers": 1, "likes": 1, "target": 0}


def test_the_target_can_be_left_alone():
    X, y = rows([*Y, 999.0])
    assert len(IQRFilter(on_target=False).fit_resample(X, y)[1]) == 102


def test_missing_is_no_outlier_and_infinite_always_is():
    values = Y.copy()
    values[:3] = [np.nan, np.inf, -np.inf]
    X, y = rows(Y, followers=values)
    row_filter = IQRFilter(columns="followers")
    row_filter.fit_resample(X, y)
    assert_array_equal(np.setdiff1d(np.arange(101), row_filter.sample_indices_), [1, 2])
    clipped = IQRFilter(columns="followers", action="clip").fit_transform(X)
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


def test_verbose_tells_how_many_rows_go(capsys):
    IQRFilter(verbose=1).fit_resample(*rows([*Y, 999.0]))
    assert "drops 1 of 102 rows (1.0%" in capsys.readouterr().out


@pytest.mark.parametrize(("action", "expected"), [("clip", 150), ("missing", np.nan)])
def test_transform_mends_cells_and_keeps_rows(action, expected):
    X = pd.DataFrame({"a": Y, "b": Y, "c": pd.Categorical(["x"] * 101)})
    mender = IQRFilter(columns=["a"], action=action).fit(X)
    later = X.assign(a=999.0, b=999.0)
    out = mender.transform(later)
    assert_array_equal(out["a"], np.full(101, expected))
    assert out[["b", "c"]].equals(later[["b", "c"]])
    assert later["a"].eq(999).all()
    array = IQRFilter(columns=[0], action=action).fit(X[["a", "b"]].to_numpy())
    assert_array_equal(array.transform([[999.0, 999.0]]), [[expected, 999]])


@pytest.mark.parametrize(
    ("action", "drops", "mends"),
    [("drop", True, False), ("clip", False, True), (None, True, True)],
)
def test_the_action_says_which_methods_there_are(action, drops, mends):
    step = clone(IQRFilter(action=action))
    assert hasattr(step, "fit_resample") == drops
    assert hasattr(step, "transform") == hasattr(step, "fit_transform") == mends


def test_by_default_it_clips_all_numbers_of_a_table_and_nothing_else():
    X = pd.DataFrame(
        {"a": [*Y, 999.0], "b": 1, "c": pd.Categorical(["x"] * 102), "d": ["y"] * 102}
    )
    out = IQRFilter().fit_transform(X)
    assert out["a"].max() < 200
    assert out[["c", "d"]].equals(X[["c", "d"]])
    assert out["b"].eq(1).all()


class SamplerPipeline(BaseEstimator):
    """A stand-in for imbalanced-learn's Pipeline, for where that is not installed.

    It keeps that package's protocol: a step either transforms or resamples, and
    samplers act in `fit` alone.
    """

    def __init__(self, steps):
        self.steps = steps

    def fit(self, X, y):
        self.fitted_ = []
        for step in self.steps[:-1]:
            if hasattr(step, "transform") and hasattr(step, "fit_resample"):
                raise TypeError(f"{step} implements both")
            step = clone(step)
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            else:
                X = step.fit_transform(X, y)
                self.fitted_.append(step)
        self.model_ = clone(self.steps[-1]).fit(X, y)
        return self

    def predict(self, X):
        for step in self.fitted_:
            X = step.transform(X)
        return self.model_.predict(X)


def imbalanced_learns_pipeline(steps):
    pipeline = pytest.importorskip(
        "imblearn.pipeline", reason="needs imbalanced-learn, which is not installed"
    )
    return pipeline.make_pipeline(*steps)


either_pipeline = pytest.mark.parametrize(
    "pipeline", [SamplerPipeline, imbalanced_learns_pipeline]
)


@either_pipeline
def test_in_a_pipeline_of_samplers_rows_leave_training_only(pipeline):
    X = np.column_stack([Y, Y**2])
    y = Y.copy()
    y[50] = 1e6
    mender, sampler = IQRFilter(action="clip", columns=[1]), IQRFilter(action="drop")
    steps = [mender, sampler, LinearRegression()]
    model = pipeline(steps).fit(X, y)
    assert_allclose(model.predict(X), Y, atol=1e-4)
    assert len(model.predict(X)) == 101


@either_pipeline
def test_a_pipeline_of_samplers_stops_where_too_many_rows_would_go(pipeline):
    y = np.where(np.arange(101) % 5, Y, 1e6)
    model = pipeline([IQRFilter(action="drop"), LinearRegression()])
    with pytest.raises(InvalidInputError, match=r"more than max_share=0\.05"):
        model.fit(np.column_stack([Y]), y)


def test_a_search_through_a_pipeline_of_samplers_keeps_all_test_rows():
    pytest.importorskip(
        "imblearn.pipeline", reason="needs imbalanced-learn, which is not installed"
    )
    X, y = np.column_stack([Y]), Y.copy()
    y[::30] = 1e6
    model = imbalanced_learns_pipeline([IQRFilter(action="drop"), LinearRegression()])
    found = cross_val_predict(model, X, y, cv=KFold(5, shuffle=True, random_state=0))
    assert_allclose(found, Y, atol=1e-4)


def test_scikit_learns_pipeline_takes_the_mender_and_refuses_the_sampler():
    X = np.column_stack([Y, Y])
    X[3] = 1e6
    model = make_pipeline(IQRFilter(), LinearRegression()).fit(X, Y)
    assert np.abs(model.predict(X)).max() < 1e3
    with pytest.raises(TypeError, match="should be transformers"):
        make_pipeline(IQRFilter(action="drop"), LinearRegression()).fit(X, Y)


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


@settings(max_examples=25, deadline=None)
@given(st.lists(cells, min_size=1, max_size=20), st.sampled_from(["clip", "missing"]))
def test_any_columns(values, action):
    X = pd.DataFrame({"a": np.asarray(values, np.float32)})
    mender = IQRFilter(columns=["a"], action=action).fit(X)
    out = mender.transform(X)["a"]
    low, high = mender.lower_[0], mender.upper_[0]
    inside = X["a"].between(low, high)
    assert_array_equal(out[inside], X["a"][inside])
    rest = out[~inside & X["a"].notna()]
    assert rest.isna().all() if action == "missing" else rest.notna().all()
    assert out[X["a"].isna()].isna().all()


@pytest.mark.parametrize("y", [["a", "b"] * 30, np.ones((60, 2)), None])
def test_cells_are_mended_whatever_the_target_is(y):
    X = np.random.RandomState(0).normal(size=(60, 2))
    X[0] = 1e6
    assert np.abs(IQRFilter().fit(X, y).transform(X)).max() < 10


def test_numbers_among_objects_are_clipped():
    numbers = np.arange(20.0)[:, None]
    numbers[3] = 1e6
    expected = IQRFilter(action="clip").fit_transform(numbers)
    assert expected.max() < 100
    found = IQRFilter(action="clip").fit_transform(numbers.astype(object))
    np.testing.assert_array_equal(found, expected)
