"""Features of a user's earlier posts."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval
from hyperfusion._validation import check_target, warn_of_order
from hyperfusion.cells._levels import warn_of_unknown
from hyperfusion.cells._times import read_times
from hyperfusion.encoders._base import TableEncoder, one_column
from hyperfusion.exceptions import InvalidInputError

DAY = 86_400.0
LAST = (3, 5)
"""Numbers of latest scores whose mean is a feature."""

Rows = dict[str, np.ndarray]
"""The columns of stored posts."""

Record = dict[str, np.ndarray]
"""The events of each group, sorted by group and time."""

_GROUPS = ("user", "category", "place")
_ROLES = ("user", "time", "category", "place")


@with_parameters
class UserHistory(TableEncoder):
    """Earlier posts by the user of each post: how many, how often, how popular.

    All features of a row come from stored posts that are strictly older, so
    ``fit(X, y).transform(X)`` is safe to train on and equals ``fit_transform(X, y)``.

    Parameters
    ----------
    user : column label or None, default=None
        The column of the users; None is the first that has no other role.
    time : column label or None, default=None
        The column of the posts' times; None is the first that has no other role,
        after the user's. All forms that `TemporalEncoder` takes.
    category, place : column label or None, default=None
        Columns that say what to expect of users without scores.
    shrinkage : float, default=0.5
        Weight of the expected score of an unknown user, in scores: the mean of n scores
        becomes (n * mean + shrinkage * expected) / (n + shrinkage).
    %(on_error)s

    Attributes
    ----------
    history_ : dict of {str: ndarray}
        The stored posts: ``user``, ``category`` and ``place`` (codes, -1 if missing),
        ``seconds`` since 1970, and ``score`` (NaN if unknown).
    %(columns)s

    Raises
    ------
    InvalidInputError
        If a column is missing, or `y`, the scores of the posts, is not one number per
        row; NaN means a post without a score.

    Notes
    -----
    The features, in this order:

    - ``has_history``: 1 if the user has an older post;
    - ``history_posts``, ``history_scores``: number of older posts, and of those with a
      known score;
    - ``history_days_since_last``: days since the user's last post;
    - ``history_posts_per_day``: older posts divided by the days since the first (at
      least one);
    - ``history_mean``, ``history_median``, ``history_spread``: of the known scores,
      shrunk towards the expected score (the spread towards that of all scores);
    - ``history_last_3``, ``history_last_5``: mean of the latest known scores, or of
      fewer if there are fewer, not shrunk;
    - ``history_expected``: the expected score of an unknown user at this time;
    - ``history_level``: source of the scores: 4 the user, 3 the category, 2 the place,
      1 all posts, 0 none;
    - ``history_missing``: 1 if the time or the user is missing.

    The expected score is the mean score of all older posts, then of those of the place
    and of the category, each shrunk towards the one before. It replaces the mean, the
    median and the latest scores of users without any. Before the first known score
    these are NaN, and so are all features that depend on a missing time or user.

    Posts of the same second don't see each other. Stored posts without a time are
    ignored. Rows given to `transform` never enter the history; `update` adds scores.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import UserHistory
    >>> dates = ["2024-05-01", "2024-05-03", "2024-05-03", "2024-05-06"]
    >>> posts = pd.DataFrame({"user": ["ann", "ann", "bob", "ann"], "posted": dates})
    >>> history = UserHistory(shrinkage=0).set_output(transform="pandas")
    >>> table = history.fit_transform(posts, [4.0, 8.0, 1.0, 5.0])
    >>> table[["history_posts", "history_days_since_last", "history_mean"]]
       history_posts  history_days_since_last  history_mean
    0            0.0                      NaN           NaN
    1            1.0                      2.0           4.0
    2            0.0                      NaN           4.0
    3            2.0                      3.0           6.0
    """

    _parameter_constraints = {"shrinkage": [Interval(Real, 0, None, closed="left")]}

    user: Hashable | None = None
    time: Hashable | None = None
    category: Hashable | None = None
    place: Hashable | None = None
    shrinkage: float = 0.5
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        columns = {r: one_column(cells, getattr(self, r), r) for r in _ROLES}
        free = [column for column in cells if column not in columns.values()]
        for role in ("user", "time"):
            if columns[role] is None and not free:
                raise InvalidInputError(
                    f"UserHistory needs a column for {role}=. The table has "
                    f"{list(cells.columns)[:20]}."
                )
            columns[role] = free.pop(0) if columns[role] is None else columns[role]
        self._columns = columns
        self._codes: dict[str, dict[str, int]] = {name: {} for name in _GROUPS}
        self._store(self._read_posts(cells, y, first=True))

    def update(self, X: Any, y: Any) -> Self:
        """Add posts and scores to the history.

        A stored post does not count twice: later data replace it, but a missing score
        never replaces a known one. It is recognized by user and second, so pass a
        user's posts of the same second in one call; rows without a user are not
        recognized.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts, with the columns of the fit.
        y : array-like of shape (n_posts,)
            Scores; NaN if there is none.

        Returns
        -------
        self
            The encoder with the longer history.
        """
        check_is_fitted(self)
        warn_of_order(X, y)
        old = self.history_
        new = self._read_posts(self._read(X, reset=False), y)
        # new rows replace those of their user and time, but not a score by none
        old_keys, new_keys = (
            pd.MultiIndex.from_arrays([rows["user"], rows["seconds"]])
            for rows in (old, new)
        )
        scored_old = old_keys[~np.isnan(old["score"])]
        scored_new = new_keys[~np.isnan(new["score"])]
        nameless = new["user"] < 0
        useful = nameless | new_keys.isin(scored_new) | ~new_keys.isin(scored_old)
        stays = (old["user"] < 0) | ~old_keys.isin(new_keys[useful])
        both = {n: np.concatenate([old[n][stays], new[n][useful]]) for n in old}
        self._store(both)
        return self

    def _read_posts(self, table: pd.DataFrame, y: Any, *, first: bool = False) -> Rows:
        scores = check_target(y, len(table), allow_nan=True)
        rows = self._read_cells(table, learn=True, first=first) | {"score": scores}
        known = ~np.isnan(rows["seconds"])
        return {name: values[known] for name, values in rows.items()}

    def _read_cells(
        self, table: pd.DataFrame, *, learn: bool, first: bool = False
    ) -> Rows:
        times = read_times(table[self._columns["time"]])
        rows = {"seconds": times.settle(self.on_error, learn=first).seconds}
        for role in _GROUPS:
            column = self._columns[role]
            if column is not None:
                levels = self._levels(table[column])
                codes = rows[role] = _encode(levels, self._codes[role], learn=learn)
                if not learn and (codes < 0).all():
                    warn_of_unknown(levels, list(self._codes[role]), expect_new=True)
        return rows

    def _store(self, rows: Rows) -> None:
        self.history_ = rows
        seconds, scores = rows["seconds"], rows["score"]
        self._posts, _ = _make_record(rows["user"], seconds)
        groups = {name: rows[name] for name in _GROUPS if name in rows}
        groups["all"] = np.zeros(len(seconds), dtype=int)
        self._scores = {
            name: _make_score_record(codes, seconds, scores, median=name == "user")
            for name, codes in groups.items()
        }

    def _transform_cells(self, cells: pd.DataFrame) -> np.ndarray:
        rows = self._read_cells(cells, learn=False)
        rows["all"] = np.zeros(len(cells), dtype=int)
        seconds = rows["seconds"]
        counts, last = _look_up(self._posts, rows["user"], seconds)
        first = np.where(counts > 0, last - counts + 1, -1)
        ago, first_ago = (
            (seconds - _read_at(self._posts["seconds"], at, np.nan)) / DAY
            for at in (last, first)
        )
        missing = np.isnan(seconds) | (rows["user"] == -1)
        scores = _score_features(self._scores, rows, self.shrinkage)
        features = scores | {
            "has_history": counts > 0,
            "history_posts": np.where(missing, np.nan, counts),
            "history_scores": np.where(missing, np.nan, scores["history_scores"]),
            "history_days_since_last": ago,
            "history_posts_per_day": counts / np.maximum(first_ago, 1),
            "history_missing": missing,
        }
        columns = [features[name].astype(np.float32) for name in self._feature_names()]
        return np.stack(columns, axis=1)

    def _feature_names(self, names: Any = None) -> list[str]:
        return [
            *("has_history", "history_posts", "history_scores"),
            *("history_days_since_last", "history_posts_per_day"),
            *("history_mean", "history_median", "history_spread"),
            *(f"history_last_{m}" for m in LAST),
            *("history_expected", "history_level", "history_missing"),
        ]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _encode(levels: pd.Series, codes: dict[str, int], *, learn: bool) -> np.ndarray:
    """Return the codes of levels: -1 if missing, -2 if unknown."""
    positions, found = pd.factorize(levels)
    if learn:
        for level in found:
            codes.setdefault(level, len(codes))
    return np.array([*(codes.get(level, -2) for level in found), -1])[positions]


def _make_record(groups: np.ndarray, seconds: np.ndarray) -> tuple[Record, np.ndarray]:
    """Return a record of events of known groups, and their positions in its order."""
    moments, ranks = np.unique(seconds, return_inverse=True)
    keys = groups * (len(moments) + 1) + ranks
    order = np.argsort(keys, kind="stable")
    order = order[groups[order] >= 0]
    record = {"moments": moments, "keys": keys[order], "seconds": seconds[order]}
    return record, order


def _make_score_record(
    groups: np.ndarray, seconds: np.ndarray, scores: np.ndarray, *, median: bool = False
) -> Record:
    """Return a record of the known scores, with running totals."""
    known = np.flatnonzero(~np.isnan(scores))
    # sorted by score first: the order of the rows at fit then never matters
    known = known[np.argsort(scores[known], kind="stable")]
    record, order = _make_record(groups[known], seconds[known])
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


def _look_up(
    record: Record, groups: np.ndarray, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the events of groups before given times, and locate the last (or -1)."""
    moments, keys = record["moments"], record["keys"]
    ranks = np.searchsorted(moments, seconds)
    ranks[np.isnan(seconds)] = 0
    start = groups * (len(moments) + 1)
    stop = np.searchsorted(keys, start + ranks)
    counts = stop - np.searchsorted(keys, start)
    return counts, np.where(counts > 0, stop - 1, -1)


