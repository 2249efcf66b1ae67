"""The leak check: constructed leaks are found, honest columns are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from hyperfusion import check_leaks, load_smp_video, make_posts
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._leaks import level_means, out_of_fold_score

FOLDER = os.environ.get("HYPERFUSION_DATA")


@pytest.fixture(scope="module")
def posts():
    return make_posts(800, random_state=0)


def found(findings):
    return dict(zip(findings["column"], findings["finding"], strict=True))


def group_mean(y, levels):
    return pd.Series(y).groupby(np.asarray(levels)).transform("mean").to_numpy()


@pytest.mark.parametrize("seed", range(3))
def test_honest_posts_give_nothing(seed):
    posts = make_posts(500, random_state=seed)
    findings = check_leaks(posts.data, posts.target, users="user", times="posted_at")
    assert findings.empty
    columns = ["column", "finding", "value", "evidence", "advice"]
    assert list(findings.columns) == columns


def leaks(posts):
    rng = np.random.RandomState(1)
    y, user = posts.target, posts.data["user"]
    mean, size = group_mean(y, user), user.map(user.value_counts()).to_numpy()
    others = np.full(len(y), np.nan)
    np.divide(mean * size - y, size - 1, out=others, where=size > 1)
    smooth = TargetEncoder(target_type="continuous").fit(user.to_frame(), y)
    eighth = pd.qcut(y, 8, labels=False)
    jumbled = np.take([3, 7, 1, 5, 0, 6, 2, 4], eighth)
    return {
        "copy of the target": {
            "views": np.round(np.exp(y) * 1000),
            "minus_cube": -((y - 3.0) ** 3),
            "rank": pd.Series(y).rank(),
        },
        "target by level": {
            "user_mean": mean,
            "user_mean_log": np.log(mean + 20),
            "shrunken": (mean * size + y.mean() * 3) / (size + 3),
            "sklearn_encoded": smooth.transform(user.to_frame())[:, 0],
            "category_mean": group_mean(y, posts.data["category"]),
        },
        "predicts alone": {
            "measured_again": y + 0.3 * rng.normal(size=len(y)),
            "jumbled": jumbled + rng.uniform(size=len(y)),
            "popularity_class": pd.cut(y, 12).astype(str),
        },
        "target of the other rows": {"leave_one_out": others, "above_own": y - mean},
        "total counted later": {"totalLikes": y + 3 * rng.normal(size=len(y))},
    }


def test_every_constructed_leak_is_found_and_nothing_else(posts):
    constructed = leaks(posts)
    X = posts.data.assign(
        **{c: v for of in constructed.values() for c, v in of.items()}
    )
    findings = check_leaks(X, posts.target, users="user")
    expected = {c: kind for kind, of in constructed.items() for c in of}
    assert found(findings) == expected
    kinds = list(dict.fromkeys(findings["finding"]))
    assert kinds == list(constructed), "the gravest first"
    assert findings["evidence"].str.contains(r"\d").all()


def test_the_same_columns_are_innocent_without_the_target(posts):
    X = posts.data.assign(
        **{c: v for of in leaks(posts).values() for c, v in of.items()}
    )
    y = np.random.RandomState(2).permutation(posts.target)
    assert check_leaks(X, y, users="user").empty


def test_target_means_of_other_posts_are_no_leak(posts):
    """Cross-fitted means, and means of strictly earlier posts, are honest."""
    y, user = posts.target, posts.data["user"]
    crossed = np.empty(len(y))
    for train, test in KFold(5, shuffle=True, random_state=0).split(y):
        means = pd.Series(y[train]).groupby(user.to_numpy()[train]).mean()
        crossed[test] = user.iloc[test].map(means).fillna(y[train].mean())
    past = pd.Series(y).groupby(user).transform(lambda s: s.shift().expanding().mean())
    X = pd.DataFrame({"crossed": crossed, "past": past, "user": user})
    assert check_leaks(X, y, users="user").empty


def test_an_oracle_of_the_users_is_no_leak():
    """What a user is worth, known without noise, is as good as honest gets."""
    rng = np.random.RandomState(0)
    for _ in range(10):
        worth = rng.normal(size=300)
        users = rng.randint(300, size=900)
        y = worth[users] + rng.normal(size=900)
        X = pd.DataFrame({"followers": worth[users]})
        assert check_leaks(X, y, users=users).empty
    means = level_means(worth[users], y, rng)
    assert abs(means.correlation - means.bound) < 0.1


def test_out_of_fold_score_by_hand():
    codes, folds = np.array([0, 0, 1, 1, 2, -1]), np.array([0, 1, 0, 1, 0, 1])
    y = np.array([1.0, 2.0, 5.0, 7.0, 9.0, 0.0])
    # the mean of the other fold is 3 for fold 0, and 5 for fold 1
    predicted = [(2 + 3) / 2, (1 + 5) / 2, (7 + 3) / 2, (5 + 5) / 2, 3.0, 5.0]
    expected = pd.Series(predicted).corr(pd.Series(y), method="spearman")
    assert out_of_fold_score(codes, y, folds) == pytest.approx(expected)


def test_dates_after_the_post(posts):
    when = posts.data["posted_at"]
    late = when + pd.to_timedelta(np.where(np.arange(800) % 4, -1, 2), unit="D")
    X = posts.data.assign(crawled=late, crawled_text=late.astype(str), tz=when)
    findings = check_leaks(X, posts.target, times="posted_at")
    assert found(findings) == {
        "crawled": "later than the post",
        "crawled_text": "later than the post",
    }
    assert findings["value"].tolist() == [0.25, 0.25]
    assert "2 days" in findings["evidence"].iloc[0]


@pytest.mark.parametrize("ids", ["2100", "2100-1", "-2100", "now"])
def test_ids_that_look_like_years_are_no_dates(ids):
    y = np.random.RandomState(0).normal(size=120)
    X = pd.DataFrame({"id": [ids] * 60 + ["2101"] * 60})
    times = pd.date_range("2020-01-01", periods=120, freq="D")
    assert check_leaks(X, y, times=times).empty


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y-%m-%dT%H:%M"])
def test_dates_in_text_are_still_dates(form):
    y = np.random.RandomState(0).normal(size=120)
    times = pd.Series(pd.date_range("2020-01-01", periods=120, freq="D"))
    later = (times + pd.Timedelta(days=9)).dt.strftime(form).astype(object)
    later[0] = None
    findings = check_leaks(pd.DataFrame({"read": later}), y, times=times)
    assert found(findings) == {"read": "later than the post"}
    assert findings["value"].tolist() == [1.0]


def test_unlabeled_rows_and_arrays(posts):
    y = posts.target.copy()
    y[::2] = np.nan
    copy = np.where(np.isnan(y), -99.0, y)
    X = np.column_stack([copy, np.arange(800) % 7])
    assert found(check_leaks(X, y)) == {0: "copy of the target"}


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_columns_never_break_it(data):
    cell = st.one_of(
        st.none(),
        st.floats(),
        st.integers(-5, 5),
        st.text(max_size=3),
        st.booleans(),
        st.lists(st.integers(), max_size=2),
        st.binary(max_size=2),
    )
    n = data.draw(st.integers(2, 20))
    column = pd.Series(data.draw(st.lists(cell, min_size=n, max_size=n)), dtype=object)
    y = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n))
    findings = check_leaks(
        pd.DataFrame({"odd": column}), y, times=np.arange(n), users=column.map(repr)
    )
    assert set(findings["column"]) <= {"odd"}


def test_faults_are_named(posts):
    with pytest.raises(InvalidInputError, match="writer"):
        check_leaks(posts.data, posts.target, users="writer")
    with pytest.raises(InvalidInputError, match="NaN in all rows"):
        check_leaks(posts.data, np.full(800, np.nan))
    twice = pd.concat([posts.data, posts.data[["user"]]], axis=1)
    with pytest.raises(InvalidInputError, match=r"duplicate column names: \['user'"):
        check_leaks(twice, posts.target)


@pytest.mark.real_data
@pytest.mark.skipif(not FOLDER, reason="HYPERFUSION_DATA names no folder")
def test_real_posts_show_their_totals():
    posts = load_smp_video(Path(FOLDER) / "smp_video")
    findings = check_leaks(posts.data, posts.target, users="uid", times="post_time")
    assert set(findings["finding"]) == {"total counted later"}
    assert set(findings["column"]) <= set(posts.post_hoc)
    assert {"user_likes_count", "user_heart_count"} <= set(findings["column"])
