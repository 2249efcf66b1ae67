"""The feature table: what passes from tier to tier.

A feature table is a pandas DataFrame whose columns are named
``<block>__<feature>``, split at the first ``__``. Numbers are float32,
categories have pandas' ``category`` dtype. The blocks are a closed list, so
that a regressor knows which columns are visual and which are textual from the
names alone. A plain array is a feature table of one unnamed block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.exceptions import InvalidInputError

__all__ = [
    "BLOCKS",
    "MODALITIES",
    "block_columns",
    "category_columns",
    "column_name",
    "join_blocks",
    "split_name",
]

BLOCKS = (
    "image",
    "text",
    "tags",
    "user",
    "time",
    "geo",
    "meta",
    "vectors_user",
    "vectors_place",
    "cross",
    "cluster",
)
"""Names of the blocks, in the order in which tables hold them."""

MODALITIES: Mapping[str, tuple[str, ...]] = {
    "visual": ("image",),
    "textual": ("text", "tags"),
    "geolocation": ("geo", "vectors_place"),
    "metadata": ("user", "vectors_user", "time", "meta"),
}
"""Blocks that leave together when the paper's ablation (table 1) drops a modality."""


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
    return f"{block}__{feature}"


def split_name(column: Any) -> tuple[str | None, str]:
    """Split a column's name into its block and its feature.

    Parameters
    ----------
    column : hashable
        A column's name.

    Returns
    -------
    block : str or None
        The block, or None where the name does not begin with one of `BLOCKS`.
    feature : str
        The rest of the name (the whole name where there is no block).

    Examples
    --------
    >>> from hyperfusion.table import split_name
    >>> split_name("text__title_clip_3")
    ('text', 'title_clip_3')
    >>> split_name("petal__length")
    (None, 'petal__length')
    """
    name = str(column)
    block, separator, feature = name.partition("__")
    return (block, feature) if separator and block in BLOCKS else (None, name)


def block_columns(X: Any) -> dict[str | None, list[Any]]:
    """Return the columns of every block of a table.

    Parameters
    ----------
    X : DataFrame or array of shape (n_posts, n_features)
        A feature table. The columns of an array are its positions.

    Returns
    -------
    dict of {block: list of columns}
        In the table's order; the key None holds columns of no block.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.table import block_columns
    >>> block_columns(pd.DataFrame(columns=["time__hour", "geo__latitude"]))
    {'time': ['time__hour'], 'geo': ['geo__latitude']}
    """
    columns = X.columns if hasattr(X, "columns") else range(np.shape(X)[1])
    blocks: dict[str | None, list[Any]] = {}
    for column in columns:
        blocks.setdefault(split_name(column)[0], []).append(column)
    return blocks


def category_columns(X: Any) -> list[Any]:
    """Return the columns of a table that hold categories (none for an array).

    Parameters
    ----------
    X : DataFrame or array of shape (n_posts, n_features)
        A feature table.

    Returns
    -------
    list of columns
        Those of dtype ``category``.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.table import category_columns
    >>> category_columns(pd.DataFrame({"a": pd.Categorical(["x"]), "b": [1.0]}))
    ['a']
    """
    if not isinstance(X, pd.DataFrame):
        return []
    return [c for c, t in X.dtypes.items() if isinstance(t, pd.CategoricalDtype)]


def join_blocks(
    parts: Iterable[tuple[str, pd.DataFrame]], index: pd.Index, n_numbers: int
) -> pd.DataFrame:
    """Write parts side by side into one feature table.

    Parameters
    ----------
    parts : iterable of (block, DataFrame)
        The parts, read one at a time: a generator keeps only one of them in
        memory. Their columns are plain feature names.
    index : Index of length n_posts
        The index of the result.
    n_numbers : int
        Total number of columns that are not categories.

    Returns
    -------
    DataFrame of shape (n_posts, n_features)
        Numbers first, held in one float32 allocation, then categories.

    Raises
    ------
    InvalidInputError
        If two columns get the same name.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.table import join_blocks
    >>> hours = pd.DataFrame({"hour": [1.0, 2.0]})
    >>> join_blocks([("time", hours)], hours.index, n_numbers=1)
       time__hour
    0         1.0
    1         2.0
    """
    numbers = np.empty((len(index), n_numbers), dtype=np.float32)
    names: list[str] = []
    categories: dict[str, pd.Series] = {}
    for block, part in parts:
        levels = category_columns(part)
        plain = part.drop(columns=levels)
        numbers[:, len(names) : len(names) + plain.shape[1]] = plain
        names += [column_name(block, c) for c in plain]
        categories |= {column_name(block, c): part[c].set_axis(index) for c in levels}
    every = [*names, *categories]
    if len(set(every)) != len(every):
        twice = sorted({c for c in every if every.count(c) > 1})
        raise InvalidInputError(f"Two features have the same name: {twice}.")
    table = pd.DataFrame(numbers, index=index, columns=names, copy=False)
    for name, values in categories.items():
        table[name] = values
    return table
