"""Time zones in cells, and local times in them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from contextlib import suppress
from functools import lru_cache
from numbers import Real
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from hyperfusion.cells._columns import Cells, read_each, shown
from hyperfusion.cells._times import Times, clock_seconds

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])?(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)

Zone = int | str
"""Seconds east of UTC, or an IANA name."""


def parse_zone(cell: Any) -> Zone | None:
    """Return the zone in a cell ("-05:00", hours, an IANA name); None for blank."""
    hours = None
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        if text.upper() == "Z":
            return 0
        if match := _OFFSET.fullmatch(text):
            sign, whole, minutes = match.groups()
            hours = (int(whole) + int(minutes or 0) / 60) * (-1 if sign == "-" else 1)
        else:
            with suppress(ValueError):
                hours = float(text)
        if hours is None:
            with suppress(KeyError, ValueError, OSError):
                return ZoneInfo(text).key
    elif isinstance(cell, Real) and not isinstance(cell, (bool, np.bool_)):
        with suppress(OverflowError):
            hours = float(cell)
    # the world's clocks are at most 12 hours behind UTC and 14 ahead of it
    if hours is None or not -12 <= hours <= 14:
        raise ValueError(
            f"{shown(cell)} is not a time zone: give an offset from UTC such as "
            "'-05:00', a number of hours between -12 and 14, or an IANA name such as "
            "'Europe/Berlin'"
        )
    return round(hours * 3600)


def read_zones(column: Any) -> Cells:
    """Read a column of time zones; missing, blank and bad cells are None."""
    known = lru_cache(maxsize=None, typed=True)(parse_zone)
    return read_each(
        column, lambda cell: (known if isinstance(cell, Hashable) else parse_zone)(cell)
    )


def to_utc_and_local(
    times: Times, zones: list[Zone | None], naive_is_local: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return times in seconds: in UTC, and on the local clock."""
    utc = times.seconds.copy()
    local = utc + np.nan_to_num(times.offset)
    rows_of: dict[Zone, list[int]] = {}
    for row, zone in enumerate(zones):
        if zone is not None and not np.isnan(times.seconds[row]):
            rows_of.setdefault(zone, []).append(row)
    for zone, rows in rows_of.items():
        moments = times.seconds[rows]
        if naive_is_local:
            clock = times.naive[rows]
            moments[clock] = _convert(moments[clock], zone, "UTC")
        utc[rows], local[rows] = moments, _convert(moments, "UTC", zone)
    return utc, local


def _convert(seconds: np.ndarray, start: Zone, end: Zone) -> np.ndarray:
    """Return what the clock of one zone shows when that of another shows `seconds`."""
    if isinstance(start, int):
        return seconds - start
    if isinstance(end, int):
        return seconds + end
    # of an hour that a clock shows twice, take the first; of one that it skips, the
    # moment after the gap
    moments = pd.DatetimeIndex(seconds.astype(np.int64).astype("datetime64[s]"))
    moments = moments.tz_localize(
        ZoneInfo(start),
        ambiguous=np.ones(len(seconds), dtype=bool),
        nonexistent="shift_forward",
    )
    return clock_seconds(pd.Series(moments.tz_convert(ZoneInfo(end))))


def signs_of_zones(cells: pd.Series) -> str | None:
    """Describe a column that can hold time zones; None for any other."""
    if read_zones(cells).bad:
        return None
    return f"time zones such as {shown(cells.iloc[0])}"
