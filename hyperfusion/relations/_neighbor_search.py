"""What neighbors are compared by, and an exact search for them, in blocks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._text_components import TextComponents
from hyperfusion._validation import local_generator
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.cells._vectors import holds_vectors, vector_size, write_vectors
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import as_float32
from hyperfusion.table._frames import check_columns
from hyperfusion.table._schema import Schema

GRID = 2048
"""Numbers of unit vectors are whole multiples of 1 / GRID.

All products and sums on the way to a cosine are then whole numbers below 2**24, which
float32 holds exactly, so that no rounding depends on blocks or threads.
"""

QUERIES, STORED = 1024, 4096

_NOTHING = np.iinfo(np.int64).min
_POSITION = 2**32 - 1


def on_grid(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 in units of 1 / GRID, as int16."""
    out = np.zeros(vectors.shape, dtype=np.int16)
    for rows in gen_batches(len(vectors), 16_384):
        part = np.asarray(vectors[rows], dtype=np.float64)
        size = np.abs(part).max(axis=1, keepdims=True, initial=0)
        there = np.isfinite(size[:, 0]) & (size[:, 0] > 0)
        part = part[there] / size[there]
        norms = np.sqrt(np.einsum("ij,ij->i", part, part))
        out[rows][there] = np.rint(part * (GRID / norms)[:, None])
    return out


