"""Texts and tags in cells: lists, texts with separators, and lists written as text."""

from __future__ import annotations

import re
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


_SEPARATORS = ",;|、，；｜"  # noqa: RUF001 - those of Chinese and Japanese too
_SIGNS = "#＃"  # noqa: RUF001 - that of Chinese and Japanese too
_EDGES = re.compile(rf"\A[{_SIGNS}\s]+|[{_SIGNS}\s]+\Z")
_HASHES = re.compile(rf"[{_SIGNS}]+(?=\w)")
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_ITEM = re.compile(
    rf"(?:u|b|np\.str_\()?({_QUOTED})|\b(?:none|null|nan)\b|\.\.\."
    r"|\bdtype=(?:\w+|'[^']*')",
    re.IGNORECASE | re.DOTALL,
)
_WRITTEN_LIST = re.compile(
    r"(?:array|list|set|frozenset|tuple)?[\[({]"
    rf"(?:{_ITEM.pattern}|[\s,\[\](){{}}]|\barray\b|\blist\b)*[\])}}]",
    re.IGNORECASE | re.DOTALL,
)
_OBJECTS = re.compile(rf"\[?\s*{{\s*(?:{_QUOTED})\s*:")
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_SPACES = {"n": "\n", "t": "\t", "r": "\r"}


def read_tags(cell: Any) -> list[str] | None:
    """Return the tags in a cell, without ``#``; None if there are none.

    Each item of a list is a tag, also if the list is written as text (by Python, JSON
    or NumPy). Other text is split at commas, semicolons or bars (or those of Chinese
    and Japanese) if it has any, otherwise at whitespace, and between hashtags that are
    run together.
    """
    if isinstance(cell, str):
        return _clean(_split(mend(cell).strip()))
    items = in_order(cell) if is_list(cell) else [cell]
    there = [i for i in items if i is cell or not is_missing(i)]
    return _clean(read_text(item) or "" for item in there)


def _split(text: str) -> Iterable[str]:
    if _WRITTEN_LIST.fullmatch(text):
        items = [item[1:-1] for item in _ITEM.findall(text) if item]

        def character(escape: re.Match) -> str:
            code = escape[1] or escape[2]
            return chr(int(code, 16)) if code else _SPACES.get(escape[3], escape[3])

        return [mend(_ESCAPE.sub(character, item)) for item in items]
    if _OBJECTS.match(text):
        raise TypeError(
            f"expected texts, got objects {shown(text)}: extract the names of the tags"
        )
    if _BRACKETS.fullmatch(text):
        text = text[1:-1]
    separator = next((s for s in _SEPARATORS if s in text), None)
    parts = (part.strip().strip('"') for part in text.split(separator))
    tags: list[str] = []
    for part in parts:
        hashed = part.startswith(tuple(_SIGNS)) and len(_HASHES.findall(part)) > 1
        tags += _HASHES.split(part) if hashed else [part]
    return tags


def _clean(tags: Iterable[str]) -> list[str] | None:
    return [t for t in (_EDGES.sub("", tag) for tag in tags) if t] or None


def signs_of_tags(cells: pd.Series) -> str | None:
    """Describe a column that can hold tags; None for any other."""
    try:
        tags = [read_tags(cell) or [] for cell in cells]
    except TypeError as error:
        if all(isinstance(cell, str) for cell in cells):
            raise ValueError(str(error)) from error
        return None
    n_tags = sum(map(len, tags))
    of_lists = any(is_list(c) or _WRITTEN_LIST.fullmatch(c.strip()) for c in cells)
    if not of_lists:
        hashed = sum(
            len(_HASHES.findall(c)) > max(1, len(c.split()) / 2) for c in cells
        )
        separated = sum(any(s in cell for s in _SEPARATORS) for cell in cells)
        words = sum(len(tag.split()) for row in tags for tag in row)
        short = separated > len(cells) / 2 and words <= 3 * n_tags >= 9 * len(cells)
        if hashed <= len(cells) / 2 and not short:
            return None
    shape = "lists" if of_lists else "texts"
    return f"{shape} of {n_tags / len(cells):.1f} tags on average"
