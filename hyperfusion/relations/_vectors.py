"""Vectors of two modalities: which to compare, and their cosine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._nested import takes_one_column
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._schema import vectors_alone

ALL = "all"

Pair = tuple[str, str]


def choose_pairs(
    pairs: Sequence[Pair] | None, names: Collection[str], aligned: Sequence[str]
) -> list[Pair]:
    """Return the pairs to compare: the user's, or all pairs of aligned vectors.

    If more than two are aligned, the first is also compared with all others together.
    """
    if pairs is None:
        several = [(aligned[0], ALL)] if len(aligned) > 2 else []
        each = [(a, b) for i, a in enumerate(aligned) for b in aligned[i + 1 :]]
        return each + several
    for pair in pairs:
        is_pair = isinstance(pair, Sequence) and len(pair) == 2
        known = is_pair and pair[0] in names
        if not known or pair[1] not in {*names, ALL} or pair[0] == pair[1]:
            raise InvalidInputError(
                f"pairs must hold pairs of two of {sorted(names)}, or of one of "
                f"them and 'all'. Got {pair!r}."
            )
    return [(a, b) for a, b in pairs]


def check_widths(
    pairs: Sequence[Pair], aligned: Sequence[str], widths: Mapping[str, int]
) -> None:
    """Raise if the vectors of a pair differ in length."""
    for a, b in pairs:
        others = [o for o in aligned if o != a] if b == ALL else [b]
        if not others or any(widths[a] != widths[other] for other in others):
            raise InvalidInputError(
                f"{a} and {b} can't be compared: the vectors have "
                f"{ {name: widths[name] for name in (a, *others)} } numbers. "
                "Encode both sides with the same model."
            )


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


def input_of(encoder: Any, cells: pd.Series) -> Any:
    """Return a column in the form an encoder takes: cells, or a one-column table."""
    return cells if takes_one_column(encoder) else cells.to_frame()


def vectors_of(encoder: Any, output: Any) -> np.ndarray:
    """Return an encoder's vectors, without other columns such as flags."""
    output = output.toarray() if hasattr(output, "toarray") else np.asarray(output)
    try:
        vectors = vectors_alone(encoder.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return output
    return output[:, next(iter(vectors.values()))] if len(vectors) == 1 else output
