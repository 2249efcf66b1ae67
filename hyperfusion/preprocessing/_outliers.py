"""Outliers by Tukey's fences: training rows to drop, or cells to correct."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import (
    Interval,
    _check_feature_names_in,
    _fit_context,
    _safe_indexing,
)
from hyperfusion._transformer import TableTransformer
from hyperfusion._validation import NOT_NEGATIVE, check_target, inferred
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import as_float32
from hyperfusion.table._frames import as_frame, check_columns, check_table

_FLOAT32 = (np.finfo(np.float32).min, np.finfo(np.float32).max)


@with_parameters
class IQRFilter(TableTransformer):
    """Filter outliers by the interquartile range, in the training rows only.

    The paper's "outlier filtering using the interquartile range method" (section
    3.3): a value is an outlier if it lies more than `factor` interquartile ranges below
    the first or above the third quartile of the training rows.

    In an ordinary Pipeline it keeps all rows and clips outlying cells to the nearer
    fence. As `row_filter` of `HyperFusionRegressor`, which applies it to the training
    part of each fold, its `fit_resample` drops the rows whose target, or whose value in
    one of `columns`, is an outlier.

    Parameters
    ----------
    factor : float, default=1.5
        Distance of the fences beyond the quartiles, in interquartile ranges.
    columns : str, int or list, default=None
        Columns to check: names, or positions for an array. None means all columns of
        numbers when clipping cells, and only the target when dropping rows, because
        too many rows have an outlier somewhere.
    max_share : float, default=0.05
        Largest share of the rows to drop; more is an error. Viral posts and users with
        many followers are the interesting tail.

    Attributes
    ----------
    columns_ : list
        The checked columns.
    lower_, upper_ : ndarray of shape (n_columns,)
        Their fences.
    target_fences_ : tuple of float
        The fences of the target, which only `fit_resample` finds.
    sample_indices_ : ndarray of int
        After `fit_resample`, the positions of the kept rows, to index weights, groups
        and other values of the rows.
    dropped_by_ : dict
        After `fit_resample`, how many rows each column (and "target") drops. A row
        counts for each of them.
    %(columns_seen)s

    Notes
    -----
    Quartiles are those of the finite values. Missing values are not outliers and stay
    missing. Infinite values always are, and are clipped to the largest float32 if there
    are no fences: if both quartiles are equal, or fewer than four values are finite.
    `transform` returns all columns; checked columns and arrays become float32.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import IQRFilter
    >>> X, y = np.arange(10).reshape(5, 2), np.array([1.0, 2.0, 3.0, 4.0, 99.0])
    >>> IQRFilter().fit_transform([[1.0], [2.0], [3.0], [4.0], [99.0]]).ravel()
    array([1., 2., 3., 4., 7.], dtype=float32)
    >>> row_filter = IQRFilter(max_share=0.2)
    >>> row_filter.fit_resample(X, y)[1]
    array([1., 2., 3., 4.])
    >>> row_filter.sample_indices_
    array([0, 1, 2, 3])
    """

    _parameter_constraints = {
        "factor": [NOT_NEGATIVE],
        "columns": [str, Integral, list, tuple, None],
        "max_share": [Interval(Real, 0, 1, closed="both")],
    }

    factor: float = 1.5
    columns: Hashable | Sequence[Hashable] | None = None
    max_share: float = 0.05

    def _fit(self, X: Any, y: Any) -> None:
        table = check_table(self, X, reset=True)
        columns: Any = self.columns
        if columns is None:
            dtypes = [inferred(column).dtype for _, column in table.items()]
            is_number = [pd.api.types.is_numeric_dtype(dtype) for dtype in dtypes]
            columns = list(table.columns[is_number])
        self._find_fences(table, columns)

    def _find_fences(self, table: pd.DataFrame, columns: Any) -> np.ndarray:
        self.columns_ = check_columns(table, columns, "columns")
        values = as_float32(table[self.columns_])
        fences = [self._fences(column) for column in values.T]
        # within float32, so that infinity is beyond them and clips to a number
        self.lower_, self.upper_ = np.clip(fences, *_FLOAT32).reshape(-1, 2).T
        return values

    def _fences(self, values: np.ndarray) -> tuple[float, float]:
        finite = values[np.isfinite(values)].astype(np.float64)
        if len(finite) < 4:
            return -np.inf, np.inf
        first, third = np.quantile(finite, [0.25, 0.75])
        if first == third:
            return -np.inf, np.inf
        reach = self.factor * (third - first)
        return float(first - reach), float(third + reach)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Find the fences and drop the rows beyond them.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            The training rows.
        y : array-like of shape (n_samples,)
            Their targets.

        Returns
        -------
        X_resampled : DataFrame or array of shape (n_kept, n_features)
            The kept rows, unchanged, with their index.
        y_resampled : array-like of shape (n_kept,)
            Their targets.

        Raises
        ------
        InvalidInputError
            If this would drop more than `max_share` of the rows.
        """
        values = self._find_fences(check_table(self, X, reset=True), self.columns)
        target = check_target(y, as_frame(X))
        self.target_fences_ = low, high = self._fences(target)
        beyond = (values < self.lower_) | (values > self.upper_)
        outlying = dict(zip(self.columns_, beyond.T, strict=True))
        outlying["target"] = (target < low) | (target > high)
        kept = ~np.any(list(outlying.values()), axis=0)
        self.dropped_by_ = {c: int(rows.sum()) for c, rows in outlying.items()}
        self.sample_indices_ = np.flatnonzero(kept)
        share = 1 - kept.mean()
        if share > self.max_share:
            raise InvalidInputError(
                f"IQRFilter would drop {(~kept).sum()} of {len(kept)} rows "
                f"({share:.1%}; by column: {self.dropped_by_}), more than "
                f"max_share={self.max_share}. "
                "Raise factor, check fewer columns, transform skewed ones (log1p) "
                "first, clip instead of dropping, or raise max_share."
            )
        rows = self.sample_indices_
        return _safe_indexing(X, rows), _safe_indexing(y, rows)

    def _transform(self, X: Any) -> Any:
        table = check_table(self, X, reset=False)
        values = as_float32(table[self.columns_])
        clipped = np.clip(values, self.lower_, self.upper_).astype(np.float32)
        table = table.copy()
        for column, cells in zip(self.columns_, clipped.T, strict=True):
            table[column] = cells
        if isinstance(X, pd.DataFrame) or hasattr(X, "to_pandas"):
            return table
        return as_float32(table)

    def _feature_names(self, names: Any) -> np.ndarray:
        return _check_feature_names_in(self, names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True  # other columns can hold anything
        return tags
