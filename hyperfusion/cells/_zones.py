"""Time zones as cells name them, and the clocks of moments in them."""

from __future__ import annotations

import re
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
            pass
        try:
            return ZoneInfo(text).key
        except (KeyError, ValueError, OSError) as error:
            raise _unknown_zone(text) from error
    is_number = isinstance(cell, Real) and not isinstance(cell, (bool, np.bool_))
    if is_number and -12 <= cell <= 14:
        return _check_offset(float(cell) * 3600, cell)
    raise _unknown_zone(cell)


def _check_offset(seconds: float, cell: Any) -> int:
    # the world's clocks are between 12 hours behind UTC and 14 before it
    if not -12 * 3600 <= seconds <= 14 * 3600:
        raise _unknown_zone(cell)
    return round(seconds)


def _unknown_zone(cell: Any) -> ValueError:
    return ValueError(
        f"{shown(cell)} is not a time zone: give an offset from UTC such as '-05:00', "
        "a number of hours between -12 and 14, or an IANA name such as 'Europe/Berlin'"
    )


def read_zones(column: Any) -> Cells:
    """Read a column of time zones; missing, blank and bad cells are None."""
    return read_each(column, lru_cache(maxsize=None, typed=True)(parse_zone))


def to_utc_and_local(
    times: Times, zones: list[Zone | None], naive_is_local: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds of moments in UTC and on local clocks.

    Without a time zone, the local clock is that of the offset which the time itself
    names, otherwise that of UTC. With `naive_is_local`, times that name no zone were
    read from local clocks.
    """
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
            moments[clock] = _from_clock(moments[clock], zone)
        utc[rows], local[rows] = moments, _to_clock(moments, zone)
    return utc, local


def _to_clock(seconds: np.ndarray, zone: Zone) -> np.ndarray:
    if isinstance(zone, int):
        return seconds + zone
    clock = _index(seconds).tz_localize("UTC").tz_convert(ZoneInfo(zone))
    return clock_seconds(pd.Series(clock))


def _from_clock(seconds: np.ndarray, zone: Zone) -> np.ndarray:
    if isinstance(zone, int):
        return seconds - zone
    # an hour that a clock shows twice is taken as the first, one that it leaves out
    # as the moment after the gap
    first = np.ones(len(seconds), dtype=bool)
    moments = _index(seconds).tz_localize(
        ZoneInfo(zone), ambiguous=first, nonexistent="shift_forward"
    )
    return clock_seconds(pd.Series(moments.tz_convert("UTC")))


def _index(seconds: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(seconds.astype(np.int64).astype("datetime64[s]"))


def signs_of_zones(cells: pd.Series) -> str | None:
    """Return why a column's cells are time zones, None where they are not.

    Numbers may count anything else as well: only the column's name can tell.
    """
    if read_zones(cells).bad:
        return None
    return f"time zones such as {shown(cells.iloc[0])}"
