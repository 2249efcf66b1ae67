"""Plots of predictions and true values: distributions, and intervals."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import gaussian_kde

from hyperfusion._base import with_parameters
from hyperfusion.inspection import _plot
from hyperfusion.inspection._plot import check_vector

_MOST_BINS, _MOST_POINTS = 50, 1000


@with_parameters
class DistributionDisplay(_plot.Display):
    """Histogram and density of predictions and of true scores.

    Draws the paper's figure 2 (section 4.4). Predictions vary less than true scores,
    because they are averages. `from_estimator` predicts and draws.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_posts,)
        True scores, and predictions.

    Attributes
    ----------
    %(axes)s
    bars_ : list
        The histograms: a BarContainer of the true scores, and the outline of the
        predictions.
    lines_ : list of Line2D
        The densities. Values that are all equal have none.

    Examples
    --------
    >>> from hyperfusion.inspection import DistributionDisplay
    >>> display = DistributionDisplay(y_true=[1.0, 2, 4], y_pred=[2.0, 2, 3])
    >>> display.plot().ax_.get_ylabel()
    'Density'
    """

    y_true: ArrayLike
    y_pred: ArrayLike

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, ax: Any = None
    ) -> Self:
        """Predict posts and draw the distributions.

        Parameters
        ----------
        estimator : fitted regressor or Pipeline
            The model.
        %(held_out)s
        %(ax)s

        %(drawn)s
        """
        return cls(y_true=y, y_pred=estimator.predict(X)).plot(ax)

    def _draw(self, ax: Any) -> None:
        y_true = check_vector("y_true", self.y_true)
        y_pred = check_vector("y_pred", self.y_pred, len(y_true))
        both = np.concatenate([y_true, y_pred])
        edges = np.histogram_bin_edges(both, "auto")
        if len(edges) > _MOST_BINS + 1:
            edges = np.histogram_bin_edges(both, _MOST_BINS)
        self.bars_, self.lines_ = [], []
        outline = {"histtype": "step", "linewidth": 1.2}
        for name, values, color, line, style in (
            ("true", y_true, _plot.BLUE, "-", {"alpha": 0.3}),
            ("predicted", y_pred, _plot.ORANGE, "--", outline),
        ):
            look = {"color": color, "label": name, **style}
            self.bars_.append(ax.hist(values, edges, density=True, **look)[2])
            if np.ptp(values) > 0:
                kernel = gaussian_kde(values)
                # wide enough for the density to vanish
                beyond = 3 * float(np.sqrt(kernel.covariance[0, 0]))
                grid = np.linspace(values.min() - beyond, values.max() + beyond, 400)
                look = {"color": color, "label": f"{name}, density", "linewidth": 2}
                self.lines_ += ax.plot(grid, kernel(grid), line, **look)
        ax.margins(y=0.15)
        ax.set(xlabel="Score", ylabel="Density")
        ax.legend()


@with_parameters
class PredictionIntervalDisplay(_plot.Display):
    """True scores against predictions, with the interval of each prediction.

    Blue dots are scores within their intervals, orange-red crosses scores outside. At
    most 1,000 posts are drawn; the shares in the legend are those of all posts.
    `from_estimator` predicts and draws.

    Parameters
    ----------
    y_true, y_pred, lower, upper : array-like of shape (n_posts,)
        True scores, predictions, and the ends of their intervals.
    coverage : float, default=None
        Share of posts that the intervals should cover, for the legend.

    Attributes
    ----------
    %(axes)s
    inside_, outside_ : PathCollection
        The points within and outside their intervals.
    intervals_ : LineCollection
        The intervals.

    Examples
    --------
    >>> from hyperfusion.inspection import PredictionIntervalDisplay
    >>> display = PredictionIntervalDisplay(
    ...     y_true=[1.0, 5.0], y_pred=[2.0, 3.0], lower=[0.0, 1.0], upper=[4.0, 4.5]
    ... )
    >>> len(display.plot().outside_.get_offsets())
    1
    """

    y_true: ArrayLike
    y_pred: ArrayLike
    lower: ArrayLike
    upper: ArrayLike
    coverage: float | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        coverage: float = 0.9,
        ax: Any = None,
    ) -> Self:
        """Predict posts with intervals and draw them.

        Parameters
        ----------
        estimator : HyperFusionRegressor, or Pipeline, search or wrapper around one
            The fitted model.
        %(held_out)s
        coverage : float, default=0.9
            Share of posts that the intervals should cover.
        %(ax)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If the model has no ensemble inside.
        """
        from hyperfusion.ensemble import predict_interval

        bands = predict_interval(estimator, X, coverage=coverage)
        ends = {"lower": bands["lower"], "upper": bands["upper"]}
        predicted = bands["prediction"]
        return cls(y_true=y, y_pred=predicted, **ends, coverage=coverage).plot(ax)

    def _draw(self, ax: Any) -> None:
        true = check_vector("y_true", self.y_true)
        names = ("y_pred", "lower", "upper")
        given = [check_vector(n, getattr(self, n), len(true)) for n in names]
        predicted, low, high = given
        rows = np.arange(len(true))
        if len(rows) > _MOST_POINTS:
            rng = np.random.RandomState(0)
            rows = rng.choice(len(rows), _MOST_POINTS, replace=False)
        y_true, y_pred = true[rows], predicted[rows]
        few = len(rows) <= 60
        size = 36 if few else 12
        look = {"color": _plot.SKY, "alpha": 0.6 if few else 0.2, "linewidth": 1.5}
        self.intervals_ = ax.vlines(y_pred, low[rows], high[rows], zorder=1, **look)
        holds = (low <= true) & (true <= high)
        share, inside = holds.mean(), holds[rows]
        wanted = "" if self.coverage is None else f" (asked for {self.coverage:.0%})"
        dots = {"color": _plot.BLUE, "alpha": 0.9 if few else 0.6, "linewidths": 0}
        label = f"within the interval: {share:.1%}{wanted}"
        points = y_pred[inside], y_true[inside]
        self.inside_ = ax.scatter(*points, size, label=label, **dots)
        crosses = {"color": _plot.VERMILLION, "marker": "x"}
        label = f"outside: {1 - share:.1%}"
        points = y_pred[~inside], y_true[~inside]
        self.outside_ = ax.scatter(*points, size, label=label, **crosses)
        range_ = [min(y_true.min(), y_pred.min()), max(y_true.max(), y_pred.max())]
        line = {"color": _plot.GRAY, "linewidth": 1}
        ax.plot(range_, range_, "--", **line)
        ax.set(xlabel="Predicted score", ylabel="True score")
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top + 0.15 * (top - bottom))  # the legend hides no post
        ax.legend(loc="upper left")
