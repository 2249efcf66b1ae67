"""Cells of real files as numbers, dates, texts and vectors.

What is missing (blank or a placeholder) becomes missing; what can't be read becomes
missing with one `BadCellWarning` for each column that counts and shows the first.
"""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from hyperfusion.exceptions import BadCellWarning

_PLACEHOLDERS = {"", "none", "null", "nan", "n/a", "<na>"}
_NO_DATE = {"0", "0.0", "0000-00-00 00:00:00", "0000-00-00"}
_FIRST_SECOND = -62_135_596_800  # year 1
_LAST_SECOND = 253_402_300_799  # year 9999
# Numbers of these lengths are dates where they begin with a year of our time.
_DATE_FORMATS = {4: "%Y", 10: "%Y%m%d%H"}


def clean_texts(cells: pd.Series, *, placeholders: bool = False) -> pd.Series:
    """Return texts without surrounding space; None where nothing is left.

    Parameters
    ----------
    cells : Series
        Texts; numbers are written out.
    placeholders : bool, default=False
        Whether words like ``None`` mean that the cell is missing.
    """
    texts = cells.astype(object).where(cells.notna(), "").astype(str).str.strip()
    nothing = texts.str.lower().isin(_PLACEHOLDERS) if placeholders else texts == ""
    return texts.astype(object).where(~nothing, None)


def clean_numbers(cells: pd.Series) -> np.ndarray:
    """Return finite float64 numbers; NaN where there is none."""
    texts = clean_texts(_plain(cells), placeholders=True)
    numbers = np.array(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    _warn(cells, texts.notna() & np.isnan(numbers), "is no finite number")
    return numbers


def clean_seconds(cells: pd.Series) -> np.ndarray:
    """Return seconds since 1970 as datetime64[s] (UTC); NaT where there are none."""
    seconds = clean_numbers(cells)
    bad = (seconds < _FIRST_SECOND) | (seconds > _LAST_SECOND)
    _warn(cells, bad, "is no time in seconds")
    dates = np.full(len(seconds), np.datetime64("NaT", "s"))
    there = ~bad & ~np.isnan(seconds)
    dates[there] = seconds[there].astype(np.int64).astype("datetime64[s]")
    return dates


def clean_dates(cells: pd.Series) -> np.ndarray:
    """Return dates of several forms as datetime64[s] (UTC); NaT where there is none.

    The forms are seconds since 1970, ``1904010100`` (year, month, day, hour), a year,
    and ISO 8601 (``2015-03-01 08:00:00``). Equal cells are read once.
    """
    texts = clean_texts(_plain(cells), placeholders=True)
    codes, different = pd.factorize(texts.where(~texts.isin(_NO_DATE), None))
    dates = [_date_of(text) for text in different]
    values = np.array([*dates, np.datetime64("NaT", "s")], dtype="datetime64[s]")[codes]
    _warn(cells, (codes >= 0) & np.isnat(values), "is no date")
    return values


def _date_of(text: str) -> np.datetime64:
    number = re.fullmatch(r"(-?\d+)(\.0*)?", text)
    try:
        if number is None:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            return np.datetime64(moment, "s")
        digits = number[1]
        form = _DATE_FORMATS.get(len(digits))
        if form is not None and 1800 <= int(digits[:4]) <= 2100:
            return np.datetime64(datetime.strptime(digits, form), "s")
        if _FIRST_SECOND <= int(digits) <= _LAST_SECOND:
            return np.datetime64(int(digits), "s")
    except (ValueError, OverflowError):
        pass
    return np.datetime64("NaT", "s")


def clean_vectors(cells: pd.Series, width: int) -> np.ndarray:
    """Return vectors of `width` numbers, float32; a row of NaN where there is none.

    A vector is a list of numbers, or a text that holds them separated by commas,
    semicolons or spaces. Equal texts are read once.
    """
    joined = [" ".join(map(str, c)) if isinstance(c, list) else c for c in cells]
    texts = clean_texts(pd.Series(joined, index=cells.index), placeholders=True)
    codes, different = pd.factorize(texts)
    vectors = np.full((len(different) + 1, width), np.nan, dtype=np.float32)
    bad = np.zeros(len(different) + 1, dtype=bool)
    for code, text in enumerate(different):
        words = text.strip("[]").replace(",", " ").replace(";", " ").split()
        if not words:
            continue
        numbers = _numbers_of(words, width)
        bad[code] = numbers is None
        if numbers is not None:
            vectors[code] = numbers
    _warn(cells, bad[codes], f"is not {width} numbers")
    return vectors[codes]


def _numbers_of(words: list[str], width: int) -> np.ndarray | None:
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(words, dtype=np.float32)
    except ValueError:
        return None
    return numbers if len(numbers) == width and np.isfinite(numbers).all() else None


def _plain(cells: pd.Series) -> pd.Series:
    """Return truth values as 1 and 0, the other cells as they are."""
    plain = [int(c) if isinstance(c, bool) else c for c in cells]
    return pd.Series(plain, index=cells.index, dtype=object)


def _warn(cells: pd.Series, bad: np.ndarray | pd.Series, problem: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        cell = repr(cells.iloc[rows[0]])
        shown = cell if len(cell) <= 60 else f"{cell[:60]}..."
        warnings.warn(
            f"{len(rows)} cell(s) of column {cells.name!r} can't be used and count as "
            f"missing, first row {rows[0]}: {shown} {problem}.",
            BadCellWarning,
            stacklevel=4,
        )
