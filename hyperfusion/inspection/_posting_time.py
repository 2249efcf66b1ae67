"""The best time to post: hours of the week and what is predicted for them."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion.exceptions import AssociationWarning
from hyperfusion.inspection._candidates import as_post, make_candidates
from hyperfusion.inspection._noise import ties_of_best
from hyperfusion.inspection._parts import role_column, take_apart
from hyperfusion.inspection._plot import check_vector, new_axes
from hyperfusion.inspection._predictions import predict_with_folds
from hyperfusion.inspection._week import hours_of_week, local_clock
from hyperfusion.inspection._what_if import CAUTION

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class PostingTimeDisplay:
    """Predictions of one post by weekday and hour, with ties of the best marked.

    Use `from_estimator`, or `from_predictions` for means over many posts. What is
    drawn is an association and no causal effect, see `what_if`.

    Parameters
    ----------
    values : ndarray of shape (7, 24)
        Score by weekday (Monday first) and hour, NaN where there is none.
    tied : ndarray of shape (7, 24) of bool, default=None
        Which hours can't be told from the best.
    label : str, default="Score"
        What the values are.
    clock : str, default=None
        Time zone of the hours, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
    image_ : AxesImage
        The map of hours.
    colorbar_ : Colorbar
        What the colors mean.
    dots_ : PathCollection or None
        The hours that can't be told from the best.

    See Also
    --------
    what_if : Any other change of a post.

    Examples
    --------
    >>> from hyperfusion.inspection import PostingTimeDisplay
    >>> times = ["2024-05-03 19:10", "2024-05-03 19:50", "2024-05-04 08:00"]
    >>> display = PostingTimeDisplay.from_predictions(times, [6.0, 8.0, 5.0])
    >>> float(display.values[4, 19])
    7.0
    """

    def __init__(
        self,
        *,
        values: np.ndarray,
        tied: np.ndarray | None = None,
        label: str = "Score",
        clock: str | None = None,
    ):
        self.values = values
        self.tied = tied
        self.label = label
        self.clock = clock

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        post: Any,
        *,
        time: Hashable | None = None,
        timezone: str | None = None,
        confidence: float = 0.9,
        ax: Any = None,
        cmap: Any = "viridis",
    ) -> Self:
        """Predict a post at every hour of its week and draw the predictions.

        Parameters
        ----------
        estimator : fitted Pipeline
            What predicts posts.
        post : DataFrame of one row, Series or dict
            The post.
        time : column, default=None
            The column of the time of publishing; None takes the model's ``time``
            role.
        timezone : str, default=None
            Clock of the picture: an IANA name or an offset. None is the post's own
            where the model or the time knows it, otherwise UTC.
        confidence : float, default=0.9
            How sure a difference to the best hour must be to count as one.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colors from the lowest to the highest prediction.

        Returns
        -------
        PostingTimeDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If the post's time is not known.

        Warns
        -----
        AssociationWarning
            Always, as in `what_if`.
        """
        warnings.warn(CAUTION, AssociationWarning, stacklevel=2)
        post = as_post(post)
        parts = take_apart(estimator)
        column = role_column(parts, post, time, "time", "the post's time")
        slots, clock = hours_of_week(post[column], *local_clock(parts, post, timezone))
        candidates, _ = make_candidates(post, {column: slots})
        hours = candidates.iloc[1:].reset_index(drop=True)
        frame, by_fold = predict_with_folds(estimator, hours)
        prediction, tied = frame["prediction"].to_numpy(), None
        if by_fold is not None:
            tied = ties_of_best(prediction, by_fold, confidence).reshape(7, 24)
        prediction = prediction.reshape(7, 24)
        display = cls(
            values=prediction, tied=tied, label="Predicted score", clock=clock
        )
        return display.plot(ax, cmap=cmap)

    @classmethod
    def from_predictions(
        cls,
        times: Any,
        y: ArrayLike,
        *,
        ax: Any = None,
        cmap: Any = "viridis",
    ) -> Self:
        """Draw mean scores (or predictions) of posts by weekday and hour.

        Parameters
        ----------
        times : array-like of shape (n_posts,)
            When the posts were published; the clock is the times' own.
        y : array-like of shape (n_posts,)
            Scores or predictions.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colors from the lowest to the highest mean. Hours without a post are
            left blank.

        Returns
        -------
        PostingTimeDisplay
            The drawn display.
        """
        when = pd.DatetimeIndex(pd.to_datetime(pd.Series(times).reset_index(drop=True)))
        scores = pd.Series(check_vector("y", y, len(when)))
        means = scores.groupby([when.day_of_week, when.hour]).mean()
        values = np.full((7, 24), np.nan)
        days, hours = (means.index.get_level_values(i).astype(int) for i in (0, 1))
        values[days, hours] = means.to_numpy()
        clock = None if when.tz is None else str(when.tz)
        return cls(values=values, label="Mean score", clock=clock).plot(ax, cmap=cmap)

    def plot(self, ax: Any = None, *, cmap: Any = "viridis") -> Self:
        """Draw the map of hours.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colors from the lowest to the highest value.

        Returns
        -------
        self
            The display.
        """
        self.figure_, self.ax_ = new_axes(ax, self)
        values = np.asarray(self.values, dtype=np.float64)
        self.image_ = self.ax_.imshow(values, cmap=cmap, aspect="auto")
        self.colorbar_ = self.figure_.colorbar(
            self.image_, ax=self.ax_, label=self.label, location="bottom", aspect=40
        )
        self.dots_ = None
        if self.tied is not None:
            days, hours = np.nonzero(self.tied)
            self.dots_ = self.ax_.scatter(
                hours, days, 14, color="white", edgecolors="black", linewidths=0.8
            )
        self.ax_.set_yticks(range(7), DAYS)
        self.ax_.set_xticks(range(0, 24, 3))
        clock = "" if self.clock is None else f" ({self.clock})"
        self.ax_.set_xlabel(f"Hour of the day{clock}")
        self.ax_.set_title(self._title(values), fontsize=10)
        return self

    def _title(self, values: np.ndarray) -> str:
        if np.isnan(values).all():
            return "No posts"
        day, hour = np.unravel_index(np.nanargmax(values), values.shape)
        best = f"Highest: {DAYS[day]} {hour}:00"
        if self.tied is None:
            return best
        if self.tied.all():
            return "No hour stands out from the others"
        return f"{best}\n(dots: not distinguishable from it)"
