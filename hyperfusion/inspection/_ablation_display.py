"""What each part of a model contributes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion.inspection._plot import (
    BLUE,
    GRAY,
    VERMILLION,
    check_metric,
    label_size,
    new_axes,
    shorten,
)

_METRICS = {"src": ("SRC", -1), "mae": ("MAE", 1)}  # the sign of a change for the worse


class AblationDisplay:
    """Changes of the score without each part of a model, with their intervals.

    The paper's table 1 (section 4.3.2) as a picture. Use `from_estimator`, or give it
    the table of `ablate`.

    Parameters
    ----------
    table : DataFrame
        What `ablate` returns.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
    points_ : list of ErrorbarContainer
        One point a variant that applies, with its interval.

    See Also
    --------
    hyperfusion.model_selection.ablate : Computes the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.inspection import AblationDisplay
    >>> table = pd.DataFrame(
    ...     {"src": [0.73, 0.69], "src_change": [0.0, -0.04],
    ...      "src_change_low": [0.0, -0.05], "src_change_high": [0.0, -0.03]},
    ...     index=["full model", "without visual"],
    ... )
    >>> display = AblationDisplay(table=table).plot()
    >>> display.ax_.get_title()
    'Full model: SRC 0.7300'
    """

    def __init__(self, *, table: pd.DataFrame):
        self.table = table

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        metric: str = "src",
        ax: Any = None,
        **params: Any,
    ) -> Self:
        """Take parts of a model away, score what is left, and draw the changes.

        Parameters
        ----------
        estimator : Pipeline or regressor
            The model; it is fitted for every variant.
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts.
        y : array-like of shape (n_posts,)
            Their scores.
        metric : {"src", "mae"}, default="src"
            Which score to draw.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **params
            Further parameters of `ablate`.

        Returns
        -------
        AblationDisplay
            The drawn display; `table` holds both scores.
        """
        from hyperfusion.model_selection import ablate

        check_metric(metric, _METRICS)
        return cls(table=ablate(estimator, X, y, **params)).plot(ax, metric=metric)

    def plot(self, ax: Any = None, *, metric: str = "src") -> Self:
        """Draw the changes of one score.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        metric : {"src", "mae"}, default="src"
            Which score.

        Returns
        -------
        self
            The display.

        Raises
        ------
        InvalidInputError
            If the metric is unknown.
        """
        check_metric(metric, _METRICS)
        name, worse = _METRICS[metric]
        self.figure_, self.ax_ = new_axes(ax, self)
        full, rows = self.table.iloc[0], self.table.iloc[1:]
        self.points_ = []
        for place, (_, row) in enumerate(rows.iterrows()):
            change = row[f"{metric}_change"]
            if np.isnan(change):
                self.ax_.text(
                    0.02,
                    place,
                    "does not apply",
                    transform=self.ax_.get_yaxis_transform(),
                    va="center",
                    color="0.4",
                    fontsize=8,
                )
                continue
            ends = np.array([row[f"{metric}_change_{end}"] for end in ("low", "high")])
            self.points_.append(
                self.ax_.errorbar(
                    change,
                    place,
                    xerr=np.abs(ends - change)[:, None],
                    fmt="o",
                    capsize=3,
                    color=_color(ends * worse),
                )
            )
        self._label(name, worse, float(full[metric]), list(rows.index))
        return self

    def _label(self, name: str, worse: int, full: float, variants: list[Any]) -> None:
        self.ax_.axvline(0, color="0.3", linewidth=0.8)
        self.ax_.set_yticks(
            range(len(variants)),
            [shorten(variant) for variant in variants],
            fontsize=label_size(len(variants)),
        )
        self.ax_.set_ylim(len(variants) - 0.5, -0.5)
        side = "left" if worse < 0 else "right"
        self.ax_.set_xlabel(f"Change of {name} ({side} of zero: the part helps)")
        self.ax_.set_title(f"Full model: {name} {full:.4f}")


def _color(ends: np.ndarray) -> str:
    """Return the color of a change whose interval, positive for worse, is `ends`."""
    if ends.min() > 0:
        return BLUE
    return VERMILLION if ends.max() < 0 else GRAY
