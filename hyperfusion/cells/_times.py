"""Reading times and time zones, whatever form they come in."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from numbers import Number, Real
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from hyperfusion.encoders._column import is_missing, read_cells
from hyperfusion.encoders._table import as_floats, is_blank, settle_bad_cells
from hyperfusion.exceptions import BadCellError

# seconds from 1970 to the ends of what nanoseconds since then can count
_EARLIEST, _LATEST = -9_214_560_000.0, 9_214_646_400.0

# eight digits are a date of ISO 8601 without its hyphens
_WHOLE = r"(?!\d{8}$)[+-]?\d+(?:\.0*)?"
_UTC = r"(?<=\d)\s*(?:UTC|GMT)$"
_WITH_OFFSET = r"[T ]\s*\d{2}.*(?:Z|[+-]\d{2}:?(?:\d{2})?)$"
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])?(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)

Zone = int | str
"""Seconds east of UTC, or an IANA name."""


@dataclass
class Times:
    """Moments of a column.

    Attributes
    ----------
    seconds : ndarray of float64
        Seconds since 1970, NaN where there is no time.
    naive : ndarray of bool
        Where the cell did not say what its time zone is; the seconds are then what a
        clock in UTC would show.
    """

    seconds: np.ndarray
    naive: np.ndarray


def read_times(cells: pd.Series, on_error: str, *, warn: bool = True) -> Times:
    """Return the moments of a column; missing, blank and bad cells are NaN.

    Takes datetimes of any kind, ISO 8601 texts, and whole numbers (or texts of whole
    numbers), which are seconds since 1970, or milli-, micro- or nanoseconds where they
    are too large for that.

    Raises
    ------
    BadCellError
        If a number looks like a year or like a date without separators, whatever
        `on_error`: it would silently become a moment of the year 1970.
    """
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    seconds = np.full(len(cells), np.nan)
    naive = np.zeros(len(cells), dtype=bool)
    for kind, rows in _rows_of_kinds(cells).items():
        seconds[rows], naive[rows] = _READERS[kind](cells.iloc[rows], rows)
    seconds[~((seconds >= _EARLIEST) & (seconds <= _LATEST))] = np.nan
    unread = np.flatnonzero(np.isnan(seconds))
    cells_there = zip(unread, cells.iloc[unread], strict=True)
    bad = [int(row) for row, cell in cells_there if not is_blank(cell)]
    settle_bad_cells(
        bad,
        lambda row: (
            f"can't read {cells.iloc[row]!r} as a time of the years 1678 to 2261: give "
            "datetimes, ISO 8601 texts, or whole seconds since 1970; turn other texts "
            "into dates first, for example with pd.to_datetime(column, dayfirst=True)"
        ),
        cells.name,
        on_error,
        n_cells=len(cells),
        warn=warn,
    )
    return Times(seconds, naive)


def _rows_of_kinds(cells: pd.Series) -> dict[str, np.ndarray]:
    """Return the rows of each kind of cell; cells of no kind can't be read."""
    if cells.dtype.kind == "M":
        return {"datetimes": np.arange(len(cells))}
    if cells.dtype.kind in "iuf":
        return {"numbers": np.arange(len(cells))}
    kinds = np.array([_kind(cell) for cell in cells], dtype=object)
    return {kind: np.flatnonzero(kinds == kind) for kind in set(kinds) - {None}}


def _kind(cell: Any) -> str | None:
    if isinstance(cell, str):
        return "texts"
    if is_missing(cell) or isinstance(cell, (bool, np.bool_, complex)):
        return None
    if isinstance(cell, (datetime.date, np.datetime64)):
        return "datetimes"
    return "numbers" if isinstance(cell, Number) else None


