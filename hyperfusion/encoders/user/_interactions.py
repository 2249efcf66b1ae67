"""From rows of (user, items) to a weighted sparse matrix users x items."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from hyperfusion.cells._columns import is_missing, read_cells
from hyperfusion.cells._tags import read_tags
from hyperfusion.cells._texts import in_order, is_list, mend
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import Columns, check_columns

WEIGHTINGS = ("ppmi", "tfidf", "log", "counts")


def find_columns(
    table: pd.DataFrame, user: Columns, items: Columns
) -> tuple[Hashable, list[Hashable]]:
    """Return the column of the users and those of the items.

    Without names the first column that holds no items is the user's, and all
    others hold items.
    """
    users = check_columns(table, user, "user", max_columns=1)
    found = check_columns(table, items, "items")
    users = users or [column for column in table if column not in found][:1]
    found = found or [column for column in table if column not in users]
    if not users or not found:
        raise InvalidInputError(
            "SVDUserEmbedder needs a column of users and at least one of items. The "
            f"table has {list(table.columns)[:20]}. A matrix of users times items "
            "has to be sparse: scipy.sparse.csr_array(matrix)."
        )
    return users[0], found


def read_items(
    table: pd.DataFrame,
    columns: Sequence[Hashable],
    split: Sequence[Hashable],
    on_error: str,
    *,
    warn: bool = True,
) -> tuple[np.ndarray, list[str]]:
    """Return the row and the name of each item in all cells.

    With several columns, names start with the column's, so that a tag and a place of
    the same name stay two items. Texts in the columns `split` are split into tags, in
    lower case.
    """
    rows: list[np.ndarray] = []
    items: list[str] = []
    for column in columns:
        are_tags = column in split
        read = _read_split if are_tags else _read_whole
        cells = table[column].astype(object)
        found = read_cells(cells, read, on_error, warn=warn)
        lists = [cell or () for cell in found]
        rows.append(np.repeat(np.arange(len(lists)), [len(cell) for cell in lists]))
        prefix = f"{column}=" if len(columns) > 1 else ""
        names = chain.from_iterable(lists)
        items += [prefix + (n.lower() if are_tags else n) for n in names]
    return np.concatenate(rows), items


def _read_split(cell: Any) -> list[str]:
    return read_tags(cell) or [] if isinstance(cell, str) else _read_whole(cell)


def _read_whole(cell: Any) -> list[str]:
    if is_list(cell):
        return [name for part in in_order(cell) for name in _read_whole(part)]
    if is_missing(cell):
        return []
    if isinstance(cell, str):
        return [name] if (name := mend(cell).strip()) else []
    if isinstance(cell, (numbers.Real, np.bool_)):
        # whole numbers in a column with gaps are read as floats: 7.0 is item 7
        number = float(cell)
        return [str(int(number) if number.is_integer() else cell)]
    raise TypeError(
        f"expected text, a number or a list of these, got {type(cell).__name__}"
    )


def count_matrix(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> scipy.sparse.csr_array:
    ones = np.ones(len(rows), dtype=np.float32)
    counts = scipy.sparse.csr_array((ones, (rows, columns)), shape=shape)
    counts.sum_duplicates()
    return counts


def common_items(counts: Any, min_frequency: int) -> np.ndarray:
    """Return the columns with entries in at least `min_frequency` rows."""
    n_users = np.bincount(counts.indices, minlength=counts.shape[1])
    kept = np.flatnonzero(n_users >= min_frequency)
    if len(kept) == 0:
        raise InvalidInputError(
            f"No item is used by at least min_frequency={min_frequency} user(s): there "
            f"are {counts.shape[0]} user(s) and {counts.shape[1]} item(s)."
        )
    return kept


def fit_item_weights(counts: Any, weighting: str) -> np.ndarray | None:
    """Return what a weighting needs to know about each item, or None."""
    if weighting == "tfidf":
        return TfidfTransformer().fit(counts).idf_
    if weighting == "ppmi":
        totals = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()
        with np.errstate(divide="ignore"):
            return np.log(totals / totals.sum())
    return None


def weigh(counts: Any, weighting: str, item_weights: Any) -> Any:
    """Return the weighted matrix; each row depends on its own counts alone."""
    weighted = counts.astype(np.float64)
    if weighting == "log":
        weighted.data = np.log1p(weighted.data)
    elif weighting == "tfidf":
        weighted.data = (1 + np.log(weighted.data)) * item_weights[weighted.indices]
        weighted = normalize(weighted, copy=False)
    elif weighting == "ppmi":
        totals = np.asarray(weighted.sum(axis=1)).ravel()
        row_total = np.repeat(totals, np.diff(weighted.indptr))
        share = np.log(weighted.data / row_total)
        weighted.data = np.maximum(share - item_weights[weighted.indices], 0)
        weighted.eliminate_zeros()
    return weighted
