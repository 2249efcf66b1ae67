"""Columns from any library, missing cells, and bad cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError

ON_ERROR = ("raise", "missing")
COLLECTIONS = (list, tuple, set, frozenset, dict, np.ndarray)
_ARRAYS = (np.ndarray, pd.Index, pd.api.extensions.ExtensionArray)
MISSING_AS_TEXT = {"nan", "<NA>", "NaT", "None"}
_learning: ContextVar[bool] = ContextVar("_learning", default=False)


@contextmanager
def learning() -> Iterator[None]:
    """Within this block don't warn of bad cells: `transform` reads them again."""
    token = _learning.set(True)
    try:
        yield
    finally:
        _learning.reset(token)


@dataclass(frozen=True)
class Cells:
    """What was read from a column.

    `clean` has one value per row, NaN or None if the cell is missing or bad; `bad` maps
    the rows of unusable cells, in order, to the reasons; `source` is the column;
    `doubt` says what looks misread.
    """

    clean: Any
    bad: dict[int, str]
    source: pd.Series
    doubt: str | None = None

    def settle(self, on_error: str, *, learn: bool = False) -> Any:
        """Return the values; raise, or warn, if there are bad cells.

        What has no usable cell, but bad ones, is nothing to `learn` from.
        """
        in_vain = learn and self._all_bad()
        if self.bad and (on_error == "raise" or in_vain):
            row, reason = next(iter(self.bad.items()))
            raise BadCellError(reason, row, self.source.name)
        if self.bad and not _learning.get():
            warn_user(self._summary(), BadCellWarning)
        if self.doubt and not _learning.get():
            warn_user(self.doubt, BadCellWarning)
        return self.clean

    def _summary(self) -> str:
        """Return the number of bad cells, the first of them, and what may be wrong."""
        row, reason = next(iter(self.bad.items()))
        message = (
            f"{len(self.bad)} cell(s){of_column(self.source)} can't be used and count "
            f"as missing, first row {row}: {reason}."
        )
        if len(self.bad) > 1 and self._all_bad():
            message += (
                f" These are all {len(self.bad)} non-empty cells: does the column have "
                "the right role?"
            )
        return message

    def _all_bad(self) -> bool:
        n_filled = sum(not is_blank(cell) for cell in self.source)
        return bool(self.bad) and len(self.bad) == n_filled

    def reject(self, which: np.ndarray, why: Callable[[int], str]) -> Cells:
        """Mark more numbers as bad; those that were bad before keep their reasons."""
        bad = {row: why(row) for row in np.flatnonzero(which).tolist()} | self.bad
        clean = np.where(which, np.nan, self.clean)
        return replace(self, clean=clean, bad=dict(sorted(bad.items())))


def of_column(cells: pd.Series) -> str:
    """Return " of column 'name'" for messages, nothing without a name."""
    return "" if cells.name is None else f" of column {shown(cells.name)}"


def as_column(X: Any) -> pd.Series:
    """Return any library's cells as a Series of NumPy's or zoned datetimes' dtype."""
    if isinstance(X, (np.ndarray, pd.DataFrame)) and X.shape[1:] == (1,):
        X = X[:, 0] if isinstance(X, np.ndarray) else X.iloc[:, 0]
    if isinstance(X, pd.Series):
        cells = X
    elif isinstance(X, _ARRAYS) and X.ndim == 1:
        cells = pd.Series(X, dtype=X.dtype if X.dtype == object else None)
    else:
        to_list = getattr(X, "to_list", None) or getattr(X, "to_pylist", None)
        is_one = isinstance(X, (str, bytes)) or not isinstance(X, Iterable)
        if to_list is None and is_one:
            raise InvalidInputError(
                f"Expected a column of cells. Got {shown(X)}: put one cell into a list."
            )
        values = list(X) if to_list is None else to_list()
        # pandas would take lists of equal length for the rows of a table
        array = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            array[row] = value
        name = getattr(X, "name", None)
        try:
            cells = pd.Series(array, name=name)
        except (UnicodeEncodeError, OverflowError):  # half an emoji, a huge number
            cells = pd.Series(array, dtype=object, name=name)
    if isinstance(cells.dtype, pd.SparseDtype):
        cells = cells.sparse.to_dense()
    if isinstance(cells.dtype, (np.dtype, pd.DatetimeTZDtype)):
        return cells
    if cells.dtype.kind in "biuf" and not cells.hasnans:
        return cells.astype(cells.dtype.numpy_dtype)
    return cells.astype(object)


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty: None, NaN, NaT or NA."""
    if isinstance(cell, str):
        return False
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return True
    return np.isscalar(cell) and bool(pd.isna(cell))


def is_blank(cell: Any) -> bool:
    """Whether a cell is missing or text without anything but whitespace."""
    return not cell.strip() if isinstance(cell, str) else is_missing(cell)


def shown(cell: Any, longest: int = 80) -> str:
    """Return a cell as messages show it, cut if it is long."""
    if isinstance(cell, (str, bytes)):
        text = repr(cell[: 2 * longest])
    else:
        with np.printoptions(legacy="1.21"):  # 2.5, not np.float64(2.5)
            text = repr(cell)
    return text if len(text) <= longest else f"{text[:longest]}..."


def read_each(
    column: Any, read: Callable[[Any], Any], *, stop_at_bad: bool = False
) -> Cells:
    """Apply `read`, which may raise for a bad cell, to each cell that isn't missing."""
    source = as_column(column)
    values: list[Any] = [None] * len(source)
    bad: dict[int, str] = {}
    words = []
    for row, cell in enumerate(source):
        if is_missing(cell):
            continue
        try:
            values[row] = read(cell)
        except (ValueError, TypeError, OSError) as error:
            bad[row] = str(error)
            if stop_at_bad:
                break
        else:
            if isinstance(cell, str) and cell in MISSING_AS_TEXT:
                words.append(cell)
    return Cells(values, bad, source, doubt_of_words(words, source))


def doubt_of_words(words: list[str], cells: pd.Series) -> str | None:
    """Say which texts are what missing cells become when a column is made text."""
    if not words:
        return None
    return (
        f"{len(words)} cell(s){of_column(cells)} are texts such as {words[0]!r}, which "
        "missing cells become when a column is turned into text: leave them empty."
    )


def read_cells(cells: Any, read: Callable[[Any], Any], on_error: str) -> list[Any]:
    """Return the values of `read_each`, settled; an error stops the reading early."""
    return read_each(cells, read, stop_at_bad=on_error == "raise").settle(on_error)