def _read_at(values: np.ndarray, positions: np.ndarray, missing: float) -> np.ndarray:
    """Return values at positions, and `missing` for negative positions."""
    return np.append(values, missing)[np.maximum(positions, -1)]


def _totals_at(
    record: Record, counts: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of scores and their squared deviations from their mean."""
    sums = _read_at(record["sum"], last, 0.0)
    squares = _read_at(record["square"], last, 0.0)
    n = np.maximum(counts, 1)
    deviations = np.maximum(squares - sums**2 / n, 0.0)
    return sums + counts * _read_at(record["base"], last, 0.0), deviations


def _shrink(
    total: np.ndarray, n: np.ndarray, expected: np.ndarray | float, weight: float
) -> np.ndarray:
    """Return the mean of n values and an expected one that counts `weight` times."""
    there = n > 0
    # the expected value can be NaN, which weight 0 must not spread
    extra = weight * expected if weight else 0.0
    mean = (total + extra) / np.where(there, n + weight, 1.0)
    return np.where(there, mean, expected)


def _score_features(
    records: dict[str, Record], rows: dict[str, np.ndarray], shrinkage: float
) -> dict[str, np.ndarray]:
    found = {
        name: _look_up(record, rows[name], rows["seconds"])
        for name, record in records.items()
    }
    n, at = found["all"]
    total, deviations = _totals_at(records["all"], n, at)
    expected = _shrink(total, n, np.nan, 0)
    variance = _shrink(deviations, n - 1, np.nan, 0)
    level = (n > 0).astype(int)
    for rank, name in ((2, "place"), (3, "category")):
        if name in records:
            n, at = found[name]
            total, _ = _totals_at(records[name], n, at)
            expected = _shrink(total, n, expected, shrinkage)
            level[n > 0] = rank
    own = records["user"]
    n, at = found["user"]
    total, deviations = _totals_at(own, n, at)
    middle = _read_at(own["median"], at, 0.0)
    level[n > 0] = 4
    base = _read_at(own["base"], at, np.nan)
    sums = _read_at(own["sum"], at, 0.0)
    latest = {}
    for m in LAST:
        before = _read_at(own["sum"], np.where(n > m, at - m, -1), 0.0)
        mean = base + (sums - before) / np.maximum(np.minimum(n, m), 1)
        latest[f"history_last_{m}"] = np.where(n > 0, mean, expected)
    return {
        "history_scores": n,
        "history_mean": _shrink(total, n, expected, shrinkage),
        "history_median": _shrink(n * middle, n, expected, shrinkage),
        "history_spread": np.sqrt(_shrink(deviations, n - 1, variance, shrinkage)),
        **latest,
        "history_expected": expected,
        "history_level": level,
    }
