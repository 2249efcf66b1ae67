"""Known answers of UserProfileEncoder."""

import numpy as np
import pandas as pd
import pytest

from hyperfusion import UserProfileEncoder
from hyperfusion.exceptions import BadCellError, BadCellWarning


def posts(**columns):
    base = {
        "who": ["ann", "bob", "ann", "cid"],
        "fans": [0, 99, 9, 999],
        "photos": [9, 0, 99, 4],
        "pro": [True, False, True, False],
    }
    return pd.DataFrame(base | columns)


def test_known_answers():
    out = UserProfileEncoder(user="who", numeric=["fans", "photos", "pro"])
    out = out.fit_transform(posts())
    names = ["fans", "photos", "pro", "fans_per_photos", "user"]
    assert list(out) == names
    np.testing.assert_allclose(out["fans"], np.log([1, 100, 10, 1000]), rtol=1e-6)
    ratios = out["fans_per_photos"][:2]
    np.testing.assert_allclose(ratios, np.log([0.1, 100]), rtol=1e-6)
    assert out["pro"].tolist() == [1, 0, 1, 0]
    assert (out.dtypes[names[:-1]] == np.float32).all()
    assert list(out["user"].cat.categories) == ["ann", "bob", "cid"]


def test_logarithms_keep_the_sign_and_the_size():
    X = pd.DataFrame({"balance": [-99.0, 0, 99, 1e300]})
    out = UserProfileEncoder(numeric="balance").fit_transform(X)
    expected = [-np.log(100), 0, np.log(100), 300 * np.log(10)]
    np.testing.assert_allclose(out["balance"], expected, rtol=1e-6)


def test_rare_and_unseen_users_are_missing():
    fitted = UserProfileEncoder(user="who", min_frequency=2).fit(posts())
    assert fitted.users_ == ["ann"]
    out = fitted.transform(posts(who=["ann", "bob", "dan", None]))
    assert list(out) == ["user"]
    assert out["user"].isna().tolist() == [False, True, True, True]


def test_numbers_are_users_too():
    fitted = UserProfileEncoder(user="id").fit(pd.DataFrame({"id": [7, 12, 7]}))
    assert fitted.users_ == ["12", "7"]
    out = fitted.transform(pd.DataFrame({"id": [7.0, np.nan, 12.0]}))
    assert list(out["user"][[0, 2]]) == ["7", "12"]


def test_posts_of_an_user_are_not_counted():
    few = UserProfileEncoder(user="who", numeric="fans").fit(posts())
    twice = UserProfileEncoder(user="who", numeric="fans").fit(
        pd.concat([posts(), posts().iloc[:3]])
    )
    pd.testing.assert_frame_equal(few.transform(posts()), twice.transform(posts()))


def test_missing_flags_are_those_of_fit():
    fitted = UserProfileEncoder(numeric=["fans", "photos"]).fit(
        posts(fans=[1, None, 3, 4])
    )
    names = ["fans", "photos", "fans_missing", "fans_per_photos"]
    assert list(fitted.get_feature_names_out()) == names
    out = fitted.transform(posts(photos=[None, 1, 2, 3]))
    assert list(out) == names
    assert out["fans_missing"].tolist() == [0, 0, 0, 0]
    assert out["photos"].isna().tolist() == [True, False, False, False]
    assert out["fans_per_photos"].isna().tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 1, 0], [0, 1, 1, 0]),
        (["0", "1", 1.0, False], [0, 1, 1, 0]),
        ([True, True, True, True], [1, 1, 1, 1]),
        ([False, None, True, False], [0, np.nan, 1, 0]),
        (pd.array([True, None, False, True], dtype="boolean"), [1, np.nan, 0, 1]),
    ],
)
def test_zeros_and_ones_are_a_flag(values, expected):
    X = posts(pro=pd.Series(values))
    out = UserProfileEncoder(numeric="pro").fit_transform(X)
    np.testing.assert_array_equal(out["pro"], expected)


def test_a_flag_meets_another_value():
    fitted = UserProfileEncoder(numeric="pro").fit(pd.DataFrame({"pro": [0, 1, 1]}))
    out = fitted.transform(pd.DataFrame({"pro": [5, -3, np.nan]}))
    np.testing.assert_array_equal(out["pro"], [5, -3, np.nan])


def test_two_counts_are_no_flag():
    fitted = UserProfileEncoder(numeric="fans").fit(pd.DataFrame({"fans": [100, 250]}))
    assert fitted.log_ == {"fans": True}
    out = fitted.transform(pd.DataFrame({"fans": [250, 1_000_000]}))
    np.testing.assert_allclose(out["fans"], np.log1p([250, 1e6]), rtol=1e-6)


