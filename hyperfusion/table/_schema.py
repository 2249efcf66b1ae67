"""The meaning of a table's columns: blocks, vectors, categories."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._names import (
    BLOCKS,
    FAMILIES,
    MODALITIES,
    RELATIONS,
    parse,
)

PLAIN = "other"
"""The name for all columns without a block."""

LEVELS = ("feature", "vector", "block", "family")

_DECLARED = "hyperfusion"
# blocks that a relation may depend on if none are declared
_CONTENT = ("image", "text", "tags")


@dataclass(eq=False)
class Schema:
    """Describes the columns of a feature table, or of any table or array.

    It is built once per table, from the names and dtypes of its columns and from what
    encoders declared about their vectors.

    Parameters
    ----------
    columns : sequence of hashable
        Labels of the columns, or positions of an array's.
    is_category : ndarray of shape (n_columns,), bool, default=None
        Which columns hold categories (pandas' ``category`` dtype); None: no column.
    spaces : dict of {vector: space}, default={}
        Vectors in the same space, such as images and texts of one CLIP, can be compared
        with each other.
    related : dict of {column: tuple of blocks}, default={}
        The blocks related by each column of the blocks cross, cluster and neighbors.

    Attributes
    ----------
    blocks : tuple of str or None
        The block of each column, None for columns without one.
    vectors : dict of {vector: ndarray of int}
        The positions of each vector's columns, in the vector's order. Its name starts
        with the block: ``"image__clip"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.table import Schema
    >>> columns = ["time__hour", "image__clip__0", "image__clip__1", "q_0"]
    >>> schema = Schema.of(pd.DataFrame([[3.0, 0.1, 0.2, 0.3]], columns=columns))
    >>> schema.vectors
    {'image__clip': array([1, 2])}
    >>> schema.blocks
    ('time', 'image', 'image', None)
    """

    columns: Sequence[Hashable]
    # None, as a default, stands for no categories until __post_init__
    is_category: np.ndarray = None  # type: ignore[assignment]
    spaces: Mapping[str, str] = field(default_factory=dict)
    related: Mapping[Hashable, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = tuple(self.columns)
        if self.is_category is None:
            self.is_category = np.zeros(len(self.columns), dtype=bool)

    @cached_property
    def blocks(self) -> tuple[str | None, ...]:
        """The block of each column."""
        return tuple(parse(column).block for column in self.columns)

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """The positions of each vector's columns."""
        members: dict[str, dict[int, int]] = {}
        for position in np.flatnonzero(~self.is_category).tolist():
            name = parse(self.columns[position])
            if name.vector is not None:
                members.setdefault(name.vector, {})[name.index] = position
        return {
            vector: np.array([numbered[i] for i in sorted(numbered)])
            for vector, numbered in members.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        # what is parsed is larger than the names
        parsed = ("blocks", "vectors")
        return {k: v for k, v in vars(self).items() if k not in parsed}

    @classmethod
    def of(cls, X: Any) -> Self:
        """Read the schema of a table or an array.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            The columns of an array are named by position and have no block.

        Returns
        -------
        Schema
            Its schema.
        """
        if not isinstance(X, pd.DataFrame):
            return cls(range(int(np.shape(X)[1])))
        declared = X.attrs.get(_DECLARED, {})
        return cls(
            X.columns.tolist(),
            np.array([isinstance(t, pd.CategoricalDtype) for t in X.dtypes], bool),
            dict(declared.get("spaces", {})),
            dict(declared.get("related", {})),
        )

    def numbers(self) -> Schema:
        """Return the schema of the columns that hold numbers.

        Returns
        -------
        Schema
            Without the categories.
        """
        if not self.is_category.any():
            return self
        kept = list(compress(self.columns, ~self.is_category))
        return Schema(kept, spaces=self.spaces, related=self.related)

    @property
    def singles(self) -> np.ndarray:
        """The positions of the columns outside vectors."""
        inside = np.concatenate([np.arange(0), *self.vectors.values()])
        return np.setdiff1d(np.arange(len(self.columns)), inside)

    def vectors_in(self, block: str) -> list[str]:
        """Return the names of a block's vectors.

        Parameters
        ----------
        block : str
            One of `BLOCKS`.

        Returns
        -------
        list of str
            In the order of their first columns.
        """
        return [v for v in self.vectors if block_of_vector(v) == block]

    def aligned(self) -> dict[str, list[str]]:
        """Return the spaces with more than one vector.

        Returns
        -------
        dict of {str: list of str}
            Their vectors in the order of the blocks, without those of another length
            than the first.
        """
        spaces: dict[str, list[str]] = {}
        for block in BLOCKS:
            for vector in self.vectors_in(block):
                if vector in self.spaces:
                    spaces.setdefault(self.spaces[vector], []).append(vector)
        for space, vectors in spaces.items():
            size = len(self.vectors[vectors[0]])
            spaces[space] = [v for v in vectors if len(self.vectors[v]) == size]
        return {space: v for space, v in spaces.items() if len(v) > 1}

    def leaving_with(self, part: str) -> list[Hashable]:
        """Return the columns that leave a table together with a modality or a block.

        They include columns that relate one of its blocks to others.

        Parameters
        ----------
        part : str
            One of `MODALITIES` or of `BLOCKS`.

        Returns
        -------
        list
            Their labels.
        """
        leaving = set(MODALITIES.get(part, (part,)))
        behind = {
            column: {block, *self.related.get(column, _CONTENT)}
            for column, block in zip(self.columns, self.blocks, strict=True)
            if block in RELATIONS
        }
        named = zip(self.columns, self.blocks, strict=True)
        return [c for c, block in named if leaving & behind.get(c, {block})]

    def group_names(self, by: str) -> list[Hashable]:
        """Return the name of each column's group.

        Parameters
        ----------
        by : {"feature", "vector", "block", "family"}
            Each column is a group of its own, or by vector, block, or family of blocks.

        Returns
        -------
        list of length n_columns
            "other" for columns without a block.

        Raises
        ------
        InvalidInputError
            If `by` is not one of these.
        """
        if not isinstance(by, str) or by not in LEVELS:
            raise InvalidInputError(f"by must be one of {LEVELS}. Got {by!r} instead.")
        if by == "feature":
            return list(self.columns)
        if by == "vector":
            of_number = {i: v for v, columns in self.vectors.items() for i in columns}
            return [of_number.get(i, c) for i, c in enumerate(self.columns)]
        if by == "block":
            return [block or PLAIN for block in self.blocks]
        return [FAMILIES[b] if b else PLAIN for b in self.blocks]


def declare(
    table: pd.DataFrame,
    spaces: Mapping[str, str],
    related: Mapping[Hashable, tuple[str, ...]] | None = None,
) -> pd.DataFrame:
    """Record in a table what column names can't say, and return it.

    Vectors and columns that are not in the table are ignored.
    """
    columns = set(table.columns.tolist()) if spaces or related else set()
    vectors = {parse(column).vector for column in columns} if spaces else set()
    table.attrs[_DECLARED] = _Declared(
        spaces={v: s for v, s in spaces.items() if v in vectors},
        related={c: b for c, b in (related or {}).items() if c in columns},
    )
    return table


class _Declared(dict):
    """What is declared of a table, and never changed.

    pandas copies ``attrs`` deeply for every column that is taken out of a table.
    """

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def is_declared(table: pd.DataFrame) -> bool:
    """Whether a table declares which of its vectors can be compared."""
    return _DECLARED in table.attrs


def block_of_vector(vector: str) -> str:
    """Return the block that a vector's name starts with."""
    return str(parse(vector).block)
