"""The weights of an ensemble's members, fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from hyperfusion._anatomy import ensemble_inside
from hyperfusion.inspection._plot import label_size, new_axes, short_labels, text_color

_MOST_TEXTS = 160


class EnsembleWeightsDisplay:
    """Weights of the members in each fold, as a map of colors with numbers.

    The weights of equation 8. Use `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_folds, n_members)
        Weights; each row adds up to 1.
    names : sequence of str of length n_members
        Names of the members.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
    image_ : AxesImage
        The map: members from top to bottom, folds from left to right, then the mean.
    colorbar_ : Colorbar
        What the colors mean.
    texts_ : list of Text
        The numbers; none where there are more than 160.

    See Also
    --------
    hyperfusion.ensemble.HyperFusionRegressor : Finds the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion.inspection import EnsembleWeightsDisplay
    >>> weights = np.array([[0.7, 0.3], [0.5, 0.5]])
    >>> display = EnsembleWeightsDisplay(weights=weights, names=["trees", "ridge"])
    >>> [text.get_text() for text in display.plot().texts_[:3]]
    ['0.70', '0.50', '0.60']
    """

    def __init__(self, *, weights: np.ndarray, names: Sequence[str]):
        self.weights = weights
        self.names = names

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, cmap: Any = "viridis"
    ) -> Self:
        """Draw the weights of a fitted ensemble.

        Parameters
        ----------
        estimator : HyperFusionRegressor, or Pipeline, search or wrapper around one
            Fitted.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colors from zero to the largest weight.

        Returns
        -------
        EnsembleWeightsDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If there is no ensemble inside the model.
        """
        ensemble = ensemble_inside(estimator).ensemble
        names = [name for name, _ in ensemble.members_]
        return cls(weights=ensemble.weights_, names=names).plot(ax, cmap=cmap)

    def plot(self, ax: Any = None, *, cmap: Any = "viridis") -> Self:
        """Draw the map of weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colors from zero to the largest weight.

        Returns
        -------
        self
            The display.
        """
        self.figure_, self.ax_ = new_axes(ax, self)
        weights = np.asarray(self.weights, dtype=np.float64)
        table = np.vstack([weights, weights.mean(axis=0)]).T
        n_members, n_columns = table.shape
        self.image_ = self.ax_.imshow(
            table, cmap=cmap, aspect="auto", vmin=0, vmax=max(table.max(), 1e-9)
        )
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label="Weight")
        size = min(label_size(n_members), label_size(2 * n_columns))
        self.texts_ = []
        if table.size <= _MOST_TEXTS:
            self.texts_ = [
                self.ax_.text(
                    column,
                    row,
                    f"{weight:.2f}",
                    ha="center",
                    va="center",
                    fontsize=size,
                    color=text_color(weight, self.image_),
                )
                for (row, column), weight in np.ndenumerate(table)
            ]
        self._label(n_members, n_columns)
        return self

    def _label(self, n_members: int, n_columns: int) -> None:
        self.ax_.axvline(n_columns - 1.5, color="white", linewidth=3)
        folds = [*map(str, range(1, n_columns)), "mean"]
        step = -(-n_columns // 9)  # no more labels than fit side by side
        shown = [*range(0, n_columns - step, step), n_columns - 1]
        self.ax_.set_xticks(shown, [folds[i] for i in shown])
        self.ax_.set_yticks(
            range(n_members),
            short_labels(self.names, 24),
            fontsize=label_size(n_members),
        )
        self.ax_.set(xlabel="Fold")
