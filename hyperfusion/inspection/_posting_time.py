"""The best time to post: predictions for each hour of the week."""

from __future__ import annotations

import datetime
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion._anatomy import Anatomy
from hyperfusion._base import with_parameters
from hyperfusion._warnings import warn_user
from hyperfusion.cells._times import read_times
from hyperfusion.cells._zones import Zone, read_zones
from hyperfusion.encoders import PostEncoder, TemporalEncoder
from hyperfusion.exceptions import AssociationWarning, InvalidInputError
from hyperfusion.inspection._plot import Display, check_vector
from hyperfusion.inspection._posts import as_post, make_candidates
from hyperfusion.inspection._what_if import CAUTION, predict_with_folds, ties_of_best
from hyperfusion.table._frames import check_columns

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@with_parameters
class PostingTimeDisplay(Display):
    """Predictions of one post by weekday and hour.

    Dots mark the hours that are not distinguishable from the best. Use
    `from_estimator`, or `from_predictions` for means over many posts. It shows an
    association, not a causal effect, see `what_if`.

    Parameters
    ----------
    values : ndarray of shape (7, 24)
        Score by weekday (Monday first) and hour; NaN if there is none.
    tied : ndarray of shape (7, 24) of bool, default=None
        Which hours are not distinguishable from the best.
    label : str, default="Score"
        Name of the values.
    clock : str, default=None
        Time zone of the hours, for the axis.

    Attributes
    ----------
    %(axes)s
    image_ : AxesImage
        Heat map of the hours.
    dots_ : PathCollection or None
        Dots of the hours that are not distinguishable from the best.

    Examples
    --------
    >>> from hyperfusion.inspection import PostingTimeDisplay
    >>> times = ["2024-05-03 19:10", "2024-05-03 19:50", "2024-05-04 08:00"]
    >>> display = PostingTimeDisplay.from_predictions(times, [6.0, 8.0, 5.0])
    >>> float(display.values[4, 19])
    7.0
    """

    values: np.ndarray
    tied: np.ndarray | None = None
    label: str = "Score"
    clock: str | None = None

    @classmethod
    def from_estimator(cls, estimator: Any, post: Any, *, ax: Any = None) -> Self:
        """Predict a post at every hour of its week and draw the predictions.

        The hours are in the time zone of the post if the model or its time has one,
        otherwise in UTC.

        Parameters
        ----------
        estimator : fitted Pipeline
            The model.
        post : DataFrame of one row, Series or dict
            The post.
        %(ax)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If the model has no ``time`` role, or the post no time.

        Warns
        -----
        AssociationWarning
            Always, as in `what_if`.
        """
        warn_user(CAUTION, AssociationWarning)
        post = as_post(post)
        parts = Anatomy.of(estimator)
        roles = getattr(parts.find(PostEncoder), "roles_", {"time": []})
        if not roles["time"]:
            raise InvalidInputError(
                "PostingTimeDisplay.from_estimator needs a model with a time role. For "
                "others, predict the hours with what_if and use from_predictions."
            )
        column = check_columns(post, roles["time"], "time")[0]
        slots, clock = hours_of_week(post[column], *local_clock(parts, post))
        candidates, _ = make_candidates(post, {column: slots})
        hours = candidates.iloc[1:].reset_index(drop=True)
        frame, by_fold = predict_with_folds(parts, hours)
        prediction, tied = frame["prediction"].to_numpy(), None
        if by_fold is not None:
            tied = ties_of_best(prediction, by_fold).reshape(7, 24)
        values, label = prediction.reshape(7, 24), "Predicted score"
        return cls(values=values, tied=tied, label=label, clock=clock).plot(ax)

    @classmethod
    def from_predictions(cls, times: Any, y: ArrayLike, *, ax: Any = None) -> Self:
        """Draw mean scores (or predictions) of posts by weekday and hour.

        Parameters
        ----------
        times : array-like of shape (n_posts,)
            When the posts were published. Hours are in the time zone of the times.
        y : array-like of shape (n_posts,)
            Scores or predictions. Hours without a post are left blank.
        %(ax)s

        %(drawn)s
        """
        when = pd.DatetimeIndex(pd.to_datetime(pd.Series(times).reset_index(drop=True)))
        scores = pd.Series(check_vector("y", y, len(when)))
        means = pd.crosstab(when.day_of_week, when.hour, scores, aggfunc="mean")
        values = means.reindex(index=range(7), columns=range(24)).to_numpy()
        clock = None if when.tz is None else str(when.tz)
        return cls(values=values, label="Mean score", clock=clock).plot(ax)

    def _draw(self, ax: Any) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        self.image_ = ax.imshow(values, cmap="viridis", aspect="auto")
        place = {"location": "bottom", "aspect": 40}
        self.figure_.colorbar(self.image_, ax=ax, label=self.label, **place)
        self.dots_ = None
        if self.tied is not None:
            days, hours = np.nonzero(self.tied)
            look = {"color": "white", "edgecolors": "black", "linewidths": 0.8}
            self.dots_ = ax.scatter(hours, days, 14, **look)
        ax.set_yticks(range(7), DAYS)
        ax.set_xticks(range(0, 24, 3))
        clock = "" if self.clock is None else f" ({self.clock})"
        ax.set_xlabel(f"Hour of the day{clock}")
        if np.isnan(values).all():
            title = "No posts"
        elif self.tied is not None and self.tied.all():
            title = "No hour stands out from the others"
        else:
            day, hour = np.unravel_index(np.nanargmax(values), values.shape)
            title = f"Highest: {DAYS[day]} {hour}:00"
            if self.tied is not None:
                title += "\n(dots: not distinguishable from it)"
        ax.set_title(title, fontsize=10)


def local_clock(parts: Anatomy, post: pd.DataFrame) -> tuple[Any, bool]:
    """Return the time zone of a post, None if unknown, and whether times are local."""
    encoder = parts.find(TemporalEncoder)
    if encoder is None:
        return None, False
    zone = encoder.zone_
    if encoder.timezone_ is not None and encoder.timezone_ in post:
        zone = read_zones(post[encoder.timezone_]).clean[0]
    return _as_zone(zone), encoder.naive == "local"


def hours_of_week(
    cells: pd.Series, zone: Any, is_local: bool
) -> tuple[list[pd.Timestamp], str | None]:
    """Return the hours of a post's week and the name of their clock."""
    times, cell = read_times(cells).settle("raise"), cells.iloc[0]
    if np.isnan(times.seconds[0]):
        raise InvalidInputError(
            "The post has no time, so its week is not known. Give it a time first."
        )
    local, naive = pd.Timestamp(times.seconds[0], unit="s"), bool(times.naive[0])
    if zone is None and not np.isnan(times.offset[0]):
        zone = getattr(cell, "tzinfo", None) or _as_zone(int(times.offset[0]))
    zone = None if naive and is_local else zone or "UTC"
    if zone is not None:
        local = local.tz_localize("UTC").tz_convert(zone).tz_localize(None)
    monday = local.normalize() - pd.Timedelta(days=local.day_of_week)
    hours = pd.date_range(monday, periods=168, freq="h")
    if zone is None:
        return list(hours), "local"
    summer = np.ones(168, dtype=bool)
    hours = hours.tz_localize(zone, ambiguous=summer, nonexistent="shift_forward")
    if naive:
        hours = hours.tz_convert("UTC").tz_localize(None)
    return list(hours), str(zone)


def _as_zone(zone: Zone | None) -> Any:
    if isinstance(zone, int):
        return datetime.timezone(datetime.timedelta(seconds=zone))
    return zone
