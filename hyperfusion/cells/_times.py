"""Times in any form."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
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
from hyperfusion.cells._numbers import as_floats, lost_digits
from hyperfusion.exceptions import InvalidInputError

# the range of 64-bit nanoseconds since 1970, in seconds
_EARLIEST, _LATEST = -9_214_560_000.0, 9_214_646_400.0
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_FIRST_DAY = 315_532_800.0  # 1980
# 1995 to 2032: numbers read as other times are more likely something else
_RECENT = 788_918_400.0, 1_988_150_400.0
_UNITS = (1e11, 1e14, 1e17)  # where milli-, micro- and nanoseconds begin
_LARGE = 1e8  # seconds of 1973
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # 20150301 is a date
_FORMS = {6: ("%Y%m", "%y%m%d"), 10: ("%Y%m%d%H",)}
# other numbers that times are written as: the seconds in a unit, the start in seconds
# since 1970, and how pandas reads them, where it does
_OTHER_UNITS = [
    ("days since 1970", 86_400, 0, "unit='D'"),
    ("days as spreadsheets count them", 86_400, -2_209_161_600, "unit='D', origin={}"),
    ("hours since 1970", 3600, 0, "unit='h'"),
    ("minutes since 1970", 60, 0, "unit='m'"),
    ("seconds since 2001", 1, 978_307_200, "unit='s', origin={}"),
    ("ticks since the year 1", 1e-7, -62_135_596_800, None),
    ("ticks since 1601", 1e-7, -11_644_473_600, None),
    ("microseconds since 1601", 1e-6, -11_644_473_600, None),
]

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_UTC = re.compile(r"(?<=\d)\s*(?:UTC|GMT)$")
_NAMED_OFFSET = re.compile(r"(?<=\d) ?(?:UTC|GMT)(?=[+-]\d\d:?\d\d$)")
_NAME_OF_OFFSET = re.compile(
    r"(?:(?<=[+-]\d{4})|(?<=[+-]\d\d:\d\d)) ?(?:\(.*\)|\[.*\]|[A-Z]{3,5})$"
)
_NAME_OF_ZONE = re.compile(r"\d:\d\d ?(?:[A-Z]{3,5}|[A-Z][a-z]+/\w+)\b")
# 2015:03:01 in photos, and dates in Chinese, Japanese and Korean
_SIGNED = re.compile(
    r"(\d{4})(?::|[年년] ?)(\d\d?)(?::|[月월] ?)(\d\d?)(?:[日일]|(?= |$)) ?"
)
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
_HALF_DAY = re.compile(rf"(?P<day>\S{{8,10}}[ T]){_CLOCK}", re.IGNORECASE)
_LEAP_SECOND = re.compile(r"(?<=:\d\d):60(?!\d)")
_COMMA = re.compile(r"(?<=:\d\d),(?=\d)")
_WEEK = re.compile(r"\d{4}-?W\d\d(?:-?\d)?(?=[T ]|$)")
_DAY_OF_YEAR = re.compile(r"\d{4}-\d{3}(?=[T ]|$)")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]24:00(?::00(?:\.0*)?)?(.*)")
# a minus sign for a hyphen, as other programs write it
_OTHER_SIGNS = str.maketrans({"−": "-", "·": "at", "\ufeff": None})  # noqa: RUF001
_SLASHED = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?!\d)", re.ASCII)
_DAY_FIRST = "pd.to_datetime(column, dayfirst=True)"
_YEAR_FIRST = "pd.to_datetime(column, yearfirst=True)"
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

    @property
    def moments(self) -> np.ndarray:
        """The times in UTC as datetime64[s], NaT if missing."""
        known = ~np.isnan(self.seconds)
        moments = np.where(known, self.seconds, 0).astype("datetime64[s]")
        return np.where(known, moments, np.datetime64("NaT", "s"))


def read_times(column: Any) -> Cells:
    """Read a column of times as `Times`; missing, blank and bad cells are NaN.

    Texts are ISO 8601, RFC 2822, the forms of EXIF and JavaScript, or others that name
    the month or end its number with a sign such as 月, in any digits. `TemporalEncoder`
    describes the other cells.
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
        texts = (cell for cell in cells if isinstance(cell, str))
        return lost_digits(texts, of_column(cells))
    first = cells.iloc[rows[0]]
    read = np.datetime64(int(times.seconds[rows[0]]), "s").astype("M8[D]")
    said = (
        f"{len(rows)} cell(s){of_column(cells)} are numbers that as times since 1970 "
        f"are dates outside of 1995 to 2032, first row {rows[0]}: {shown(first)} "
        f"is {read}. "
    )
    number = float(as_floats(pd.Series([first], dtype=object))[0])
    if number in (0, -1):
        return f"{said}If such numbers stand for missing times, leave the cells empty."
    if other := _other_reading(first):
        return f"{said}{other}."
    unit = ("s", "ms", "us", "ns")[np.searchsorted(_UNITS, abs(number), "right")]
    numbers = "pd.to_numeric(column)" if isinstance(first, str) else "column"
    return f"{said}If they are right, pass pd.to_datetime({numbers}, unit={unit!r})."


