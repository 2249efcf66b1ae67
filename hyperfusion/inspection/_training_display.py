"""Losses of networks while they train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from hyperfusion._anatomy import Anatomy, final_step
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._plot import BLUE, GRAY, ORANGE, new_axes, shorten


class TrainingCurveDisplay:
    """Loss after each epoch on the rows trained on and on those held out.

    One pair of lines for the models of each fold; a dot marks the epoch whose weights
    were kept. Use `from_estimator`.

    Parameters
    ----------
    training : list of sequences of float
        For each model the losses on the rows trained on.
    validation : list of sequences of float
        For each model the losses on the rows held out; empty without.
    best_iter : list of int or None
        For each model the epoch that was kept, counted from 1.
    name : str, default=None
        The member's name, for the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
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

    def __init__(
        self,
        *,
        training: Sequence[Sequence[float]],
        validation: Sequence[Sequence[float]],
        best_iter: Sequence[int | None],
        name: str | None = None,
    ):
        self.training = training
        self.validation = validation
        self.best_iter = best_iter
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, member: str | None = None, ax: Any = None
    ) -> Self:
        """Draw the curves of a network, or of an ensemble's member in each fold.

        Parameters
        ----------
        estimator : fitted regressor or Pipeline
            A model with ``loss_curve_``, or an ensemble with such members.
        member : str, default=None
            Name of the ensemble's member; None is the first that has curves.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        TrainingCurveDisplay
            The drawn display.

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
                f"member={member!r} has no training curves. Members with curves: "
                f"{list(found)}; networks have them."
            )
        name = member if member is not None else next(iter(found))
        models = found[name]
        return cls(
            training=[model.loss_curve_ for model in models],
            validation=[getattr(model, "validation_curve_", []) for model in models],
            best_iter=[getattr(model, "best_iter_", None) for model in models],
            name=name,
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self
            The display.
        """
        self.figure_, self.ax_ = new_axes(ax, self)
        self.training_lines_ = self._lines(self.training, BLUE, "-", "trained on")
        self.validation_lines_ = self._lines(self.validation, ORANGE, "--", "held out")
        held = [bool(len(curve)) for curve in self.validation]
        kept = [
            (best, (curve if is_held else trained)[best - 1])
            for best, curve, trained, is_held in zip(
                self.best_iter, self.validation, self.training, held, strict=True
            )
            if best is not None and 1 <= best <= len(curve if is_held else trained)
        ]
        if kept:
            self.ax_.plot(
                *np.transpose(kept),
                "o",
                color="black",
                markersize=4,
                label="weights kept",
                zorder=3,
            )
        self.ax_.set(xlabel="Epoch", ylabel="Loss (scaled target)")
        longest = max(len(curve) for curve in (*self.training, *self.validation))
        self.ax_.set_xlim(0.5, longest + 0.5)
        self.ax_.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if self.name is not None and self.name != "model":
            self.ax_.set_title(shorten(self.name, 48))
        self.ax_.legend()
        self.ax_.grid(color=GRAY, alpha=0.2)
        return self

    def _lines(self, curves: Any, color: str, style: str, label: str) -> list[Any]:
        lines: list[Any] = []
        drawn = [np.asarray(curve, dtype=np.float64) for curve in curves if len(curve)]
        for curve in drawn:
            lines += self.ax_.plot(
                np.arange(1, len(curve) + 1),
                curve,
                style,
                color=color,
                linewidth=1.8 if len(drawn) == 1 else 1,
                alpha=1 if len(drawn) == 1 else 0.8,
                marker="o" if len(curve) == 1 else None,
                markersize=3,
                label=label if not lines else None,
            )
        return lines
