"""Feature tables built from parts in one allocation, and described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion._sklearn_compat import validate_params
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import as_float32, chosen
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
    """Adjacent columns of a feature table."""

    names: Sequence[str]
    write: Callable[[np.ndarray], None]
    categories: Mapping[str, pd.Series]

    @classmethod
    def of(cls, names: Sequence[str], frame: pd.DataFrame) -> Self:
        """Return the columns of a frame as a part, under new names."""
        is_category = Schema.of(frame).is_category
        levels = {
            names[i]: frame.iloc[:, i] for i in np.flatnonzero(is_category).tolist()
        }

        def write(out: np.ndarray) -> None:
            out[:] = as_float32(chosen(frame, ~is_category))

        return cls([*compress(names, ~is_category)], write, levels)


def join_parts(parts: Iterable[Part], index: pd.Index, n_numbers: int) -> pd.DataFrame:
    """Write parts into one feature table.

    The numbers, `n_numbers` in all, come first, in one float32 allocation, then the
    categories. Parts are consumed one at a time, so a generator keeps only one in
    memory. Duplicate names are an `InvalidInputError`.
    """
    numbers = np.empty((len(index), n_numbers), dtype=np.float32)
    names: list[str] = []
    categories: dict[str, pd.Series] = {}
    labels: Counter[str] = Counter()
    for part in parts:
        with np.errstate(over="ignore"):  # beyond float32 is infinity
            part.write(numbers[:, len(names) : len(names) + len(part.names)])
        labels.update([*part.names, *part.categories])
        names += part.names
        categories |= {c: s.set_axis(index) for c, s in part.categories.items()}
    twice = sorted(label for label, count in labels.items() if count > 1)
    if twice:
        raise InvalidInputError(f"Two features have the same name: {twice}.")
    # looking up thousands of names one by one is slow in an Arrow index
    columns = pd.Index(names, dtype=object)
    table = pd.DataFrame(numbers, index=index, columns=columns, copy=False)
    for name, values in categories.items():
        table[name] = values
    return table


@validate_params(
    {"parts": [Mapping], "spaces": [Mapping, None]}, prefer_skip_nested_validation=True
)
def feature_table(
    parts: Mapping[str, Any],
    *,
    spaces: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Build a feature table from parts named by block and vector.

    Use it for features from a ColumnTransformer, another library, or a file of
    embeddings, so that this package knows what the columns are.

    Parameters
    ----------
    parts : dict of {name: columns}
        A name is a block (``"meta"``) for single numbers and categories, or a block and
        a vector (``"image__clip"``) for the columns of one vector. Columns are a
        DataFrame, a Series, or an array of one or two dimensions.
    spaces : dict of {space: list of vectors}, default=None
        Vectors from the same model, which can be compared with each other: ``{"clip":
        ["image__clip", "text__title"]}``.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        Numbers in one float32 allocation, then categories, with the index of the first
        part that has one.

    Raises
    ------
    InvalidInputError
        If a name is invalid, parts differ in length, a column is neither a number nor a
        category, or a space names a missing vector.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion.table import feature_table
    >>> meta = pd.DataFrame({"likes": [3, 5]})
    >>> list(feature_table({"image__clip": np.eye(2), "meta": meta}))
    ['image__clip__0', 'image__clip__1', 'meta__likes']
    """
    if not parts:
        raise InvalidInputError("parts is empty: give at least one block or vector.")
    frames = {name: _as_frame(name, value) for name, value in parts.items()}
    lengths = {name: len(frame) for name, frame in frames.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"parts differ in their numbers of rows: {lengths}.")
    joined = [Part.of(_names(name, f), f) for name, f in frames.items()]
    indexed = (n for n, v in parts.items() if isinstance(v, (pd.DataFrame, pd.Series)))
    index = frames[next(indexed, next(iter(frames)))].index
    table = join_parts(joined, index, sum(len(part.names) for part in joined))
    of_vector = {v: space for space, vs in (spaces or {}).items() for v in vs}
    schema = Schema.of(table)
    unknown = sorted(set(of_vector) - set(schema.vectors))
    if unknown:
        raise InvalidInputError(
            f"spaces names {unknown}, which are not vectors of the table. Its vectors "
            f"are {sorted(schema.vectors)}."
        )
    return declare(table, of_vector)


def _as_frame(name: Any, value: Any) -> pd.DataFrame:
    if not isinstance(name, str) or parse(f"{name}__x").block is None:
        raise InvalidInputError(
            f"parts has the name {name!r}: give one of the blocks {BLOCKS}, or a block "
            "and a vector such as 'image__clip'."
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


def _names(name: str, frame: pd.DataFrame) -> list[str]:
    """Return the names of a part's columns in the feature table."""
    block, _, vector = name.partition("__")
    if vector:
        levels = frame.columns[Schema.of(frame).is_category]
        if len(levels):
            raise InvalidInputError(
                f"parts[{name!r}] is a vector, but its column {levels[0]!r} holds "
                "categories."
            )
        return vector_columns(name, frame.shape[1])
    singles = unique_names([single_name(c) for c in frame])
    return [column_name(block, single) for single in singles]


def describe_table(X: Any) -> pd.DataFrame:
    """Show how the columns of a table are understood: blocks, vectors, categories.

    Parameters
    ----------
    X : DataFrame or array of shape (n_samples, n_features)
        A feature table, or any other input of a regressor.

    Returns
    -------
    DataFrame of shape (n_parts, 5)
        One row for each vector and each single column: ``name``, ``block`` ("other"
        without one), ``kind`` ("vector", "number" or "category"), ``n_columns``, and
        ``space`` (shared by vectors that can be compared).

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
    X = as_frame(X)
    X = X.to_frame() if isinstance(X, pd.Series) else X
    if np.ndim(X) != 2:
        raise InvalidInputError(
            "describe_table takes a table or a two-dimensional array. Got "
            f"{type(X).__name__}."
        )
    schema = Schema.of(X)
    blocks = schema.group_names("block")
    rows = {}
    for i, name in enumerate(schema.group_names("vector")):
        kind, size = "category" if schema.is_category[i] else "number", 1
        if name in schema.vectors:
            kind, size = "vector", len(schema.vectors[str(name)])
        rows[name] = name, blocks[i], kind, size, schema.spaces.get(str(name))
    columns = ["name", "block", "kind", "n_columns", "space"]
    table = pd.DataFrame(rows.values(), columns=columns)
    return table.astype({"name": object, "space": object})
