"""Clusters of posts: reduced views of their vectors, and a tree of k-means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import euclidean_distances
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import Features, take_columns
from hyperfusion.table._names import BLOCKS

_ROWS = 4096
_PCA_ROWS = 100_000


def unit(vectors: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Return vectors of length 1; NaN if one is missing, incomplete or zero."""
    vectors = np.asarray(vectors, dtype=dtype)

    def norms(vectors: np.ndarray) -> np.ndarray:
        return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lengths = norms(vectors)
        units = vectors / lengths[:, None]
        # squares can over- or underflow: rescale those rows first
        rows = ~(np.isfinite(lengths) & (lengths > np.sqrt(np.finfo(dtype).tiny)))
        scaled = vectors[rows]
        scaled = scaled / np.abs(scaled).max(axis=1, keepdims=True, initial=0)
        units[rows] = scaled / norms(scaled)[:, None]
    return units


@with_parameters
class ViewReducer(BaseEstimator):
    """Joins the unit vectors of a view and reduces them by PCA."""

    vectors: list[np.ndarray]
    n_components: int

    def fit(self, numbers: np.ndarray, rng: np.random.RandomState) -> ViewReducer:
        """Learn the means and the PCA from at most 100,000 random rows."""
        rows = np.flatnonzero(self.there(numbers))
        if len(rows) > _PCA_ROWS:
            rows = np.sort(rng.permutation(rows)[:_PCA_ROWS])
        parts = self._parts(numbers, rows)
        complete = [part[~np.isnan(part[:, 0])] for part in parts]
        self.means_ = [
            np.float32(part.mean(axis=0, dtype=np.float64) if len(part) else 0)
            for part in complete
        ]
        joined = self._joined(parts)
        n, p = joined.shape
        solver = "covariance_eigh" if n >= p else "full"
        pca = PCA(min(self.n_components, n, p), svd_solver=solver)
        with np.errstate(invalid="ignore"):  # if all are equal, variance is 0 / 0
            self.pca_ = pca.fit(joined)
        return self

    def transform(self, numbers: np.ndarray) -> np.ndarray:
        """Return the reduced view; rows without any vector are NaN."""
        out = np.full((len(numbers), self.pca_.n_components_), np.nan, np.float32)
        there = self.there(numbers)
        for rows in gen_batches(len(numbers), _ROWS):
            part = there[rows]
            if part.any():
                joined = self._joined(self._parts(numbers[rows], part))
                # in float32 the last digits depend on the other rows
                out[rows][part] = self.pca_.transform(joined.astype(np.float64))
        return out

    def there(self, numbers: np.ndarray) -> np.ndarray:
        """Return which rows have any of the vectors."""
        there = np.zeros(len(numbers), dtype=bool)
        for rows in gen_batches(len(numbers), _ROWS):
            for columns in self.vectors:
                vectors = take_columns(numbers[rows], columns)
                there[rows] |= ~np.isnan(vectors).any(axis=1) & vectors.any(axis=1)
        return there

    def _parts(self, numbers: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
        # columns first, as a view, so that only the rows are copied
        return [unit(take_columns(numbers, c)[rows], np.float32) for c in self.vectors]

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        filled = [
            np.where(np.isnan(part), mean, part)
            for part, mean in zip(parts, self.means_, strict=True)
        ]
        return np.concatenate(filled, axis=1)


def find_views(
    features: Features, blocks: Any, n_components: int
) -> dict[str, ViewReducer]:
    """Return the views of a table by block; an array is one unnamed view."""
    schema = features.schema
    unknown = [block for block in blocks or () if block not in BLOCKS]
    if unknown:
        raise InvalidInputError(
            f"blocks names {unknown}, which are no blocks. These are {list(BLOCKS)}."
        )
    if not features.is_frame:
        views = {"": [np.arange(features.numbers.shape[1])]}
    else:
        if blocks is None:
            blocks = [b for b in ("image", "text", "tags") if schema.vectors_in(b)]
            blocks = blocks or BLOCKS
        views = {b: [schema.vectors[v] for v in schema.vectors_in(b)] for b in blocks}
    return {
        view: ViewReducer(vectors=vectors, n_components=n_components)
        for view, vectors in views.items()
        if vectors
    }


class Assignment(NamedTuple):
    """The clusters of rows at one level of a tree: -1 and NaN if they have none."""

    labels: np.ndarray
    distance: np.ndarray
    margin: np.ndarray  # how much farther the nearest other center of the level is


def grow_tree(
    points: np.ndarray,
    levels: Sequence[int],
    min_cluster_size: int,
    rng: np.random.RandomState,
) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    """Split points into a few clusters, these into more, and so on."""
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
    """Give each node a child, and distribute the rest in proportion to their rows."""
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
    """Return the clusters of points at each level, from the top of the tree."""
    there = ~np.isnan(points[:, 0])
    known, labels = points[there], np.zeros(int(there.sum()), dtype=np.int64)
    path = []
    for level_centers, level_parents in zip(centers, parents, strict=True):
        level = nearest_children(known, labels, level_centers, level_parents)
        labels, every = level.labels, np.full((3, len(there)), np.nan)
        every[0] = -1
        every[:, there] = level
        path.append(Assignment(every[0].astype(np.int64), *every[1:]))
    return path
