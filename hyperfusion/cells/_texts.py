"""Texts in cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.cells._columns import is_missing, shown


def read_text(cell: Any) -> str | None:
    """Return a text, or a list of texts joined; None if nothing but space is left."""
    if is_list(cell):
        words = [read_text(w) for w in in_order(cell) if not is_missing(w)]
        return " ".join(w for w in words if w) or None
    if isinstance(cell, str):
        return mend(cell).strip() or None
    kind = type(cell).__name__
    cures = {"bytes": ".str.decode('utf-8')", "dict": ".str['name of its text']"}
    raise TypeError(
        f"expected text, got {kind} {shown(cell)}: turn the column into text first, "
        f"for example with {cures.get(kind, '.astype(str)')}"
    )


def mend(text: str) -> str:
    """Return a text with surrogate pairs joined and lone surrogates replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_list(cell: Any) -> bool:
    return isinstance(cell, (list, tuple, set, frozenset, np.ndarray))


def in_order(cell: Any) -> Iterable[Any]:
    """Return the values in a cell; those of a set are sorted."""
    # The order of a set of texts changes from process to process.
    return sorted(cell, key=str) if isinstance(cell, (set, frozenset)) else cell


def signs_of_texts(cells: pd.Series) -> str | None:
    """Describe a column that can hold texts; None for short names."""
    try:
        words = [len((read_text(cell) or "").split()) for cell in cells]
    except TypeError:
        return None
    mean = sum(words) / len(words)
    different = len({str(cell) for cell in cells}) / len(cells)
    if mean < 2 or (mean < 8 and different < 0.3):
        return None
    return f"texts of {mean:.0f} words on average"
