"""A tree of clusters, grown from the top by k-means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import euclidean_distances

_ROWS = 4096


class Assignment(NamedTuple):
    """The clusters of rows at one level of a tree: -1 and NaN if they have none.

    `margin` is how much farther the nearest other center of the level is: negative if a
    cluster of another branch is nearer, NaN if there is no other.
    """

    labels: np.ndarray
    distance: np.ndarray
    margin: np.ndarray


def grow_tree(
    points: np.ndarray,
    levels: Sequence[int],
    min_cluster_size: int,
    rng: np.random.RandomState,
) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    """Split points into a few clusters, these into more, and so on.

    Returns the kept levels, and for each the clusters' centers and their parents on the
    level above (0 on the first). No level has more than ``n_samples //
    min_cluster_size`` clusters; a level that can't have more than the one above is
    skipped.
    """
    labels, n_nodes = np.zeros(len(points), dtype=np.int64), 1
    kept: list[int] = []
    centers: list[np.ndarray] = []
    parents: list[np.ndarray] = []
    for level in levels:
        wanted = max(min(level, len(points) // min_cluster_size), 1)
        if wanted <= n_nodes and kept:
            continue
        children = share_out(np.bincount(labels, minlength=n_nodes), wanted)
        order = np.argsort(labels, kind="stable")
        ends = np.cumsum(np.bincount(labels, minlength=n_nodes))[:-1]
        split = [
            _split(points[rows], size, int(rng.randint(2**31 - 1)))
            for rows, size in zip(np.split(order, ends), children, strict=True)
        ]
        kept.append(int(level))
        parents.append(np.repeat(np.arange(n_nodes), [len(c) for c in split]))
        centers.append(np.concatenate(split).astype(np.float32))
        nearest = nearest_children(points, labels, centers[-1], parents[-1])
        labels, n_nodes = nearest.labels, len(centers[-1])
    return kept, centers, parents


def share_out(counts: np.ndarray, total: int) -> np.ndarray:
    """Give each node a child, and distribute the rest in proportion to their rows.

    No node gets more children than it has rows, so there can be fewer than `total`.
    """
    ideal = max(total - len(counts), 0) * counts / counts.sum()
    extra = np.floor(ideal).astype(int)
    rest = max(total - len(counts), 0) - extra.sum()
    extra[np.argsort(extra - ideal, kind="stable")[:rest]] += 1
    return np.clip(1 + extra, 1, np.maximum(counts, 1))


def _split(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Return the centers of the clusters that aren't empty."""
    if n_clusters == 1:
        return points.mean(axis=0, keepdims=True, dtype=np.float64)
    model = MiniBatchKMeans(n_clusters, n_init=1, random_state=seed).fit(points)
    centers = model.cluster_centers_
    own = np.zeros(len(points), dtype=np.int64)
    parents = np.zeros(len(centers), dtype=np.int64)
    held = nearest_children(points, own, centers, parents).labels
    return centers[np.unique(held)]


def nearest_children(
    points: np.ndarray, labels: np.ndarray, centers: np.ndarray, parents: np.ndarray
) -> Assignment:
    """Assign each point to the nearest child of its cluster in `labels`."""
    n = len(points)
    chosen = np.empty(n, dtype=np.int64)
    distance = np.empty(n)
    margin = np.full(n, np.nan)
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        distances = euclidean_distances(points[rows], centers).astype(np.float64)
        strange = parents != labels[rows, None]
        part = np.where(strange, np.inf, distances).argmin(axis=1)
        each = np.arange(len(part))
        chosen[rows], distance[rows] = part, _apart(points[rows], centers[part])
        if len(centers) > 1:
            distances[each, part] = np.inf
            second = centers[distances.argmin(axis=1)]
            margin[rows] = _apart(points[rows], second) - distance[rows]
    return Assignment(chosen, distance, margin)


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return distances row by row, exact near zero (unlike those by dot products)."""
    difference = a.astype(np.float64) - b
    return np.sqrt(np.einsum("ij,ij->i", difference, difference))


def descend(
    points: np.ndarray, centers: list[np.ndarray], parents: list[np.ndarray]
) -> list[Assignment]:
    """Return the clusters of points at each level, from the top of the tree.

    Points whose first number is missing have no cluster.
    """
    there = ~np.isnan(points[:, 0])
    known, labels = points[there], np.zeros(int(there.sum()), dtype=np.int64)
    path = []
    for level_centers, level_parents in zip(centers, parents, strict=True):
        level = nearest_children(known, labels, level_centers, level_parents)
        labels = level.labels
        every = np.full((3, len(there)), np.nan)
        every[0] = -1
        every[:, there] = labels, level.distance, level.margin
        path.append(Assignment(every[0].astype(np.int64), every[1], every[2]))
    return path
