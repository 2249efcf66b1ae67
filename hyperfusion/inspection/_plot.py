"""What all Displays share: axes, colors and labels. No global state is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from inspect import isfunction
from typing import Any

import numpy as np

from hyperfusion._docstrings import fill_slots
from hyperfusion._version import DISTRIBUTION
from hyperfusion.exceptions import InvalidInputError, MissingDependencyError

# Okabe and Ito's colors, distinguishable with any kind of color vision
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILLION, YELLOW, GRAY = "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F"

FAMILY_COLORS = {
    "visual": BLUE,
    "textual": ORANGE,
    "user": GREEN,
    "temporal": PINK,
    "geographic": SKY,
    "metadata": VERMILLION,
    "relational": YELLOW,
    "other": GRAY,
}


_PARAGRAPHS = {
    "ax": "ax : matplotlib Axes, default=None\n    Axes to draw on; None makes some.",
    "axes": """
        ax_ : matplotlib Axes
            Axes of the plot.
        figure_ : matplotlib Figure
            Figure of the axes.""",
    "metric": """
        metric : {"src", "mae"}, default="%s"
            Which score to draw: Spearman's rank correlation (SRC) or the mean absolute
            error (MAE).""",
    "held_out": """
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts, ideally ones that the model was not fitted on.
        y : array-like of shape (n_posts,)
            Their true targets.""",
    "params": "**params\n    Further parameters of `plot`.",
    "drawn": "Returns\n-------\n%s\n    The drawn display.",
}


class Display:
    """Base class of all Displays. Their docstrings have slots for `_PARAGRAPHS`."""

    ax_: Any
    figure_: Any

    def __init_subclass__(cls, metric: str = "") -> None:
        own = {"drawn": cls.__name__, "metric": metric}
        filled = {k: p % own[k] if k in own else p for k, p in _PARAGRAPHS.items()}
        methods = (getattr(value, "__func__", value) for value in vars(cls).values())
        for documented in (cls, *filter(isfunction, methods)):
            fill_slots(**filled)(documented)

    def __repr__(self) -> str:
        held = (
            f"{name}={_in_short(value)}"
            for name, value in vars(self).items()
            if name[-1] != "_" and value is not None
        )
        return f"{type(self).__name__}({', '.join(held)})"

    def _open(self, ax: Any) -> None:
        """Set the axes to draw on; they are in a new figure where `ax` is None."""
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise MissingDependencyError(
                f"{type(self).__name__}.plot needs matplotlib, which is not installed. "
                f"Install it with: pip install '{DISTRIBUTION}[plot]'"
            ) from error
        if ax is None:
            self.figure_, self.ax_ = plt.subplots(layout="constrained")
        else:
            self.figure_, self.ax_ = ax.figure, ax


def _in_short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"<{' x '.join(map(str, shape))}>"
    is_short = isinstance(value, (str, int, float))
    return repr(value) if is_short else f"<{len(value)} items>"


def shorten(label: Any, length: int = 32) -> str:
    """Return a label without its middle part if it is too long."""
    text = str(label)
    if len(text) <= length:
        return text
    tail = length // 2
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def short_labels(labels: Iterable[Any], length: int = 32) -> list[str]:
    """Return shortened labels that stay distinct."""
    labels = list(labels)
    longest = max((len(str(label)) for label in labels), default=0)
    distinct = len({str(label) for label in labels})
    while True:
        short = [shorten(label, length) for label in labels]
        if len(set(short)) == distinct or length >= longest:
            return short
        length += 4


def label_size(n_labels: int, longest: int = 0) -> float:
    """Return a font size at which labels of this number and length fit."""
    return float(np.clip(min(220 / max(n_labels, 1), 340 / max(longest, 1)), 5, 10))


def text_color(value: float, image: Any) -> str:
    """Return black or white, whichever is readable on an image's color."""
    red, green, blue, _ = image.cmap(image.norm(value))
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    return "black" if bright else "white"


def check_vector(name: str, values: Any, length: int | None = None) -> np.ndarray:
    """Return values as a 1-D float array, of a given length."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or len(vector) == 0 or length not in (None, len(vector)):
        wanted = "at least one number" if length is None else f"{length} numbers"
        raise InvalidInputError(
            f"{name} must hold {wanted}, one per post. Got shape {vector.shape}."
        )
    return vector


def check_metric(metric: str, known: Collection[str]) -> None:
    """Raise if a Display cannot draw this score."""
    if metric not in known:
        raise InvalidInputError(
            f"metric must be one of {tuple(known)}. Got {metric!r} instead."
        )
