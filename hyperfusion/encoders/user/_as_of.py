"""Running totals of groups, as of any time."""

from __future__ import annotations

import numpy as np
import pandas as pd

DAY = 86_400.0
LAST = (3, 5)
"""Numbers of latest scores whose mean is a feature."""

Record = dict[str, np.ndarray]
"""The events of each group, sorted by group and time."""


def make_record(groups: np.ndarray, seconds: np.ndarray) -> tuple[Record, np.ndarray]:
    """Return a record of events, and the events' positions in its order.

    Events of a negative group are left out.
    """
    moments, ranks = np.unique(seconds, return_inverse=True)
    keys = groups * (len(moments) + 1) + ranks
    order = np.argsort(keys, kind="stable")
    order = order[groups[order] >= 0]
    record = {"moments": moments, "keys": keys[order], "seconds": seconds[order]}
    return record, order


def make_score_record(
    groups: np.ndarray, seconds: np.ndarray, scores: np.ndarray, *, median: bool = False
) -> Record:
    """Return a record of the known scores, with running totals.

    The totals are of differences from a group's first score, so that they keep their
    digits and are exactly zero if all scores of a group are equal.
    """
    known = np.flatnonzero(~np.isnan(scores))
    # sorted by score first: the order of the rows at fit then never matters
    known = known[np.argsort(scores[known], kind="stable")]
    record, order = make_record(groups[known], seconds[known])
    scores, groups = scores[known][order], groups[known][order]
    by_group = pd.Series(scores).groupby(groups, sort=False)
    base = by_group.transform("first").to_numpy(dtype=np.float64)
    record["base"] = base
    moved = pd.DataFrame({"sum": scores - base, "square": (scores - base) ** 2})
    for name, totals in moved.groupby(groups, sort=False).cumsum().items():
        record[name] = totals.to_numpy(dtype=np.float64)
    if median:
        record["median"] = by_group.expanding().median().to_numpy(dtype=np.float64)
    return record


def look_up(
    record: Record, groups: np.ndarray, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the events of groups before given times, and locate the last of them.

    A negative group has no events, and NaN is before all; without an event the last is
    at -1.
    """
    moments, keys = record["moments"], record["keys"]
    ranks = np.searchsorted(moments, seconds)
    ranks[np.isnan(seconds)] = 0
    start = groups * (len(moments) + 1)
    stop = np.searchsorted(keys, start + ranks)
    counts = stop - np.searchsorted(keys, start)
    return counts, np.where(counts > 0, stop - 1, -1)


def read_at(values: np.ndarray, positions: np.ndarray, missing: float) -> np.ndarray:
    """Return values at positions, and `missing` for negative positions."""
    return np.append(values, missing)[np.maximum(positions, -1)]


def totals_at(
    record: Record, counts: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of scores and their squared deviations from their mean."""
    sums = read_at(record["sum"], last, 0.0)
    squares = read_at(record["square"], last, 0.0)
    n = np.maximum(counts, 1)
    deviations = np.maximum(squares - sums**2 / n, 0.0)
    return sums + counts * read_at(record["base"], last, 0.0), deviations


def shrink(
    total: np.ndarray, n: np.ndarray, expected: np.ndarray | float, weight: float
) -> np.ndarray:
    """Return the mean of n values and an expected one that counts `weight` times.

    Without values this is the expected one, even with weight 0.
    """
    there = n > 0
    # the expected value can be NaN, which weight 0 must not spread
    extra = weight * expected if weight else 0.0
    mean = (total + extra) / np.where(there, n + weight, 1.0)
    return np.where(there, mean, expected)


def post_features(
    record: Record, groups: np.ndarray, seconds: np.ndarray
) -> dict[str, np.ndarray]:
    """Return how many earlier posts groups have, how long ago and how often."""
    counts, last = look_up(record, groups, seconds)
    first = np.where(counts > 0, last - counts + 1, -1)
    since_last = seconds - read_at(record["seconds"], last, np.nan)
    since_first = seconds - read_at(record["seconds"], first, np.nan)
    return {
        "has_history": counts > 0,
        "history_posts": counts,
        "history_days_since_last": since_last / DAY,
        "history_posts_per_day": counts / np.maximum(since_first / DAY, 1),
    }


def score_features(
    records: dict[str, Record], rows: dict[str, np.ndarray], shrinkage: float
) -> dict[str, np.ndarray]:
    """Return the expected scores of users, and features of their own scores.

    The records are "all", "user", and perhaps "place" and "category".
    """
    found = {
        name: look_up(record, rows[name], rows["seconds"])
        for name, record in records.items()
    }
    n, at = found["all"]
    total, deviations = totals_at(records["all"], n, at)
    expected = shrink(total, n, np.nan, 0)
    variance = shrink(deviations, n - 1, np.nan, 0)
    level = (n > 0).astype(int)
    for rank, name in ((2, "place"), (3, "category")):
        if name in records:
            n, at = found[name]
            total, _ = totals_at(records[name], n, at)
            expected = shrink(total, n, expected, shrinkage)
            level[n > 0] = rank
    own = records["user"]
    n, at = found["user"]
    total, deviations = totals_at(own, n, at)
    middle = read_at(own["median"], at, 0.0)
    level[n > 0] = 4
    base = read_at(own["base"], at, np.nan)
    sums = read_at(own["sum"], at, 0.0)
    latest = {}
    for m in LAST:
        before = read_at(own["sum"], np.where(n > m, at - m, -1), 0.0)
        mean = base + (sums - before) / np.maximum(np.minimum(n, m), 1)
        latest[f"history_last_{m}"] = np.where(n > 0, mean, expected)
    return {
        "history_scores": n,
        "history_mean": shrink(total, n, expected, shrinkage),
        "history_median": shrink(n * middle, n, expected, shrinkage),
        "history_spread": np.sqrt(shrink(deviations, n - 1, variance, shrinkage)),
        **latest,
        "history_expected": expected,
        "history_level": level,
    }
