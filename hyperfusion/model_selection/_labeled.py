"""Folds and scores for tables in which only some rows have a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection import BaseCrossValidator, check_cv
from sklearn.utils import check_consistent_length

from hyperfusion._sklearn_compat import _safe_indexing
from hyperfusion._validation import check_target
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._split import StratifiedRegressionKFold


class LabeledSplit(BaseCrossValidator):
    """Folds that validate labeled rows only and train on all unlabeled rows.

    With it, `cross_val_score`, `GridSearchCV` and similar tools work on targets with
    NaN. A splitter divides the labeled rows into folds, and all unlabeled rows are
    added to the training part of each.

    Parameters
    ----------
    cv : int, splitter or iterable of (train, test), default=5
        The folds of the labeled rows. A number gives `StratifiedRegressionKFold`.
        Positions of an iterable count all rows; unlabeled rows are removed from its
        test parts.

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
        if y is None:
            return self._splitter().get_n_splits(X, y, groups)
        rows = np.flatnonzero(_labeled(y))
        return self._splitter().get_n_splits(*self._taken(rows, X, y, groups))

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


def labeled_scorer(scoring: str | Callable | None = None) -> Callable[..., float]:
    """Make a scorer that ignores rows without a target.

    Pass it as ``scoring=`` to scikit-learn's searches if the rows that they score may
    have a NaN target: with ordinary folds, or for training scores with `LabeledSplit`.

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
    if isinstance(scoring, str):
        get_scorer(scoring)
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
