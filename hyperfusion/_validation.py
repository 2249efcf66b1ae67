"""Checks of what users pass in, with messages that name the place and the cure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from hyperfusion.exceptions import InvalidInputError


def local_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator of a seed; for None a fresh one, not numpy's global one."""
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)


def check_target(y: Any, n_rows: int, *, allow_nan: bool = False) -> np.ndarray:
    """Return `y` as a 1-D float64 array, finite but for NaN where it is allowed."""
    if y is None:
        raise InvalidInputError(
            "requires y to be passed, but the target y is None: give one number a row."
        )
    values = _as_float_vector(y)
    if len(values) != n_rows:
        raise InvalidInputError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{n_rows} rows, y has {len(values)}."
        )
    bad = np.isinf(values) if allow_nan else ~np.isfinite(values)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        cure = (
            "Posts without a target are learned from with PseudoLabelWrapper, which is "
            "make_hyperfusion(unlabeled=True)."
            if np.isnan(values[row])
            else "The logarithm of counts is np.log1p(counts), which is finite at 0."
        )
        raise InvalidInputError(
            f"Input y contains NaN or infinity: y is {values[row]} in row {row} "
            f"({int(bad.sum())} such row(s) in all). Drop these rows or mend them. "
            f"{cure}"
        )
    return values


def _as_float_vector(y: Any) -> np.ndarray:
    from sklearn.utils.validation import column_or_1d

    try:
        values = np.asarray(column_or_1d(y, warn=True))
    except ValueError as error:
        raise InvalidInputError(
            f"The target must be one number a row: {error}"
        ) from error
    if np.iscomplexobj(values):
        raise InvalidInputError("Complex data not supported")
    if values.dtype.kind in "mM":
        raise InvalidInputError(
            f"The target must be numbers, got {values.dtype}. Give durations as "
            "numbers of days or seconds."
        )
    if values.dtype.kind == "O":
        values = np.where(pd.isna(values), np.nan, values)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        cell = next(cell for cell in values.tolist() if not _is_number(cell))
        raise InvalidInputError(
            f"The target must be numbers, got values like {cell!r}. Turn texts such as "
            "'1,234' into numbers first, for example with "
            "pd.to_numeric(y.str.replace(',', ''))."
        ) from error


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
