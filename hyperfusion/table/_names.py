"""The grammar of column names, which nothing else in the package takes apart.

``<block>__<feature>`` is one number or category, ``<block>__<vector>__<i>`` the i-th
number of a vector, and any other name one column of no block. The blocks are a closed
list, so a name of another form is never mistaken for one of these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from hyperfusion.exceptions import InvalidInputError

RELATIONS = ("cross", "cluster", "neighbors")
"""Blocks whose columns relate other blocks to each other."""

MODALITIES: Mapping[str, tuple[str, ...]] = {
    "visual": ("image",),
    "textual": ("text", "tags"),
    "geolocation": ("geo", "place"),
    "metadata": ("user", "time", "meta"),
}
"""Blocks that leave together when the paper's ablation (table 1) drops a modality."""

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
"""The family of each block, for tables of importances."""

BLOCKS = tuple(FAMILIES)
"""Names of the blocks, in the order in which tables hold them."""

_SEPARATOR = "__"


@dataclass(frozen=True)
class ColumnName:
    """A column's name taken apart.

    The feature is that within the block, or the whole name where there is no block. A
    number of a vector has the vector's name, such as ``"image__clip"``, and its index.
    """

    block: str | None
    feature: Hashable
    vector: str | None = None
    index: int = 0


@lru_cache(2**16)
def parse(column: Hashable) -> ColumnName:
    """Take the name of a column apart; what is no text belongs to no block.

    Examples
    --------
    >>> from hyperfusion.table._names import parse
    >>> parse("image__clip__3")
    ColumnName(block='image', feature='clip__3', vector='image__clip', index=3)
    >>> parse("petal__length")
    ColumnName(block=None, feature='petal__length', vector=None, index=0)
    """
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
    """Return the name of a feature's column.

    Parameters
    ----------
    block : str
        One of `BLOCKS`.
    feature : str
        Name of the feature within its block.

    Returns
    -------
    str
        ``<block>__<feature>``.

    Raises
    ------
    InvalidInputError
        If the block is not one of `BLOCKS`.

    Examples
    --------
    >>> from hyperfusion.table import column_name
    >>> column_name("time", "hour")
    'time__hour'
    """
    if block not in BLOCKS:
        raise InvalidInputError(
            f"block must be one of {BLOCKS}. Got {block!r} instead."
        )
    return f"{block}{_SEPARATOR}{feature}"


def vector_columns(vector: str, size: int) -> list[str]:
    """Return the names of a vector's columns.

    Parameters
    ----------
    vector : str
        Name of the vector, with its block in a feature table (``"image__clip"``) and
        without where an encoder stands alone (``"clip"``).
    size : int
        How many numbers it has.

    Returns
    -------
    list of str
        ``<vector>__0``, ``<vector>__1`` and so on.

    Examples
    --------
    >>> from hyperfusion.table import vector_columns
    >>> vector_columns("image__clip", 2)
    ['image__clip__0', 'image__clip__1']
    """
    return [f"{vector}{_SEPARATOR}{i}" for i in range(size)]


def single_name(feature: Hashable) -> str:
    """Return a feature's name as one that no column of a vector has.

    Examples
    --------
    >>> from hyperfusion.table._names import single_name
    >>> single_name("fans"), single_name("v__3")
    ('fans', 'v_3')
    """
    name = str(feature)
    while _vector_part(name)[0] is not None:
        stem, _, digits = name.rpartition(_SEPARATOR)
        name = f"{stem}_{digits}"
    return name


def unique_names(names: Iterable[str]) -> list[str]:
    """Append a number to names that come again.

    Examples
    --------
    >>> from hyperfusion.table._names import unique_names
    >>> unique_names(["a", "b", "a", "a_2", "a"])
    ['a', 'b', 'a_3', 'a_2', 'a_4']
    """
    names, unique = list(names), []
    taken, seen = set(names), set[str]()
    for name in names:
        candidate, number = name, 2
        while candidate in seen or (candidate != name and candidate in taken):
            candidate, number = f"{name}_{number}", number + 1
        seen.add(candidate)
        unique.append(candidate)
    return unique
