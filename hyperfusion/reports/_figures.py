"""Pictures as text, so that a page needs no other files."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from hyperfusion._version import DISTRIBUTION
from hyperfusion.exceptions import MissingDependencyError

THUMBNAIL = (220, 220)
"""Largest width and height of a post's image, in pixels."""


def picture(draw: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return what a Display's method draws on ``ax`` as the address of a PNG.

    The figure belongs to no window and leaves matplotlib's state as it is.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "report needs matplotlib, which is not installed. Install it with: "
            f"pip install '{DISTRIBUTION}[report]'"
        ) from error
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    draw(*args, **kwargs, ax=figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return _address("png", buffer.getvalue())


def thumbnail(image: Any) -> str:
    """Return a PIL image, made small, as the address of a JPEG."""
    small = image.copy()
    small.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=80)
    return _address("jpeg", buffer.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
