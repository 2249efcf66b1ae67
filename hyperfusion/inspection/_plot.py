"""What all Displays share: axes, colors and labels. No global state is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import isfunction
from typing import Any, Self

import numpy as np

from hyperfusion._base import fill_slots
from hyperfusion._validation import needing
from hyperfusion.exceptions import InvalidInputError

# Okabe and Ito's colors, distinguishable with any kind of color vision
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILLION, YELLOW, GRAY = "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F"

_AXES = """
ax_ : matplotlib Axes
    Axes of the plot.
figure_ : matplotlib Figure
    Figure of the axes."""
_HELD_OUT = """
X : DataFrame or array of shape (n_posts, n_columns)
    Posts, ideally ones that the model was not fitted on.
y : array-like of shape (n_posts,)
    Their true targets."""
_AX = "ax : matplotlib Axes, default=None\n    Axes to draw on; None makes some."
_DRAWN = "Returns\n-------\n{}\n    The drawn display."


class Display:
    """Base class of all Displays, which draw on `ax_` in their method `_draw`.

    Their docstrings have the slots ``ax``, ``axes``, ``held_out`` and ``drawn``.
    """

    ax_: Any
    figure_: Any
    _draw: Callable[[Any], None]

    def __init_subclass__(cls) -> None:
        drawn = _DRAWN.format(cls.__name__)
        methods = (getattr(value, "__func__", value) for value in vars(cls).values())
        for documented in (cls, *filter(isfunction, methods)):
            fill_slots(ax=_AX, axes=_AXES, held_out=_HELD_OUT, drawn=drawn)(documented)

    def __repr__(self) -> str:
        held = []
        for name, value in vars(self).items():
            if isinstance(value, (str, int, float)):
                held.append(f"{name}={value!r}")
            elif name[-1] != "_" and value is not None:
                shape = getattr(value, "shape", None)
                size = " x ".join(map(str, shape)) if shape else f"{len(value)} items"
                held.append(f"{name}=<{size}>")
        return f"{type(self).__name__}({', '.join(held)})"

    def plot(self, ax: Any = None) -> Self:
        """Draw on the given axes, or in a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes some.

        Returns
        -------
        self
            The drawn display.
        """
        with needing("matplotlib", f"{type(self).__name__}.plot", "plot"):
            import matplotlib.pyplot as plt
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.figure_, self.ax_ = ax.figure, ax
        self._draw(ax)
        return self


def short_labels(labels: Iterable[Any], length: int = 32) -> list[str]:
    """Return labels without their middle parts where too long; they stay distinct."""
    texts = [str(label) for label in labels]
    short: list[str] = []
    while len(set(short)) < len(set(texts)):
        head, tail = length - length // 2 - 1, length // 2
        short = [t if len(t) <= length else f"{t[:head]}…{t[-tail:]}" for t in texts]
        length += 4
    return short


def label_size(n_labels: int, longest: int = 0) -> float:
    """Return a font size at which labels of this number and length fit."""
    return float(np.clip(min(220 / max(n_labels, 1), 340 / max(longest, 1)), 5, 10))


def check_vector(name: str, values: Any, length: int | None = None) -> np.ndarray:
    """Return values as a 1-D float array, of a given length."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or len(vector) == 0 or length not in (None, len(vector)):
        wanted = "at least one number" if length is None else f"{length} numbers"
        raise InvalidInputError(
            f"{name} must hold {wanted}, one per post. Got shape {vector.shape}."
        )
    return vector
