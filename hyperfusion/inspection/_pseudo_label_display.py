"""Rounds of learning from unlabeled posts."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion._anatomy import find
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._plot import (
    BLUE,
    SKY,
    VERMILLION,
    check_metric,
    new_axes,
)

_METRICS = {"mae": "MAE", "src": "SRC"}


class PseudoLabelDisplay:
    """Posts added in each round of pseudo-labels, and the score before and after.

    Rounds that were kept are filled, those that were undone hollow. Use
    `from_estimator`.

    Parameters
    ----------
    trace : DataFrame
        The attribute ``trace_`` of `PseudoLabelWrapper`, one row a round.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the scores.
    figure_ : matplotlib Figure
        Figure that holds them.
    count_ax_ : matplotlib Axes
        The same axes' right side, with the numbers of posts.
    bars_ : BarContainer
        Posts added.
    lines_ : list of Line2D
        One from before to after each round.

    See Also
    --------
    hyperfusion.ensemble.PseudoLabelWrapper : Learns from unlabeled posts.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.inspection import PseudoLabelDisplay
    >>> trace = pd.DataFrame(
    ...     {"round": [1, 2], "n_added": [40, 25], "kept": [True, False],
    ...      "mae_before": [1.30, 1.25], "mae_after": [1.25, 1.26]}
    ... )
    >>> len(PseudoLabelDisplay(trace=trace).plot().lines_)
    2
    """

    def __init__(self, *, trace: pd.DataFrame):
        self.trace = trace

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, metric: str = "mae", ax: Any = None
    ) -> Self:
        """Draw the rounds of a fitted wrapper.

        Parameters
        ----------
        estimator : PseudoLabelWrapper, or Pipeline or search around one
            Fitted.
        metric : {"mae", "src"}, default="mae"
            Which score to draw.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        PseudoLabelDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If the model keeps no trace of rounds, or the metric is unknown.
        """
        model = find(estimator, lambda part: hasattr(part, "trace_"))
        if model is None:
            raise InvalidInputError(
                f"There is no fitted PseudoLabelWrapper inside "
                f"{type(estimator).__name__}."
            )
        return cls(trace=model.trace_).plot(ax, metric=metric)

    def plot(self, ax: Any = None, *, metric: str = "mae") -> Self:
        """Draw the rounds.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        metric : {"mae", "src"}, default="mae"
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
        self.figure_, self.ax_ = new_axes(ax, self)
        trace, self.lines_ = self.trace, []
        self.count_ax_ = self.ax_.twinx()
        # the scores belong in front of the bars
        self.ax_.set_zorder(self.count_ax_.get_zorder() + 1)
        self.ax_.patch.set_visible(False)
        rounds = np.asarray(trace["round"], dtype=int) if len(trace) else np.empty(0)
        kept = np.asarray(trace["kept"], dtype=bool) if len(trace) else np.empty(0)
        counts = trace["n_added"] if len(trace) else []
        self.bars_ = self.count_ax_.bar(
            rounds, counts, width=0.5, color=SKY, alpha=0.5, label="posts added"
        )
        for number, was_kept, (_, row) in zip(
            rounds, kept, trace.iterrows(), strict=True
        ):
            color = BLUE if was_kept else VERMILLION
            self.lines_ += self.ax_.plot(
                [number - 1, number],
                [row[f"{metric}_before"], row[f"{metric}_after"]],
                "-" if was_kept else "--",
                color=color,
                marker="o",
                markevery=[1],
                markerfacecolor=color if was_kept else "white",
                label="kept" if was_kept else "undone",
            )
        if len(trace):
            self.ax_.plot(
                rounds[0] - 1, trace[f"{metric}_before"].iloc[0], "o", color=BLUE
            )
        else:
            self.ax_.text(
                0.5, 0.5, "no rounds", ha="center", transform=self.ax_.transAxes
            )
            self.ax_.set_yticks([])
            self.count_ax_.set_yticks([])
        self._label(_METRICS[metric], len(trace))
        return self

    def _label(self, name: str, n_rounds: int) -> None:
        self.ax_.set(xlabel="Round (0: labeled posts alone)")
        self.ax_.set_ylabel(f"Out-of-fold {name}")
        self.count_ax_.set_ylabel("Posts added")
        self.ax_.set_xticks(range(n_rounds + 1))
        self.count_ax_.margins(y=0.4)
        handles: dict[str, Any] = {}
        for ax in (self.ax_, self.count_ax_):
            found, labels = ax.get_legend_handles_labels()
            handles |= dict(zip(labels, found, strict=True))
        if n_rounds:
            self.ax_.legend(handles.values(), handles.keys(), loc="best")
