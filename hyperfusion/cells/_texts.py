"""Texts and tags as cells of a table hold them, read in one way everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

_SEPARATORS = ",;|"
_EDGES = re.compile(r"\A[#\s]+|[#\s]+\Z")


def read_text(cell: Any) -> str | None:
    """Return a text without surrounding space; None where nothing is left.

    A list of texts (words, tags) is joined by spaces.

    Raises
    ------
    TypeError
        If the cell, or something in its list, is no text.

    Examples
    --------
    >>> from hyperfusion.cells._texts import read_text
    >>> read_text([" red", "", "bicycle"])
    'red bicycle'
    """
    if is_list(cell):
        words = [read_text(w) for w in in_order(cell)]
        return " ".join(w for w in words if w) or None
    if isinstance(cell, str):
        return cell.strip() or None
    raise TypeError(
        f"expected text, got {type(cell).__name__} {cell!r}: "
        "turn the column into text first, for example with .astype(str)"
    )


def read_tags(cell: Any) -> list[str] | None:
    """Return the tags of a cell, without ``#``; None where there are none.

    A text is split at commas, semicolons or bars where it has any, otherwise at
    white space. A list holds one tag an item.

    Raises
    ------
    TypeError
        If the cell, or something in its list, is no text.

    Examples
    --------
    >>> from hyperfusion.cells._texts import read_tags
    >>> read_tags("#sea #sun"), read_tags("at sea, sun"), read_tags(["at sea"])
    (['sea', 'sun'], ['at sea', 'sun'], ['at sea'])
    """
    if isinstance(cell, str):
        separator = next((s for s in _SEPARATORS if s in cell), None)
        return _clean(cell.split(separator))
    items = in_order(cell) if is_list(cell) else [cell]
    return _clean([read_text(item) or "" for item in items])


def is_list(cell: Any) -> bool:
    """Whether a cell holds several values."""
    return isinstance(cell, (list, tuple, set, frozenset, np.ndarray))


def in_order(cell: Any) -> Iterable[Any]:
    """Return the values of a cell; those of a set, which has no order, are sorted."""
    # The order of a set of texts changes from process to process.
    return sorted(cell, key=str) if isinstance(cell, (set, frozenset)) else cell


def _clean(tags: Iterable[str]) -> list[str] | None:
    return [t for t in (_EDGES.sub("", tag) for tag in tags) if t] or None
