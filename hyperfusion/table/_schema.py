"""What the columns of a table are: blocks, vectors, categories."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._names import (
    BLOCKS,
    FAMILIES,
    MODALITIES,
    RELATIONS,
    ColumnName,
    parse,
)

PLAIN = "other"
"""What the columns of no block are called together."""

LEVELS = ("feature", "vector", "block", "family")

_DECLARED = "hyperfusion"
# what a relation may rest on where nothing says which blocks it relates
_CONTENT = ("image", "text", "tags")


@dataclass(frozen=True, eq=False)
class Schema:
    """What the columns of a feature table, or of any table or array, are.

    Built once for a table, by its names' grammar, its dtypes, and what those who made
    the vectors declared. Everything that asks which columns belong together asks it.

    Attributes
    ----------
    columns : tuple of hashable
        Labels of the columns, or positions of an array's.
    is_category : ndarray of shape (n_columns,), bool
        Which columns hold categories (pandas' ``category`` dtype).
    spaces : dict of {vector: space}
        Vectors of the same space, such as images and texts of one CLIP, may be
        compared with each other.
    related : dict of {column: tuple of blocks}
        The blocks that a column of the blocks cross, cluster and neighbors relates.
    names : tuple of ColumnName
        The columns' names, taken apart.
    vectors : dict of {vector: ndarray of int}
        The positions of each vector's columns, in the order of its numbers. The
        vector's name begins with its block: ``"image__clip"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.table import Schema
    >>> table = pd.DataFrame(
    ...     [[3.0, 0.1, 0.2, 0.3]],
    ...     columns=["time__hour", "image__clip__0", "image__clip__1", "q_0"],
    ... )
    >>> schema = Schema.of(table)
    >>> schema.vectors
    {'image__clip': array([1, 2])}
    >>> schema.blocks
    ('time', 'image', 'image', None)
    """

    columns: tuple[Hashable, ...]
    is_category: np.ndarray
    spaces: Mapping[str, str] = field(default_factory=dict)
    related: Mapping[Hashable, tuple[str, ...]] = field(default_factory=dict)
    names: tuple[ColumnName, ...] = field(init=False)
    vectors: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        names = [parse(column) for column in self.columns]
        members: dict[str, dict[int, int]] = {}
        for position, name in enumerate(names):
            if name.vector is None:
                continue
            if self.is_category[position]:
                names[position] = ColumnName(name.block, name.feature)
            else:
                members.setdefault(name.vector, {})[name.index] = position
        vectors = {
            vector: np.array([numbered[i] for i in sorted(numbered)])
            for vector, numbered in members.items()
        }
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "vectors", vectors)

    def __getstate__(self) -> dict[str, Any]:
        # what is read off the columns' names is many times larger than they are
        return {
            "columns": self.columns,
            "is_category": self.is_category,
            "spaces": dict(self.spaces),
            "related": dict(self.related),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    @classmethod
    def of(cls, X: Any) -> Self:
        """Read the schema of a table or an array.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            The columns of an array are its positions, all numbers of no block.

        Returns
        -------
        Schema
            What its columns are.
        """
        if not isinstance(X, pd.DataFrame):
            n = int(np.shape(X)[1])
            return cls(tuple(range(n)), np.zeros(n, dtype=bool))
        declared = X.attrs.get(_DECLARED, {})
        return cls(
            tuple(X.columns),
            np.array([isinstance(t, pd.CategoricalDtype) for t in X.dtypes], bool),
            dict(declared.get("spaces", {})),
            dict(declared.get("related", {})),
        )

    @classmethod
    def of_numbers(cls, columns: Sequence[Hashable]) -> Self:
        """Return the schema of columns that hold numbers."""
        return cls(tuple(columns), np.zeros(len(columns), dtype=bool))

    def select(self, positions: np.ndarray) -> Schema:
        """Return the schema of some columns, by positions or by a mask."""
        positions = np.asarray(positions)
        if positions.dtype == bool:
            positions = np.flatnonzero(positions)
        columns = tuple(self.columns[i] for i in positions)
        return Schema(columns, self.is_category[positions], self.spaces, self.related)

    def numbers(self) -> Schema:
        """Return the schema of the columns that hold numbers."""
        return self.select(~self.is_category)

    @property
    def blocks(self) -> tuple[str | None, ...]:
        """The block of each column, None for those of no block."""
        return tuple(name.block for name in self.names)

    @property
    def singles(self) -> np.ndarray:
        """The positions of the columns that belong to no vector."""
        return np.array(
            [i for i, name in enumerate(self.names) if name.vector is None], dtype=int
        )

    def in_block(self, block: str | None) -> np.ndarray:
        """Return the positions of a block's columns."""
        return np.flatnonzero([b == block for b in self.blocks])

    def vectors_in(self, block: str) -> list[str]:
        """Return the names of a block's vectors."""
        return [v for v in self.vectors if block_of_vector(v) == block]

    def aligned(self) -> dict[str, list[str]]:
        """Return the spaces of more than one vector, with these in the blocks' order.

        Vectors of one space have the same length; those of another are left out.
        """
        spaces: dict[str, list[str]] = {}
        for vector in sorted(self.vectors, key=_block_order):
            if vector in self.spaces:
                spaces.setdefault(self.spaces[vector], []).append(vector)
        for space, vectors in spaces.items():
            size = len(self.vectors[vectors[0]])
            spaces[space] = [v for v in vectors if len(self.vectors[v]) == size]
        return {space: v for space, v in spaces.items() if len(v) > 1}

    def short_names(self) -> dict[str, str]:
        """Return a short name for each vector: its block's where it is the only one.

        Otherwise block and name joined by one underscore.
        """
        short = {}
        for vector in self.vectors:
            block = block_of_vector(vector)
            alone = len(self.vectors_in(block)) == 1
            short[vector] = block if alone else vector.replace("__", "_")
        return short

    def leaving_with(self, part: str) -> list[Hashable]:
        """Return the columns that a table loses with a modality or a block.

        Columns that relate any of the part's blocks to something leave as well.

        Parameters
        ----------
        part : str
            One of `MODALITIES` or of `BLOCKS`.
        """
        leaving = set(MODALITIES.get(part, (part,)))
        return [
            column
            for column, block in zip(self.columns, self.blocks, strict=True)
            if leaving & self._blocks_behind(column, block)
        ]

    def _blocks_behind(self, column: Hashable, block: str | None) -> set[str]:
        if block is None:
            return set()
        if block not in RELATIONS:
            return {block}
        return {block, *self.related.get(column, _CONTENT)}

    def group_names(self, by: str) -> list[Hashable]:
        """Return the name of each column's group.

        Parameters
        ----------
        by : {"feature", "vector", "block", "family"}
            How columns are gathered: each alone, those of a vector, of a block, or of
            a family of blocks.
        """
        if by not in LEVELS:
            raise InvalidInputError(f"by must be one of {LEVELS}. Got {by!r} instead.")
        if by == "feature":
            return list(self.columns)
        if by == "vector":
            pairs = zip(self.names, self.columns, strict=True)
            return [name.vector or column for name, column in pairs]
        if by == "block":
            return [block or PLAIN for block in self.blocks]
        return [FAMILIES[b] if b else PLAIN for b in self.blocks]


def declare(
    table: pd.DataFrame,
    spaces: Mapping[str, str],
    related: Mapping[Hashable, tuple[str, ...]] | None = None,
) -> pd.DataFrame:
    """Write into a table what its columns' names can't say; return the table.

    Vectors and columns that are not in the table are left out.
    """
    kept = set(table.columns)
    vectors = {name.vector for name in map(parse, kept)}
    table.attrs[_DECLARED] = {
        "spaces": {v: s for v, s in spaces.items() if v in vectors},
        "related": {c: b for c, b in (related or {}).items() if c in kept},
    }
    return table


def block_of_vector(vector: str) -> str:
    """Return the block of a vector, with which its name begins."""
    return str(parse(vector).block)


def vectors_alone(names: Sequence[Any]) -> dict[str, np.ndarray]:
    """Return the positions of the vectors' columns among an encoder's own names.

    Examples
    --------
    >>> from hyperfusion.table._schema import vectors_alone
    >>> vectors_alone(["clip__0", "clip__1", "clip_is_missing"])
    {'clip': array([0, 1])}
    """
    any_block = BLOCKS[0]
    schema = Schema.of_numbers([f"{any_block}__{name}" for name in names])
    return {v.removeprefix(f"{any_block}__"): c for v, c in schema.vectors.items()}


def check_parts(
    names: Sequence[Any], schema: Schema, parameter: str, *, plain: bool = False
) -> None:
    """Raise where a parameter names what is neither a block nor a vector of a table.

    Parameters
    ----------
    names : sequence of str
        What the user gave.
    schema : Schema
        The table's.
    parameter : str
        The parameter's name, for the message.
    plain : bool, default=False
        Whether None stands for the columns of no block.
    """
    known = {*BLOCKS, *schema.vectors, *([None] if plain else [])}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInputError(
            f"{parameter} names {unknown}, which are neither blocks nor vectors of the "
            f"table. Blocks: {list(BLOCKS)}; vectors here: {sorted(schema.vectors)}."
        )


def _block_order(vector: str) -> int:
    return BLOCKS.index(block_of_vector(vector))
