"""Feature tables built from parts, in one allocation, and told what they hold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import as_float32
from hyperfusion.table._frames import as_frame, check_frame
from hyperfusion.table._names import (
    BLOCKS,
    column_name,
    parse,
    single_name,
    unique_names,
    vector_columns,
)
from hyperfusion.table._schema import Schema, declare


@dataclass(frozen=True)
class Part:
    """Columns that go into a feature table side by side.

    Attributes
    ----------
    names : sequence of str
        Names of the columns of numbers.
    write : callable
        Writes the numbers into a float32 array of shape (n_rows, n_numbers).
    categories : dict of {str: Series}
        Columns of ``category`` dtype.
    """

    names: Sequence[str]
    write: Callable[[np.ndarray], None]
    categories: Mapping[str, pd.Series]

    @classmethod
    def of(cls, block: str, frame: pd.DataFrame) -> Self:
        """Return a block's features, whose names are plain, as a part."""
        is_category = Schema.of(frame).is_category
        plain = frame.loc[:, ~is_category]
        levels = frame.loc[:, is_category]

        def write(out: np.ndarray) -> None:
            out[:] = plain

        return cls(
            [column_name(block, str(c)) for c in plain],
            write,
            {column_name(block, str(c)): levels[c] for c in levels},
        )


def join_parts(parts: Iterable[Part], index: pd.Index, n_numbers: int) -> pd.DataFrame:
    """Write parts side by side into one feature table.

    Parameters
    ----------
    parts : iterable of Part
        Read one at a time: a generator keeps only one of them in memory.
    index : Index of length n_rows
        The index of the result.
    n_numbers : int
        Total number of columns that are not categories.

    Returns
    -------
    DataFrame of shape (n_rows, n_features)
        Numbers first, held in one float32 allocation, then categories.

    Raises
    ------
    InvalidInputError
        If two columns get the same name.
    """
    numbers = np.empty((len(index), n_numbers), dtype=np.float32)
    names: list[str] = []
    categories: dict[str, pd.Series] = {}
    twice: set[str] = set()
    for part in parts:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, as it was
            part.write(numbers[:, len(names) : len(names) + len(part.names)])
        new = [*part.names, *part.categories]
        twice |= {name for name in new if new.count(name) > 1}
        twice |= {*new} & {*names, *categories}
        names += part.names
        categories |= {c: s.set_axis(index) for c, s in part.categories.items()}
    if twice:
        raise InvalidInputError(f"Two features have the same name: {sorted(twice)}.")
    table = pd.DataFrame(numbers, index=index, columns=names, copy=False)
    for name, values in categories.items():
        table[name] = values
    return table


