"""Cells of real files as numbers, dates, texts and vectors.

What is missing (blank or a placeholder) becomes missing; what can't be read becomes
missing with one `BadCellWarning` for each column that counts and shows the first.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from hyperfusion.exceptions import BadCellWarning

_PLACEHOLDERS = {"", "none", "null", "nan", "n/a", "<na>"}
_NO_DATE = {"0", "0000-00-00 00:00:00", "0000-00-00"}
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
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    _warn(cells, texts.notna() & np.isnan(numbers), "is no finite number")
    return numbers


def clean_seconds(cells: pd.Series) -> np.ndarray:
    """Return seconds since 1970 as datetime64[s] (UTC); NaT where there are none."""
    seconds = clean_numbers(cells)
    bad = (seconds < _FIRST_SECOND) | (seconds > _LAST_SECOND)
    _warn(cells, pd.Series(bad, index=cells.index), "is no time in seconds")
    seconds[bad] = np.nan
    return _from_seconds(seconds)


def clean_dates(cells: pd.Series) -> np.ndarray:
    """Return dates of several forms as datetime64[s] (UTC); NaT where there is none.

    The forms are seconds since 1970, ``1904010100`` (year, month, day, hour), a year,
    and ISO 8601 (``2015-03-01 08:00:00``).
    """
    texts = clean_texts(_plain(cells), placeholders=True)
    texts = texts.where(~texts.isin(_NO_DATE), None)
    dates = pd.Series(np.datetime64("NaT", "s"), index=cells.index)
    years = pd.to_numeric(texts.str[:4], errors="coerce").between(1800, 2100)
    numeric = texts.str.fullmatch(r"-?\d+").fillna(False).astype(bool)
    left = texts.notna()
    for length, form in _DATE_FORMATS.items():
        rows = left & numeric & years & (texts.str.len() == length)
        dates[rows] = _parsed(texts[rows], form)
        left &= ~rows
    rows = left & numeric
    seconds = pd.to_numeric(texts[rows]).astype(np.float64)
    within = seconds.between(_FIRST_SECOND, _LAST_SECOND)
    dates[rows] = _from_seconds(seconds.where(within).to_numpy())
    rows = left & ~numeric
    dates[rows] = _parsed(texts[rows], "ISO8601")
    _warn(cells, texts.notna() & dates.isna(), "is no date")
    return dates.to_numpy()


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
    _warn(cells, pd.Series(bad[codes], index=cells.index), f"is not {width} numbers")
    return vectors[codes]


def _numbers_of(words: list[str], width: int) -> np.ndarray | None:
    try:
        numbers = np.array(words, dtype=np.float32)
    except ValueError:
        return None
    return numbers if len(numbers) == width and np.isfinite(numbers).all() else None


def _plain(cells: pd.Series) -> pd.Series:
    """Return truth values as 1 and 0, and whole floats without ``.0``."""
    if cells.dtype != object:
        numbers = cells.astype(float) if cells.dtype == bool else cells
        whole = (
            pd.api.types.is_float_dtype(numbers) and (numbers.dropna() % 1 == 0).all()
        )
        return numbers.astype("Int64") if whole else numbers
    return cells.map(lambda c: int(c) if isinstance(c, bool) else c)


def _from_seconds(seconds: np.ndarray) -> np.ndarray:
    dates = np.full(len(seconds), np.datetime64("NaT", "s"))
    there = ~np.isnan(seconds)
    dates[there] = seconds[there].astype(np.int64).astype("datetime64[s]")
    return dates


def _parsed(texts: pd.Series, form: str) -> np.ndarray:
    dates = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
    return dates.dt.tz_localize(None).to_numpy().astype("datetime64[s]")


def _warn(cells: pd.Series, bad: pd.Series, problem: str) -> None:
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
