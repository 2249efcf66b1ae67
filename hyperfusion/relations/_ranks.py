"""Ranks within a category, against the distribution seen at fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd


def fit_distributions(
    values: np.ndarray, categories: pd.Series
) -> tuple[list[Any], list[list[np.ndarray]]]:
    """Return the levels of a category and the sorted values of each.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns), float32
        NaN where missing.
    categories : Series of length n_samples
        The category of each row.

    Returns
    -------
    levels : list
        The levels that appear.
    distributions : list of list of ndarray
        For each level, and last for all rows together, the sorted values of each
        column. A level without a value gets those of all rows.
    """
    codes, levels = pd.factorize(categories.astype(object))
    everything = [_sorted(column) for column in values.T]
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(levels) + 1))
    distributions = []
    for start, end in pairwise(ends):
        own = [_sorted(column) for column in values[order[start:end]].T]
        distributions.append(
            [o if len(o) else e for o, e in zip(own, everything, strict=True)]
        )
    return list(levels), [*distributions, everything]


def _sorted(column: np.ndarray) -> np.ndarray:
    return np.sort(column[~np.isnan(column)])


def ranks_within(
    values: np.ndarray,
    categories: pd.Series,
    levels: list[Any],
    distributions: list[list[np.ndarray]],
) -> np.ndarray:
    """Return the share of the values at fit that lie below, equal ones counting half.

    Rows of a missing category, or one not seen at fit, are compared with all rows.
    """
    known = pd.Index(levels, dtype=object)
    codes = known.get_indexer(categories.astype(object))
    ranks = np.full(values.shape, np.nan, dtype=np.float32)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
    for rows in np.split(order, starts[1:]):
        for column, reference in enumerate(distributions[codes[rows[0]]]):
            cells = values[rows, column]
            there = ~np.isnan(cells)
            if len(reference):
                below = np.searchsorted(reference, cells[there], side="left")
                not_above = np.searchsorted(reference, cells[there], side="right")
                middle = (below + not_above) / 2 / len(reference)
                ranks[rows[there], column] = middle
    return ranks
