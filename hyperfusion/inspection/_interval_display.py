"""Predictions against the truth, with their intervals."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from hyperfusion.inspection._plot import (
    BLUE,
    GRAY,
    SKY,
    VERMILLION,
    check_vector,
    new_axes,
)


class PredictionIntervalDisplay:
    """True scores against predictions, with the interval of each prediction.

    Points within their intervals are blue dots, those outside orange-red crosses.
    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_posts,)
        True scores and predictions.
    lower, upper : ndarray of shape (n_posts,)
        Ends of the intervals.
    coverage : float, default=None
        Share of posts that the intervals are to hold, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
    inside_, outside_ : PathCollection
        The points within and outside their intervals.
    intervals_ : LineCollection
        The intervals.
    line_ : Line2D
        Where prediction and truth are equal.

    See Also
    --------
    hyperfusion.ensemble.predict_interval : Computes the intervals.

    Examples
    --------
    >>> from hyperfusion.inspection import PredictionIntervalDisplay
    >>> display = PredictionIntervalDisplay.from_predictions(
    ...     [1.0, 5.0], [2.0, 3.0], lower=[0.0, 1.0], upper=[4.0, 4.5]
    ... )
    >>> len(display.outside_.get_offsets())
    1
    """

    def __init__(
        self,
        *,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        coverage: float | None = None,
    ):
        self.y_true = y_true
        self.y_pred = y_pred
        self.lower = lower
        self.upper = upper
        self.coverage = coverage

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        coverage: float = 0.9,
        ax: Any = None,
        max_points: int = 1000,
        random_state: Any = 0,
    ) -> Self:
        """Predict posts with intervals and draw them.

        Parameters
        ----------
        estimator : HyperFusionRegressor, or Pipeline, search or wrapper around one
            What predicts.
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts, best those that the model was not fitted on.
        y : array-like of shape (n_posts,)
            True scores.
        coverage : float, default=0.9
            Share of posts that the intervals are to hold.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        max_points : int, default=1000
            Draw a random sample of so many posts at most.
        random_state : int, RandomState instance or None, default=0
            Draws the sample.

        Returns
        -------
        PredictionIntervalDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If the model has no ensemble inside.
        """
        from hyperfusion.ensemble import predict_interval

        bands = predict_interval(estimator, X, coverage=coverage)
        return cls.from_predictions(
            y,
            bands["prediction"],
            lower=bands["lower"],
            upper=bands["upper"],
            coverage=coverage,
            ax=ax,
            max_points=max_points,
            random_state=random_state,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        lower: ArrayLike,
        upper: ArrayLike,
        coverage: float | None = None,
        ax: Any = None,
        max_points: int = 1000,
        random_state: Any = 0,
    ) -> Self:
        """Draw predictions and intervals that are there.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_posts,)
            True scores and predictions.
        lower, upper : array-like of shape (n_posts,)
            Ends of the intervals.
        coverage : float, default=None
            Share of posts that they are to hold, for the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        max_points : int, default=1000
            Draw a random sample of so many posts at most.
        random_state : int, RandomState instance or None, default=0
            Draws the sample.

        Returns
        -------
        PredictionIntervalDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If there is no post, or lengths differ.
        """
        y_true = check_vector("y_true", y_true)
        given = {"y_pred": y_pred, "lower": lower, "upper": upper}
        checked = {k: check_vector(k, v, len(y_true)) for k, v in given.items()}
        display = cls(y_true=y_true, coverage=coverage, **checked)
        return display.plot(ax, max_points=max_points, random_state=random_state)

    def plot(
        self, ax: Any = None, *, max_points: int = 1000, random_state: Any = 0
    ) -> Self:
        """Draw a dot for each post and a line for its interval.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        max_points : int, default=1000
            Draw a random sample of so many posts at most. The share in the legend is
            that of all posts.
        random_state : int, RandomState instance or None, default=0
            Draws the sample.

        Returns
        -------
        self
            The display.
        """
        self.figure_, self.ax_ = new_axes(ax, self)
        rows = np.arange(len(self.y_true))
        if len(rows) > max_points:
            rng = check_random_state(random_state)
            rows = rng.choice(len(rows), max_points, replace=False)
        y_true, y_pred = self.y_true[rows], self.y_pred[rows]
        size, alpha = (36, 0.9) if len(rows) <= 60 else (12, 0.6)
        self.intervals_ = self.ax_.vlines(
            y_pred,
            self.lower[rows],
            self.upper[rows],
            color=SKY,
            alpha=0.6 if len(rows) <= 60 else 0.2,
            linewidth=1.5,
            zorder=1,
        )
        holds = (self.lower <= self.y_true) & (self.y_true <= self.upper)
        share, inside = holds.mean(), holds[rows]
        wanted = "" if self.coverage is None else f" (asked for {self.coverage:.0%})"
        self.inside_ = self.ax_.scatter(
            y_pred[inside],
            y_true[inside],
            size,
            color=BLUE,
            alpha=alpha,
            linewidths=0,
            label=f"within the interval: {share:.1%}{wanted}",
        )
        self.outside_ = self.ax_.scatter(
            y_pred[~inside],
            y_true[~inside],
            size,
            color=VERMILLION,
            marker="x",
            label=f"outside: {1 - share:.1%}",
        )
        ends = [min(y_true.min(), y_pred.min()), max(y_true.max(), y_pred.max())]
        (self.line_,) = self.ax_.plot(ends, ends, "--", color=GRAY, linewidth=1)
        self.ax_.set(xlabel="Predicted score", ylabel="True score")
        self.ax_.legend(loc="upper left", framealpha=0.9)
        return self
