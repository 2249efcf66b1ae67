"""What all Displays share: axes, colors and labels. No global state is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from hyperfusion._version import DISTRIBUTION
from hyperfusion.exceptions import InvalidInputError, MissingDependencyError

# Okabe and Ito's colors, which people with any kind of color vision tell apart
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


def new_axes(ax: Any, display: Any) -> tuple[Any, Any]:
    """Return the figure and axes to draw on; a new figure where `ax` is None."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingDependencyError(
            f"{type(display).__name__}.plot needs matplotlib, which is not installed. "
            f"Install it with: pip install '{DISTRIBUTION}[plot]'"
        ) from error
    if ax is None:
        return plt.subplots(layout="constrained")
    return ax.figure, ax


def shorten(label: Any, length: int = 32) -> str:
    """Return a label that fits: the middle of a long one is left out."""
    text = str(label)
    if len(text) <= length:
        return text
    tail = length // 2
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def short_labels(labels: Iterable[Any], length: int = 32) -> list[str]:
    """Return labels that fit, longer than that only where they would become equal."""
    labels = list(labels)
    longest = max((len(str(label)) for label in labels), default=0)
    distinct = len({str(label) for label in labels})
    while True:
        short = [shorten(label, length) for label in labels]
        if len(set(short)) == distinct or length >= longest:
            return short
        length += 4


def label_size(n_labels: int, longest: int = 0) -> float:
    """Return a font size at which so many labels, so long, fit beside a picture."""
    return float(np.clip(min(220 / max(n_labels, 1), 340 / max(longest, 1)), 5, 10))


def text_color(value: float, image: Any) -> str:
    """Return black or white, whichever can be read on an image's color."""
    red, green, blue, _ = image.cmap(image.norm(value))
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    return "black" if bright else "white"


def check_vector(name: str, values: Any, length: int | None = None) -> np.ndarray:
    """Return values as a 1-D float array, of a given length."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or len(vector) == 0 or length not in (None, len(vector)):
        wanted = "at least one number" if length is None else f"{length} numbers"
        raise InvalidInputError(
            f"{name} must hold {wanted}, one a post. Got shape {vector.shape}."
        )
    return vector


def check_metric(metric: str, known: Collection[str]) -> None:
    """Raise where a Display has no such score to draw."""
    if metric not in known:
        raise InvalidInputError(
            f"metric must be one of {tuple(known)}. Got {metric!r} instead."
        )
