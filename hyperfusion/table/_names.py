"""The grammar of column names; no other module parses them.

``<block>__<feature>`` is a number or category, ``<block>__<vector>__<i>`` is the i-th
number of a vector, and any other name is a column without a block. The list of blocks
is closed, so other names are never mistaken for these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from hyperfusion.exceptions import InvalidInputError

RELATIONS = ("cross", "cluster", "neighbors")
"""Blocks of columns that relate other blocks to each other."""

MODALITIES: Mapping[str, tuple[str, ...]] = {
    "visual": ("image",),
    "textual": ("text", "tags"),
    "geolocation": ("geo", "place"),
    "metadata": ("user", "time", "meta"),
}
"""The blocks of each modality in the paper's ablation (table 1)."""

FAMILIES: Mapping[str, str] = {
    "image": "visual",
    "text": "textual",
    "tags": "textual",
    "user": "user",
    "time": "temporal",
    "geo": "geographic",
    "meta": "metadata",
    "place": "geographic",
    "cross": "relational",
    "cluster": "relational",
    "neighbors": "relational",
}
"""The family of each block, for importances."""

BLOCKS = tuple(FAMILIES)
"""Names of the blocks, in the order of feature tables."""

_SEPARATOR = "__"


@dataclass(frozen=True)
class ColumnName:
    """A parsed column name.

    `feature` is the name within the block, or the whole name without a block. `vector`
    (such as ``"image__clip"``) and `index` are set for numbers of vectors.
    """

    block: str | None
    feature: Hashable
    vector: str | None = None
    index: int = 0


@lru_cache(2**16)
def parse(column: Hashable) -> ColumnName:
    """Parse the name of a column; names other than texts have no block."""
    text = column if isinstance(column, str) else ""
    block, _, feature = text.partition(_SEPARATOR)
    if not feature or block not in BLOCKS:
        return ColumnName(None, column)
    name, index = _vector_part(feature)
    if name is None:
        return ColumnName(block, feature)
    return ColumnName(block, feature, f"{block}{_SEPARATOR}{name}", index)


def _vector_part(feature: str) -> tuple[str | None, int]:
    name, _, digits = feature.rpartition(_SEPARATOR)
    if name and digits.isascii() and digits.isdecimal() and str(int(digits)) == digits:
        return name, int(digits)
    return None, 0


def column_name(block: str, feature: str) -> str:
    """Return the name of a feature's column in a feature table."""
    if block not in BLOCKS:
        raise InvalidInputError(f"block must be one of {BLOCKS}. Got {block!r}.")
    return f"{block}{_SEPARATOR}{feature}"


def vector_columns(vector: str, size: int) -> list[str]:
    """Return the names of a vector's columns, with its block or without."""
    return [f"{vector}{_SEPARATOR}{i}" for i in range(size)]


def single_name(feature: Hashable) -> str:
    """Return a feature's name, changed if it would read as part of a vector."""
    name = str(feature)
    while _vector_part(name)[0] is not None:
        stem, _, digits = name.rpartition(_SEPARATOR)
        name = f"{stem}_{digits}"
    return name


def unique_names(names: Iterable[str]) -> list[str]:
    """Append a number to repeated names: a, b, a, a_2 becomes a, b, a_3, a_2."""
    # half an emoji can't be the name of a column
    names = [name.encode(errors="replace").decode() for name in names]
    unique: list[str] = []
    taken, seen = set(names), set[str]()
    for name in names:
        candidate, number = name, 2
        while candidate in seen or (candidate != name and candidate in taken):
            candidate, number = f"{name}_{number}", number + 1
        seen.add(candidate)
        unique.append(candidate)
    return unique
