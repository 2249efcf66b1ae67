"""Times in any form."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.cells._columns import (
    Cells,
    as_column,
    is_blank,
    is_missing,
    of_column,
    shown,
)
from hyperfusion.cells._numbers import as_floats
from hyperfusion.exceptions import InvalidInputError

# the range of 64-bit nanoseconds since 1970, in seconds
_EARLIEST, _LATEST = -9_214_560_000.0, 9_214_646_400.0
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
# 1980 to 2050: seconds outside this range are more likely something else
_RECENT = 315_532_800.0, 2_524_608_000.0
_UNITS = (1e11, 1e14, 1e17)  # where milli-, micro- and nanoseconds begin
_LARGE = 1e8  # seconds of 1973
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # 20150301 is a date
# other numbers that times of 1995 to 2050 are written as: name, unit, and origin
_OTHER_UNITS: dict[tuple[float, float], tuple[str, str, str]] = {
    (9_131, 29_220): ("days since 1970", "D", "unix"),
    (34_700, 54_789): ("days as spreadsheets count them", "D", "1899-12-30"),
    (219_144, 701_280): ("hours since 1970", "h", "unix"),
    (13_148_640, 42_076_800): ("minutes since 1970", "m", "unix"),
}

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_UTC = re.compile(r"(?<=\d)\s*(?:UTC|GMT)$")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?$")
_DATE_LENGTH = len("2015-03-01")
_MONTHS = [
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
]
_SHORT = [month[:3] for month in _MONTHS]
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS)
_MONTH = rf"(?P<month>{_MONTH}|sept)\.?"
_DAY = r"(?P<day>\d\d?)(?:st|nd|rd|th)?"
_CLOCK = r"(?P<hour>\d\d?)(?P<minute>:\d\d(?::\d\d(?:\.\d+)?)?)(?: ?(?P<half>[ap])m)?"
_ZONE = r"(?: (?P<zone>[+-]\d{4}|UTC|UT|GMT|Z))?"
_THEN = rf"(?:,? (?:at )?{_CLOCK}{_ZONE})?"
_NAMED = [
    # Wed Oct 10 20:19:24 +0000 2018
    rf"[a-z]{{3}} {_MONTH} +{_DAY} {_CLOCK}{_ZONE} (?P<year>\d{{4}})",
    # Wed, 10 Oct 2018 20:19:24 +0000
    rf"(?:[a-z]{{3,9}},? )?{_DAY}[ -]{_MONTH},?[ -](?P<year>\d{{4}}){_THEN}",
    # October 10, 2018, 8:19 PM
    rf"(?:[a-z]{{3,9}},? )?{_MONTH} {_DAY},? (?P<year>\d{{4}}){_THEN}",
]
_WITH_MONTH = [re.compile(form, re.IGNORECASE | re.ASCII) for form in _NAMED]
_SLASHED = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](?:\d{4}|\d{2})(?!\d)", re.ASCII)
_DAY_FIRST = "pd.to_datetime(column, dayfirst=True)"
_MONTH_FIRST = "pd.to_datetime(column, dayfirst=False)"


@dataclass
class Times:
    """The times in a column, one per row.

    `seconds` are whole seconds since 1970; `naive` marks cells without a time zone,
    read as UTC; `offset` is the cell's own, in seconds east of UTC. NaN is missing.
    """

    seconds: np.ndarray
    naive: np.ndarray
    offset: np.ndarray


def read_times(column: Any) -> Cells:
    """Read a column of times as `Times`; missing, blank and bad cells are NaN.

    Cells are datetimes, dates, periods (their start), texts (ISO 8601, RFC 2822,
    Twitter's form and others that name the month) or numbers (also as text): whole
    numbers from 1900 to 2100 are years, digits that form a date (20150301, also with
    the clock as in 201503011530) are that date, and all others are seconds since 1970,
    or milli-, micro- or nanoseconds if they are too large for seconds.
    """
    cells = as_column(column)
    n = len(cells)
    times = Times(np.full(n, np.nan), np.zeros(n, dtype=bool), np.full(n, np.nan))
    if cells.dtype.kind in "Miuf":
        reader = _from_datetimes if cells.dtype.kind == "M" else _from_numbers
        readers = np.full(n, reader, dtype=object)
    else:
        readers = np.array([_reader_of(cell) for cell in cells], dtype=object)
    for reader in set(readers) - {None}:
        rows = np.flatnonzero(readers == reader)
        times.seconds[rows], times.naive[rows], times.offset[rows] = reader(
            cells.iloc[rows]
        )
    seconds = times.seconds
    seconds[~((seconds >= _EARLIEST) & (seconds <= _LATEST))] = np.nan
    unread = np.flatnonzero(np.isnan(seconds))
    there = zip(unread.tolist(), cells.iloc[unread], strict=True)
    left = {row: cell for row, cell in there if not is_blank(cell)}
    advice = _advice(left.values())
    bad = {row: _why(c, advice) for row, c in left.items()}
    return Cells(times, bad, cells, _doubt(times, cells))


def _doubt(times: Times, cells: pd.Series) -> str | None:
    """Say which numbers are no times of posts if they are seconds since 1970."""
    are_numbers = ~times.naive & np.isnan(times.offset)
    early, late = times.seconds < _RECENT[0], times.seconds > _RECENT[1]
    rows = np.flatnonzero(are_numbers & (early | late))
    if not len(rows):
        return None
    first = cells.iloc[rows[0]]
    number = float(as_floats(pd.Series([first], dtype=object))[0])
    numbers = "pd.to_numeric(column)" if isinstance(first, str) else "column"
    read = np.datetime64(int(times.seconds[rows[0]]), "s").astype("M8[D]")
    said = (
        f"{len(rows)} cell(s){of_column(cells)} are numbers that as times since 1970 "
        f"are dates outside of 1980 to 2050, first row {rows[0]}: {shown(first)} "
        f"is {read}. "
    )
    for (low, high), (what, unit, origin) in _OTHER_UNITS.items():
        if low <= number <= high:
            day = pd.to_datetime(number, unit=unit, origin=origin).date()
            call = f"pd.to_datetime({numbers}, unit={unit!r}, origin={origin!r})"
            return f"{said}In {what} it would be {day}: if so, pass {call}."
    if number in (0, -1):
        return f"{said}If such numbers stand for missing times, leave the cells empty."
    return f"{said}If they are right, pass pd.to_datetime({numbers}, unit='s')."


def as_times(values: Any, name: str = "time", *, required: bool = False) -> pd.Series:
    """Return times that can be sorted: dates in UTC, or numbers as they are.

    Numbers alone can be anything (years, days, rounds), since only their order matters,
    unless their units differ (seconds and milliseconds since 1970, say).
    """
    cells = as_column(values).reset_index(drop=True).rename(name)
    if cells.dtype == object and all(_is_number(c) or is_missing(c) for c in cells):
        cells = pd.Series(as_floats(cells), name=name)
    sizes = np.abs(cells.to_numpy(float)) if cells.dtype.kind in "iuf" else np.empty(0)
    units = np.searchsorted(_UNITS, sizes[sizes >= _LARGE], "right")
    if cells.dtype.kind not in "iuf" or len(np.unique(units)) > 1:
        seconds = read_times(cells).settle("raise").seconds
        moments = np.where(np.isnan(seconds), 0, seconds).astype("datetime64[s]")
        moments[np.isnan(seconds)] = np.datetime64("NaT", "s")
        cells = pd.Series(moments, name=name).dt.tz_localize("UTC")
    missing = np.flatnonzero(cells.isna())
    if required and len(missing):
        raise InvalidInputError(
            f"{name} is NaN or missing in row {missing[0]}: drop or fill it."
        )
    return cells


def _reader_of(cell: Any) -> Callable[[pd.Series], tuple[np.ndarray, ...]] | None:
    """Return the function that reads such a cell; None if it can't be read."""
    if isinstance(cell, str):
        return _from_texts
    if is_missing(cell):
        return None
    if isinstance(cell, (datetime.date, np.datetime64, pd.Period)):
        return _from_datetimes
    return _from_numbers if _is_number(cell) else None


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (Real, Decimal)) and not isinstance(cell, (bool, np.bool_))


