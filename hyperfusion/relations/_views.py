"""The vectors of a block as clustering sees them: normalized, joined, reduced."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion.relations._vectors import unit
from hyperfusion.table._features import Features, take_columns
from hyperfusion.table._names import BLOCKS
from hyperfusion.table._schema import block_of_vector, check_parts

_ROWS = 4096
_PCA_ROWS = 100_000


@with_parameters
class ViewReducer(BaseEstimator):
    """Joins the unit vectors of a view and reduces them by PCA.

    A missing vector is replaced by its mean at fit; if all are missing, so is the row.
    """

    block: str | None
    vectors: list[np.ndarray]
    n_components: int

    def fit(self, numbers: np.ndarray, rng: np.random.RandomState) -> ViewReducer:
        """Learn the means and the PCA from at most 100,000 random rows."""
        rows = np.flatnonzero(self.there(numbers))
        if len(rows) > _PCA_ROWS:
            rows = np.sort(rng.permutation(rows)[:_PCA_ROWS])
        parts = self._parts(numbers, rows)
        self.means_ = []
        for part in parts:
            complete = part[~np.isnan(part[:, 0])]
            mean = complete.mean(axis=0, dtype=np.float64) if len(complete) else 0
            self.means_.append(np.float32(mean))
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
    """Return the views of a table by name; an array is one unnamed view."""
    found: dict[str, tuple[str | None, list[np.ndarray]]] = {}
    if not features.is_frame:
        found[""] = None, [np.arange(features.numbers.shape[1])]
        blocks = []
    schema = features.schema
    check_parts(blocks or (), schema, "blocks")
    if blocks is None:
        blocks = [b for b in ("image", "text", "tags") if schema.vectors_in(b)]
        blocks = blocks or [b for b in BLOCKS if schema.vectors_in(b)]
    for name in blocks:
        vectors = [name] if name in schema.vectors else schema.vectors_in(name)
        if vectors:
            columns = [schema.vectors[vector] for vector in vectors]
            found[name.replace("__", "_")] = block_of_vector(vectors[0]), columns
    return {
        name: ViewReducer(block=block, vectors=vectors, n_components=n_components)
        for name, (block, vectors) in found.items()
    }


def agreement_table(a: np.ndarray, b: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the normalized pointwise mutual information of two clusterings.

    For each pair of clusters of the same rows (-1 if missing) it is ``log(p(a, b) /
    (p(a) p(b))) / -log(p(a, b))``: 1 if they only occur together, 0 if they are
    independent, -1 if they never occur together.
    """
    both = (a >= 0) & (b >= 0)
    counts = np.zeros(shape)
    np.add.at(counts, (a[both], b[both]), 1)
    joint = counts / max(counts.sum(), 1)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    table = np.full(shape, -1.0)
    seen = joint > 0
    if seen.sum() == 1:  # a single pair has all rows and says nothing
        return np.where(seen, 0.0, table).astype(np.float32)
    table[seen] = np.log(joint[seen] / independent[seen]) / -np.log(joint[seen])
    return table.astype(np.float32)