def _other_reading(cell: Any) -> str | None:
    """Say how else a number can be a time from 1995 to 2032."""
    number = float(as_floats(pd.Series([cell], dtype=object))[0])
    numbers = "pd.to_numeric(column)" if isinstance(cell, str) else "column"
    for form in _FORMS.get(len(f"{number:.0f}"), ()):
        day = pd.to_datetime(f"{number:.0f}", format=form, errors="coerce")
        if 1995 <= day.year <= 2032:
            call = f"pd.to_datetime(column.astype(str), format={form!r})"
            return f"In the form {form} it would be {day.date()}: if so, pass {call}"
    for what, unit, start, keywords in _OTHER_UNITS:
        seconds = number * unit + start
        if _RECENT[0] <= seconds <= _RECENT[1] and (unit > 1 or number >= _LARGE):
            day = np.datetime64(int(seconds), "s").astype("M8[D]")
            if keywords is None:
                whole = f"{numbers} // 10**{-int(np.log10(unit))} - {-start:_}"
                call = f"{whole}, unit='s'"
            else:
                origin = np.datetime64(start, "s").astype("M8[D]")
                call = f"{numbers}, {keywords}".format(repr(str(origin)))
            return f"In {what} it would be {day}: if so, pass pd.to_datetime({call})"
    return None


def as_times(values: Any, name: str = "time", *, required: bool = False) -> pd.Series:
    """Return times that can be sorted: dates in UTC, or numbers as they are."""
    cells = as_column(values).reset_index(drop=True).rename(name)
    if cells.dtype == object and all(_is_number(c) or is_missing(c) for c in cells):
        cells = pd.Series(as_floats(cells), name=name)
    sizes = np.abs(cells.to_numpy(float)) if cells.dtype.kind in "iuf" else np.empty(0)
    units = np.searchsorted(_UNITS, sizes[sizes >= _LARGE], "right")
    if cells.dtype.kind not in "iuf" or len(np.unique(units)) > 1:
        moments = read_times(cells).settle("raise").moments
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
    # NumPy counts durations among the whole numbers
    others = bool, np.bool_, np.timedelta64
    return isinstance(cell, (Real, Decimal)) and not isinstance(cell, others)


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
    offset[~number] = [_written_offset(text) for text in texts[~number]]
    without = np.isnan(offset)
    for some in (~number & without, ~number & ~without):
        # read apart: pandas 2 lends an offset to the texts that follow it
        parsed = pd.to_datetime(
            texts[some], format="ISO8601", utc=True, errors="coerce"
        )
        seconds[some] = clock_seconds(parsed)
    naive[~number] = without[~number]
    return seconds, naive, offset


def _in_iso_form(cell: str) -> str:
    """Return a number unchanged, a date in ISO 8601 form, otherwise empty text."""
    text = cell.strip()
    if not text.isascii():  # digits and signs of other scripts
        text = text.translate(_OTHER_SIGNS)
        signs = (" " if sign.isspace() else sign for sign in text)
        text = "".join(str(unicodedata.decimal(sign, sign)) for sign in signs)
    if text[4:5] in (":", "年", "년"):
        text = _SIGNED.sub(lambda d: f"{d[1]}-{d[2]:0>2}-{d[3]:0>2} ", text, 1).strip()
    if not text.isascii():
        return ""
    if text[-1:] in (")", "]") or text[-1:].isupper():
        text = _NAME_OF_OFFSET.sub("", text)
    if text[-5:-4] in "+-" or text[-6:-5] in "+-":
        text = _NAMED_OFFSET.sub(" ", text)
    if ":60" in text:
        text = _LEAP_SECOND.sub(":59", text)
    # pandas also reads words like "now": only what begins with a year is a time
    if text[:4].isdigit():
        return _complete(_UTC.sub("Z", text) if text[-1:] in ("C", "T") else text)
    if _NUMBER.fullmatch(text):
        return text
    found = next(filter(None, (form.fullmatch(text) for form in _WITH_MONTH)), None)
    return "" if found is None else _date(found)


