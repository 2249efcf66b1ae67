"""Whether the clusters of two modalities come together more often than by chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def agreeing_views(blocks: Mapping[str, str | None]) -> dict[str, tuple[str, str]]:
    """Return the pairs of an image's view and one of texts or tags, by name."""
    images = [view for view, block in blocks.items() if block == "image"]
    texts = [view for view, block in blocks.items() if block in ("text", "tags")]
    return {f"{a}_{b}": (a, b) for a in images for b in texts}


def agreement_table(a: np.ndarray, b: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the normalized pointwise mutual information of two clusterings.

    For clusters of the same rows, -1 where missing, it is for each pair of clusters
    ``log(p(a, b) / (p(a) p(b))) / -log(p(a, b))``: 1 where one never comes without the
    other, 0 where they are independent, -1 where they never come together.
    """
    both = (a >= 0) & (b >= 0)
    counts = np.zeros(shape)
    np.add.at(counts, (a[both], b[both]), 1)
    joint = counts / max(counts.sum(), 1)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    table = np.full(shape, -1.0)
    seen = joint > 0
    if seen.sum() == 1:  # one pair holds all rows: nothing can be told
        return np.where(seen, 0.0, table).astype(np.float32)
    table[seen] = np.log(joint[seen] / independent[seen]) / -np.log(joint[seen])
    return table.astype(np.float32)


def agreement(table: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the entries of rows' clusters, NaN where one of them is missing."""
    return np.where((a >= 0) & (b >= 0), table[a, b], np.nan)
