"""The paper's figure 2: how predictions and true scores are distributed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import gaussian_kde

from hyperfusion.inspection._plot import BLUE, ORANGE, check_vector, new_axes

_MOST_BINS = 50


class DistributionDisplay:
    """Histogram and density of predictions and of true scores.

    The paper's figure 2 (section 4.4). Where predictions are narrower than the truth,
    the model is careful at the extremes. Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_true : ndarray of shape (n_posts,)
        True scores.
    y_pred : ndarray of shape (n_posts,)
        Predictions.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
    bars_ : list
        The histograms: a BarContainer of the truth, the outline of the predictions.
    lines_ : list of Line2D
        The densities; none for values that are all equal.

    See Also
    --------
    PredictionIntervalDisplay : Each prediction against its truth.

    Examples
    --------
    >>> from hyperfusion.inspection import DistributionDisplay
    >>> display = DistributionDisplay.from_predictions([1.0, 2, 4], [2.0, 2, 3])
    >>> display.ax_.get_ylabel()
    'Density'
    """

    def __init__(self, *, y_true: np.ndarray, y_pred: np.ndarray):
        self.y_true = y_true
        self.y_pred = y_pred

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        ax: Any = None,
        bins: Any = "auto",
    ) -> Self:
        """Predict posts and draw the distributions.

        Parameters
        ----------
        estimator : fitted regressor or Pipeline
            What predicts.
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts, best those that the model was not fitted on.
        y : array-like of shape (n_posts,)
            True scores.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        bins : int, str or sequence, default="auto"
            As for `numpy.histogram_bin_edges`.

        Returns
        -------
        DistributionDisplay
            The drawn display.
        """
        return cls.from_predictions(y, estimator.predict(X), ax=ax, bins=bins)

    @classmethod
    def from_predictions(
        cls, y_true: ArrayLike, y_pred: ArrayLike, *, ax: Any = None, bins: Any = "auto"
    ) -> Self:
        """Draw the distributions of predictions that are there.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_posts,)
            True scores and predictions.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        bins : int, str or sequence, default="auto"
            As for `numpy.histogram_bin_edges`.

        Returns
        -------
        DistributionDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If there is no post, or lengths differ.
        """
        y_true = check_vector("y_true", y_true)
        y_pred = check_vector("y_pred", y_pred, len(y_true))
        return cls(y_true=y_true, y_pred=y_pred).plot(ax, bins=bins)

    def plot(self, ax: Any = None, *, bins: Any = "auto") -> Self:
        """Draw both histograms on the same bins, and both densities.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        bins : int, str or sequence, default="auto"
            As for `numpy.histogram_bin_edges`; "auto" makes 50 at most.

        Returns
        -------
        self
            The display.
        """
        self.figure_, self.ax_ = new_axes(ax, self)
        edges = _bin_edges(np.concatenate([self.y_true, self.y_pred]), bins)
        self.bars_, self.lines_ = [], []
        for name, values, color, style in (
            ("true", self.y_true, BLUE, {"alpha": 0.3}),
            ("predicted", self.y_pred, ORANGE, {"histtype": "step", "linewidth": 1.2}),
        ):
            _, _, bars = self.ax_.hist(
                values, edges, density=True, color=color, label=name, **style
            )
            self.bars_.append(bars)
            if np.ptp(values) > 0:
                grid, density = _density(values)
                self.lines_ += self.ax_.plot(
                    grid,
                    density,
                    "-" if name == "true" else "--",
                    color=color,
                    linewidth=2,
                    label=f"{name}, density",
                )
        self.ax_.margins(y=0.15)
        self.ax_.set(xlabel="Score", ylabel="Density")
        self.ax_.legend()
        return self


def _density(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel density estimate, out to where it has vanished."""
    kernel = gaussian_kde(values)
    beyond = 3 * float(np.sqrt(kernel.covariance[0, 0]))
    grid = np.linspace(values.min() - beyond, values.max() + beyond, 400)
    return grid, kernel(grid)


def _bin_edges(values: np.ndarray, bins: Any) -> np.ndarray:
    edges = np.histogram_bin_edges(values, bins)
    if isinstance(bins, str) and len(edges) > _MOST_BINS + 1:
        return np.histogram_bin_edges(values, _MOST_BINS)
    return edges