def fingerprints(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Return a hash of each row's vectors."""
    found = np.zeros(len(vectors[0]), dtype=np.uint64)
    factor = np.uint64(0x9E3779B97F4A7C15)
    for space in vectors:
        powers = np.cumprod(np.full(space.shape[1], factor))
        for rows in gen_batches(len(space), 4096):
            products = space[rows].astype(np.uint64) * powers[::-1]
            found[rows] = found[rows] * powers[-1] + products.sum(axis=1)
    return found


def search(
    queries: np.ndarray,
    stored: np.ndarray,
    n_earlier: np.ndarray,
    strangers: Sequence[tuple[np.ndarray, np.ndarray]],
    k: int,
    n_latest: int | None = None,
    there: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the `k` most similar stored rows of some queries at a time.

    `queries` and `stored` come from `on_grid`. Everything else refers to the rows
    `there` of `stored` (all if None), which are sorted by time: each query sees the
    first `n_earlier` of them, and of these the `n_latest` last; not those with its own
    mark in `strangers`, pairs of marks of queries and of stored rows.

    Yields the queries (without those that see no row), the cosines in descending order
    (of equal ones the later row comes first), padded with NaN, and the neighbors'
    positions, padded with 0.
    """
    there = np.arange(len(stored)) if there is None else there
    order = np.argsort(n_earlier, kind="stable")
    order = order[n_earlier[order] > 0]
    for first in range(0, len(order), QUERIES):
        rows = order[first : first + QUERIES]
        seen, vectors = n_earlier[rows], queries[rows].astype(np.float32)
        oldest = np.maximum(seen - (n_latest or seen), 0)
        of_rows = [(own[rows], marks) for own, marks in strangers]
        best = np.full((len(rows), k), _NOTHING)
        for stop in range(seen[-1], oldest[0], -STORED):
            block = slice(max(stop - STORED, oldest[0]), stop)
            cosines = vectors @ stored[there[block]].astype(np.float32).T
            if seen[0] < stop or oldest[-1] > block.start:
                at = np.arange(block.start, stop)
                outside = (at >= seen[:, None]) | (at < oldest[:, None])
                cosines[outside] = -np.inf
            same = [(own, marks[block]) for own, marks in of_rows]
            best = _better(best, cosines, same, block.start)
        best = np.sort(best, axis=1)[:, ::-1]
        known = best != _NOTHING
        found = np.where(known, best >> 32, np.nan) / GRID**2
        yield rows, found, np.where(known, best & _POSITION, 0)


def _better(
    best: np.ndarray,
    cosines: np.ndarray,
    strangers: Sequence[tuple[np.ndarray, np.ndarray]],
    start: int,
) -> np.ndarray:
    """Return the largest keys among the best so far and those of a block."""
    n, k = best.shape
    least = (best.min(axis=1) >> 32).astype(np.float32)[:, None]
    above = cosines > least
    if np.count_nonzero(above) > n * k and cosines.shape[1] > k:
        for own, marks in strangers:
            cosines[own[:, None] == marks] = -np.inf
        width = cosines.shape[1]
        ranked = cosines.astype(np.float64) * width + np.arange(width)
        columns = np.argpartition(ranked, -k, axis=1)[:, -k:].ravel()
        rows = np.repeat(np.arange(n), k)
        kept = (cosines > least)[rows, columns]
    else:
        # many times faster than a two-dimensional nonzero
        rows, columns = np.divmod(np.flatnonzero(above), cosines.shape[1])
        kept = np.ones(len(rows), dtype=bool)
        for own, marks in strangers:
            kept &= own[rows] != marks[columns]
    rows, columns = rows[kept], columns[kept]
    if len(rows) == 0:
        return best
    counts = np.bincount(rows, minlength=n)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.full((n, counts.max()), _NOTHING)
    keys[rows, place] = (cosines[rows, columns].astype(np.int64) << 32) | (
        columns + start
    )
    both = np.concatenate([best, keys], axis=1)
    return np.partition(both, -k, axis=1)[:, -k:]


def recent_means(times: np.ndarray, targets: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of the `n` latest targets at the time of each row."""
    if len(times) == 0:
        return np.zeros(0)
    stop = np.searchsorted(times, times, side="right")
    start = np.searchsorted(times, times[np.maximum(stop - n, 0)])
    # relative to the first target, so that sums keep their digits
    sums = np.concatenate([[0.0], np.cumsum(targets - targets[0])])
    return targets[0] + (sums[stop] - sums[start]) / (stop - start)


def summarize(
    cosines: np.ndarray,
    values: np.ndarray,
    days: np.ndarray | None,
    *,
    numbers: Sequence[int],
    summaries: Sequence[str],
    sharpness: float,
) -> np.ndarray:
    """Return the features of rows from their neighbors, nearest first.

    `cosines`, `values` (targets) and `days` (ages) have the shape (n_rows,
    n_neighbors); a cosine of NaN means that there is no neighbor.
    """
    there = ~np.isnan(cosines)
    weights = np.exp(sharpness * (cosines - cosines[:, :1]))
    weights, cosines = (np.where(there, part, 0.0) for part in (weights, cosines))
    columns = []
    for k in numbers:
        w, v = weights[:, :k], values[:, :k]
        total, count = w.sum(axis=1), there[:, :k].sum(axis=1)
        with np.errstate(invalid="ignore"):  # NaN without neighbors
            mean = (w * v).sum(axis=1) / total
            square = (w * (v - mean[:, None]) ** 2).sum(axis=1) / total
            summary = {
                "mean": mean,
                "spread": np.sqrt(square),
                "similarity": cosines[:, :k].sum(axis=1) / count,
            }
            if days is not None:
                summary["age"] = (w * days[:, :k]).sum(axis=1) / total
        columns += [summary[what] for what in summaries]
    return np.column_stack(columns)


@with_parameters
class TextSpace(BaseEstimator):
    """Components of the characters in the joined texts of some columns."""

    columns: list[Hashable]
    n_components: int
    random_state: Any

    def fit_read(self, table: pd.DataFrame, on_error: str) -> np.ndarray:
        """Learn terms and components; return the vectors of the rows, on the grid."""
        texts = self._texts(table, on_error)
        known = [text for text in texts if text]
        self.learned_, terms = TextComponents.learn(
            known,
            self.n_components,
            local_generator(self.random_state),
            analyzer="characters",
            ngram_range=(2, 4),
            min_df=min(2, max(len(known), 1)),
        )
        return self._vectors(texts, terms)

    def read(self, table: pd.DataFrame, on_error: str) -> np.ndarray:
        """Return the vectors of the rows, on the grid."""
        return self._vectors(self._texts(table, on_error))

    def _vectors(self, texts: list[str | None], terms: Any = None) -> np.ndarray:
        svd = self.learned_.svd
        size = 1 if svd is None else svd.n_components
        return on_grid(self.learned_.of(texts, size, terms))

    def _texts(self, table: pd.DataFrame, on_error: str) -> list[str | None]:
        columns = [read_cells(table[c], read_text, on_error) for c in self.columns]
        rows = zip(*columns, strict=True)
        return [" ".join(text for text in row if text) or None for row in rows]


@with_parameters
class VectorSpace(BaseEstimator):
    """Ready-made vectors, joined from columns of numbers or arrays."""

    columns: list[Hashable]

    def fit_read(self, table: pd.DataFrame, on_error: str) -> np.ndarray:
        """Learn the lengths of arrays; return the vectors of the rows, on the grid."""
        self.sizes_ = {
            column: vector_size(table[column])
            for column in self.columns
            if holds_vectors(table[column])
        }
        return self.read(table, on_error)

    def read(self, table: pd.DataFrame, on_error: str) -> np.ndarray:
        """Return the vectors of the rows, on the grid."""
        numbers = [c for c in self.columns if c not in self.sizes_]
        parts = [as_float32(table[numbers])] if numbers else []
        for column, size in self.sizes_.items():
            parts.append(np.empty((len(table), size), dtype=np.float32))
            write_vectors(table[column], parts[-1])
        return on_grid(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))


Space = TextSpace | VectorSpace


def find_spaces(
    table: pd.DataFrame,
    text: Any,
    vectors: Any,
    taken: list[Hashable],
    n_components: int,
    random_state: Any,
) -> dict[str, Space]:
    """Return the unfitted spaces by name."""
    spaces: dict[str, Space] = {}
    reduction = {"n_components": n_components, "random_state": random_state}
    for name, value in _by_name(text, "text").items():
        columns = check_columns(table, value, "text")
        spaces[name] = TextSpace(columns=columns, **reduction)
    known = Schema.of(table).vectors
    for name, value in _by_name(vectors, "vectors").items():
        if name in spaces:
            raise InvalidInputError(f"text and vectors both name a space {name!r}.")
        columns = []
        for label in value if isinstance(value, list) else [value]:
            if isinstance(label, str) and label in known:
                columns += [table.columns[i] for i in known[label]]
            else:
                columns += check_columns(table, label, "vectors")
        spaces[name] = VectorSpace(columns=columns)
    if not spaces:
        columns = [column for column in table if column not in taken]
        spaces["vectors"] = VectorSpace(columns=columns)
    empty = [name for name, space in spaces.items() if not space.columns]
    if empty:
        raise InvalidInputError(
            f"The space {empty[0]!r} has no column: name some with text= or vectors=."
        )
    return spaces


def _by_name(value: Any, default: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(name): columns for name, columns in value.items()}
    return {} if value is None else {default: value}
