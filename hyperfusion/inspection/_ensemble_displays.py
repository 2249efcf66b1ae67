"""Plots of a fit: weights of members, losses, rounds of pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion._anatomy import Anatomy, ensemble_inside, final_step, find
from hyperfusion._base import with_parameters
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection import _plot

_MOST_TEXTS = 160


@with_parameters
class EnsembleWeightsDisplay(_plot.Display):
    """Weights of the members in each fold, as a heat map with numbers.

    Draws the weights of the paper's equation 8. Use `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_folds, n_members)
        Weights. Each row adds up to 1.
    names : sequence of str of length n_members
        Names of the members.

    Attributes
    ----------
    %(axes)s
    image_ : AxesImage
        The heat map: a row for each member, a column for each fold, then the mean.
    texts_ : list of Text
        The numbers; none if there are more than 160.

    Examples
    --------
    >>> from hyperfusion.inspection import EnsembleWeightsDisplay
    >>> weights = [[0.7, 0.3], [0.5, 0.5]]
    >>> display = EnsembleWeightsDisplay(weights=weights, names=["trees", "ridge"])
    >>> [text.get_text() for text in display.plot().texts_[:3]]
    ['0.70', '0.50', '0.60']
    """

    weights: np.ndarray
    names: Sequence[str]

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the weights of a fitted ensemble.

        Parameters
        ----------
        estimator : HyperFusionRegressor, or Pipeline, search or wrapper around one
            Fitted.
        %(ax)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If there is no ensemble inside the model.
        """
        ensemble = ensemble_inside(estimator).ensemble
        names = [name for name, _ in ensemble.members_]
        return cls(weights=ensemble.weights_, names=names).plot(ax)

    def _draw(self, ax: Any) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        table = np.vstack([weights, weights.mean(axis=0)]).T
        n_members, n_columns = table.shape
        most = max(table.max(), 1e-9)
        self.image_ = ax.imshow(table, "viridis", aspect="auto", vmin=0, vmax=most)
        self.figure_.colorbar(self.image_, ax=ax, label="Weight")
        size = _plot.label_size(n_members)
        smaller = min(size, _plot.label_size(2 * n_columns))
        look = {"ha": "center", "va": "center", "fontsize": smaller}
        self.texts_ = []
        labeled = table if table.size <= _MOST_TEXTS else np.empty((0, 0))
        for (row, column), weight in np.ndenumerate(labeled):
            color = "white" if weight < 0.57 * most else "black"
            text = ax.text(column, row, f"{weight:.2f}", color=color, **look)
            self.texts_.append(text)
        ax.axvline(n_columns - 1.5, color="white", linewidth=3)
        folds = [*map(str, range(1, n_columns)), "mean"]
        step = -(-n_columns // 9)  # no more labels than fit side by side
        shown = [*range(0, n_columns - step, step), n_columns - 1]
        ax.set_xticks(shown, [folds[i] for i in shown])
        labels = _plot.short_labels(self.names, 24)
        ax.set_yticks(range(n_members), labels, fontsize=size)
        ax.set(xlabel="Fold")


@with_parameters
class TrainingCurveDisplay(_plot.Display):
    """Loss of a network after each epoch, on training rows and on held-out rows.

    There is a pair of lines for the model of each fold. A dot marks the epoch whose
    weights were kept. Use `from_estimator`.

    Parameters
    ----------
    training, validation : list of sequences of float
        For each model, the losses on the training rows, and those on the held-out rows
        (empty if there are none).
    best_iter : list of int or None
        For each model, the epoch whose weights were kept, counted from 1.
    name : str, default=None
        Name of the member, for the title.

    Attributes
    ----------
    %(axes)s
    training_lines_, validation_lines_ : list of Line2D
        The curves.

    Examples
    --------
    >>> from hyperfusion.inspection import TrainingCurveDisplay
    >>> display = TrainingCurveDisplay(
    ...     training=[[3.0, 2.0, 1.0]], validation=[[3.0, 2.5, 2.7]], best_iter=[2]
    ... )
    >>> len(display.plot().validation_lines_)
    1
    """

    training: Sequence[Sequence[float]]
    validation: Sequence[Sequence[float]]
    best_iter: Sequence[int | None]
    name: str | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, member: str | None = None, ax: Any = None
    ) -> Self:
        """Draw the curves of a network, or those of a member in each fold.

        Parameters
        ----------
        estimator : fitted regressor or Pipeline
            A model with ``loss_curve_``, or an ensemble with such members.
        member : str, default=None
            Name of a member of the ensemble. None uses the first one with curves.
        %(ax)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If there are no curves, or the member is unknown.
        """
        found: dict[str, list[Any]] = {}
        for fold in Anatomy.of(estimator).models:
            for name, _, model in fold:
                last = final_step(model)
                if hasattr(last, "loss_curve_"):
                    found.setdefault(name, []).append(last)
        if not found or member not in (None, *found):
            raise InvalidInputError(
                f"member={member!r} has no training curves; only networks have them. "
                f"Members with curves: {list(found)}."
            )
        name = member if member is not None else next(iter(found))
        models = found[name]
        return cls(
            training=[model.loss_curve_ for model in models],
            validation=[getattr(model, "validation_curve_", []) for model in models],
            best_iter=[getattr(model, "best_iter_", None) for model in models],
            name=name,
        ).plot(ax)

    def _draw(self, ax: Any) -> None:
        drawn = self._lines(ax, self.training, _plot.BLUE, "-", "trained on")
        held_out = self._lines(ax, self.validation, _plot.ORANGE, "--", "held out")
        self.training_lines_, self.validation_lines_ = drawn, held_out
        curves = [
            held if len(held) else trained
            for held, trained in zip(self.validation, self.training, strict=True)
        ]
        kept = [
            (best, curve[best - 1])
            for best, curve in zip(self.best_iter, curves, strict=True)
            if best is not None and 1 <= best <= len(curve)
        ]
        if kept:
            look = {"color": "black", "markersize": 4, "zorder": 3}
            ax.plot(*np.transpose(kept), "o", label="weights kept", **look)
        ax.set(xlabel="Epoch", ylabel="Loss (scaled target)")
        longest = max(map(len, (*self.training, *self.validation)))
        ax.set_xlim(0.5, longest + 0.5)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if self.name is not None and self.name != "model":
            ax.set_title(_plot.shorten(self.name, 48))
        ax.legend()
        ax.grid(color=_plot.GRAY, alpha=0.2)

    @staticmethod
    def _lines(ax: Any, curves: Any, color: str, style: str, label: str) -> list[Any]:
        lines: list[Any] = []
        drawn = [np.asarray(curve, dtype=np.float64) for curve in curves if len(curve)]
        width, alpha = (1.8, 1.0) if len(drawn) == 1 else (1.0, 0.8)
        look = {"color": color, "linewidth": width, "alpha": alpha, "markersize": 3}
        for curve in drawn:
            epochs = np.arange(1, len(curve) + 1)
            dot = "o" if len(curve) == 1 else None
            name = None if lines else label
            lines += ax.plot(epochs, curve, style, marker=dot, label=name, **look)
        return lines


