"""Compare the time of `UserHistory` with that of pandas' grouped windows.

``python benchmarks/user_history.py [n_posts]``. The pandas code is a few lines:
number, mean, deviation and median of a user's earlier scores and the days since the
last post, on a sorted frame, without equal times, fallbacks and updates. The limit is
one sort of the posts and one expanding median, which are shown too.
"""

import sys
import time

import numpy as np
import pandas as pd

from hyperfusion import UserHistory

START, YEAR = 1_420_000_000, 365 * 86_400


def make_posts(n, seed=0):
    rng = np.random.default_rng(seed)
    users = np.minimum(rng.zipf(1.4, n), n // 7) * 7_919 % (n // 7)
    return pd.DataFrame(
        {
            "user": pd.Series(users).map("{}@N00".format),
            "time": START + rng.permutation(YEAR)[:n],
            "category": rng.choice(list("abcdefghijk"), n),
            "place": rng.integers(0, 3_000, n).astype(str),
        }
    ), rng.normal(6, 2.5, n)


def with_pandas(posts, scores):
    posts = posts.assign(score=scores).sort_values(["user", "time"], kind="stable")
    groups = posts.groupby("user", sort=False)["score"]
    windows = groups.expanding()
    found = pd.DataFrame(
        {
            "n": groups.cumcount().to_numpy(),
            "mean": windows.mean().to_numpy(),
            "spread": windows.std().to_numpy(),
            "median": windows.median().to_numpy(),
        },
        index=posts.index,
    )
    days = posts.groupby("user", sort=False)["time"].diff() / 86_400
    return found.groupby(posts["user"], sort=False).shift().assign(days=days)


def seconds(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    posts, scores = make_posts(n)
    history = UserHistory(
        user="user", time="time", category="category", place="place", shrinkage=0
    )
    fit, _ = seconds(history.fit, posts, scores)
    transform, ours = seconds(history.transform, posts)
    one, _ = seconds(history.transform, posts[:1])
    update, _ = seconds(history.update, posts[: n // 100], scores[: n // 100])
    peer, theirs = seconds(with_pandas, posts, scores)
    sort, order = seconds(posts.sort_values, ["user", "time"])
    by_user = pd.Series(scores[order.index]).groupby(order["user"].to_numpy())
    median, _ = seconds(lambda: by_user.expanding().median())
    means = ours[:, list(history.get_feature_names_out()).index("history_mean")]
    expected = theirs["mean"].reindex(posts.index).to_numpy()
    known = ~np.isnan(expected)
    assert np.allclose(means[known], expected[known], rtol=1e-4)
    print(f"{n:,} posts by {posts['user'].nunique():,} users")
    for name, value in {
        "fit": fit,
        "transform": transform,
        "transform of one post": one,
        "update with one percent": update,
        "pandas, a part of it": peer,
        "limit: sort": sort,
        "limit: median": median,
    }.items():
        print(f"{name:24s} {value:7.3f} s   x {value / peer:5.2f} of pandas")


if __name__ == "__main__":
    main()
