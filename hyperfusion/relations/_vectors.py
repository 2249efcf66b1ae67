"""Vectors of two modalities: where they stand in a table, and their cosine."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from hyperfusion.cells._tags import read_tags
from hyperfusion.table._features import vector_groups
from hyperfusion.table._names import BLOCKS
from hyperfusion.table._old import split_name

ALIGNED = "clip"

_PAIRS = 65_536


def sides_of(names: Sequence[Hashable]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Name the vectors of a feature table, as they appear in names of similarities.

    Parameters
    ----------
    names : list of hashable
        Names of the number columns.

    Returns
    -------
    sides : dict of {str: ndarray of int}
        The positions of each vector's columns. A vector with the stem ``clip`` is
        called after its column, or after its block where there is one column
        (``image__clip`` is image, ``text__title_clip`` is title); other vectors are
        called after block and stem (``text__title_glove`` is text_title_glove).
    aligned : list of str
        Names of the vectors with the stem ``clip``, in the order of the blocks.
    """
    order: dict[str | None, int] = {block: i for i, block in enumerate(BLOCKS)}
    groups = vector_groups(names)
    stems = sorted(groups, key=lambda stem: order.get(split_name(stem)[0], len(order)))
    sides: dict[str, np.ndarray] = {}
    aligned = []
    for stem in stems:
        block, feature = split_name(stem)
        full = feature if block is None else f"{block}_{feature}"
        name = full
        if feature == ALIGNED or feature.endswith(f"_{ALIGNED}"):
            short = feature.removesuffix(ALIGNED).removesuffix("_") or block or feature
            name = full if short in sides else short
            aligned.append(name)
        sides[name] = groups[stem]
    return sides, aligned


def unit(vectors: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Return vectors of length 1; NaN where one is missing, incomplete or zero."""
    vectors = np.asarray(vectors, dtype=dtype)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        norms = _norms(vectors)
        units = vectors / norms[:, None]
        # Squares may over- or underflow: those rows are made smaller or larger first.
        rows = ~(np.isfinite(norms) & (norms > np.sqrt(np.finfo(dtype).tiny)))
        scaled = vectors[rows]
        scaled = scaled / np.abs(scaled).max(axis=1, keepdims=True, initial=0)
        units[rows] = scaled / _norms(scaled)[:, None]
    return units


def _norms(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosines of the rows of two arrays of vectors of length 1."""
    return np.clip(np.einsum("ij,ij->i", a, b), -1.0, 1.0)


def mean_direction(units: Sequence[np.ndarray]) -> np.ndarray:
    """Return the direction of the mean of those vectors that are there."""
    total = np.zeros_like(units[0])
    for vectors in units:
        total += np.nan_to_num(vectors, nan=0.0)
    return unit(total)


def flatten_tags(cells: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each tag's row and number, and the texts of the numbers."""
    tags = [_tags_of(cell) for cell in cells]
    rows = np.repeat(np.arange(len(tags)), [len(t) for t in tags])
    numbers, texts = pd.factorize(
        np.array([tag for row in tags for tag in row], dtype=object)
    )
    return rows, numbers, texts


def _tags_of(cell: Any) -> list[str]:
    try:
        return read_tags(cell) or []
    except TypeError:  # missing, or no text: the encoder of the column speaks of it
        return []


def input_of(encoder: Any, cells: pd.Series) -> Any:
    """Return a column as the encoder takes it: cells, or a table of one column."""
    while isinstance(encoder, Pipeline):
        encoder = encoder.steps[0][1]
    return cells.to_frame() if get_tags(encoder).input_tags.two_d_array else cells


def vectors_of(encoder: Any, output: Any) -> np.ndarray:
    """Return an encoder's vectors, without the columns beside them such as flags."""
    output = output.toarray() if hasattr(output, "toarray") else np.asarray(output)
    try:
        groups = vector_groups(list(encoder.get_feature_names_out()))
    except (AttributeError, ValueError, TypeError):
        return output
    if ALIGNED in groups:
        return output[:, groups[ALIGNED]]
    return output[:, next(iter(groups.values()))] if len(groups) == 1 else output


def best_and_mean(
    vectors: np.ndarray, rows: np.ndarray, numbers: np.ndarray, singles: np.ndarray
) -> np.ndarray:
    """Return the largest and the mean cosine of each row with its single tags."""
    n, tags = len(vectors), unit(singles)
    best = np.full(n, np.nan)
    total, count = np.zeros(n), np.zeros(n)
    for start in range(0, len(rows), _PAIRS):
        part = slice(start, start + _PAIRS)
        row = rows[part]
        cosines = cosine(unit(vectors[row]), tags[numbers[part]])
        np.fmax.at(best, row, cosines)
        there = ~np.isnan(cosines)
        total += np.bincount(row[there], weights=cosines[there], minlength=n)
        count += np.bincount(row[there], minlength=n)
    mean = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    return np.column_stack([best, mean]).astype(np.float32)