@with_parameters
class PseudoLabelDisplay(_plot.Display):
    """Posts added in each round of pseudo-labels, and the error before and after.

    Filled points are rounds that were kept, hollow points are rounds that were undone.
    The mean absolute error (MAE) is out-of-fold: each labeled post is predicted by
    models that were not fitted on it. Use `from_estimator`.

    Parameters
    ----------
    trace : DataFrame
        The attribute ``trace_`` of `PseudoLabelWrapper`, with one row per round.

    Attributes
    ----------
    %(axes)s
    bars_ : BarContainer
        Posts added, on axes on the right side.
    lines_ : list of Line2D
        One line per round, from the error before it to the error after it.

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

    trace: pd.DataFrame

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the rounds of a fitted wrapper.

        Parameters
        ----------
        estimator : PseudoLabelWrapper, or Pipeline or search around one
            Fitted.
        %(ax)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If there is no `PseudoLabelWrapper` in the model.
        """
        model = find(estimator, lambda part: hasattr(part, "trace_"))
        if model is None:
            raise InvalidInputError(
                f"There is no fitted PseudoLabelWrapper inside "
                f"{type(estimator).__name__}."
            )
        return cls(trace=model.trace_).plot(ax)

    def _draw(self, ax: Any) -> None:
        self.lines_ = []
        right = ax.twinx()
        # draw the scores in front of the bars
        ax.set_zorder(right.get_zorder() + 1)
        ax.patch.set_visible(False)
        rounds, counts = ([*self.trace.get(c, [])] for c in ("round", "n_added"))
        look = {"width": 0.5, "color": _plot.SKY, "alpha": 0.5}
        self.bars_ = right.bar(rounds, counts, label="posts added", **look)
        for row in self.trace.to_dict("records"):
            color = _plot.BLUE if row["kept"] else _plot.VERMILLION
            look = {"color": color, "label": "kept", "marker": "o", "markevery": [1]}
            if not row["kept"]:
                look |= {"label": "undone", "ls": "--", "markerfacecolor": "white"}
            errors = [row["mae_before"], row["mae_after"]]
            self.lines_ += ax.plot([row["round"] - 1, row["round"]], errors, **look)
        ax.set(xlabel="Round (0: labeled posts alone)", ylabel="Out-of-fold MAE")
        ax.set_xticks(range(len(rounds) + 1))
        right.set_ylabel("Posts added")
        right.margins(y=0.4)
        if rounds:
            start = self.trace["mae_before"].iloc[0]
            ax.plot(rounds[0] - 1, start, "o", color=_plot.BLUE)
            handles: dict[str, Any] = {}
            for axes in (ax, right):
                found, labels = axes.get_legend_handles_labels()
                handles |= dict(zip(labels, found, strict=True))
            ax.legend(handles.values(), handles.keys(), loc="best")
        else:
            ax.text(0.5, 0.5, "no rounds", ha="center", transform=ax.transAxes)
            for axes in (ax, right):
                axes.set_yticks([])
