import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from numpy.testing import assert_array_equal
from sklearn.impute import SimpleImputer

from hyperfusion import BlockImputer
from hyperfusion.exceptions import InvalidInputError
from tests.any_posts import feature_tables


def frame(**columns):
    return pd.DataFrame({c: np.asarray(v, np.float32) for c, v in columns.items()})


def test_each_block_gets_its_default():
    nan = np.nan
    X = frame(
        image__width=[1, 2, 9, nan],
        text__words=[5, 6, 7, nan],
        tags__count=[5, 6, 7, nan],
        user__followers=[5, 6, 7, nan],
        geo__latitude=[10, 20, 60, nan],
        meta__photos=[5, 6, 7, nan],
        meta__price=[1, 2.5, 9, nan],
        user__description__0=[1, 2, 9, nan],
        user__description__1=[2, 4, 18, nan],
        cross__image_title_cosine=[0.1, 0.2, 0.9, nan],
        other=[1, 2, 9, nan],
    )
    out = BlockImputer().fit_transform(X)[list(X)].iloc[3]
    assert out.to_dict() == pytest.approx(
        {
            "image__width": 2,
            "text__words": 0,
            "tags__count": 0,
            "user__followers": 0,
            "geo__latitude": 30,
            "meta__photos": 0,
            "meta__price": 2.5,
            "user__description__0": 4,
            "user__description__1": 8,
            "cross__image_title_cosine": 0.2,
            "other": 2,
        }
    )


def test_times_are_clamped_to_the_training_range():
    X = frame(time__days=[0, 5, 10, np.nan], time__account_age=[3, 4, 8, np.nan])
    imputer = BlockImputer().fit(X)
    assert_array_equal(imputer.transform(X)[[*X]], [[0, 3], [5, 4], [10, 8], [5, 4]])
    later = frame(time__days=[-7, 99], time__account_age=[-9, 99])
    assert_array_equal(imputer.transform(later)[[*X]], [[0, 3], [10, 8]])


@pytest.mark.parametrize("name", ["user__has_fans", "user__known", "user__x"])
def test_flags_of_the_table_are_found_by_their_values(name):
    X = frame(user__followers=[1, np.nan, 3], **{name: [1, 0, 1]})
    assert list(BlockImputer().fit_transform(X)) == ["user__followers", name]


def test_vectors_get_one_flag_and_columns_their_own():
    nan = np.nan
    X = frame(
        text__title_clip__0=[1, nan, 3],
        text__title_clip__1=[1, nan, 3],
        text__words=[nan, 2, 3],
        text__tags=[1, 2, 3],
        user__followers=[nan, 2, 3],
    )
    out = BlockImputer().fit_transform(X)
    assert list(out.columns) == [
        *X.columns,
        "text__words_missing",
        "user__followers_missing",
        "text__title_clip_missing",
    ]
    assert_array_equal(out.iloc[:, 5:], [[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert (out.dtypes == np.float32).all()


def test_columns_missing_together_share_a_flag():
    X = frame(geo__latitude=[1, np.nan, 3], geo__longitude=[1, np.nan, 3])
    imputer = BlockImputer().fit(X)
    names = ["geo__latitude", "geo__longitude", "geo__latitude_missing"]
    assert list(imputer.get_feature_names_out()) == names
    one_gone = frame(geo__latitude=[1.0], geo__longitude=[np.nan])
    assert imputer.transform(one_gone)["geo__latitude_missing"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "flag"),
    [("geo__has_place", [1, 0, 1]), ("geo__missingindicator_place", [0, 1, 0])],
)
def test_a_flag_that_the_table_holds_is_not_repeated(name, flag):
    X = frame(geo__latitude=[1, np.nan, 3], **{name: flag})
    assert BlockImputer().fit_transform(X).shape[1] == 2
    other = frame(geo__latitude=[1, 2, np.nan], **{name: flag})
    assert BlockImputer().fit_transform(other).shape[1] == 3


def test_a_flag_takes_no_name_that_is_there():
    X = frame(user__fans=[1, np.nan, 3], user__fans_missing=[7, 8, 9])
    X["user__fans_missing_2"] = pd.Categorical(["a", "b", "c"])
    out = BlockImputer().fit_transform(X)
    assert out["user__fans_missing"].tolist() == [7, 8, 9]
    assert out["user__fans_missing_2"].tolist() == ["a", "b", "c"]
    assert out["user__fans_missing_3"].tolist() == [0, 1, 0]


def test_no_flag_for_what_was_complete_at_fit():
    X = frame(user__followers=[1.0, 2.0])
    imputer = BlockImputer().fit(X)
    out = imputer.transform(frame(user__followers=[np.nan]))
    assert out.to_dict("list") == {"user__followers": [0.0]}


def test_categories_get_a_level_of_their_own():
    X = pd.DataFrame({"meta__kind": pd.Categorical(["b", None, "a"])})
    imputer = BlockImputer().fit(X)
    out = imputer.transform(X)["meta__kind"]
    assert out.tolist() == ["b", "__missing__", "a"]
    later = pd.DataFrame({"meta__kind": pd.Categorical(["new", "a"])})
    assert imputer.transform(later)["meta__kind"].tolist() == ["__missing__", "a"]
    assert imputer.transform(later)["meta__kind"].dtype == out.dtype


def test_whole_levels_match_later_floats():
    X = pd.DataFrame({"user__user": pd.Categorical([3, 7, 3])})
    imputer = BlockImputer().fit(X)
    later = pd.DataFrame({"user__user": pd.Categorical([7.0, np.nan])})
    out = imputer.transform(later)["user__user"]
    assert out.tolist() == ["7", "__missing__"]


def test_infinite_counts_as_missing():
    X = frame(user__followers=[1.0, np.inf, -np.inf])
    out = BlockImputer().fit_transform(X)
    assert_array_equal(out, [[1, 0], [0, 1], [0, 1]])


def test_a_column_without_numbers_becomes_zero():
    X = frame(geo__latitude=[np.nan, np.nan])
    assert_array_equal(BlockImputer().fit_transform(X), [[0, 1], [0, 1]])


def test_agrees_with_simple_imputer_on_arrays():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(50, 4))
    X[rng.rand(50, 4) < 0.3] = np.nan
    ours = BlockImputer().fit_transform(X)[:, :4]
    theirs = SimpleImputer(strategy="median").fit_transform(X)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_column_that_changes_its_role_is_named():
    imputer = BlockImputer().fit(frame(user__followers=[1.0]))
    changed = pd.DataFrame({"user__followers": pd.Categorical(["a"])})
    with pytest.raises(InvalidInputError, match=r"'user__followers' was a number"):
        imputer.transform(changed)


def test_text_columns_are_refused_by_name():
    with pytest.raises(InvalidInputError, match=r"'title' has dtype"):
        BlockImputer().fit(pd.DataFrame({"title": ["a", "b"]}))


@settings(max_examples=15, deadline=None)
@given(feature_tables(), feature_tables())
def test_any_tables_come_out_finite(X, later):
    imputer = BlockImputer().fit(X)
    for table in (X, later):
        out = imputer.transform(table)
        assert list(out.columns) == list(imputer.get_feature_names_out())
        assert not out.isna().any(axis=None)
        assert np.isfinite(out.select_dtypes("number").to_numpy()).all()
        assert out.index.equals(table.index)
