"""Which columns of a table of posts have which role."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hyperfusion.cells._vectors import holds_vectors
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import check_columns
from hyperfusion.table._names import BLOCKS, RELATIONS

# how many columns a role takes; None: any number
ROLES: dict[str, int | None] = {
    "image": 1,
    "text": None,
    "tags": 1,
    "user": 1,
    "user_created": 1,
    "user_numeric": None,
    "time": 1,
    "latitude": 1,
    "longitude": 1,
    "geo_accuracy": 1,
    "place": 1,
    "numeric": None,
    "categorical": None,
}

VECTOR_BLOCKS = tuple(block for block in BLOCKS if block not in RELATIONS)
"""The blocks that ready-made vectors can belong to."""

Roles = dict[str, list[Hashable]]


@dataclass(frozen=True)
class ReadyVector:
    """A ready-made vector: its block, its name, and the columns that hold it."""

    block: str
    name: str
    columns: list[Hashable]


def read_roles(owner: Any, table: pd.DataFrame) -> Roles:
    """Return the columns of each role of an encoder; those of absent roles are none."""
    roles = {
        role: check_columns(table, getattr(owner, role), role, max_columns=limit)
        for role, limit in ROLES.items()
    }
    zone = owner.timezone
    is_column = zone is not None and (not isinstance(zone, str) or zone in table)
    roles["timezone"] = check_columns(
        table, zone if is_column else None, "timezone", max_columns=1
    )
    return roles


def named_roles(owner: Any) -> Roles:
    """Return the columns of each role as they were given, without a table at hand."""
    return {role: _as_list(getattr(owner, role)) for role in [*ROLES, "timezone"]}


def _as_list(value: Any) -> list[Hashable]:
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def read_vectors(vectors: Any, table: pd.DataFrame) -> list[ReadyVector]:
    """Return the ready-made vectors that the parameter ``vectors`` names.

    A value is one column of vectors, several columns of numbers (one vector), a list of
    such, or a dict of these by the vectors' names.
    """
    found: list[ReadyVector] = []
    for block, value in (vectors or {}).items():
        if block not in VECTOR_BLOCKS:
            raise InvalidInputError(
                f"vectors takes the blocks {VECTOR_BLOCKS} as keys. Got {block!r}."
            )
        where = f"vectors[{block!r}]"
        if isinstance(value, Mapping):
            found += [
                ReadyVector(block, str(name), check_columns(table, columns, where))
                for name, columns in value.items()
            ]
        else:
            found += _unnamed(block, value, table, where)
    names = [(vector.block, vector.name) for vector in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidInputError(
            f"vectors names two vectors {twice[0][1]!r} of the block {twice[0][0]!r}. "
            f"Give them names: vectors={{{twice[0][0]!r}: {{'a': ..., 'b': ...}}}}."
        )
    return found


def _unnamed(
    block: str, value: Any, table: pd.DataFrame, where: str
) -> list[ReadyVector]:
    is_list = isinstance(value, list)
    if is_list and any(isinstance(item, (list, tuple)) for item in value):
        groups = [check_columns(table, item, where) for item in value]
    else:
        groups = _by_cells(table, check_columns(table, value, where), where)
    plain = [group for group in groups if len(group) > 1]
    return [
        ReadyVector(block, _name_of(group, plain), group) for group in groups if group
    ]


def _by_cells(
    table: pd.DataFrame, labels: list[Hashable], where: str
) -> list[list[Hashable]]:
    of_vectors = [label for label in labels if holds_vectors(table[label])]
    if not of_vectors:
        return [labels]
    if len(of_vectors) < len(labels):
        other = next(label for label in labels if label not in of_vectors)
        raise InvalidInputError(
            f"{where} names columns of vectors ({of_vectors[0]!r}) and of single "
            f"numbers ({other!r}). Columns of numbers that are one vector go into a "
            f"list of their own: [{of_vectors[0]!r}, [{other!r}, ...]]."
        )
    return [[label] for label in labels]


def _name_of(group: list[Hashable], plain: list[list[Hashable]]) -> str:
    if len(group) == 1:
        return str(group[0])
    number = plain.index(group) + 1
    return "vector" if number == 1 else f"vector_{number}"
