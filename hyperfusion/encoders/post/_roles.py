"""The roles of the columns in a table of posts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from hyperfusion.cells._vectors import holds_vectors
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import check_columns
from hyperfusion.table._names import BLOCKS, RELATIONS

# how many columns a role takes; None means any number
ROLES: dict[str, int | None] = {
    "image": 1,
    "text": None,
    "tags": 1,
    "user": 1,
    "user_created": 1,
    "user_numeric": None,
    "time": 1,
    "timezone": 1,
    "latitude": 1,
    "longitude": 1,
    "geo_accuracy": 1,
    "place": 1,
    "numeric": None,
    "categorical": None,
}

# roles that a column can have at the same time
_SHARING: tuple[set[str], ...] = (
    {"text", "tags", "user", "place", "timezone", "categorical"},
    {"user_numeric", "geo_accuracy", "numeric"},
    *({role, "categorical"} for role in ("user_numeric", "time", "user_created")),
    *({role, "numeric"} for role in ("latitude", "longitude", "time", "user_created")),
)

SLOTS = {
    "roles": """
    image : column, default=None
        Images: paths (no URLs), contents of files, PIL images, uint8 arrays, or lists.
    image_folder : str or path, default=None
        The folder that relative paths in `image` start at; None: the working folder.
    text : column or list of columns, default=()
        Texts, such as title and description.
    tags : column, default=None
        Tags: lists of texts, or texts with hashtags or separators.
    user : column, default=None
        The author, seller or channel of each post: texts or whole numbers.
    user_created : column, default=None
        Time when the user's account was created; together with `time` it gives its age.
    user_numeric : column or list of columns, default=()
        Numbers of the user's profile at the time of the post, such as followers.
    time : column, default=None
        Time of the post: datetimes, ISO 8601 texts, years, or seconds since 1970.
    timezone : column or str, default=None
        Time zone of each post (offsets such as "+02:00" or IANA names), or one for all.
    naive_time : {"utc", "local"}, default="utc"
        Meaning of times without a time zone: UTC, or local time in `timezone`.
    latitude, longitude, geo_accuracy, place : column, default=None
        Coordinates in degrees, the level of their accuracy, and the name of the place.
    numeric, categorical : column or list of columns, default=()
        Any other numbers, and any other categories (including numeric codes).
    vectors : dict, default=None
        Your own embeddings by block: ``{"image": "clip_embedding", "text": ["e5"],
        "user": ["v0", "v1", "v2"]}``. A value is a column whose cells are arrays or
        lists, several columns of numbers (one vector), a list of these, or a dict of
        them by name. See `VectorEncoder`.
    image_encoder : ClipImageEncoder, str, None or False, default=None
        Encoder of images: any transformer of one column, the name of a CLIP
        architecture, None for the default CLIP, or False for none.
    text_encoder : ClipTextEncoder, str, None or False, default=None
        Encoder of texts and tags, likewise.
    word_vectors : str, path, KeyedVectors, None or False, default=None
        Word vectors for `GloveTextVectorizer`; None and False add no such features.""",
    "cache": """
    cache : str, path, EmbeddingCache or None, default=None
        Folder in which the CLIP encoders keep embeddings between runs.""",
}
"""Paragraphs about the roles, for the docstrings of all that take them."""

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
    """Return the columns of each role of an encoder, empty for absent roles."""
    given = {role: getattr(owner, role) for role in ROLES}
    zone = given["timezone"]
    if isinstance(zone, str) and zone not in table:  # one time zone for all
        given["timezone"] = None
    roles = {
        role: check_columns(table, given[role], role, max_columns=limit)
        for role, limit in ROLES.items()
    }
    for (one, columns), (other, others) in combinations(roles.items(), 2):
        both = [column for column in columns if column in others]
        if both and not any({one, other} <= sharing for sharing in _SHARING):
            raise InvalidInputError(
                f"Column {both[0]!r} can't be both {one} and {other}: name another "
                "column for one of these roles, or leave the role out."
            )
    return roles


def named_roles(owner: Any) -> Roles:
    """Return the columns of each role as given, without a table."""
    roles: Roles = {}
    for role in ROLES:
        value = getattr(owner, role)
        several = isinstance(value, Iterable) and not isinstance(value, str)
        columns = list(value) if several else [] if value is None else [value]
        roles[role] = [c for c in columns if isinstance(c, Hashable)]  # others at fit
    return roles


def read_vectors(vectors: Any, table: pd.DataFrame) -> list[ReadyVector]:
    found: list[ReadyVector] = []
    for block, value in (vectors or {}).items():
        if block not in VECTOR_BLOCKS:
            raise InvalidInputError(
                f"vectors takes the blocks {VECTOR_BLOCKS} as keys. Got {block!r}."
            )
        where = f"vectors[{block!r}]"
        if isinstance(value, tuple) and value not in table.columns:
            value = list(value)
        if not isinstance(value, Mapping):
            found += _unnamed(block, value, table, where)
            continue
        for name, columns in value.items():
            if str(name).strip("_") == "":
                raise InvalidInputError(f"{where} gives a vector the name {name!r}.")
            columns = check_columns(table, columns, where)
            found.append(ReadyVector(block, str(name), columns))
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
) -> Iterator[ReadyVector]:
    is_list = isinstance(value, list)
    if is_list and any(isinstance(item, (list, tuple)) for item in value):
        groups = [check_columns(table, item, where) for item in value]
    else:
        labels = check_columns(table, value, where)
        of_vectors = [label for label in labels if holds_vectors(table[label])]
        others = (c for c in labels if c not in of_vectors)
        other = next((c for c in others if table[c].notna().any()), None)
        if of_vectors and other is not None:
            raise InvalidInputError(
                f"{where} names columns of vectors ({of_vectors[0]!r}) and of single "
                f"numbers ({other!r}). Columns of numbers that are one vector go into "
                f"a list of their own: [{of_vectors[0]!r}, [{other!r}, ...]]."
            )
        groups = [[label] for label in labels] if of_vectors else [labels]
    long = [group for group in groups if len(group) > 1]
    for group in filter(None, groups):
        number = long.index(group) + 1 if group in long else 0
        names = {0: str(group[0]), 1: "vector"}
        yield ReadyVector(block, names.get(number, f"vector_{number}"), group)