def _from_datetimes(cells: pd.Series) -> tuple[np.ndarray, ...]:
    if cells.dtype == object:
        cells = pd.Series([_moment(cell) for cell in cells], dtype=object)
        shifts = [c.utcoffset() if getattr(c, "tzinfo", None) else None for c in cells]
        offset = np.array([np.nan if s is None else s.total_seconds() for s in shifts])
    else:
        offset = np.full(len(cells), np.nan)
    utc = clock_seconds(pd.to_datetime(cells, utc=True, errors="coerce"))
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        offset = clock_seconds(cells.dt.tz_localize(None)) - utc
    return utc, np.isnan(offset) & ~np.isnan(utc), offset


def _moment(cell: Any) -> Any:
    try:
        return cell.start_time if isinstance(cell, pd.Period) else cell
    except ValueError:  # beyond the range of pandas' dates
        return pd.NaT


def _from_numbers(cells: pd.Series) -> tuple[np.ndarray, ...]:
    numbers = as_floats(cells)
    size = np.abs(numbers)
    unit = np.array([1.0, 1e3, 1e6, 1e9])[np.searchsorted(_UNITS, size, "right")]
    seconds = np.floor(numbers / unit)
    year = (numbers >= _FIRST_YEAR) & (numbers <= _LAST_YEAR)
    seconds[year & (np.floor(numbers) != numbers)] = np.nan
    year &= np.floor(numbers) == numbers
    first_day = (numbers[year] - 1970).astype(np.int64).astype("datetime64[Y]")
    seconds[year] = first_day.astype("datetime64[s]").astype(np.int64)
    naive = year
    for n_digits, form in _DIGITS.items():
        scale = 10.0 ** (n_digits - 4)
        date = (numbers >= scale * _FIRST_YEAR) & (numbers < scale * (_LAST_YEAR + 1))
        digits = pd.Series([f"{n:.0f}" for n in numbers[date]], dtype=object)
        days = pd.to_datetime(digits, format=form, errors="coerce", utc=True)
        seconds[date] = clock_seconds(days)
        naive = naive | date
    return seconds, naive & ~np.isnan(seconds), np.full(len(cells), np.nan)


