"""Base classes of the encoders of cells."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion._sklearn_compat import StrOptions
from hyperfusion._transformer import TableTransformer
from hyperfusion.cells._columns import ON_ERROR, Cells, as_column, learning
from hyperfusion.cells._levels import read_levels
from hyperfusion.cells._numbers import signed_log, without_overflow
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import Columns, as_frame, check_columns, check_table
from hyperfusion.table._names import single_name, unique_names

SLOTS = {
    "on_error": """
        on_error : {"raise", "missing"}, default="missing"
            What to do with a cell that can't be used: raise a
            :class:`~hyperfusion.exceptions.BadCellError` that names its row and column,
            or treat it as missing and warn once for the column.""",
    "one_column": """
        n_features_in_ : int
            Always 1.""",
    "columns": """
        n_features_in_ : int
            Number of columns at fit.
        feature_names_in_ : ndarray of str
            Labels of these columns, if all are strings.""",
}
"""Paragraphs shared by the docstrings of encoders."""


class CellEncoder(TableTransformer):
    """Base of encoders, which turn a column or a table of cells into features.

    Subclasses implement ``_transform_cells(cells)``, which returns a float32 array or a
    DataFrame, ``_feature_names()`` and, if they learn something, ``_fit_cells(cells,
    y)``. `cells` is what ``_read(X, reset=...)`` returns.
    """

    _slots = SLOTS
    _parameter_constraints: ClassVar[dict[str, Any]] = {}
    _read: Callable[..., Any]
    _transform_cells: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        on_error = {"on_error": [StrOptions(set(ON_ERROR))]}
        cls._parameter_constraints = {**cls._parameter_constraints, **on_error}

    def _fit(self, X: Any, y: Any) -> Any:
        cells = self._read(X, reset=True)
        with learning():
            self._fit_cells(cells, y)
        self.n_features_in_ = 1 if cells.ndim == 1 else cells.shape[1]
        return cells

    def _fit_transform(self, X: Any, y: Any) -> Any:
        return self._transform_cells(self._fit(X, y))

    def _transform(self, X: Any) -> Any:
        return self._transform_cells(self._read(X, reset=False))

    def _fit_cells(self, cells: Any, y: Any) -> None:
        """Learn from the cells; by default nothing."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


class ColumnEncoder(CellEncoder):
    """Base of encoders of one column, whose cells are a Series of objects."""

    def _read(self, X: Any, *, reset: bool) -> pd.Series:
        who = type(self).__name__
        X = as_frame(X) if hasattr(X, "columns") else X
        is_table = isinstance(X, (pd.DataFrame, np.ndarray)) and X.ndim == 2
        if is_table and X.shape[1] != 1:
            raise InvalidInputError(
                f"{who} takes one column, got {X.shape[1]}. Select one, or use "
                "PostEncoder or a ColumnTransformer for several."
            )
        cells = as_column(X).astype(object)
        if cells.empty:
            raise InvalidInputError(
                f"Found array with 0 sample(s) while a minimum of 1 is required by "
                f"{who}."
            )
        return cells

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


class TableEncoder(CellEncoder):
    """Base of encoders of several columns, whose cells are a DataFrame."""

    on_error: str

    def _read(self, X: Any, *, reset: bool) -> Any:
        is_column = hasattr(X, "to_list") or hasattr(X, "to_pylist")
        if is_column and not hasattr(X, "columns"):
            X = as_column(X)
            X = X.to_frame(0 if X.name is None else X.name)
        X = as_frame(X)
        if isinstance(X, (list, tuple)):
            X = np.asarray(X, dtype=object)
        if isinstance(X, np.ndarray) and X.ndim == 1:
            X = X.reshape(-1, 1)
        return check_table(self, X, reset=reset)

    def _levels(self, cells: pd.Series) -> pd.Series:
        return read_levels(cells).settle(self.on_error)

    def _scaled(self, cells: Cells, log: bool) -> np.ndarray:
        """Return numbers on a log scale, or unchanged if float32 can hold them."""
        if log:
            return signed_log(cells.settle(self.on_error))
        return without_overflow(cells).settle(self.on_error)


def one_column(table: pd.DataFrame, value: Columns, role: str) -> Hashable | None:
    """Return the label of the column that a parameter names, or None."""
    labels = check_columns(table, value, role, max_columns=1)
    return labels[0] if labels else None


def stack_rows(rows: list[Any], n_features: int) -> np.ndarray:
    """Return rows of features (None is missing) and a last column ``is_missing``."""
    out = np.full((len(rows), n_features + 1), np.nan, dtype=np.float32)
    for row, values in zip(out, rows, strict=True):
        row[-1] = values is None
        if values is not None:
            row[:-1] = values
    return out


def column_features(columns: Iterable[Any]) -> list[str]:
    """Return names of features that are single columns, never parts of a vector."""
    return unique_names(map(single_name, columns))
