"""Which columns of a feature table leave with a modality."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from hyperfusion.table._features import vector_groups
from hyperfusion.table._names import BLOCKS, MODALITIES
from hyperfusion.table._old import split_name

_RELATIONS = ("cross", "cluster")
_ALIGNED = "clip"
# what a similarity or a cluster relates where its name does not tell
_CONTENT = frozenset({"image", "text", "tags"})


def blocks_of(part: str) -> tuple[str, ...]:
    """Return the blocks of a modality (or of a block, which is its own)."""
    return MODALITIES.get(part, (part,))


def columns_of(columns: Sequence[Hashable], part: str) -> list[Hashable]:
    """Return the columns that a table loses with a modality or a block.

    Parameters
    ----------
    columns : list of hashable
        Columns of a feature table.
    part : str
        One of `MODALITIES` or of `BLOCKS`.

    Returns
    -------
    list of hashable
        Columns of its blocks, and of the blocks ``cross`` and ``cluster`` those that
        relate any of these blocks to something.

    Examples
    --------
    >>> from hyperfusion.model_selection._modalities import columns_of
    >>> columns = ["image__clip__0", "image__clip__1", "tags__clip__0", "tags__clip__1"]
    >>> columns_of([*columns, "cross__image_tags_cosine"], "textual")
    ['tags__clip__0', 'tags__clip__1', 'cross__image_tags_cosine']
    """
    leaving = set(blocks_of(part))
    sides = _sides(columns)
    return [c for c in columns if leaving & _blocks_behind(c, sides)]


def _blocks_behind(column: Hashable, sides: dict[str, set[str]]) -> set[str]:
    """Return the block of a column and, of a relation, the blocks that it relates."""
    block, feature = split_name(column)
    if block is None:
        return set()
    if block not in _RELATIONS:
        return {block}
    related = _related(feature, sides)
    return {block} | (related or _CONTENT)


def _related(feature: str, sides: dict[str, set[str]]) -> set[str]:
    """Return the blocks of the one or two sides that a relation's name begins with."""
    found: set[str] = set()
    for first, blocks in sides.items():
        rest = feature.removeprefix(f"{first}_")
        if rest == feature:
            continue
        found |= blocks
        for second, others in sides.items():
            if rest.startswith(f"{second}_"):
                found |= others
    return found


def _sides(columns: Sequence[Hashable]) -> dict[str, set[str]]:
    """Return the names that relations give to vectors and blocks, and their blocks.

    The vector ``text__title_clip`` is called title, text_title or text_title_clip;
    "all" and "joint" stand for all vectors together.
    """
    sides: dict[str, set[str]] = {}
    for stem in vector_groups(columns):
        block, feature = split_name(stem)
        if block is None or block in _RELATIONS:
            continue
        short = feature.removesuffix(_ALIGNED).removesuffix("_")
        names = {block, f"{block}_{feature}"}
        if short:
            names |= {short, f"{block}_{short}"}
        for name in names:
            sides.setdefault(name, set()).add(block)
    everything = set().union(*sides.values()) if sides else set()
    return sides | {"all": everything, "joint": everything}


def known_parts() -> list[str]:
    """Return the names of all modalities and blocks."""
    return [*MODALITIES, *(b for b in BLOCKS if b not in MODALITIES)]
