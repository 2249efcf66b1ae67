"""The 168 hours of a post's week, written as the post's own time is."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.cells._times import read_times
from hyperfusion.cells._zones import Zone, parse_zone, read_zones
from hyperfusion.encoders import TemporalEncoder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._parts import Parts, find_step


def local_clock(
    parts: Parts, post: pd.DataFrame, timezone: str | None
) -> tuple[Any, bool]:
    """Return the time zone of a post's hours, None if unknown, and what times mean.

    Parameters
    ----------
    parts : Parts
        The model, whose `TemporalEncoder` may know the post's time zone.
    post : DataFrame of one row
        The post.
    timezone : str or None
        The zone that is asked for; None asks the model.

    Returns
    -------
    zone : tzinfo, str or None
        The zone.
    is_local : bool
        Whether times without a zone are what a local clock shows; otherwise UTC.
    """
    encoder = find_step(parts, TemporalEncoder)
    is_local = encoder is not None and encoder.naive == "local"
    if timezone is not None:
        try:
            return _as_zone(parse_zone(timezone)), is_local
        except ValueError as error:
            raise InvalidInputError(f"timezone can't be used: {error}.") from error
    if encoder is None:
        return None, is_local
    zone = encoder.zone_
    if encoder.timezone_ is not None and encoder.timezone_ in post:
        zone = read_zones(post[encoder.timezone_]).clean[0]
    return _as_zone(zone), is_local


def hours_of_week(
    cells: pd.Series, zone: Any, is_local: bool
) -> tuple[list[Any], str | None]:
    """Return the hours of a post's week and the name of their clock.

    Parameters
    ----------
    cells : Series of one cell
        The post's time: a datetime, an ISO 8601 text, or seconds since 1970.
    zone : tzinfo, str or None
        Clock of the hours; None is the time's own zone, UTC if it has none.
    is_local : bool
        Whether times without a zone are what a local clock shows.

    Returns
    -------
    hours : list of 168 cells
        Monday 0:00 first.
    clock : str or None
        Name of the clock.
    """
    times, cell = read_times(cells).settle("raise"), cells.iloc[0]
    if np.isnan(times.seconds[0]):
        raise InvalidInputError(
            "The post has no time, so its week is not known. Give it one first."
        )
    moment = pd.Timestamp(times.seconds[0], unit="s")
    naive = bool(times.naive[0])
    if naive and is_local:
        return _written(_week(moment), cell, times.seconds[0]), "local"
    if zone is None and not np.isnan(times.offset[0]):
        zone = getattr(cell, "tzinfo", None) or _as_zone(int(times.offset[0]))
    zone = "UTC" if zone is None else zone
    local = moment.tz_localize("UTC").tz_convert(zone).tz_localize(None)
    hours = _week(local).tz_localize(
        zone, ambiguous=np.ones(168, dtype=bool), nonexistent="shift_forward"
    )
    if naive:
        hours_there = hours.tz_convert("UTC").tz_localize(None)
        return _written(hours_there, cell, times.seconds[0]), str(zone)
    return _written(hours, cell, times.seconds[0]), str(zone)


def _week(moment: pd.Timestamp) -> pd.DatetimeIndex:
    monday = moment.normalize() - pd.Timedelta(days=moment.day_of_week)
    return pd.date_range(monday, periods=168, freq="h")


def _written(hours: pd.DatetimeIndex, cell: Any, seconds: float) -> list[Any]:
    """Return hours as datetimes, texts or numbers, whichever the post's time is."""
    if _counts_seconds(cell):
        # 1000 for milliseconds; a year is smaller than its seconds
        unit = max(1, round(float(cell) / seconds)) if seconds else 1
        return [type(cell)(int(hour.timestamp()) * unit) for hour in hours]
    return [h.isoformat() for h in hours] if isinstance(cell, str) else list(hours)


def _counts_seconds(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip().lstrip("+-").isdigit() and len(cell.strip()) != 8
    return pd.api.types.is_number(cell)


def _as_zone(zone: Zone | None) -> Any:
    if isinstance(zone, int):
        return datetime.timezone(datetime.timedelta(seconds=zone))
    return zone
