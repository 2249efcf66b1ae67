"""Numbers in any form."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.cells._columns import Cells, as_column, is_blank, shown

_THOUSANDS = re.compile(
    r"[+-]?\d{1,3}(?P<sign>[,'\u2019_ \u00a0\u202f])\d{3}(?:(?P=sign)\d{3})*(?:\.\d*)?"
)

_SHORTENED = re.compile(r"\d(?:\.\d*)?E\+\d\d")
_DURATIONS = "give durations as numbers of days or seconds"
_ADVICE = {
    re.compile(pattern): advice
    for pattern, advice in {
        r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+": (
            "its comma is a decimal point: read the file with "
            "pd.read_csv(path, decimal=',', thousands='.'), or turn '1.234,5' into "
            "'1234.5'"
        ),
        r"[+-]?[$€£¥₹]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?\s?[$€£¥₹%]?": (
            "remove its unit first, for example with "
            "pd.to_numeric(column.str.replace('[^0-9.+-]', '', regex=True))"
        ),
        r"[+-]?[$€£¥₹]?[\d.,]+\s?[KkMmBb]n?": (
            "write its thousands or millions out, as 1200 for '1.2K'"
        ),
        r"P(?=.*\d)(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+S)?)?|\d+:\d\d:\d\d": (
            f"{_DURATIONS}, for example with pd.to_timedelta(column).dt.total_seconds()"
        ),
    }.items()
}
"""What to do with texts of numbers that can't be read."""


def read_numbers(column: Any) -> Cells:
    """Read a column as float64; missing, blank and bad cells are NaN."""
    cells = as_column(column)
    numbers = as_floats(cells)
    unread = np.flatnonzero(~np.isfinite(numbers))
    numbers[unread] = np.nan
    there = zip(unread.tolist(), cells.iloc[unread], strict=True)
    bad = {}
    for row, cell in there:
        if not is_blank(cell):
            said, advice = f"expected a finite number, got {shown(cell)}", _advice(cell)
            bad[row] = f"{said}: {advice}" if advice else said
    return Cells(numbers, bad, cells)


def _advice(cell: Any) -> str | None:
    if isinstance(cell, (datetime.date, np.datetime64, pd.Period)):
        return "give dates as time"
    if isinstance(cell, (datetime.timedelta, np.timedelta64)):
        return _DURATIONS
    text = cell.strip() if isinstance(cell, str) else ""
    if number := _THOUSANDS.fullmatch(text):
        sign = number["sign"]
        return (
            f"remove the {sign!r} between thousands first, for example with "
            f"column.str.replace({sign!r}, '')"
        )
    known = (advice for form, advice in _ADVICE.items() if form.fullmatch(text))
    return next(known, None)


def as_floats(cells: pd.Series) -> np.ndarray:
    """Return numbers and texts of numbers as float64; NaN for anything else."""
    if cells.dtype.kind in "biuf":
        return cells.to_numpy(dtype=np.float64, copy=True)
    if cells.dtype != object:
        return np.full(len(cells), np.nan)
    numbers = pd.Series([_plain(cell) for cell in cells], dtype=object)
    return pd.to_numeric(numbers, errors="coerce").to_numpy(np.float64, copy=True)


def _plain(cell: Any) -> Any:
    """Return a cell in a form that pandas reads correctly."""
    if isinstance(cell, str):
        return cell if cell.isascii() else None
    if isinstance(cell, int):
        return np.inf if cell.bit_length() > 1023 else float(cell)
    return None if isinstance(cell, (complex, np.complexfloating)) else cell


def lost_digits(cells: Iterable[Any], column: str) -> str | None:
    """Say which long numbers, as floats or as spreadsheets show them, are rounded."""
    for cell in cells:
        if isinstance(cell, str):
            rounded = _SHORTENED.fullmatch(cell.strip()) is not None
        else:
            bits = 24 if isinstance(cell, np.float32) else 53
            is_float = isinstance(cell, (float, np.float32))
            rounded = is_float and bool(2**bits <= abs(cell) < np.inf)
        if rounded:
            return (
                f"Numbers{column} such as {shown(cell)} have lost their last digits, "
                "so different ones may have become equal: take them from their source "
                "as text, for example with pd.read_csv(path, dtype={column: str})."
            )
    return None


def without_overflow(cells: Cells) -> Cells:
    """Mark numbers beyond the range of float32 as bad."""
    numbers = cells.clean
    return cells.reject(
        np.abs(numbers) > np.finfo(np.float32).max,
        lambda row: f"{numbers[row]:g} is beyond the range of float32",
    )


def signed_log(numbers: np.ndarray) -> np.ndarray:
    """Return ``sign(x) * log(1 + |x|)``, a log scale for numbers of any sign."""
    return np.sign(numbers) * np.log1p(np.abs(numbers))


def signs_of_numbers(cells: pd.Series) -> str | None:
    """Describe a column of numbers, up to 2% of them bad; raise if they have units."""
    found = read_numbers(cells)
    few = 0.02 * len(cells)
    if len(found.bad) <= few:
        low, high = np.nanmin(found.clean), np.nanmax(found.clean)
        return f"numbers from {low:.6g} to {high:.6g}"
    texts = cells.iloc[list(found.bad)]
    advised = [isinstance(text, str) and _advice(text) is not None for text in texts]
    if any(advised) and len(texts) - sum(advised) <= few:
        raise ValueError(list(found.bad.values())[advised.index(True)])
    return None
