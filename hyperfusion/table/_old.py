"""Names that move to `Schema`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hyperfusion.table._build import Part, join_parts
from hyperfusion.table._names import parse
from hyperfusion.table._schema import Schema


def split_name(column):
    name = parse(column)
    return name.block, str(name.feature)


def block_columns(X):
    schema = Schema.of(X)
    blocks: dict = {}
    for column, block in zip(schema.columns, schema.blocks, strict=True):
        blocks.setdefault(block, []).append(column)
    return blocks


def category_columns(X: Any) -> list[Any]:
    if not isinstance(X, pd.DataFrame):
        return []
    return [c for c, t in X.dtypes.items() if isinstance(t, pd.CategoricalDtype)]


def join_blocks(parts, index, n_numbers):
    return join_parts((Part.of(b, f) for b, f in parts), index, n_numbers)
