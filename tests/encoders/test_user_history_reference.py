"""Earlier posts of a user, against a slow reference."""

import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hyperfusion import UserHistory
from tests.encoders.history_posts import DAY, NAMES, features, make_posts

# numbers far from our time are read all the same
pytestmark = pytest.mark.filterwarnings("ignore:.*outside of 1995 to 2032")


def slow_reference(stored, scores, row, *, kappa, roles):
    """One row's features, from the definitions, post by post."""
    posts = [
        dict(p, score=s)
        for p, s in zip(stored.to_dict("records"), scores, strict=True)
        if not pd.isna(p["time"])
    ]
    now = row["time"]
    out = dict.fromkeys(NAMES, np.nan)
    no_user = pd.isna(row["user"])
    out |= {"has_history": 0, "history_level": 0, "history_missing": 1}
    if pd.isna(now):
        return out
    out["history_missing"] = float(no_user)
    earlier = sorted((p for p in posts if p["time"] < now), key=lambda p: p["time"])
    known = [p for p in earlier if not np.isnan(p["score"])]

    def scores_of(role):
        value = row[role]
        return [] if pd.isna(value) else [p["score"] for p in known if p[role] == value]

    expected = np.nan
    every = [p["score"] for p in known]
    if every:
        expected, out["history_level"] = statistics.fmean(every), 1
    for level, role in ((2, "place"), (3, "category")):
        own = scores_of(role) if role in roles else []
        if own:
            expected = (sum(own) + kappa * expected) / (len(own) + kappa)
            out["history_level"] = level
    own = scores_of("user")
    spread = statistics.variance(every) if len(every) > 1 else np.nan
    mean = median = expected
    n = len(own)
    if n:
        out["history_level"] = 4
        mean = (sum(own) + kappa * expected) / (n + kappa)
        median = (n * statistics.median(own) + kappa * expected) / (n + kappa)
    if n > 1:
        squares = (n - 1) * statistics.variance(own)
        spread = (squares + kappa * spread) / (n - 1 + kappa)
    out |= {
        "history_expected": expected,
        "history_mean": mean,
        "history_median": median,
        "history_spread": np.sqrt(spread),
        "history_last_3": statistics.fmean(own[-3:]) if n else expected,
        "history_last_5": statistics.fmean(own[-5:]) if n else expected,
    }
    if no_user:
        return out
    posted = [p["time"] for p in earlier if p["user"] == row["user"]]
    out |= {"history_posts": len(posted), "history_scores": n}
    if posted:
        out["has_history"] = 1
        out["history_days_since_last"] = (now - posted[-1]) / DAY
        days = max((now - posted[0]) / DAY, 1)
        out["history_posts_per_day"] = len(posted) / days
    return out


def assert_is_reference(history, stored, scores, queries):
    found = features(history, queries)
    roles = [r for r in ("place", "category") if getattr(history, r) is not None]
    expected = [
        slow_reference(
            stored,
            scores,
            row,
            kappa=history.shrinkage,
            roles=roles,
        )
        for row in queries.to_dict("records")
    ]
    expected = pd.DataFrame(expected)[NAMES]
    assert list(found) == NAMES
    assert_allclose(found, expected, rtol=1e-4, atol=2e-4)


USERS = st.sampled_from(["ann", "bob", "cat", None])
TIMES = st.one_of(st.integers(-5, 12).map(lambda h: h * DAY / 4), st.none())
# ties in time make the order of scores ambiguous: the last scores then differ
SCORES = st.one_of(st.integers(-20, 20), st.just(np.nan))
POSTS = st.tuples(
    USERS, TIMES, st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", None])
)


def as_frame(rows):
    frame = pd.DataFrame(rows, columns=["user", "time", "category", "place"])
    return frame.astype({"time": float, "user": object})


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(POSTS, SCORES), min_size=1, max_size=15),
    st.lists(POSTS, min_size=1, max_size=6),
    st.sampled_from([0, 0.5, 3]),
    st.booleans(),
)
def test_agrees_with_slow_reference(rows, queries, kappa, with_groups):
    stored = as_frame([post for post, _ in rows])
    scores = np.array([score for _, score in rows], dtype=float)
    # posts of a moment get one score, so that which is the last does not matter
    moment = stored.groupby(["user", "time"], dropna=False)
    scores = moment["time"].transform(lambda g: scores[g.index[0]]).to_numpy()
    scores = np.where(stored["time"].isna() | stored["user"].isna(), 1.0, scores)
    groups = {"category": "category", "place": "place"} if with_groups else {}
    history = UserHistory(shrinkage=kappa, **groups)
    history.fit(stored, scores)
    assert_is_reference(history, stored, scores, as_frame(queries))
    assert_is_reference(history, stored, scores, stored)


def test_agrees_with_slow_reference_on_a_larger_table():
    posts = make_posts(300, 25)
    posts["time"] += np.arange(300)  # no ties
    scores = np.random.RandomState(1).normal(8, 3, 300)
    scores[::7] = np.nan
    history = UserHistory(category="category", place="place")
    history.fit(posts, scores)
    assert_is_reference(history, posts, scores, posts)
