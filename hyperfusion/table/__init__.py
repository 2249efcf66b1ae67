"""The grammar of the feature table."""

from hyperfusion.table._names import (
    BLOCKS,
    MODALITIES,
    block_columns,
    category_columns,
    column_name,
    join_blocks,
    split_name,
)

__all__ = [
    "BLOCKS",
    "MODALITIES",
    "block_columns",
    "category_columns",
    "column_name",
    "join_blocks",
    "split_name",
]
