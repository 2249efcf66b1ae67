"""What encoders of a single column share: reading cells, naming the bad ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import _get_output_config
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError

ON_ERROR = ("raise", "missing")


class ColumnEncoder(TransformerMixin, HyperFusionEstimator):
    """Base of encoders that turn one column into a float32 array.

    Subclasses implement ``_fit_cells(cells, y)`` (optional),
    ``_transform_cells(cells) -> float32 array`` and ``_feature_names() -> list``,
    where `cells` is what `read_column` returns.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a column.

        Parameters
        ----------
        X : Series, list, array of shape (n_samples,) or table of shape (n_samples, 1)
            The cells.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted encoder.
        """
        self._validate_params()
        cells = read_column(X, type(self).__name__)
        self._fit_cells(cells, y)
        self.n_features_in_ = 1
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Turn a column into features.

        Parameters
        ----------
        X : Series, list, array of shape (n_samples,) or table of shape (n_samples, 1)
            The cells.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            One row for each cell.
        """
        check_is_fitted(self)
        features = self._transform_cells(read_column(X, type(self).__name__))
        return keep_index(self, X, features)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str
            One name for each column of the output.
        """
        check_is_fitted(self)
        return np.asarray(self._feature_names(), dtype=object)

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        """Learn from the cells; most encoders have nothing to learn."""

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        raise NotImplementedError

    def _feature_names(self) -> list[str]:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


def keep_index(encoder: Any, X: Any, features: Any) -> Any:
    """Return features with the index of a Series where pandas output is wanted.

    scikit-learn keeps the index of a frame; its older versions forget a Series'.
    """
    if not isinstance(X, pd.Series) or isinstance(features, pd.DataFrame):
        return features
    if _get_output_config("transform", encoder)["dense"] != "pandas":
        return features
    return pd.DataFrame(features, index=X.index)


def read_column(X: Any, who: str) -> pd.Series:
    """Return the cells of one column as an object Series; its name is the column's.

    Raises
    ------
    InvalidInputError
        If there are several columns, or no rows, or if `X` is a single text.
    """
    if isinstance(X, (str, bytes)) or not isinstance(X, Iterable):
        raise InvalidInputError(
            f"{who} expects a column of cells, got one {type(X).__name__}: "
            "put it into a list."
        )
    if hasattr(X, "to_pandas") and not isinstance(X, (pd.DataFrame, pd.Series)):
        X = X.to_pandas()
    if isinstance(X, pd.Series):
        cells = X.astype(object)
    elif isinstance(X, pd.DataFrame):
        _check_one_column(X.shape[1], who)
        cells = X.iloc[:, 0].astype(object)
    elif isinstance(X, np.ndarray) and X.ndim == 2:
        _check_one_column(X.shape[1], who)
        cells = pd.Series(list(X[:, 0]), dtype=object)
    else:
        cells = pd.Series(list(X), dtype=object)
    if cells.empty:
        raise InvalidInputError(
            f"Found array with 0 sample(s) while a minimum of 1 is required by {who}."
        )
    return cells


def _check_one_column(n_columns: int, who: str) -> None:
    if n_columns != 1:
        raise InvalidInputError(
            f"{who} takes one column, got {n_columns}. Select one, or use PostEncoder "
            "or a ColumnTransformer for several."
        )


def is_missing(cell: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NaT or NA."""
    if isinstance(cell, str):
        return False
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return True
    return np.isscalar(cell) and bool(pd.isna(cell))


def read_cells(
    cells: pd.Series,
    read: Callable[[Any], Any],
    on_error: str,
    *,
    warn: bool = True,
    stacklevel: int = 4,
) -> list[Any]:
    """Apply `read` to every cell that is there; None for the missing and the bad.

    `read` raises ValueError, TypeError or OSError for a cell that it can't use: by
    `on_error` this stops with a `BadCellError`, or counts in one warning (none where
    `warn` is false: at a fit whose transform will warn).
    """
    values: list[Any] = []
    bad: list[str] = []
    for row, cell in enumerate(cells):
        value = None
        if not is_missing(cell):
            try:
                value = read(cell)
            except (ValueError, TypeError, OSError) as error:
                if on_error == "raise":
                    raise BadCellError(str(error), row, cells.name) from error
                bad.append(f"row {row}: {error}")
        values.append(value)
    if warn:
        warn_of_bad_cells(bad, len(cells), cells.name, stacklevel=stacklevel)
    return values


def stack_rows(rows: list[Any], n_features: int) -> np.ndarray:
    """Return rows of features as float32, followed by a column ``is_missing``.

    A row that is None becomes NaN, and 1 in the last column.
    """
    out = np.full((len(rows), n_features + 1), np.nan, dtype=np.float32)
    for row, values in zip(out, rows, strict=True):
        row[-1] = values is None
        if values is not None:
            row[:-1] = values
    return out


def warn_of_bad_cells(
    bad: list[str], n_cells: int, column: Any, *, stacklevel: int = 3
) -> None:
    """Give one warning that counts the bad cells of a column and shows the first."""
    if not bad:
        return
    place = "" if column is None else f" of column {column!r}"
    message = (
        f"{len(bad)} cell(s){place} can't be used and count as missing, first {bad[0]}."
    )
    if len(bad) == n_cells > 1:
        message += f" These are all {n_cells}: does the column have the right role?"
    warnings.warn(message, BadCellWarning, stacklevel=stacklevel)
