"""Earlier posts of a user: by hand, and for leaks."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold, cross_val_predict

from hyperfusion import UserHistory, spearman_score
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError
from tests.encoders.history_posts import DAY, START, features, make_posts

# numbers far from our time are read all the same
pytestmark = pytest.mark.filterwarnings("ignore:.*outside of 1995 to 2032")


def test_by_hand():
    posts = pd.DataFrame(
        {
            "who": ["ann", "ann", "ann", "ann", "ann", "bob"],
            "when": [f"2024-01-{day:02}" for day in (1, 3, 3, 5, 11, 5)],
        }
    )
    scores = [2.0, 4.0, 9.0, 1.0, 5.0, 7.0]
    found = features(UserHistory(shrinkage=1).fit(posts, scores), posts)
    assert found["history_posts"].tolist() == [0, 1, 1, 3, 4, 0]
    assert found["has_history"].tolist() == [0, 1, 1, 1, 1, 0]
    assert_array_equal(found["history_days_since_last"], [np.nan, 2, 2, 2, 6, np.nan])
    assert_allclose(found["history_posts_per_day"][1:5], [0.5, 0.5, 0.75, 0.4])
    assert_allclose(found["history_expected"], [np.nan, 2, 2, 5, 23 / 5, 5])
    # on the 5th ann has 2, 4 and 9, and so has everybody
    assert found["history_mean"][3] == (2 + 4 + 9 + 5) / 4
    assert found["history_median"][3] == (3 * 4 + 5) / 4
    squares = 9 + 1 + 16
    assert_allclose(found["history_spread"][3], np.sqrt((squares + squares / 2) / 3))
    # on the 11th the last three of 2, 4, 9, 1
    assert_allclose(found["history_last_3"][4], 14 / 3)
    assert found["history_last_5"][4] == 4
    assert found["history_level"].tolist() == [0, 4, 4, 4, 4, 1]


def test_fallback_chain():
    stored = pd.DataFrame(
        {
            "user": ["a", "b", "c"],
            "time": [0, 0, 0],
            "category": ["cats", "dogs", None],
            "place": ["Rome", "Oslo", "Rome"],
        }
    )
    new = pd.DataFrame(
        {
            "user": ["x", "x", "x", "a", None],
            "time": 10,
            "category": ["cats", "new", "new", "dogs", "dogs"],
            "place": ["Oslo", "Rome", "Bonn", "Bonn", "Bonn"],
        }
    )
    history = UserHistory(category="category", place="place", shrinkage=0)
    found = features(history.fit(stored, [3.0, 6.0, 9.0]), new)
    assert found["history_level"].tolist() == [3, 2, 1, 4, 3]
    assert found["history_mean"].tolist() == [3, 6, 6, 3, 6]
    assert found["history_expected"].tolist() == [3, 6, 6, 6, 6]
    assert found["history_missing"].tolist() == [0, 0, 0, 0, 1]
    assert_array_equal(found["history_posts"], [0, 0, 0, 1, np.nan])


def test_own_and_later_scores_change_nothing():
    posts = make_posts(200, 8)
    scores = np.random.RandomState(2).normal(size=200)
    history = UserHistory(category="category", place="place")
    before = history.fit(posts, scores).transform(posts)
    for row in (0, 50, 123):
        changed = scores.copy()
        changed[posts["time"] >= posts["time"][row]] = np.linspace(50, 60, 200)[row]
        after = history.fit(posts, changed).transform(posts)
        not_later = posts["time"] <= posts["time"][row]
        assert_array_equal(after[not_later], before[not_later])


def test_shuffled_labels_teach_nothing():
    posts = make_posts(1500, 120)
    signal = pd.factorize(posts["user"])[0] % 7.0
    rng = np.random.RandomState(3)
    model = ExtraTreesRegressor(60, min_samples_leaf=3, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    history = UserHistory(category="category", place="place", shrinkage=0.5)
    results = []
    for labels in (signal, rng.permutation(signal), rng.permutation(signal)):
        table = np.nan_to_num(history.fit_transform(posts, labels), nan=-9)
        results.append(
            spearman_score(labels, cross_val_predict(model, table, labels, cv=folds))
        )
    assert results[0] > 0.8
    assert max(np.abs(results[1:])) < 3 / np.sqrt(len(posts))


def test_single_user_of_constant_score():
    # one user always scores 100, all others are noise around 0
    rng = np.random.RandomState(0)
    posts = make_posts(300, 299, seed=1)
    posts["user"] = [f"u{i}" for i in range(300)]
    star = np.arange(15, 300, 30)
    posts.loc[star, "user"] = "star"
    posts["time"] = START + np.arange(300) * DAY
    scores = rng.normal(size=300)
    scores[star] = 100.0
    history = UserHistory(shrinkage=0).fit(posts, scores)
    found = features(history, posts)
    first, later = star[0], star[1:]
    # nothing tells the first of them from any other user's first post
    others = np.setdiff1d(np.arange(300), star)
    assert found["history_scores"][first] == 0
    assert found["history_mean"][first] < 5
    assert (found["history_mean"][others[1:]] < 50).all()
    assert (found["history_level"][others[1:]] == 1).all()
    # and all that follow know exactly 100, with no spread
    assert (found.loc[later, ["history_mean", "history_median"]] == 100).all(axis=None)
    assert (found["history_spread"][star[2:]] == 0).all()


def test_only_user_of_constant_score():
    posts = pd.DataFrame({"user": "ann", "time": START + np.arange(20) * DAY})
    for scores in (np.full(20, 7.0), np.full(20, 1e6 + 0.1)):
        found = features(UserHistory().fit(posts, scores), posts)
        columns = ["history_mean", "history_median", "history_last_3"]
        assert found.loc[0, [*columns, "history_expected"]].isna().all()
        assert_allclose(found.loc[1:, columns], scores[0], rtol=1e-6)
        assert (found.loc[2:, "history_spread"] == 0).all()


def test_fit_transform_is_fit_then_transform_and_order_does_not_matter():
    posts = make_posts(200, 8, n_days=3)  # many ties
    scores = np.random.RandomState(4).normal(size=200)
    history = UserHistory(category="category", place="place")
    together = history.fit_transform(posts, scores)
    assert_array_equal(together, history.fit(posts, scores).transform(posts))
    order = np.random.RandomState(5).permutation(200)
    history.fit(posts.iloc[order], scores[order])
    assert_allclose(history.transform(posts), together, rtol=1e-5, atol=1e-6)


def test_transform_remembers_nothing():
    posts = make_posts(60, 5)
    history = UserHistory().fit(posts, np.arange(60.0))
    before = history.transform(posts)
    history.transform(posts.assign(time=posts["time"] + 1))
    assert_array_equal(history.transform(posts), before)
    assert len(history.history_["score"]) == 60


def test_update_is_fit_on_all():
    posts = make_posts(200, 10).drop_duplicates(["user", "time"], ignore_index=True)
    posts["id"] = [f"p{i}" for i in range(len(posts))]
    scores = np.random.RandomState(6).normal(size=len(posts))
    params = {"category": "category", "place": "place"}
    params |= {"user": "user", "time": "time"}
    whole = UserHistory(**params).fit_transform(posts, scores)
    first = posts["time"] < posts["time"].median()
    history = UserHistory(**params).fit(posts[first], scores[first])
    assert history.update(posts[~first], scores[~first]) is history
    assert_allclose(history.transform(posts), whole, rtol=1e-5, atol=1e-6)
    # the same posts again, whole or in part, with or without scores
    history.update(posts, scores).update(posts[::3], np.full(len(posts[::3]), np.nan))
    assert len(history.history_["score"]) == len(posts)
    assert_allclose(history.transform(posts), whole, rtol=1e-5, atol=1e-6)


def test_update_fills_in_scores():
    posts = pd.DataFrame({"user": "ann", "time": [0, 0, DAY], "id": ["a", "b", "c"]})
    history = UserHistory(user="user", time="time", shrinkage=0).fit(
        posts, [np.nan, np.nan, 3.0]
    )
    new = pd.DataFrame({"user": "ann", "time": [9 * DAY], "id": ["z"]})
    assert features(history, new)["history_mean"].tolist() == [3]
    history.update(posts[:2], [1.0, 5.0])
    found = features(history, new)
    assert found["history_posts"].tolist() == [3]
    assert found["history_scores"].tolist() == [3]
    assert found["history_mean"].tolist() == [3]
    history.update(posts[2:], [6.0])
    assert features(history, new)["history_mean"].tolist() == [4]


def test_forms_of_time_and_user_agree():
    texts = ["2024-01-01T12:00", "2024-01-02", "1969-12-31", None]
    stamps = pd.to_datetime(texts, format="ISO8601")
    forms = [
        stamps,
        stamps.tz_localize("UTC").tz_convert("Asia/Tokyo"),
        [None if s is pd.NaT else s.isoformat() for s in stamps],
        [None if s is pd.NaT else int(s.timestamp()) for s in stamps],
    ]
    results = []
    for time in forms:
        for user in (["7", "7", "7", "7"], [7, 7, 7, 7], [7.0, 7.0, 7.0, 7.0]):
            posts = pd.DataFrame({"user": user, "time": time})
            results.append(UserHistory().fit_transform(posts, [1.0, 2, 3, 4]))
    for result in results[1:]:
        assert_array_equal(result, results[0])


def test_missing_and_bad_cells():
    posts = pd.DataFrame(
        {"user": ["a", "a", None, "a"], "time": ["2024-01-01", None, "2024-01-02", "x"]}
    )
    history = UserHistory().fit(posts, [1.0, 2.0, 3.0, 4.0])
    assert len(history.history_["score"]) == 2
    with pytest.warns(BadCellWarning, match="1 cell"):
        found = features(history, posts)
    assert found["history_missing"].tolist() == [0, 1, 1, 1]
    assert found["has_history"].tolist() == [0, 0, 0, 0]
    numbers = found.drop(columns=["has_history", "history_missing", "history_level"])
    assert numbers.iloc[[1, 3]].isna().all(axis=None)
    assert found["history_mean"][2] == 1  # the time is there: what is expected
    with pytest.raises(BadCellError, match="row 3, column 'time'"):
        UserHistory(on_error="raise").fit(posts, [1.0, 2.0, 3.0, 4.0])


def test_nothing_stored_yet():
    posts = pd.DataFrame({"user": ["a", "b"], "time": [None, None]}, dtype=object)
    history = UserHistory().fit(posts, [1.0, 2.0])
    new = pd.DataFrame({"user": ["a"], "time": [5]}, dtype=object)
    found = features(history, new)
    assert found["history_posts"].tolist() == [0]
    assert found["history_level"].tolist() == [0]
    assert np.isnan(found["history_mean"][0])
    history.update(new, [2.0])
    assert features(history, new)["history_posts"].tolist() == [0]
    unlabeled = UserHistory().fit(new, [np.nan])
    later = pd.DataFrame({"user": ["a"], "time": [DAY]})
    assert features(unlabeled, later)["history_posts"].tolist() == [1]
    assert np.isnan(features(unlabeled, later)["history_mean"][0])


def test_parameters():
    posts = make_posts(20, 3)
    scores = np.arange(20.0)
    with pytest.raises(InvalidInputError, match="not a column"):
        UserHistory(user="nobody").fit(posts, scores)
    with pytest.raises(InvalidInputError, match="needs a column for time="):
        UserHistory().fit(posts[["user"]], scores)
    with pytest.raises(ValueError, match="shrinkage"):
        UserHistory(shrinkage=-1).fit(posts, scores)
    with pytest.raises(ValueError, match="requires y"):
        UserHistory().fit(posts)


WILD = st.one_of(
    *(st.none(), st.text(max_size=6), st.booleans()),
    # numbers that look like dates are refused as times: tested with read_times
    st.integers(-(10**10), 10**10).filter(lambda n: not 1900 <= n <= 21001231),
    *(
        st.floats(max_value=1899),
        st.just(pd.NaT),
        st.just(pd.NA),
        st.dates(),
        st.datetimes(),
    ),
    st.lists(st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(WILD, WILD, WILD, st.floats(-1e9, 1e9) | st.just(np.nan)),
        min_size=1,
        max_size=10,
    )
)
def test_any_tables(rows):
    # nothing is learned from a column without a time
    rows = [*rows, ("ann", "2020-01-01", "a", 1.0)]
    frame = pd.DataFrame([r[:3] for r in rows], columns=["u", "t", "c"], dtype=object)
    history = UserHistory(category="c")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BadCellWarning)
        history.fit(frame, [r[3] for r in rows])
        found = features(history, frame)
        assert_array_equal(features(history, frame[:1]), found[:1])
    assert found["history_missing"].isin([0, 1]).all()
    known = found["history_missing"] == 0
    assert found.loc[known, "history_posts"].notna().all()
    assert not np.isinf(found.to_numpy()).any()


@pytest.mark.real_data
def test_real_posts_are_ranked_by_their_users_history():
    if not os.environ.get("HYPERFUSION_DATA"):
        pytest.skip("HYPERFUSION_DATA is not set")
    folder = os.path.join(os.environ["HYPERFUSION_DATA"], "smp_video", "train")
    posts, scores = (
        pd.read_json(
            os.path.join(folder, f"SMP-Video_anonymized_{what}_train.jsonl"), lines=True
        )
        for what in ("posts", "popularity")
    )
    posts = posts.merge(scores, on=["pid", "uid"])
    history = UserHistory(user="uid", time="post_time", place="post_location")
    history.fit(posts, posts["popularity"])
    found = features(history, posts)
    known = found["history_scores"] > 0
    assert 400 < known.sum() < 836
    score = spearman_score(posts["popularity"][known], found["history_mean"][known])
    assert score > 0.6
    spread = posts["popularity"][known] - found["history_mean"][known]
    assert (
        spread.abs().mean()
        < 0.8
        * (posts["popularity"][known] - found["history_expected"][known]).abs().mean()
    )
