"""Folds by words: blocks of time and whole users, from the table or given."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from hyperfusion import HyperFusionRegressor, PseudoLabelWrapper, make_hyperfusion
from hyperfusion.exceptions import InvalidInputError

RNG = np.random.RandomState(0)
N = 200
DAYS = RNG.permutation(N) // 2  # two posts a day
USERS = RNG.choice(list("abcdefghijklmno"), N)
Y = DAYS / 10 + RNG.normal(size=N)


@pytest.fixture
def posts():
    moments = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(DAYS, unit="D")
    return pd.DataFrame({"when": moments, "who": USERS, "n": RNG.normal(size=N)})


def pipeline(**params):
    return make_hyperfusion(
        time="when",
        user="who",
        numeric="n",
        members=[("ridge", Ridge())],
        random_state=0,
        **params,
    )


def check_blocks(splits, days):
    ordered = sorted(splits, key=lambda split: days[split[1]].min())
    for (_, earlier), (_, later) in pairwise(ordered):
        assert days[earlier].max() < days[later].min()
    every = np.sort(np.concatenate([rows for _, rows in splits]))
    np.testing.assert_array_equal(every, np.arange(len(days)))
    for train, rows in splits:
        assert len(np.intersect1d(train, rows)) == 0
        assert len(train) + len(rows) == len(days)


def test_blocks_of_time_from_the_role(posts):
    ensemble = pipeline(cv="time").fit(posts, Y)[-1]
    check_blocks(ensemble.splits_, DAYS)
    assert len(ensemble.splits_) == 5
    assert [len(rows) for _, rows in ensemble.splits_] == [40] * 5
    assert np.isfinite(ensemble.oof_predictions_).all()


def test_whole_users_from_the_role(posts):
    ensemble = pipeline(cv="user").fit(posts, Y)[-1]
    for train, rows in ensemble.splits_:
        assert not set(USERS[train]) & set(USERS[rows])
    assert len(ensemble.splits_) == 5


def test_posts_without_time_are_spread_and_without_user_stand_alone(posts):
    posts.loc[posts.index[::20], ["when", "who"]] = None
    missing = np.arange(N) % 20 == 0
    splits = pipeline(cv="time").fit(posts, Y)[-1].splits_
    assert [missing[rows].sum() for _, rows in splits] == [10, 0, 0, 0, 0] or all(
        missing[rows].any() for _, rows in splits
    )
    splits = pipeline(cv="user").fit(posts, Y)[-1].splits_
    assert sum(missing[rows].any() for _, rows in splits) > 1


@pytest.mark.parametrize("word", ["time", "user"])
def test_words_are_searched(posts, word):
    grid = {"predict__cv": [word, 3], "predict__ridge__alpha": [1.0]}
    search = GridSearchCV(pipeline(), grid, cv=2, refit=False, error_score="raise")
    search.fit(posts, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("given", [DAYS, pd.to_datetime(DAYS, unit="D"), DAYS * 1e9])
def test_times_that_are_given(given):
    X = RNG.normal(size=(N, 2))
    ensemble = HyperFusionRegressor([Ridge()], cv="time").fit(X, Y, groups=given)
    check_blocks(ensemble.splits_, DAYS)


def test_users_that_are_given():
    X = RNG.normal(size=(N, 2))
    ensemble = HyperFusionRegressor([Ridge()], cv="user", random_state=0)
    for train, rows in ensemble.fit(X, Y, groups=USERS).splits_:
        assert not set(USERS[train]) & set(USERS[rows])


@pytest.mark.parametrize("word", ["time", "user"])
def test_unknown_times_and_users_are_named(word):
    X = RNG.normal(size=(N, 2))
    with pytest.raises(InvalidInputError, match=f"name the role {word}="):
        HyperFusionRegressor([Ridge()], cv=word).fit(X, Y)


def test_one_time_makes_no_blocks():
    X = RNG.normal(size=(N, 2))
    with pytest.raises(InvalidInputError, match="at least two times"):
        HyperFusionRegressor([Ridge()], cv="time").fit(X, Y, groups=np.ones(N))


def test_few_times_make_fewer_blocks():
    X = RNG.normal(size=(N, 2))
    times = np.arange(N) % 3
    ensemble = HyperFusionRegressor([Ridge()], cv="time").fit(X, Y, groups=times)
    check_blocks(ensemble.splits_, times)
    assert len(ensemble.splits_) == 3


def test_pseudo_labels_and_words(posts):
    y = np.where(np.arange(N) % 4 == 0, np.nan, Y)
    model = pipeline(unlabeled=True, cv="time").fit(posts, y)
    check_blocks(model[-1].estimator_.splits_, DAYS[~np.isnan(y)])
    own = PseudoLabelWrapper(HyperFusionRegressor([Ridge()]), cv="user")
    own.fit(posts[["n"]].to_numpy(), y, groups=USERS)
    users = USERS[~np.isnan(y)]
    for train, rows in own.estimator_.splits_:
        assert not set(users[train]) & set(users[rows])


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="cv"):
        HyperFusionRegressor([Ridge()], cv="month").fit(np.ones((9, 1)), np.arange(9))