def test_ratios_are_those_of_counts_and_few():
    rng = np.random.RandomState(0)
    counts = pd.DataFrame(rng.randint(0, 99, (20, 9)), columns=list("abcdefghi"))
    eight = UserProfileEncoder(numeric=list("abcdefgh")).fit(counts)
    assert len(eight.ratios_) == 28
    assert not UserProfileEncoder(numeric=list("abcdefghi")).fit(counts).ratios_
    counts["c"] -= 50
    counts["d"] = counts["d"] > 50
    counts["e"] = np.nan
    some = UserProfileEncoder(numeric=list("abcde")).fit(counts)
    assert some.ratios_ == [("a", "b")]


def test_bad_cells_are_named():
    X = posts(fans=[1, "many", 3, 4])
    strict = UserProfileEncoder(
        user="who", numeric=["fans", "photos"], on_error="raise"
    )
    with pytest.raises(BadCellError, match=r"row 1, column 'fans': .*'many'") as error:
        strict.fit(X)
    assert (error.value.row, error.value.column) == (1, "fans")
    fitted = UserProfileEncoder(numeric=["fans"], on_error="raise").fit(posts())
    with pytest.raises(BadCellError, match=r"row 0, column 'fans'.*inf"):
        fitted.transform(posts(fans=[np.inf, 1, 2, 3]))
    lenient = UserProfileEncoder(numeric=["fans"])
    with pytest.warns(BadCellWarning, match=r"1 cell\(s\) of column 'fans'") as seen:
        out = lenient.fit_transform(X)
    assert len(seen) == 1
    assert out["fans_missing"].tolist() == [0, 1, 0, 0]


def test_an_user_is_one_value():
    with pytest.raises(BadCellError, match=r"row 1, column 'who': .*a list"):
        UserProfileEncoder(user="who", on_error="raise").fit(
            posts(who=["ann", ["bob"], "cid", "dan"])
        )


def test_columns_by_position_and_all_missing():
    X = np.array([["ann", 1, None], ["bob", 20, None], ["ann", 3, None]], dtype=object)
    out = UserProfileEncoder(user=0, numeric=[1, 2]).fit_transform(X)
    assert list(out) == ["1", "2", "2_missing", "user"]
    assert out["2"].isna().all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "needs user, numeric, or both"),
        ({"numeric": []}, "needs user, numeric, or both"),
        ({"user": "whom"}, r"user='whom' is not a column .*\['who'\]"),
        ({"user": ["who", "fans"]}, "takes 1 column"),
        ({"user": "who", "min_frequency": 0}, "min_frequency"),
        ({"user": "who", "on_error": None}, "on_error"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        UserProfileEncoder(**params).fit(posts())


def test_a_derived_feature_never_takes_the_name_of_a_column():
    X = pd.DataFrame({"x": [1, None, 3], "x_missing": [0, 1, 1]})
    encoder = UserProfileEncoder(numeric=["x", "x_missing"])
    table = encoder.fit_transform(X)
    assert table["x_missing"].tolist() == [0, 1, 1]
    assert table["x_missing_2"].tolist() == [0, 1, 0]


def test_a_logarithm_beside_its_count_keeps_its_name():
    X = pd.DataFrame({"fans": [9, 99, 999], "fans_log": [2.3, 4.6, 6.9]})
    encoder = UserProfileEncoder(numeric=["fans", "fans_log"])
    names = ["fans", "fans_log", "fans_per_fans_log"]
    assert list(encoder.fit_transform(X)) == names


def test_a_count_that_overflowed_is_missing_and_named():
    likes = np.arange(300.0)
    likes[7] = -2e9
    posts = pd.DataFrame({"likes": likes, "videos": np.arange(1, 301)})
    with pytest.raises(BadCellError, match=r"row 7, column 'likes'.*negative"):
        UserProfileEncoder(numeric=["likes", "videos"], on_error="raise").fit(posts)
    encoder = UserProfileEncoder(numeric=["likes", "videos"])
    with pytest.warns(BadCellWarning, match="row 7"):
        features = encoder.fit(posts).transform(posts)
    assert features["likes_missing"].sum() == 1
    assert np.isnan(features.loc[7, "likes_per_videos"])
    assert features["likes_per_videos"].isna().sum() == 1
    # many negative values are no counts
    signed = posts.assign(likes=posts["likes"] - 150)
    assert "likes_per_videos" not in encoder.fit(signed).get_feature_names_out()
