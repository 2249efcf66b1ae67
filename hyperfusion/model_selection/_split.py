"""Splitters for regression: stratified, by time, and with partly missing targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import (
    BaseCrossValidator,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils import check_consistent_length, indexable

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import (
    Interval,
    StrOptions,
    _safe_indexing,
    validate_params,
)
from hyperfusion._validation import COUNT, check_target, local_generator
from hyperfusion.cells._times import as_times
from hyperfusion.exceptions import InvalidInputError

_N_BINS = 10


@with_parameters
class StratifiedRegressionKFold(BaseCrossValidator):
    """K folds in which the target has the same distribution.

    The target is divided into ten quantile bins, or fewer if it has few distinct values
    or rows, whose rows are spread evenly over the folds. With `groups`, the rows of a
    group stay together.

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
                f"of {what}, which is {count} (n_samples={n_rows}). An integer cv is "
                "the number of splits."
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


@validate_params(
    {
        "time": "no_validation",
        "test_size": [Interval(Real, 0, 1, closed="neither"), COUNT],
    },
    prefer_skip_nested_validation=True,
)
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
    ordered, first = times.to_numpy()[order], 0
    if 0 < size < len(times):
        first = int(np.flatnonzero(ordered == ordered[-size])[0])
    if first == 0:
        raise InvalidInputError(
            f"test_size={test_size} leaves no rows to learn from or to test on: there "
            f"are {len(times)} rows, and those with the same time stay together."
        )
    return order[:first], order[first:]


class LabeledSplit(BaseCrossValidator):
    """Folds that validate labeled rows only and train on all unlabeled rows.

    With it, `cross_val_score`, `GridSearchCV` and similar tools work on targets with
    NaN: a splitter divides the labeled rows, and all others join each training part.

    Parameters
    ----------
    cv : int, splitter or iterable of (train, test), default=5
        The folds of the labeled rows. A number gives `StratifiedRegressionKFold`.
        Positions of an iterable count all rows, of which only labeled ones are tested.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import KFold
    >>> from hyperfusion.model_selection import LabeledSplit
    >>> y = np.array([1.0, np.nan, 2.0, 3.0, np.nan, 4.0])
    >>> for train, test in LabeledSplit(KFold(2)).split(y, y):
    ...     print(train, test)
    [1 3 4 5] [0 2]
    [0 1 2 4] [3 5]
    """

    # groups are optional, but routed here whenever they are passed
    __metadata_request__split = {"groups": True}

    def __init__(self, cv: Any = 5):
        # a search iterates over the folds more than once
        self.cv = list(cv) if isinstance(cv, Iterator) else cv

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: ArrayLike | None = None
    ) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : array-like of length n_samples, default=None
            For splitters whose number of folds depends on them. `y` is NaN for
            unlabeled rows.

        Returns
        -------
        int
            Number of pairs that `split` yields.
        """
        known = [X, y, groups]
        if y is not None:
            known = self._taken(np.flatnonzero(_labeled(y)), *known)
        return self._splitter().get_n_splits(*known)

    def split(
        self, X: Any, y: ArrayLike, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the folds.

        Parameters
        ----------
        X, y, groups : array-like of length n_samples
            Rows, targets (NaN for unlabeled rows) and groups for the splitter, if it
            takes any.

        Yields
        ------
        train, test : ndarray of int
            Positions of the rows, in their order.

        Raises
        ------
        InvalidInputError
            If no row has a label.
        """
        check_consistent_length(X, y, groups)
        labeled = _labeled(y)
        rows, others = np.flatnonzero(labeled), np.flatnonzero(~labeled)
        if not hasattr(self.cv, "split") and not isinstance(self.cv, Integral):
            for train, test in self._splitter().split():
                yield np.union1d(train, others), test[labeled[test]]
            return
        known = self._taken(rows, X, y, groups)
        for train, test in self._splitter().split(*known):
            yield np.union1d(rows[train], others), rows[test]

    def _splitter(self) -> Any:
        if isinstance(self.cv, Integral):
            return StratifiedRegressionKFold(int(self.cv))
        return check_cv(self.cv)

    @staticmethod
    def _taken(rows: np.ndarray, *values: Any) -> list[Any]:
        return [None if v is None else _safe_indexing(v, rows) for v in values]


@validate_params(
    {"scoring": [StrOptions(set(get_scorer_names())), callable, None]},
    prefer_skip_nested_validation=True,
)
def labeled_scorer(scoring: str | Callable | None = None) -> Callable[..., float]:
    """Make a scorer that ignores rows without a target.

    For ``scoring=`` of scikit-learn's searches with ordinary folds, or for training
    scores with `LabeledSplit`.

    Parameters
    ----------
    scoring : str, scorer or None, default=None
        A scorer or the name of one; None is the estimator's own ``score``.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``, which can be pickled.

    Raises
    ------
    ValueError
        If the name is unknown. When called: if no row has a label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from hyperfusion.model_selection import labeled_scorer
    >>> X, y = np.zeros((4, 1)), np.array([1.0, 3.0, np.nan, 5.0])
    >>> model = DummyRegressor(strategy="constant", constant=2.0).fit(X, np.ones(4))
    >>> float(labeled_scorer("neg_mean_absolute_error")(model, X, y))
    -1.67
    """
    return partial(_score_labeled, scoring)


def _score_labeled(
    scoring: Any, estimator: Any, X: Any, y: ArrayLike, **params: Any
) -> float:
    """Score the labeled rows; parameters with one value per row are cut to them."""
    labeled = _labeled(y)
    rows = np.flatnonzero(labeled)
    for name, value in params.items():
        if hasattr(value, "__len__") and len(value) == len(labeled):
            params[name] = _safe_indexing(value, rows)
    X, y = _safe_indexing(X, rows), _safe_indexing(y, rows)
    return check_scoring(estimator, scoring=scoring)(estimator, X, y, **params)


def _labeled(y: ArrayLike) -> np.ndarray:
    labeled = ~np.isnan(check_target(y, np.shape(y)[0], allow_nan=True))
    if not labeled.any():
        raise InvalidInputError(
            f"Input y contains NaN in all {len(labeled)} rows: there is no label."
        )
    return labeled
