"""What encoders of several columns share: the frame in and out, numbers, categories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion.encoders._column import is_missing, keep_index, warn_of_bad_cells
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table._frames import check_table

_COLLECTIONS = (list, tuple, set, frozenset, dict, np.ndarray)
_THOUSANDS = re.compile(
    r"[+-]?\d{1,3}(?P<sign>[,'\u2019_ \u00a0\u202f])\d{3}(?:(?P=sign)\d{3})*(?:\.\d*)?"
)


class TableEncoder(TransformerMixin, HyperFusionEstimator):
    """Base of encoders that turn columns of a table into features.

    Subclasses implement ``_fit_table(table)``, ``_transform_table(table)``, which
    returns a DataFrame or a float32 array, and ``_feature_names()``.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the columns of a table.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            The table; the labels of an array's columns are their positions. A
            Series, or a list or an array of one dimension, is one column.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted encoder.
        """
        self._validate_params()
        self._fit_table(self._table(X, reset=True))
        _check_unique(self._feature_names(), type(self).__name__)
        return self

    def transform(self, X: Any) -> Any:
        """Turn the columns of a table into features.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            A table with the columns that were there at fit.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features)
            One row for each row of `X`, as the class describes it.
        """
        check_is_fitted(self)
        features = self._transform_table(self._table(X, reset=False))
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

    def _table(self, X: Any, *, reset: bool) -> pd.DataFrame:
        if isinstance(X, pd.Series):
            X = X.to_frame(0 if X.name is None else X.name)
        elif isinstance(X, (list, tuple)):
            X = np.asarray(X, dtype=object)
        if isinstance(X, np.ndarray) and X.ndim == 1:
            X = X.reshape(-1, 1)
        return check_table(self, X, reset=reset)

    def _fit_table(self, table: pd.DataFrame) -> None:
        raise NotImplementedError

    def _transform_table(self, table: pd.DataFrame) -> Any:
        raise NotImplementedError

    def _feature_names(self) -> list[str]:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


def _check_unique(names: list[str], who: str) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidInputError(
            f"{who} would give two features the same name: {twice}. "
            "Rename the columns they come from."
        )


def settle_bad_cells(
    rows: Sequence[int] | np.ndarray,
    reason: Callable[[int], str],
    column: Any,
    on_error: str,
    *,
    n_cells: int,
    warn: bool = True,
) -> None:
    """Raise for the first bad row of a column, or warn once of all of them.

    Parameters
    ----------
    rows : sequence of int
        Positions of the bad cells, ascending.
    reason : callable
        Returns what is wrong with the cell of a row.
    column : hashable
        The column's label.
    on_error : {"raise", "missing"}
        What the user wants.
    n_cells : int
        Number of all cells of the column.
    warn : bool
        False at fit, whose bad cells the following transform reports.
    """
    if len(rows) == 0:
        return
    if on_error == "raise":
        raise BadCellError(reason(int(rows[0])), int(rows[0]), column)
    if warn:
        first = f"row {rows[0]}: {reason(int(rows[0]))}"
        warn_of_bad_cells([first] * len(rows), n_cells, column, stacklevel=7)


def read_numbers(cells: pd.Series, on_error: str, *, warn: bool = True) -> np.ndarray:
    """Return a column as float64; missing, blank and bad cells are NaN.

    Booleans count as 0 and 1, texts that are numbers as these numbers. Other texts,
    dates and infinite numbers are bad cells.
    """
    numbers, bad = split_numbers(cells)
    settle_bad_cells(
        bad,
        lambda row: not_a_number(cells, row),
        cells.name,
        on_error,
        n_cells=len(cells),
        warn=warn,
    )
    return numbers


def split_numbers(cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as `read_numbers` does, and the rows of its bad cells."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    if cells.dtype.kind in "mMc":
        raise InvalidInputError(
            f"column {cells.name!r} holds {cells.dtype}, not numbers: give dates as "
            "time, and durations as numbers of days or seconds."
        )
    numbers = as_floats(cells)
    unread = np.flatnonzero(~np.isfinite(numbers))
    numbers[unread] = np.nan
    there = [not is_blank(cell) for cell in cells.iloc[unread]]
    return numbers, unread[np.array(there, dtype=bool)]


def not_a_number(cells: pd.Series, row: int) -> str:
    """Return why the cell of a row is no number."""
    cell = cells.iloc[row]
    said = f"expected a finite number, got {cell!r}"
    number = _THOUSANDS.fullmatch(cell.strip()) if isinstance(cell, str) else None
    if number is None:
        return said
    sign = number["sign"]
    return (
        f"{said}: take the {sign!r} between thousands out first, for example with "
        f"column.str.replace({sign!r}, '')"
    )


def as_floats(cells: pd.Series) -> np.ndarray:
    """Return numbers and texts of numbers as float64; NaN for all that is neither."""
    try:
        values = pd.to_numeric(cells, errors="coerce")
    except OverflowError:
        values = pd.to_numeric(cells.map(_bounded), errors="coerce")
    if values.dtype.kind == "c":
        raise InvalidInputError("Complex data not supported")
    return values.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)


def _bounded(cell: Any) -> Any:
    huge = isinstance(cell, int) and cell.bit_length() > 1023
    return np.inf if huge else cell


def is_blank(cell: Any) -> bool:
    """Whether a cell is missing or a text of nothing but space."""
    return not cell.strip() if isinstance(cell, str) else is_missing(cell)


def read_levels(cells: pd.Series, on_error: str, *, warn: bool = True) -> pd.Series:
    """Return a column's categories as texts; missing, blank and bad cells are None.

    Whole numbers are written without a decimal point, so that a column of integers
    keeps its levels where missing values have turned it into floats. A collection
    is a bad cell.
    """
    settle_bad_cells(
        [row for row, cell in enumerate(cells) if isinstance(cell, _COLLECTIONS)],
        lambda row: f"expected one category, got a {type(cells.iloc[row]).__name__}",
        cells.name,
        on_error,
        n_cells=len(cells),
        warn=warn,
    )
    levels = [_level(cell) for cell in cells]
    return pd.Series(levels, index=cells.index, dtype=object, name=cells.name)


def _level(cell: Any) -> str | None:
    if isinstance(cell, _COLLECTIONS) or is_blank(cell):
        return None
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        cell = int(cell)
    return str(cell).strip()


def frequent_levels(levels: pd.Series, min_frequency: int) -> list[str]:
    """Return the sorted levels that occur at least `min_frequency` times."""
    counts = Counter(levels.dropna())
    return sorted(level for level, count in counts.items() if count >= min_frequency)


def as_category(levels: pd.Series, known: list[str]) -> pd.Series:
    """Return levels as ``category`` dtype; levels that are not known are missing."""
    codes = pd.Index(known, dtype=object).get_indexer(levels)
    values = pd.Categorical.from_codes(codes, categories=known)
    return pd.Series(values, index=levels.index)


def signed_log(numbers: np.ndarray) -> np.ndarray:
    """Return ``sign(x) * log(1 + |x|)``: a log scale that zero and below can take."""
    return np.sign(numbers) * np.log1p(np.abs(numbers))
