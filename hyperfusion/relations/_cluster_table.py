"""Clusters and what is measured of them, written as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.table._features import Features, write_features


def write_clusters(
    features: Features,
    numbers: Sequence[np.ndarray],
    clusters: Sequence[np.ndarray],
    counts: Sequence[int],
    names: np.ndarray,
) -> Any:
    """Return numbers and clusters side by side.

    Parameters
    ----------
    features : Features
        What was clustered: a table gives a table, an array gives an array.
    numbers : list of ndarray of shape (n_posts,)
        The columns of numbers.
    clusters : list of ndarray of shape (n_posts,), int
        The columns of clusters, -1 where a post has none.
    counts : list of int
        How many clusters there are in each of these columns.
    names : ndarray of str
        Names of the numbers, then of the clusters.

    Returns
    -------
    DataFrame or ndarray of shape (n_posts, n_columns)
        float32 numbers; clusters are categories in a table, numbers in an array.
    """
    values = np.column_stack(numbers).astype(np.float32)
    if not features.is_frame:
        ids = [np.where(column >= 0, column, np.nan) for column in clusters]
        return np.column_stack([values, *ids]).astype(np.float32)
    categories = {
        name: pd.Categorical.from_codes(column, categories=list(range(count)))
        for name, column, count in zip(
            names[len(numbers) :], clusters, counts, strict=True
        )
    }
    return write_features(values, names, pd.DataFrame(categories, index=features.index))
