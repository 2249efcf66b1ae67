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
from hyperfusion.cells._times import read_times
from hyperfusion.encoders._base import TableEncoder, one_column
from hyperfusion.encoders.user._as_of import (
    LAST,
    make_record,
    make_score_record,
    post_features,
    score_features,
)
from hyperfusion.exceptions import InvalidInputError

Rows = dict[str, np.ndarray]
"""The columns of stored posts."""

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
        becomes (n * mean + shrinkage * expected) / (n + shrinkage). Best is the
        variance within users divided by that between users: 0.4 and 1.2 on two sets.
    %(on_error)s

    Attributes
    ----------
    history_ : dict of {str: ndarray}
        The stored posts: ``user``, ``category`` and ``place`` (codes, -1 if missing),
        ``seconds`` since 1970, and ``score`` (NaN if unknown).
    codes_ : dict of {str: dict}
        The codes of users, categories and places.
    %(columns)s

    Raises
    ------
    InvalidInputError
        If a column is missing, or `y`, the scores of the posts, is not one number per
        row; NaN means a post without a score.

    See Also
    --------
    sklearn.preprocessing.TargetEncoder : Means of categories, regardless of time.

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
    ignored. Rows given to `transform` never enter the history; `update` adds scores
    that become known. 500,000 posts take a few seconds.

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
        self.columns_ = self._find_columns(cells)
        self.codes_: dict[str, dict[str, int]] = {name: {} for name in _GROUPS}
        self._store(self._read_posts(cells, y, warn=False))

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
        new = self._read_posts(self._read(X, reset=False), y, warn=True)
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

    def _find_columns(self, table: pd.DataFrame) -> dict[str, Hashable | None]:
        columns = {
            role: one_column(table, getattr(self, role), role) for role in _ROLES
        }
        free = [column for column in table if column not in columns.values()]
        for role in ("user", "time"):
            if columns[role] is None and not free:
                raise InvalidInputError(
                    f"UserHistory needs a column for {role}=. The table has "
                    f"{list(table.columns)[:20]}."
                )
            if columns[role] is None:
                columns[role] = free.pop(0)
        return columns

    def _read_posts(self, table: pd.DataFrame, y: Any, *, warn: bool) -> Rows:
        """Return the posts to store, with codes for new users and levels."""
        scores = check_target(y, len(table), allow_nan=True)
        rows = self._read_cells(table, learn=True, warn=warn)
        rows["score"] = scores
        known = ~np.isnan(rows["seconds"])
        return {name: values[known] for name, values in rows.items()}

    def _read_cells(
        self, table: pd.DataFrame, *, learn: bool, warn: bool = True
    ) -> Rows:
        times = read_times(table[self.columns_["time"]])
        rows = {"seconds": times.settle(self.on_error, warn=warn).seconds}
        for role in _GROUPS:
            column = self.columns_[role]
            if column is not None:
                levels = self._levels(table[column], warn=warn)
                rows[role] = _encode(levels, self.codes_[role], learn=learn)
        return rows

    def _store(self, rows: Rows) -> None:
        self.history_ = rows
        seconds, scores = rows["seconds"], rows["score"]
        self.posts_, _ = make_record(rows["user"], seconds)
        groups = {name: rows[name] for name in _GROUPS if name in rows}
        groups["all"] = np.zeros(len(seconds), dtype=int)
        self.scores_ = {
            name: make_score_record(codes, seconds, scores, median=name == "user")
            for name, codes in groups.items()
        }

    def _transform_cells(self, cells: pd.DataFrame) -> np.ndarray:
        rows = self._read_cells(cells, learn=False)
        rows["all"] = np.zeros(len(cells), dtype=int)
        features = post_features(self.posts_, rows["user"], rows["seconds"])
        features |= score_features(self.scores_, rows, self.shrinkage)
        missing = np.isnan(rows["seconds"]) | (rows["user"] == -1)
        for name in ("history_posts", "history_scores"):
            features[name] = np.where(missing, np.nan, features[name])
        features["history_missing"] = missing
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
