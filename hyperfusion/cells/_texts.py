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


_SEPARATORS = ",;|、，；｜､،؛•"  # noqa: RUF001 - those of other scripts too
_SIGNS = "#＃"  # noqa: RUF001 - that of Chinese and Japanese too
_EDGES = re.compile(rf"\A[{_SIGNS}\s]+|[{_SIGNS}\s]+\Z")
_HASHES = re.compile(rf"[{_SIGNS}]++(?=\w|[^\x00-\x7f])")
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_ITEM = re.compile(
    rf"(?:u|b|np\.str_\()?({_QUOTED})|\b(?:none|null|nan)\b|\.\.\."
    r"|\bdtype=(?:\w+|'[^']*')",
    re.IGNORECASE | re.DOTALL,
)
_WRITTEN_LIST = re.compile(
    r"[A-Za-z_.]*[\[({]"
    rf"(?:{_ITEM.pattern}|[\s,\[\](){{}}]|\barray\b|\blist\b)*[\])}}]",
    re.IGNORECASE | re.DOTALL,
)
_OBJECTS = re.compile(rf"\[?\s*{{\s*(?:{_QUOTED})\s*:")
_CUT_LIST = re.compile(rf"\[\s*(?:{_QUOTED})\s*,.*[^])}}]", re.DOTALL)
_BRACKETS = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}|\([^()]*\)")
_ALL_QUOTED = re.compile(_QUOTED, re.DOTALL)
_OWN = re.compile(
    rf"(?<![^\s{_SEPARATORS}])(?:{_QUOTED})(?![^\s{_SEPARATORS}])", re.DOTALL
)
_APART = {
    sign: re.compile(
        rf"(?:(?<![^\s{sign}])(?:{_QUOTED})(?![^\s{sign}])|[^{sign}])+", re.DOTALL
    )
    for sign in _SEPARATORS
} | {None: re.compile(r'(?:(?<!\S)"(?:[^"\\]|\\.)*"(?!\S)|\S)+')}
"""What stands between separators, or spaces, where quotes hold items together."""
_NOTHING = ("none", "null", "nan")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_SPACES = {"n": "\n", "t": "\t", "r": "\r"}


def read_tags(cell: Any) -> list[str] | None:
    """Return the tags in a cell, without ``#``; None if there are none.

    Each item of a list is a tag, also if the list is written as text (by Python, JSON,
    NumPy or a database). Other text is split at commas, semicolons or bars (or those of
    other scripts) if it has any, otherwise at whitespace, except in quotes. Hashtags
    that are run together are taken apart.
    """
    if isinstance(cell, str):
        return _clean(_split(mend(cell).strip()))
    items = in_order(cell) if is_list(cell) else [cell]
    there = [i for i in items if i is cell or not is_missing(i)]
    return _clean(read_text(item) or "" for item in there)


def _split(text: str) -> Iterable[str]:
    if _ALL_QUOTED.fullmatch(text):
        return _split(_unquoted(text).strip())
    if _WRITTEN_LIST.fullmatch(text) or _CUT_LIST.fullmatch(text):
        return [_unquoted(item) for item in _ITEM.findall(text) if item]
    if _OBJECTS.match(text):
        raise TypeError(
            f"expected texts, got objects {shown(text)}: extract the names of the tags"
        )
    in_brackets = _BRACKETS.fullmatch(text) is not None
    if in_brackets:
        text = text[1:-1]
    bare = _OWN.sub("", text)
    separator = next((s for s in _SEPARATORS if s in bare), None)
    tags = [_unquoted(part.strip()) for part in _APART[separator].findall(text)]
    return [t for t in tags if not (in_brackets and t.lower() in _NOTHING)]


def _unquoted(text: str) -> str:
    """Return a text without its quotes and their escapes."""
    if not _ALL_QUOTED.fullmatch(text):
        return text.strip('"')

    def character(escape: re.Match) -> str:
        code = escape[1] or escape[2]
        return chr(int(code, 16)) if code else _SPACES.get(escape[3], escape[3])

    return mend(_ESCAPE.sub(character, text[1:-1]))


def _clean(tags: Iterable[str]) -> list[str] | None:
    parts: list[str] = []
    for tag in map(str.strip, tags):
        if tag.startswith(tuple(_SIGNS)):
            of_hashes = _HASHES.split(_EDGES.sub("", tag))
            parts += (_EDGES.sub("", part) for part in of_hashes)
        else:
            parts.append(tag)  # C# keeps its sign
    return [part for part in parts if part] or None


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