def _complete(text: str) -> str:
    """Return a date in a form that pandas reads; a wrong one comes back unchanged."""
    if text[-1:] == "z" or text[10:11] == "t":
        text = text.upper()
    if "," in text:
        text = _COMMA.sub(".", text)
    if text[-1:] in "mM" and (found := _HALF_DAY.fullmatch(text)):
        hour = _hour(int(found["hour"]), found["half"])
        text = f"{found['day']}{hour:02}{found['minute']}"
    with suppress(ValueError, OverflowError):
        if found := _WEEK.match(text):
            date = datetime.date.fromisoformat(found[0])
            text = f"{date}{text[found.end() :]}"
        elif found := _DAY_OF_YEAR.match(text):
            first = datetime.date(int(text[:4]), 1, 1)
            date = first + datetime.timedelta(int(text[5:8]) - 1)
            if date.year == first.year:
                text = f"{date}{text[found.end() :]}"
        elif "24:00" in text and (found := _MIDNIGHT.fullmatch(text)):
            date = datetime.date.fromisoformat(found[1]) + datetime.timedelta(1)
            text = f"{date} 00:00{found[2]}"
    return text


def _hour(hour: int, half: str | None) -> int:
    """Return an hour of 24; 12 AM is midnight, and there is no 13 PM."""
    if half is None:
        return hour
    return hour % 12 + 12 * (half in "pP") if 1 <= hour <= 12 else 25


def _date(found: re.Match[str]) -> str:
    month = _SHORT.index(found["month"][:3].lower()) + 1
    date = f"{found['year']}-{month:02}-{int(found['day']):02}"
    if found["hour"] is None:
        return date
    clock, zone = _hour(int(found["hour"]), found["half"]), found["zone"] or ""
    zone = "Z" if zone[:1].isalpha() else zone
    return f"{date} {clock:02}{found['minute']}{zone}"


def _written_offset(text: str) -> float:
    if text.endswith("Z"):
        return 0.0
    found = _OFFSET.search(text, max(_DATE_LENGTH, len(text) - 6))
    if found is None:
        return np.nan
    size = 3600.0 * int(found[2]) + 60 * int(found[3] or 0)
    return -size if found[1] == "-" else size


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
    if first and all(len(match[3]) == 2 for match in found if match):
        return (
            "turn the column into dates first, day first or year first: "
            f"{_DAY_FIRST} or {_YEAR_FIRST}"
        )
    order, call = ("day", _DAY_FIRST) if first else ("month", _MONTH_FIRST)
    return f"turn the column into dates first, {order} first: {call}"


def _why(cell: Any, advice: str) -> str:
    said = f"can't read {shown(cell)} as a time between 1678 and 2261"
    if isinstance(cell, str) and _SLASHED.match(cell.strip()):
        return f"{said}: {advice}"
    if _is_number(cell):
        if cell > _UNITS[1] and (other := _other_reading(cell)):
            return f"{said}. {other}"
        return (
            f"{said}: numbers are seconds since 1970 (or milli-, micro- or "
            "nanoseconds), or years from 1900 to 2100, or dates such as 20150301"
        )
    if isinstance(cell, str) and _NAME_OF_ZONE.search(cell):
        return (
            f"{said}: names of time zones have several meanings, so write their "
            "offsets from UTC, as in '2015-03-01 10:00-05:00'"
        )
    return (
        f"{said}: give datetimes, ISO 8601 texts, or seconds since 1970; turn other "
        "texts into dates first, with pd.to_datetime(column, format=...)"
    )


def signs_of_times(cells: pd.Series, *, named: bool = False) -> str | None:
    """Describe a column of times; None for any other; ambiguous ones raise."""
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    are_texts = len(texts) == len(cells)
    n_numbers = sum(map(_is_number, cells))
    n_numbers += sum(_NUMBER.fullmatch(text) is not None for text in texts)
    are_numbers = n_numbers > len(cells) / 2
    if cells.dtype == bool or (are_numbers and not named):
        return None
    if are_texts and all(_SLASHED.match(text) for text in texts):
        raise ValueError(_why(cells.iloc[0], _advice(cells)))
    found = read_times(cells)
    seconds = found.clean.seconds
    known = seconds[~np.isnan(seconds)]
    if are_numbers and named:
        others = {(_other_reading(c) or "").split(" it ")[0] for c in cells}
        if len(others) == 1 and others != {""} and (found.doubt or found.bad):
            raise ValueError(found.doubt or found.bad[0])
    if len(found.bad) > 0.02 * len(cells) or len(known) == 0:
        if named and are_texts and all(len(re.findall(r"\d", t)) >= 4 for t in texts):
            raise ValueError(next(iter(found.bad.values())))
        return None
    first, last = known.min(), known.max()
    if are_numbers and not _FIRST_DAY <= first <= last <= _RECENT[1]:
        return None
    first, last = (np.datetime64(int(s), "s").astype("M8[D]") for s in (first, last))
    return f"times from {first} to {last}"
