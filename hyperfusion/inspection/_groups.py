"""Columns gathered into vectors, blocks, families, or groups of one's own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import vector_groups
from hyperfusion.table._names import FAMILIES
from hyperfusion.table._old import split_name

LEVELS = ("feature", "vector", "block", "family")
REST = "other"

Groups = dict[Hashable, list[Any]]


def family_of(column: Any) -> str:
    """Return the family of a column: its block's, or "other"."""
    block, _ = split_name(column)
    return REST if block is None else FAMILIES[block]


def block_of(column: Any) -> str:
    """Return the block of a column, or "other"."""
    return split_name(column)[0] or REST


def group_columns(columns: Sequence[Any], by: Any) -> Groups:
    """Return the groups of columns, in the order of their first columns.

    Parameters
    ----------
    columns : sequence of labels
        All columns of the table.
    by : {"feature", "vector", "block", "family"} or dict of {name: columns}
        How to gather them. A vector is a run of numbered columns of one stem. With a
        dict the columns that it does not name belong to no group.
    """
    if isinstance(by, Mapping):
        return _own_groups(columns, by)
    if not isinstance(by, str) or by not in LEVELS:
        raise InvalidInputError(
            f"by must be one of {LEVELS} or a dict of names and columns. Got {by!r}."
        )
    if by == "feature":
        return {column: [column] for column in columns}
    groups: Groups = {}
    for name, column in zip(_names(columns, by), columns, strict=True):
        groups.setdefault(name, []).append(column)
    return groups


def _names(columns: Sequence[Any], by: str) -> Iterable[Hashable]:
    if by == "block":
        return map(block_of, columns)
    if by == "family":
        return map(family_of, columns)
    names = list(columns)
    for stem, positions in vector_groups(columns).items():
        for position in positions:
            names[position] = stem
    return names


def _own_groups(columns: Sequence[Any], by: Mapping[Any, Any]) -> Groups:
    known, groups = set(columns), {}
    for name, members in by.items():
        is_one = isinstance(members, str) or not isinstance(members, Iterable)
        groups[name] = [members] if is_one else list(members)
        unknown = [c for c in groups[name] if c not in known]
        if unknown or not groups[name]:
            raise InvalidInputError(
                f"by[{name!r}] names columns that are not there: {unknown[:5]}. The "
                f"table has {list(columns)[:20]}."
                if unknown
                else f"by[{name!r}] is empty: name at least one column."
            )
    if not groups:
        raise InvalidInputError("by is an empty dict: name at least one group.")
    return groups


def sum_groups(values: np.ndarray, columns: Sequence[Any], groups: Groups) -> Any:
    """Sum the last axis of an array over the columns of each group."""
    place = {column: i for i, column in enumerate(columns)}
    sums = [
        values[..., [place[c] for c in members]].sum(axis=-1)
        for members in groups.values()
    ]
    return np.stack(sums, axis=-1)


def ranked(groups: Groups, by: Any, values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return one row a group, the most important first, ranked from 1."""
    label = by if isinstance(by, str) else "group"
    table: dict[str, Any] = {label: pd.Series(list(groups), dtype=object)}
    firsts = [members[0] for members in groups.values()]
    if label in ("feature", "vector"):
        table["block"] = [block_of(column) for column in firsts]
        table["family"] = [family_of(column) for column in firsts]
    if label == "block":
        table["family"] = [FAMILIES.get(str(block), REST) for block in groups]
    table |= values
    if label != "feature":
        table["n_features"] = [len(members) for members in groups.values()]
    frame = pd.DataFrame(table)
    frame = frame.sort_values("importance", ascending=False, kind="stable")
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="rank"))