def _from_datetimes(
    cells: pd.Series, _rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if cells.dtype.kind == "M":
        naive = np.full(len(cells), cells.dt.tz is None)
    else:
        naive = np.array([getattr(c, "tzinfo", None) is None for c in cells])
    return _seconds(pd.to_datetime(cells, utc=True, errors="coerce")), naive


def _from_numbers(cells: pd.Series, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    numbers = as_floats(cells)
    _refuse_dates(numbers, rows, cells.name)
    size = np.abs(numbers)
    unit = np.select([size < 1e11, size < 1e14, size < 1e17], [1.0, 1e3, 1e6], 1e9)
    whole = np.isfinite(numbers) & (np.floor(numbers) == numbers)
    seconds = np.where(whole, np.floor(numbers / unit), np.nan)
    return seconds, np.zeros(len(cells), dtype=bool)


def _from_texts(cells: pd.Series, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    texts = cells.astype(object).str.strip().str.replace(_UTC, "Z", regex=True)
    number = texts.str.fullmatch(_WHOLE).to_numpy(dtype=bool)
    seconds = np.full(len(texts), np.nan)
    naive = ~texts.str.contains(_WITH_OFFSET).to_numpy(dtype=bool) & ~number
    if number.any():
        seconds[number], _ = _from_numbers(texts[number], rows[number])
    # pandas also takes words like "now": only what begins with a year is a time
    dated = ~number & texts.str.match(r"\d{4}").to_numpy(dtype=bool)
    parsed = pd.to_datetime(texts[dated], format="ISO8601", utc=True, errors="coerce")
    seconds[dated] = _seconds(parsed)
    return seconds, naive


_READERS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "datetimes": _from_datetimes,
    "numbers": _from_numbers,
    "texts": _from_texts,
}


def _seconds(moments: pd.Series) -> np.ndarray:
    """Return the whole seconds since 1970 that clocks show; NaN for NaT."""
    clock = moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    seconds = clock.astype(np.int64).astype(np.float64)
    seconds[np.isnat(clock)] = np.nan
    return seconds


def _refuse_dates(numbers: np.ndarray, rows: np.ndarray, column: Any) -> None:
    year = (numbers >= 1900) & (numbers <= 2100)
    date = (numbers >= 19000101) & (numbers <= 21001231)
    suspect = np.flatnonzero(year | date)
    if len(suspect):
        number = int(numbers[suspect[0]])
        what = "year" if number <= 2100 else "date written as a number"
        raise BadCellError(
            f"{number} looks like a {what}, while whole numbers in a column of times "
            "are seconds since 1970: give a date, such as '2015-07-01'",
            int(rows[suspect[0]]),
            column,
        )


def parse_zone(cell: Any) -> Zone | None:
    """Return the time zone that a cell names; None for blank text.

    Takes offsets as text ("-05:00", "+0530", "UTC+2"), hours as numbers, and IANA
    names.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        if text.upper() == "Z":
            return 0
        match = _OFFSET.fullmatch(text)
        if match:
            sign, hours, minutes = match.groups()
            offset = int(hours) * 3600 + int(minutes or 0) * 60
            return _check_offset(-offset if sign == "-" else offset, cell)
        try:
            return _check_offset(float(text) * 3600, cell)
        except ValueError:
            return _check_name(text)
    if isinstance(cell, Real) and not isinstance(cell, (bool, np.bool_)):
        return _check_offset(float(cell) * 3600, cell)
    raise _unknown_zone(cell)


def _check_offset(seconds: float, cell: Any) -> int:
    # the world's clocks are between 12 hours behind UTC and 14 before it
    if not -12 * 3600 <= seconds <= 14 * 3600:
        raise _unknown_zone(cell)
    return round(seconds)


def _check_name(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:
        raise _unknown_zone(name) from error


def _unknown_zone(cell: Any) -> ValueError:
    return ValueError(
        f"{cell!r} is no time zone: give an offset from UTC such as '-05:00', a number "
        "of hours between -12 and 14, or an IANA name such as 'Europe/Berlin'"
    )


def read_zones(
    cells: pd.Series, on_error: str, *, warn: bool = True
) -> list[Zone | None]:
    """Return the time zones of a column; None for missing, blank and bad cells."""
    read = lru_cache(maxsize=None, typed=True)(parse_zone)
    return read_cells(cells, read, on_error, warn=warn, stacklevel=6)


def to_utc_and_local(
    times: Times, zones: list[Zone | None], naive_is_local: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds of moments in UTC and on local clocks.

    Parameters
    ----------
    times : Times
        The moments.
    zones : list
        The time zone of each; None leaves UTC.
    naive_is_local : bool
        Whether times that name no zone were read from local clocks.
    """
    utc, local = times.seconds.copy(), times.seconds.copy()
    for zone, rows in _rows_of_zones(zones, ~np.isnan(times.seconds)).items():
        moments = times.seconds[rows]
        if naive_is_local:
            clock = times.naive[rows]
            moments[clock] = _from_clock(moments[clock], zone)
        utc[rows], local[rows] = moments, _to_clock(moments, zone)
    return utc, local


def _rows_of_zones(
    zones: list[Zone | None], known: np.ndarray
) -> dict[Zone, np.ndarray]:
    rows: dict[Zone, list[int]] = {}
    for row, zone in enumerate(zones):
        if zone is not None and known[row]:
            rows.setdefault(zone, []).append(row)
    return {zone: np.array(where) for zone, where in rows.items()}


def _to_clock(seconds: np.ndarray, zone: Zone) -> np.ndarray:
    if isinstance(zone, int):
        return seconds + zone
    clock = _index(seconds).tz_localize("UTC").tz_convert(ZoneInfo(zone))
    return _seconds(pd.Series(clock))


def _from_clock(seconds: np.ndarray, zone: Zone) -> np.ndarray:
    if isinstance(zone, int):
        return seconds - zone
    # an hour that a clock shows twice is taken as the first, one that it leaves out
    # as the moment after the gap
    first = np.ones(len(seconds), dtype=bool)
    moments = _index(seconds).tz_localize(
        ZoneInfo(zone), ambiguous=first, nonexistent="shift_forward"
    )
    return _seconds(pd.Series(moments.tz_convert("UTC")))


def _index(seconds: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(seconds.astype(np.int64).astype("datetime64[s]"))
