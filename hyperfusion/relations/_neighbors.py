"""The targets of the most similar earlier rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion._transformer import TableTransformer
from hyperfusion._validation import COUNT, NOT_NEGATIVE, check_increasing, check_target
from hyperfusion.cells._levels import read_levels
from hyperfusion.cells._times import read_times
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._neighbor_search import (
    find_spaces,
    fingerprints,
    recent_means,
    search,
    summarize,
)
from hyperfusion.table._frames import Columns, as_frame, check_columns, check_table

DAY = 86_400.0
SUMMARIES = ("mean", "spread", "similarity", "age")


@with_parameters
class NeighborTargets(TableTransformer):
    """The targets of the most similar earlier rows.

    For each row it finds the nearest stored rows that are strictly older, by the cosine
    of texts or ready-made vectors, and summarizes their targets. A row's own target and
    later ones are never used, so ``fit(X, y).transform(X)`` is safe to train on and
    equals ``fit_transform(X, y)``.

    Parameters
    ----------
    text : column, list of columns, or dict of {name: columns}, default=None
        Texts or lists of tags; several columns are joined. A dict defines several
        spaces; otherwise the space is called ``text``.
    vectors : column, list of columns, or dict of {name: columns}, default=None
        Ready-made vectors, joined from columns of arrays, columns of numbers, or
        vectors of a feature table (``"image__clip"``). A dict defines several spaces;
        otherwise the space is called ``vectors``. If neither texts nor vectors are
        named, all columns except `user` and `time` are one vector.
    user : column label or None, default=None
        The user of each row: rows don't see rows of their own user. With None they see
        all.
    time : column label or None, default=None
        The time of each row: datetimes, ISO 8601 texts, or whole seconds since 1970.
        None for a table without times; see Notes.
    n_neighbors : sequence of int, default=(5, 20, 60)
        Numbers of neighbors to summarize, ascending; all of them if there are fewer.
    summaries : sequence of str, default=("mean", "spread", "similarity")
        Summaries of the neighbors: ``"mean"`` and ``"spread"``, the weighted mean and
        standard deviation of their targets; ``"similarity"``, their mean cosine;
        ``"age"``, the weighted mean of their ages in days.
    sharpness : float, default=10.0
        A neighbor's weight is exp(sharpness * cosine).
    trend : int or None, default=300
        Number of latest targets whose mean is subtracted from each target, so that
        targets are relative to those of the same days. None, or no times: nothing is.
    n_latest : int or None, default=50_000
        Number of the latest earlier rows to search, so that the time grows with the
        number of rows and not with its square. None, or no times, means all.
    n_components : int, default=256
        Number of components of the character TF-IDF of texts.
    random_state : int, RandomState instance or None, default=None
        Seed of that reduction.
    on_error : {"missing", "raise"}, default="missing"
        What to do with a cell that can't be read: treat it as missing and warn once, or
        raise a :class:`~hyperfusion.exceptions.BadCellError` that names it.

    Attributes
    ----------
    %(columns_seen)s

    Raises
    ------
    InvalidInputError
        If a column is missing, or if `y` (the targets, NaN if unknown) is missing or
        doesn't match `X`.

    Notes
    -----
    The output is float32: for each space, each summary of each number of neighbors,
    ``text_mean_5``, ``text_spread_5`` and so on. It is NaN for a row without a vector
    or a time, or with nothing older to see. Stored rows without a target, a time or a
    vector are never neighbors. Rows of the same second don't see each other. Rows given
    to `transform` are never stored; `update` adds rows whose targets become known.

    Without `time`, each row sees all stored rows except those of its user and those
    with identical vectors, which can be itself. So use it inside the folds, as the
    first step of a member that is a Pipeline: the rows around a row know its target.

    The search is exact, except that vectors are rounded, which changes a cosine by
    about 0.0002. In return, the neighbors don't depend on threads, blocks or the order
    of rows. Of equally similar rows the later is nearer, then the one with the larger
    target. Scale columns of different kinds first. With n rows and d numbers, a space
    takes 2 n d bytes, and ``n * min(n, 2 * n_latest) * d`` operations. Not in the
    paper; the user guide has the scores.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import NeighborTargets
    >>> posts = pd.DataFrame(
    ...     {
    ...         "title": ["red boat", "chocolate cake", "red boats", "cake"],
    ...         "posted": ["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"],
    ...     }
    ... )
    >>> neighbors = NeighborTargets(
    ...     text="title", time="posted", n_neighbors=(1,), trend=None, random_state=0
    ... ).set_output(transform="pandas")
    >>> neighbors.fit_transform(posts, [3.0, 9.0, 4.0, 8.0])["text_mean_1"].tolist()
    [nan, 3.0, 3.0, 9.0]
    """

    _parameter_constraints = {
        **dict.fromkeys(("text", "vectors", "user", "time"), "no_validation"),
        "n_neighbors": ["array-like"],
        "summaries": ["array-like"],
        "sharpness": [NOT_NEGATIVE],
        "trend": [COUNT, None],
        "n_latest": [COUNT, None],
        "n_components": [COUNT],
        "random_state": ["random_state"],
        "on_error": [StrOptions({"raise", "missing"})],
    }

    text: Columns | Mapping[str, Columns] = None
    vectors: Columns | Mapping[str, Columns] = None
    user: Hashable | None = None
    time: Hashable | None = None
    n_neighbors: Sequence[int] = (5, 20, 60)
    summaries: Sequence[str] = ("mean", "spread", "similarity")
    sharpness: float = 10.0
    trend: int | None = 300
    n_latest: int | None = 50_000
    n_components: int = 256
    random_state: Any = None
    on_error: str = "missing"

    def update(self, X: Any, y: Any) -> Self:
        """Add rows whose targets have become known.

        Rows with the time, user and vectors of a stored row take its place, unless
        their target is NaN. Terms and components of texts stay those of the fit.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Rows, with the columns of the fit.
        y : array-like of shape (n_samples,)
            Targets; rows with NaN are left out.

        Returns
        -------
        self
            The transformer with more rows.
        """
        check_is_fitted(self)
        table = check_table(self, X, reset=False)
        targets = check_target(y, as_frame(X), allow_nan=True)
        old, new = self._rows, _with_targets(self._read(table), targets)
        names = [name for name in ("time", "user", "content") if name in old]
        stored, added = (
            pd.MultiIndex.from_arrays([rows[name] for name in names])
            for rows in (old, new)
        )
        stays = ~stored.isin(added)
        self._store({n: np.concatenate([old[n][stays], new[n]]) for n in old})
        return self

    def _feature_names(self, names: Any) -> list[str]:
        summaries = [f"{what}_{k}" for k in self.n_neighbors for what in self.summaries]
        return [f"{space}_{summary}" for space in self._spaces for summary in summaries]

    def _fit(self, X: Any, y: Any) -> dict[str, np.ndarray]:
        check_increasing(self.n_neighbors, "n_neighbors", "(5, 20, 60)")
        known = SUMMARIES[: 4 - (self.time is None)]
        if not set(self.summaries) <= set(known) or len(self.summaries) == 0:
            raise InvalidInputError(
                f"summaries takes some of {known}; 'age' needs time=. Got "
                f"{self.summaries!r}."
            )
        table = check_table(self, X, reset=True)
        targets = check_target(y, len(table), allow_nan=True)
        self._columns = {
            role: check_columns(table, getattr(self, role), role, max_columns=1)
            for role in ("user", "time")
        }
        taken = self._columns["user"] + self._columns["time"]
        reduction = self.n_components, self.random_state
        self._spaces = find_spaces(table, self.text, self.vectors, taken, *reduction)
        rows = self._read(table, learn=True)
        self._store(_with_targets(rows, targets))
        return rows

    def _fit_transform(self, X: Any, y: Any) -> np.ndarray:
        return self._features(self._fit(X, y))

    def _transform(self, X: Any) -> np.ndarray:
        return self._features(self._read(check_table(self, X, reset=False)))

    def _read(
        self, table: pd.DataFrame, *, learn: bool = False
    ) -> dict[str, np.ndarray]:
        """Return the vectors, times and users of the rows."""
        vectors = [
            (space.fit_read if learn else space.read)(table, self.on_error)
            for space in self._spaces.values()
        ]
        rows = {_key(name): v for name, v in zip(self._spaces, vectors, strict=True)}
        rows["content"] = fingerprints(vectors)
        for column in self._columns["time"]:
            times = read_times(table[column]).settle(self.on_error, learn=learn)
            rows["time"] = times.seconds
        for column in self._columns["user"]:  # a number above 1, or 0 if missing
            users = read_levels(table[column]).settle(self.on_error)
            marks = pd.util.hash_array(users.fillna("").to_numpy(dtype=object))
            marks |= np.uint64(2)
            rows["user"] = np.where(users.isna(), np.uint64(0), marks)
        return rows

    def _store(self, rows: dict[str, np.ndarray]) -> None:
        times = rows.get("time", np.zeros(len(rows["target"])))
        # by target as well, so that the order of rows at fit never matters
        order = np.lexsort((rows["target"], times))
        self._rows = {name: cells[order] for name, cells in rows.items()}
        keys = map(_key, self._spaces)
        self._there = {k: np.flatnonzero(self._rows[k].any(axis=1)) for k in keys}
        self._residuals = self._rows["target"]
        if "time" in rows and self.trend is not None:
            trend = recent_means(times[order], self._residuals, self.trend)
            self._residuals = self._residuals - trend

    def _features(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        n, k = len(self.n_neighbors) * len(self.summaries), self.n_neighbors[-1]
        n_rows = len(rows["content"])
        out = np.full((n_rows, n * len(self._spaces)), np.nan, dtype=np.float32)
        for i, key in enumerate(map(_key, self._spaces)):
            there = self._there[key]
            needed = {"content", "time", "user"} & set(self._rows)
            stored = {name: self._rows[name][there] for name in needed}
            residuals = self._residuals[there]
            n_earlier, latest = np.full(n_rows, len(there)), None
            strangers = [(rows["content"], stored["content"])]
            if "time" in rows:
                n_earlier = np.searchsorted(stored["time"], rows["time"])
                n_earlier[np.isnan(rows["time"])] = 0
                latest, strangers = self.n_latest, []
            if "user" in rows:
                # no user has mark 1, so a row without a user sees all
                strangers.append((np.maximum(rows["user"], 1), stored["user"]))
            n_earlier[~rows[key].any(axis=1)] = 0
            for which, cosines, positions in search(
                rows[key], self._rows[key], n_earlier, strangers, k, latest, there
            ):
                days = None
                if "age" in self.summaries:
                    days = (rows["time"][which, None] - stored["time"][positions]) / DAY
                out[which, i * n : (i + 1) * n] = summarize(
                    cosines,
                    residuals[positions],
                    days,
                    numbers=self.n_neighbors,
                    summaries=self.summaries,
                    sharpness=self.sharpness,
                )
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags


def _key(space: str) -> str:
    return f"vectors of {space}"


def _with_targets(
    rows: dict[str, np.ndarray], targets: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the rows that have a target and a time, with their targets."""
    known = ~np.isnan(targets)
    if "time" in rows:
        known &= ~np.isnan(rows["time"])
    return {name: cells[known] for name, cells in (rows | {"target": targets}).items()}