def feature_table(
    parts: Mapping[str | None, Any],
    *,
    spaces: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Build a feature table, saying which columns are which block and vector.

    For features that come from elsewhere: a ColumnTransformer, another library, a
    file of embeddings. Every regressor and transformer of this package then knows what
    it is given.

    Parameters
    ----------
    parts : dict of {name: columns}
        A name is a block (``"meta"``), for columns of single numbers and categories;
        a block and a vector (``"image__clip"``), for the columns of one vector; or
        None, for single columns of no block. Columns are a DataFrame, a Series, or an
        array of one or two dimensions.
    spaces : dict of {space: list of vectors}, default=None
        Vectors that may be compared with each other, since one model has made them:
        ``{"clip": ["image__clip", "text__title"]}``.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        Numbers in one float32 allocation, then categories, with the index of the
        first part that has one.

    Raises
    ------
    InvalidInputError
        If a name is none of these, parts differ in length, a column is neither a
        number nor a category, or a space names a vector that is not there.

    See Also
    --------
    describe_table : Says what a table's columns are taken for.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion.table import feature_table
    >>> table = feature_table({
    ...     "image__clip": np.eye(2), "meta": pd.DataFrame({"likes": [3, 5]})
    ... })
    >>> list(table)
    ['image__clip__0', 'image__clip__1', 'meta__likes']
    """
    frames = {name: _as_part(name, value) for name, value in parts.items()}
    if not frames:
        raise InvalidInputError("parts is empty: give at least one block or vector.")
    lengths = {str(name): len(frame) for name, frame in frames.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"parts differ in their numbers of rows: {lengths}.")
    joined = [_named_part(name, frame) for name, frame in frames.items()]
    n_numbers = sum(len(part.names) for part in joined)
    table = join_parts(joined, _index_of(frames, parts), n_numbers)
    of_vector = {v: space for space, vs in (spaces or {}).items() for v in vs}
    schema = Schema.of(table)
    unknown = sorted(set(of_vector) - set(schema.vectors))
    if unknown:
        raise InvalidInputError(
            f"spaces names {unknown}, which are no vectors of the table. Its vectors "
            f"are {sorted(schema.vectors)}."
        )
    return declare(table, of_vector)


def _as_part(name: Any, value: Any) -> pd.DataFrame:
    known = parse(f"{name}__x").block if isinstance(name, str) else name
    if known is None and name is not None:
        raise InvalidInputError(
            f"parts has the name {name!r}: give one of the blocks {BLOCKS}, a block "
            "and a vector such as 'image__clip', or None for columns of no block."
        )
    value = as_frame(value)
    if isinstance(value, pd.Series):
        value = value.to_frame("x0" if value.name is None else value.name)
    if not isinstance(value, pd.DataFrame):
        array = np.asarray(value)
        array = array.reshape(-1, 1) if array.ndim == 1 else array
        if array.ndim != 2:
            raise InvalidInputError(
                f"parts[{name!r}] must have one or two dimensions. Got {array.shape}."
            )
        value = pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
    check_frame(value, "feature_table")
    return value


def _named_part(name: str | None, frame: pd.DataFrame) -> Part:
    is_category = Schema.of(frame).is_category
    block, _, vector = (name or "").partition("__")
    if vector:
        if is_category.any():
            raise InvalidInputError(
                f"parts[{name!r}] is a vector, and its column "
                f"{frame.columns[is_category][0]!r} holds categories."
            )
        names = vector_columns(str(name), frame.shape[1])
    elif block:
        singles = unique_names([single_name(c) for c in frame])
        names = [column_name(block, single) for single in singles]
    else:
        names = [str(c) for c in frame]
    numbers = as_float32(frame.loc[:, ~is_category])

    def write(out: np.ndarray) -> None:
        out[:] = numbers

    of_numbers = [n for n, c in zip(names, is_category, strict=True) if not c]
    of_levels = [n for n, c in zip(names, is_category, strict=True) if c]
    levels = frame.loc[:, is_category]
    categories = {n: levels[c] for n, c in zip(of_levels, levels, strict=True)}
    return Part(of_numbers, write, categories)


def _index_of(frames: Mapping[Any, pd.DataFrame], given: Mapping[Any, Any]) -> pd.Index:
    own = (
        name for name, v in given.items() if isinstance(v, (pd.DataFrame, pd.Series))
    )
    first = next(own, next(iter(frames)))
    return frames[first].index


def describe_table(X: Any) -> pd.DataFrame:
    """Say what the columns of a table are taken for: blocks, vectors, categories.

    Parameters
    ----------
    X : DataFrame or array of shape (n_samples, n_features)
        A feature table, or anything that a regressor takes.

    Returns
    -------
    DataFrame of shape (n_parts, 5)
        One row for each vector and for each single column: ``name``, ``block``
        ("other" where the name names none), ``kind`` ("vector", "number" or
        "category"), ``n_columns``, and ``space`` (of the vectors that may be compared
        with each other).

    See Also
    --------
    feature_table : Builds a table whose columns are what you say.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.table import describe_table
    >>> columns = ["image__clip__0", "image__clip__1", "meta__likes", "img__clip_0"]
    >>> describe_table(pd.DataFrame([[0.1, 0.2, 3, 4]], columns=columns))
              name  block    kind  n_columns space
    0  image__clip  image  vector          2  None
    1  meta__likes   meta  number          1  None
    2  img__clip_0  other  number          1  None
    """
    schema = Schema.of(as_frame(X))
    blocks = schema.group_names("block")
    rows: dict[Hashable, dict[str, Any]] = {}
    for i, name in enumerate(schema.group_names("vector")):
        kind = "category" if schema.is_category[i] else "number"
        vector = name in schema.vectors
        rows[name] = {
            "name": name,
            "block": blocks[i],
            "kind": "vector" if vector else kind,
            "n_columns": len(schema.vectors[str(name)]) if vector else 1,
            "space": schema.spaces.get(str(name)) if vector else None,
        }
    table = pd.DataFrame(rows.values())
    return table.astype({"name": object, "space": object})
