"""The most similar of earlier rows: exact, in blocks, the same however it is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.utils import gen_batches

GRID = 2048
"""Numbers of a unit vector are whole multiples of 1 / GRID.

The products of two of them and all sums on the way to a cosine are then whole numbers
below 2**24, which float32 holds exactly: no rounding depends on blocks or threads.
"""

QUERIES, STORED = 1024, 4096

_NOTHING = np.iinfo(np.int64).min
_POSITION = 2**32 - 1


def on_grid(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 in units of 1 / GRID, 0 where one is missing.

    Parameters
    ----------
    vectors : ndarray of shape (n_samples, n_numbers)
        A vector with a missing or infinite number, or of zeros, is missing.

    Returns
    -------
    ndarray of shape (n_samples, n_numbers), int16
        The rounding changes a cosine by some 0.0002.
    """
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
    """Return one number for each row, equal for rows whose vectors are all equal."""
    found = np.zeros(len(vectors[0]), dtype=np.uint64)
    for space in vectors:
        for column in space.T:
            found = (found + column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    return found


def search(
    queries: np.ndarray,
    stored: np.ndarray,
    n_earlier: np.ndarray,
    strangers: Sequence[tuple[np.ndarray, np.ndarray]],
    k: int,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the `k` most similar stored rows of some queries at a time.

    Parameters
    ----------
    queries, stored : ndarray of shape (n, n_numbers), int16
        From `on_grid`. The stored rows are in the order of time.
    n_earlier : ndarray of int
        How many of the stored rows each query sees, from the first.
    strangers : list of (ndarray, ndarray)
        Marks of the queries and of the stored rows: no query sees a row of its mark.
    k : int
        Number of neighbors.

    Yields
    ------
    rows : ndarray of shape (m,), int
        Which queries these are.
    cosines : ndarray of shape (m, k), float64
        Descending, NaN where there are fewer; of equal ones the later row is first.
    positions : ndarray of shape (m, k), int
        Where the neighbors stand among the stored rows; 0 where there is none.
    """
    order = np.argsort(n_earlier, kind="stable")
    for batch in gen_batches(len(order), QUERIES):
        rows = order[batch]
        seen, vectors = n_earlier[rows], queries[rows].astype(np.float32)
        best = np.full((len(rows), k), _NOTHING)
        for stop in range(seen[-1], 0, -STORED):
            block = slice(max(stop - STORED, 0), stop)
            cosines = vectors @ stored[block].astype(np.float32).T
            if seen[0] < stop:
                cosines[np.arange(block.start, stop) >= seen[:, None]] = -np.inf
            for own, marks in strangers:
                cosines[own[rows][:, None] == marks[block]] = -np.inf
            best = _better(best, cosines, block.start)
        best = np.sort(best, axis=1)[:, ::-1]
        there = best != _NOTHING
        found = np.where(there, best >> 32, np.nan) / GRID**2
        yield rows, found, np.where(there, best & _POSITION, 0)


def _better(best: np.ndarray, cosines: np.ndarray, start: int) -> np.ndarray:
    """Return the largest keys of those that are there and of a block's cosines.

    A key is a whole number: the cosine, then the row's position.
    """
    n, k = best.shape
    above = cosines > (best.min(axis=1) >> 32).astype(np.float32)[:, None]
    if np.count_nonzero(above) > n * k and cosines.shape[1] > k:
        width = cosines.shape[1]
        ranked = cosines.astype(np.float64) * width + np.arange(width)
        columns = np.argpartition(ranked, -k, axis=1)[:, -k:].ravel()
        rows = np.repeat(np.arange(n), k)
        rows, columns = (part[above[rows, columns]] for part in (rows, columns))
    else:
        # many times faster than nonzero of two dimensions
        rows, columns = np.divmod(np.flatnonzero(above), cosines.shape[1])
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
