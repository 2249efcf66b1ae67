"""Cells of released files as numbers, dates, texts and vectors.

Placeholders such as ``None`` or ``0000-00-00`` are missing. Other cells are read like
everywhere in the package, with one `BadCellWarning` per column with bad cells.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.cells._columns import Cells, is_missing, shown
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.cells._texts import mend
from hyperfusion.cells._times import read_times

_PLACEHOLDERS = {"", "none", "null", "nan", "n/a", "<na>"}
_NO_DATE = {"0", "0.0", "0000-00-00 00:00:00", "0000-00-00"}
# year, month, day, hour in ten digits, which are seconds since 1970 elsewhere
_HOUR = re.compile(r"((?:18|19|20)\d\d|2100)(\d\d)(\d\d)(\d\d)(?:\.0*)?")


def clean_texts(cells: pd.Series, *, placeholders: bool = False) -> pd.Series:
    """Return stripped texts; None if empty or, with `placeholders`, like ``None``."""
    words = _PLACEHOLDERS if placeholders else {""}
    clean: list[str | None] = []
    for cell in cells:
        text = "" if is_missing(cell) else str(cell).strip()
        nothing = (text.lower() if placeholders else text) in words
        clean.append(None if nothing else mend(text))
    return pd.Series(clean, index=cells.index, dtype=object)


def clean_numbers(cells: pd.Series) -> np.ndarray:
    return read_numbers(_without(cells, _PLACEHOLDERS)).settle("missing")


def clean_seconds(cells: pd.Series) -> np.ndarray:
    """Return times as datetime64[s] (UTC); NaT if missing."""
    times = read_times(_without(cells, _PLACEHOLDERS)).settle("missing")
    known = ~np.isnan(times.seconds)
    moments = np.where(known, times.seconds, 0).astype("datetime64[s]")
    return np.where(known, moments, np.datetime64("NaT", "s"))


def clean_dates(cells: pd.Series) -> np.ndarray:
    """Return times also of dates like ``1904010100`` (with the hour); 0 is missing."""
    return clean_seconds(_without(cells, _NO_DATE).map(_with_hour))


def _without(cells: pd.Series, words: set[str]) -> pd.Series:
    missing = [str(cell).strip().lower() in words for cell in cells]
    return cells.astype(object).mask(missing, None)


def _with_hour(cell: Any) -> Any:
    found = _HOUR.fullmatch(str(cell).strip())
    return "{}-{}-{}T{}".format(*found.groups()) if found else cell


def clean_vectors(cells: pd.Series, width: int) -> pd.Series:
    """Return vectors of `width` numbers, equal ones kept once; None if missing."""
    joined = [" ".join(map(str, c)) if isinstance(c, list) else c for c in cells]
    codes, different = pd.factorize(np.array([*joined, None], dtype=object)[:-1])
    vectors: list[np.ndarray | None] = [None] * (len(different) + 1)
    bad = np.zeros(len(different) + 1, dtype=bool)
    texts = clean_texts(pd.Series(different, dtype=object), placeholders=True)
    for code, text in enumerate(texts):
        words = (text or "").strip("[]").replace(",", " ").replace(";", " ").split()
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(words, dtype=np.float32)
        except ValueError:
            numbers = np.array([])
        if len(numbers) == width and np.isfinite(numbers).all():
            vectors[code] = numbers
        else:
            bad[code] = len(words) > 0
    rows = np.flatnonzero(bad[codes])
    why = {int(r): f"{shown(cells.iloc[r])} is not {width} numbers" for r in rows}
    values = pd.Series([vectors[code] for code in codes], cells.index, dtype=object)
    return Cells(values, why, cells).settle("missing")
