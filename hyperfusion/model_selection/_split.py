"""Splitters for regression: stratified folds and splits by time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import (
    BaseCrossValidator,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.utils import indexable

from hyperfusion._base import with_parameters
from hyperfusion._validation import check_target, local_generator
from hyperfusion.cells._times import as_times
from hyperfusion.exceptions import InvalidInputError

_N_BINS = 10


@with_parameters
class StratifiedRegressionKFold(BaseCrossValidator):
    """K folds in which the target has the same distribution.

    The target is divided into ten quantile bins, or fewer if it has few distinct values
    or rows. The rows of each bin are spread evenly over the folds, so that every fold
    has some of the rare, very popular posts. With `groups`, the rows of a group stay
    together.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    random_state : int, RandomState instance or None, default=None
        Seed of the order within the bins.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion.model_selection import StratifiedRegressionKFold
    >>> y = np.arange(100.0)
    >>> folds = StratifiedRegressionKFold(random_state=0).split(y, y)
    >>> [int((y[test] >= 90).sum()) for _, test in folds]
    [2, 2, 2, 2, 2]
    """

    # groups are optional, but routed here whenever they are passed
    __metadata_request__split = {"groups": True}

    n_splits: int = field(default=5, kw_only=False)
    random_state: Any = None

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        int
            `n_splits`.
        """
        return self.n_splits

    def split(
        self, X: Any, y: ArrayLike, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the folds.

        Parameters
        ----------
        X : array-like of length n_samples
            Only its length is used.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,), default=None
            Rows with the same value stay in one fold.

        Yields
        ------
        train, test : ndarray of int
            Positions of the rows.

        Raises
        ------
        InvalidInputError
            If there are fewer rows (or groups) than folds, or a group is missing.
        """
        X, y, groups = indexable(X, y, groups)
        target = check_target(y, np.shape(y)[0])
        n_rows = len(target)
        count, what = n_rows, "rows"
        if groups is not None:
            count, what = pd.Series(groups).nunique(), "groups"
            missing = np.flatnonzero(pd.isna(pd.Series(groups)))
            if len(missing):
                raise InvalidInputError(
                    f"groups is missing in row {missing[0]} ({len(missing)} row(s) in "
                    "all): fill the gaps, with one new value for all of them or a new "
                    "value for each."
                )
        if self.n_splits < 2 or self.n_splits > count:
            raise InvalidInputError(
                f"n_splits={self.n_splits} must be at least 2 and at most the number "
                f"of {what}, which is {count} (n_samples={n_rows})."
            )
        bins = quantile_bins(target, _N_BINS, self.n_splits)
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        rng = local_generator(self.random_state)
        folds = kind(self.n_splits, shuffle=True, random_state=rng)
        yield from folds.split(np.zeros(n_rows), bins, groups)


def quantile_bins(y: np.ndarray, n_bins: int, min_size: int) -> np.ndarray:
    """Return the quantile bin of each target; bins have at least `min_size` rows."""
    wanted = max(1, min(n_bins, len(y) // max(min_size, 1)))
    edges = np.unique(np.quantile(y, np.linspace(0, 1, wanted + 1)[1:-1]))
    bins = np.searchsorted(edges, y, side="right")
    sizes = np.bincount(bins, minlength=len(edges) + 1)
    merged, current, filled = np.zeros(len(sizes), dtype=int), 0, 0
    for i, size in enumerate(sizes):
        if filled >= min_size and sizes[i:].sum() >= min_size:
            current, filled = current + 1, 0
        merged[i] = current
        filled += size
    return merged[bins]


def time_split(
    time: ArrayLike, *, test_size: float | int = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows by time: fit on the earlier ones, test on the later ones.

    Parameters
    ----------
    time : array-like of shape (n_samples,)
        Dates in any form that `TemporalEncoder` takes. Numbers may count anything that
        grows with time, such as years, days or rounds.
    test_size : float or int, default=0.2
        Share (below 1) or number of the latest rows to test on. Training rows are
        strictly earlier: rows with the same time as the first test row are tested too.

    Returns
    -------
    train, test : ndarray of int
        Positions of the rows, ordered by time.

    Raises
    ------
    InvalidInputError
        If a time is missing or can't be read, or one side is empty.

    Examples
    --------
    >>> from hyperfusion.model_selection import time_split
    >>> train, test = time_split(["2015", "2013", "2014", "2012"], test_size=0.25)
    >>> train.tolist(), test.tolist()
    ([3, 1, 2], [0])
    """
    times = as_times(time, required=True)
    order = times.argsort(kind="stable").to_numpy()
    size = round(test_size * len(times)) if test_size < 1 else int(test_size)
    if not 0 < size < len(times):
        raise InvalidInputError(
            f"test_size={test_size} leaves no rows to learn from or to test on: there "
            f"are {len(times)} rows."
        )
    ordered = times.to_numpy()[order]
    first = int(np.flatnonzero(ordered == ordered[-size])[0])
    if first == 0:
        raise InvalidInputError(
            f"test_size={test_size} leaves no rows to learn from: {len(times)} rows "
            f"have the same time as the first test row, {ordered[0]!r}."
        )
    return order[:first], order[first:]
