import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from hyperfusion import HyperFusionRegressor, NumericTable
from hyperfusion.exceptions import InvalidInputError
from tests.any_posts import feature_tables

RNG = np.random.RandomState(0)


def users(n=200, n_users=30):
    user = pd.Categorical(RNG.randint(n_users, size=n).astype(str))
    return pd.DataFrame({"time__hour": RNG.rand(n), "user__user": user})


def test_few_levels_become_columns_in_order():
    X = pd.DataFrame({"meta__kind": pd.Categorical(["b", "a", None, "b"])})
    encoder = NumericTable().fit(X)
    out = encoder.transform(X)
    assert list(out.columns) == ["meta__kind=a", "meta__kind=b"]
    assert_array_equal(out, [[0, 1], [1, 0], [0, 0], [0, 1]])
    later = pd.DataFrame({"meta__kind": pd.Categorical(["new", "a"])})
    assert_array_equal(encoder.transform(later), [[0, 0], [1, 0]])


def test_levels_without_a_row_at_fit_get_no_column():
    kind = pd.Categorical(["a", "b"], categories=["a", "b", "c"])
    out = NumericTable().fit_transform(pd.DataFrame({"meta__kind": kind}))
    assert list(out.columns) == ["meta__kind=a", "meta__kind=b"]


def test_many_levels_become_scikit_learns_target_means():
    X = users()
    y = RNG.normal(size=200) + X["user__user"].cat.codes.to_numpy()
    out = NumericTable().fit(X, y).transform(X)
    reference = TargetEncoder(target_type="continuous").fit(X[["user__user"]], y)
    expected = reference.transform(X[["user__user"]]).ravel()
    assert list(out.columns) == ["time__hour", "user__user_target_mean"]
    assert_allclose(out["user__user_target_mean"], expected, rtol=1e-6)
    later = X.assign(user__user=pd.Categorical(["who?"] * 200))
    new = NumericTable().fit(X, y).transform(later)["user__user_target_mean"]
    assert_allclose(new, y.mean(), rtol=1e-6)


def test_no_training_row_sees_its_own_label():
    # One post a user: an honest mean is that of other users.
    X = pd.DataFrame({"user__user": pd.Categorical(np.arange(60).astype(str))})
    y = RNG.normal(size=60)
    encoder = NumericTable(random_state=0, max_one_hot=0)
    cross = encoder.fit_transform(X, y)["user__user_target_mean"]
    y_other = y.copy()
    y_other[7] += 100
    changed = encoder.fit_transform(X, y_other)["user__user_target_mean"]
    assert cross[7] == changed[7]
    assert (cross != changed).any()
    assert np.corrcoef(cross, y)[0, 1] < 0.3
    plain = encoder.fit(X, y).transform(X)["user__user_target_mean"]
    assert np.corrcoef(plain, y)[0, 1] > 0.99


def test_rows_without_a_target_get_the_means_of_the_others():
    X = users()
    y = RNG.normal(size=200)
    y[150:] = np.nan
    encoder = NumericTable(random_state=0)
    out = encoder.fit_transform(X, y)
    known = NumericTable().fit(X[:150], y[:150]).transform(X)
    assert_allclose(out[150:], known[150:], rtol=1e-6)
    with pytest.raises(InvalidInputError, match="missing in every row"):
        encoder.fit(X, np.full(200, np.nan))


def test_new_columns_take_no_name_that_is_there():
    X = pd.DataFrame(
        {
            "meta__k_target_mean": [1.0, 2.0, 3.0],
            "meta__j=1": [4.0, 5.0, 6.0],
            "meta__k": pd.Categorical(["a", "b", "c"]),
            "meta__j": pd.Categorical([1, "1", 1]),
        }
    )
    out = NumericTable(max_one_hot=2).fit_transform(X, [1.0, 2.0, 3.0])
    assert list(out.columns) == [
        "meta__k_target_mean",
        "meta__j=1",
        "meta__j=1_2",
        "meta__j=1_3",
        "meta__k_target_mean_2",
    ]
    assert_array_equal(out.iloc[:, :2], X.iloc[:, :2])


def test_numbers_stay_missing_or_are_imputed():
    X = pd.DataFrame({"user__a": [1.0, np.nan], "meta__k": pd.Categorical(["x", "y"])})
    assert NumericTable().fit_transform(X)["user__a"].isna().tolist() == [0, 1]
    imputed = NumericTable(impute=True).fit_transform(X)
    names = ["user__a", "user__a_missing", "meta__k=x", "meta__k=y"]
    assert list(imputed.columns) == names
    assert_array_equal(imputed, [[1, 0, 1, 0], [0, 1, 0, 1]])


def test_columns_without_any_number_at_fit_are_no_trouble():
    X = users().assign(image__n_bytes=np.full(200, np.nan))
    encoder = NumericTable(random_state=0).fit(X, RNG.normal(size=200))
    later = X.assign(image__n_bytes=7.0)
    for table in (X, later):
        assert (encoder.transform(table)["image__n_bytes"] == 0).all()
    y = X["time__hour"].to_numpy()
    trees = HistGradientBoostingRegressor(max_iter=20, random_state=0)
    model = HyperFusionRegressor([("trees", trees)], cv=2, random_state=0)
    assert model.fit(X, y).score(later, y) > 0.8


def test_the_folds_are_those_of_the_seed():
    X, y = users(), RNG.normal(size=200)

    def first(seed):
        return NumericTable(random_state=seed).fit_transform(X, y)

    assert first(1).equals(first(1))
    assert not first(1).equals(first(2))


def test_in_front_of_a_ridge_in_the_ensemble():
    X = users()
    y = 3 * X["time__hour"] + X["user__user"].cat.codes / 10
    ridge = make_pipeline(NumericTable(impute=True, random_state=0), Ridge(1e-3))
    model = HyperFusionRegressor([("ridge", ridge)], cv=3, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.8


def test_with_scikit_learn_set_to_frames():
    X, y = users(), RNG.normal(size=200)
    plain = NumericTable(random_state=0, impute=True).fit_transform(X, y)
    with sklearn.config_context(transform_output="pandas"):
        framed = NumericTable(random_state=0, impute=True).fit_transform(X, y)
    pd.testing.assert_frame_equal(plain, framed)


@settings(max_examples=15, deadline=None)
@given(feature_tables(min_rows=2), feature_tables())
def test_any_tables(X, later):
    X, later = (t.replace([np.inf, -np.inf], np.nan) for t in (X, later))
    y = np.arange(len(X), dtype=float)
    for most in (0, 20):
        encoder = NumericTable(max_one_hot=most, impute=True, random_state=0)
        together = encoder.fit_transform(X, y)
        for out in (together, encoder.transform(later)):
            assert list(out.columns) == list(encoder.get_feature_names_out())
            assert np.isfinite(out).all(axis=None)
            assert (out.dtypes == np.float32).all()
