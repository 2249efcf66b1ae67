"""Times of posts as features of clock, calendar, season, drift and account age."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion.cells._times import read_times
from hyperfusion.cells._zones import Zone, parse_zone, read_zones, to_utc_and_local
from hyperfusion.encoders._base import TableEncoder, one_column
from hyperfusion.exceptions import InvalidInputError

_DAY = 86_400

_CYCLE_OF = {
    "hour": "day",
    **dict.fromkeys(("weekday", "hour_of_week"), "week"),
    **dict.fromkeys(("month", "week", "day_of_year", "year_fraction"), "year"),
    "is_weekend": "week",
    **dict.fromkeys(("hour_sin", "hour_cos"), "day"),
    **dict.fromkeys(("weekday_sin", "weekday_cos"), "week"),
    **dict.fromkeys(("day_of_year_sin", "day_of_year_cos"), "year"),
}
_DAYS_OF = {"day": 1, "week": 7, "year": 365}


@with_parameters
class TemporalEncoder(TableEncoder):
    """Hour, weekday, season, date and age of the user's account for each post.

    Parameters
    ----------
    time : column label or None, default=None
        The column of the posts' times; None is the table's first. Datetimes, dates,
        periods, texts (ISO 8601, or with the month's name), or numbers (see Notes).
    timezone : column label, str or None, default=None
        The column of the time zones, or one time zone for all: an offset from UTC
        (``"-05:00"``, ``"+0530"``), hours as a number, or an IANA name
        (``"Europe/Berlin"``). Hours and dates are in this time zone. If there is none,
        they are in the time's own offset (``"2024-05-01T22:14+02:00"`` is hour 22), or
        in UTC.
    created : column label or None, default=None
        The column of the times when the users' accounts were created, in the same
        forms as `time`.
    naive : {"utc", "local"}, default="utc"
        Meaning of a time without a time zone (``"2024-05-01 14:00"``): UTC, or local
        time in `timezone`.
    cycles : {"all", "seen"}, default="all"
        Cycles with features: day, week and year, or only those that the times at fit
        cover (see Notes), as `PostEncoder` does.
    %(on_error)s

    Attributes
    ----------
    cycles_ : tuple of str
        The cycles with features, of ``"day"``, ``"week"`` and ``"year"``.
    origin_ : float
        The earliest post at fit, in seconds since 1970 (UTC); NaN without any time.
    timezone_ : column label or None
        The column of the time zones.
    zone_ : int, str or None
        The one time zone for all: seconds east of UTC, or an IANA name.
    %(columns)s

    Raises
    ------
    BadCellError
        If cells are filled but none can be read as a time, whatever `on_error` is.
    InvalidInputError
        If a column is missing.

    Notes
    -----
    The features, in this order:

    - ``hour`` (0 to 23), ``weekday`` (0 is Monday), ``hour_of_week`` (24 times the
      weekday plus the hour), ``month``, ``week`` (ISO 8601), ``day_of_year``,
      ``year_fraction`` (share of the year that has passed) and ``is_weekend``;
    - ``hour_sin``, ``hour_cos`` (of the time of day, minutes included),
      ``weekday_sin``, ``weekday_cos``, ``day_of_year_sin``, ``day_of_year_cos``;
    - ``days`` since `origin_`, for trends; negative before it;
    - ``timezone_missing``, if `timezone` is a column;
    - ``account_age`` in days and ``account_age_missing``, if `created` is given. The
      age is missing if the account was created after the post;
    - ``is_missing``: 1 if the time is missing. All other features of it are then NaN.

    With ``cycles="seen"`` a cycle has features only if the times at fit cover it at
    least twice and differ in it: in half a year of posts the month is another name for
    the date and says nothing about unseen months.

    Numbers (also as texts) are years if they are whole and from 1900 to 2100, dates if
    their digits form one (20150301, 201503011530), otherwise seconds since 1970, or
    milli-, micro- or nanoseconds if they are too large for seconds. A year counts as
    its first moment, a date as midnight. A warning tells of numbers that become dates
    outside of 1995 to 2032. Of an hour that a clock shows twice, the first counts.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import TemporalEncoder
    >>> times = ["2024-05-06T01:30:00Z", "2024-05-06T12:00:00Z"]
    >>> posts = pd.DataFrame({"posted": times, "zone": ["America/New_York", "+02:00"]})
    >>> encoder = TemporalEncoder(timezone="zone").set_output(transform="pandas")
    >>> table = encoder.fit_transform(posts)
    >>> table[["hour", "weekday", "hour_of_week", "is_weekend"]]
       hour  weekday  hour_of_week  is_weekend
    0  21.0      6.0         165.0         1.0
    1  14.0      0.0          14.0         0.0
    """

    _parameter_constraints = {
        "naive": [StrOptions({"utc", "local"})],
        "cycles": [StrOptions({"all", "seen"})],
    }

    time: Hashable | None = None
    timezone: Hashable | None = None
    created: Hashable | None = None
    naive: str = "utc"
    cycles: str = "all"
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        time = one_column(cells, self.time, "time")
        self._time = cells.columns[0] if time is None else time
        self._created = one_column(cells, self.created, "created")
        self.timezone_, self.zone_ = None, None
        zone = self.timezone
        if zone is not None and (not isinstance(zone, str) or zone in cells.columns):
            self.timezone_ = one_column(cells, zone, "timezone")
        elif zone is not None:
            try:
                self.zone_ = parse_zone(zone)
            except ValueError as error:
                raise InvalidInputError(
                    f"timezone={zone!r} is neither a column of the table nor a time "
                    f"zone. Its columns are {list(cells.columns[:20])}; {error}."
                ) from error
        utc, _ = self._moments(cells[self._time], self._zones(cells), learn=True)
        known = utc[~np.isnan(utc)]
        self.origin_ = float(known.min()) if len(known) else np.nan
        self.cycles_ = tuple(_DAYS_OF) if self.cycles == "all" else _seen_cycles(known)

    def _transform_cells(self, cells: pd.DataFrame) -> np.ndarray:
        zones = self._zones(cells)
        utc, local = self._moments(cells[self._time], zones)
        calendar = _calendar(local)
        features = {name: calendar[name] for name in self._calendar_names()}
        features["days"] = (utc - self.origin_) / _DAY
        if self.timezone_ is not None:
            features["timezone_missing"] = np.array([zone is None for zone in zones])
        if self._created is not None:
            created, _ = self._moments(cells[self._created], zones)
            age = (utc - created) / _DAY
            age[age < 0] = np.nan
            features["account_age"] = age
            features["account_age_missing"] = np.isnan(age)
        features["is_missing"] = np.isnan(utc)
        return np.stack([v.astype(np.float32) for v in features.values()], axis=1)

    def _feature_names(self, names: Any = None) -> list[str]:
        names = [*self._calendar_names(), "days"]
        if self.timezone_ is not None:
            names += ["timezone_missing"]
        if self._created is not None:
            names += ["account_age", "account_age_missing"]
        return [*names, "is_missing"]

    def _calendar_names(self) -> list[str]:
        return [name for name, cycle in _CYCLE_OF.items() if cycle in self.cycles_]

    def _zones(self, table: pd.DataFrame) -> list[Zone | None]:
        if self.timezone_ is None:
            return [self.zone_] * len(table)
        return read_zones(table[self.timezone_]).settle(self.on_error)

    def _moments(
        self, cells: pd.Series, zones: list[Zone | None], *, learn: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the seconds of a column of times in UTC and on local clocks."""
        times = read_times(cells).settle(self.on_error, learn=learn)
        return to_utc_and_local(times, zones, self.naive == "local")


def _seen_cycles(times: np.ndarray) -> tuple[str, ...]:
    """Return the cycles that times (in seconds, none missing) cover twice."""
    if len(times) == 0:
        return ()
    date = pd.DatetimeIndex(times.astype(np.int64).astype("datetime64[s]"))
    phases = {
        "day": times % _DAY,
        "week": date.day,
        "year": 100 * date.month + date.day,
    }
    span = (times.max() - times.min()) / _DAY
    return tuple(
        cycle
        for cycle, days in _DAYS_OF.items()
        if span >= 2 * days and len(np.unique(phases[cycle])) > 1
    )


def _calendar(local: np.ndarray) -> dict[str, np.ndarray]:
    """Return the features of clock and calendar, NaN if the time is missing."""
    missing = np.isnan(local)
    seconds = np.where(missing, 0, local).astype(np.int64)
    date = pd.DatetimeIndex(seconds.astype("datetime64[s]"))
    hour, weekday, day = (
        np.asarray(v) for v in (date.hour, date.day_of_week, date.day_of_year)
    )
    # the week of a date is that of its Thursday, counted from the year's first one
    thursday = (seconds + (3 - weekday) * _DAY).astype("datetime64[s]")
    week = (np.asarray(pd.DatetimeIndex(thursday).day_of_year) + 6) // 7
    day_share = seconds % _DAY / _DAY
    year_length = 365 + np.asarray(date.is_leap_year)

    def cycle(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)

    values = [
        hour,
        weekday,
        weekday * 24 + hour,
        date.month,
        week,
        day,
        (day - 1 + day_share) / year_length,
        weekday >= 5,
        *cycle(day_share),
        *cycle(weekday / 7),
        *cycle((day - 1) / year_length),
    ]
    features = zip(_CYCLE_OF, values, strict=True)
    return {k: np.where(missing, np.nan, np.asarray(v, float)) for k, v in features}
