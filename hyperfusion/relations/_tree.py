"""Clusters within clusters: a tree grown from the top by k-means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import euclidean_distances

from hyperfusion.exceptions import InvalidInputError

_ROWS = 4096


@dataclass(frozen=True)
class Assignment:
    """Where rows fall at one level of a tree.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int
        The cluster of each row, -1 where it has none.
    distance : ndarray of shape (n_samples,)
        Distance to the cluster's own center.
    margin : ndarray of shape (n_samples,)
        How much farther the nearest other center of the level is; negative where a
        cluster of another branch is nearer, NaN where there is no other.
    """

    labels: np.ndarray
    distance: np.ndarray
    margin: np.ndarray


def check_levels(levels: Sequence[int]) -> list[int]:
    """Return the levels as a list; raise where they are not whole and increasing."""
    given = list(levels)
    whole = all(isinstance(k, Integral) and k > 0 for k in given)
    if not given or not whole or sorted(set(given)) != given:
        raise InvalidInputError(
            "levels must be whole numbers that increase, such as (8, 64, 512). "
            f"Got {levels!r} instead."
        )
    return [int(k) for k in given]


def grow_tree(
    points: np.ndarray,
    levels: Sequence[int],
    min_cluster_size: int,
    rng: np.random.RandomState,
) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    """Split points into few clusters, these into more, and so on.

    Parameters
    ----------
    points : ndarray of shape (n_samples, n_dimensions), float32
        What to cluster.
    levels : sequence of int
        How many clusters each level shall have, increasing.
    min_cluster_size : int
        No level has more than ``n_samples // min_cluster_size`` clusters; one that
        could have no more clusters than the level before is left out.
    rng : RandomState
        Draws the first centers.

    Returns
    -------
    kept : list of int
        The levels that are not left out, as they were asked for.
    centers : list of ndarray of shape (n_clusters, n_dimensions)
        The centers of each level.
    parents : list of ndarray of shape (n_clusters,)
        For each cluster its parent on the level before; 0 on the first level.
    """
    n = len(points)
    labels, n_nodes = np.zeros(n, dtype=np.int64), 1
    kept: list[int] = []
    centers: list[np.ndarray] = []
    parents: list[np.ndarray] = []
    for level in levels:
        wanted = max(min(level, n // min_cluster_size), 1)
        if wanted <= n_nodes and kept:
            continue
        children = share_out(np.bincount(labels, minlength=n_nodes), wanted)
        split = _split_nodes(points, labels, children, rng)
        kept.append(level)
        parents.append(np.repeat(np.arange(n_nodes), [len(c) for c in split]))
        centers.append(np.concatenate(split).astype(np.float32))
        nearest = nearest_children(points, labels, centers[-1], parents[-1])
        labels, n_nodes = nearest.labels, len(centers[-1])
    return kept, centers, parents


def share_out(counts: np.ndarray, total: int) -> np.ndarray:
    """Give each node one child, and the others in proportion to the nodes' rows.

    No node gets more children than rows, so there may be fewer than `total`.
    """
    ideal = max(total - len(counts), 0) * counts / counts.sum()
    extra = np.floor(ideal).astype(int)
    rest = max(total - len(counts), 0) - extra.sum()
    extra[np.argsort(extra - ideal, kind="stable")[:rest]] += 1
    return np.clip(1 + extra, 1, np.maximum(counts, 1))


def _split_nodes(
    points: np.ndarray,
    labels: np.ndarray,
    children: np.ndarray,
    rng: np.random.RandomState,
) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=len(children)))[:-1]
    return [
        _split(points[rows], size, int(rng.randint(2**31 - 1)))
        for rows, size in zip(np.split(order, ends), children, strict=True)
    ]


def _split(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Return the centers of the clusters of points that hold any."""
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
    """Assign each point to the nearest of its own cluster's children.

    Parameters
    ----------
    points : ndarray of shape (n_samples, n_dimensions)
        The points.
    labels : ndarray of shape (n_samples,), int
        Their clusters on the level before.
    centers : ndarray of shape (n_clusters, n_dimensions)
        The centers of the level.
    parents : ndarray of shape (n_clusters,), int
        The centers' parents on the level before.
    """
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
        chosen[rows], distance[rows] = part, distances[each, part]
        if len(centers) > 1:
            distances[each, part] = np.inf
            margin[rows] = distances.min(axis=1) - distance[rows]
    return Assignment(chosen, distance, margin)


def descend(
    points: np.ndarray, centers: list[np.ndarray], parents: list[np.ndarray]
) -> list[Assignment]:
    """Return where points fall at each level, from the top of the tree.

    Points whose first number is missing belong to no cluster: -1, with NaN.
    """
    there = ~np.isnan(points[:, 0])
    known, labels = points[there], np.zeros(int(there.sum()), dtype=np.int64)
    path = []
    for level_centers, level_parents in zip(centers, parents, strict=True):
        level = nearest_children(known, labels, level_centers, level_parents)
        labels = level.labels
        path.append(_with_missing(level, there))
    return path


def _with_missing(level: Assignment, there: np.ndarray) -> Assignment:
    labels = np.full(len(there), -1)
    distance, margin = np.full((2, len(there)), np.nan)
    labels[there], distance[there] = level.labels, level.distance
    margin[there] = level.margin
    return Assignment(labels, distance, margin)