def _from_texts(cells: pd.Series) -> tuple[np.ndarray, ...]:
    texts = pd.Series([_in_iso_form(cell) for cell in cells], dtype=object)
    number = np.array([_NUMBER.fullmatch(text) is not None for text in texts])
    seconds, naive = np.full(len(texts), np.nan), np.zeros(len(texts), dtype=bool)
    offset = np.full(len(texts), np.nan)
    seconds[number], naive[number], _ = _from_numbers(texts[number])
    parsed = pd.to_datetime(texts[~number], format="ISO8601", utc=True, errors="coerce")
    seconds[~number] = clock_seconds(parsed)
    offset[~number] = [_written_offset(text) for text in texts[~number]]
    naive[~number] = np.isnan(offset[~number])
    return seconds, naive, offset


def _in_iso_form(cell: str) -> str:
    """Return a number unchanged, a date in ISO 8601 form, otherwise empty text."""
    text = cell.strip()
    if not text.isascii():
        return ""
    # pandas also reads words like "now": only what begins with a year is a time
    if text[:4].isdigit():
        return _UTC.sub("Z", text) if text[-1:] in ("C", "T") else text
    if _NUMBER.fullmatch(text):
        return text
    for form in _WITH_MONTH:
        found = form.fullmatch(text)
        if found:
            return _date(found)
    return ""


def _date(found: re.Match[str]) -> str:
    month = _SHORT.index(found["month"][:3].lower()) + 1
    date = f"{found['year']}-{month:02}-{int(found['day']):02}"
    if found["hour"] is None:
        return date
    clock, half, zone = int(found["hour"]), found["half"], found["zone"] or ""
    if half is not None:  # 12 AM is midnight, and there is no 13 PM
        clock = clock % 12 + 12 * (half in "pP") if 1 <= clock <= 12 else 24
    zone = "Z" if zone[:1].isalpha() else zone
    return f"{date} {clock:02}{found['minute']}{zone}"


def _written_offset(text: str) -> float:
    if text.endswith("Z"):
        return 0.0
    found = _OFFSET.search(text, max(_DATE_LENGTH, len(text) - 6))
    if found is None:
        return np.nan
    size = int(found[2]) * 3600 + int(found[3] or 0) * 60
    return float(-size if found[1] == "-" else size)


def clock_seconds(moments: pd.Series) -> np.ndarray:
    """Return times as whole seconds since 1970 on their own clock; NaN for NaT."""
    clock = moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    seconds = clock.astype(np.int64).astype(np.float64)
    seconds[np.isnat(clock)] = np.nan
    return seconds


def _advice(cells: Iterable[Any]) -> str:
    """Return what to do about dates like 1/2/2020, judging by all of the column."""
    found = [_SLASHED.match(c.strip()) for c in cells if isinstance(c, str)]
    first = any(match and int(match[1]) > 12 for match in found)
    second = any(match and int(match[2]) > 12 for match in found)
    if first and second:
        return "some cells have the day first, others the month: fix them first"
    if not first and not second:
        return (
            "its day and month can't be told apart: turn the column into dates first, "
            f"with {_DAY_FIRST} or {_MONTH_FIRST}"
        )
    order, call = ("day", _DAY_FIRST) if first else ("month", _MONTH_FIRST)
    return f"turn the column into dates first, {order} first: {call}"


def _why(cell: Any, advice: str) -> str:
    said = f"can't read {shown(cell)} as a time between 1678 and 2261"
    if isinstance(cell, str) and _SLASHED.match(cell.strip()):
        return f"{said}: {advice}"
    if _is_number(cell):
        return (
            f"{said}: numbers are seconds since 1970 (or milli-, micro- or "
            "nanoseconds), or years from 1900 to 2100, or dates such as 20150301"
        )
    return (
        f"{said}: give datetimes, ISO 8601 texts, or seconds since 1970; turn other "
        "texts into dates first, with pd.to_datetime(column, format=...)"
    )


def signs_of_times(cells: pd.Series) -> str | None:
    """Describe a column of times; None for any other; ambiguous ones raise."""
    if all(isinstance(cell, str) for cell in cells):
        if all(_NUMBER.fullmatch(cell.strip()) for cell in cells):
            return None
        if all(_SLASHED.match(cell.strip()) for cell in cells):
            raise ValueError(_why(cells.iloc[0], _advice(cells)))
    elif cells.dtype == bool:
        return None
    found = read_times(cells)
    seconds = found.clean.seconds
    known = seconds[~np.isnan(seconds)]
    if len(found.bad) > 0.02 * len(cells) or len(known) == 0:
        return None
    first, last = known.min(), known.max()
    if cells.dtype.kind in "iuf" and not _RECENT[0] <= first <= last <= _RECENT[1]:
        return None
    first, last = (np.datetime64(int(s), "s").astype("M8[D]") for s in (first, last))
    return f"times from {first} to {last}"
