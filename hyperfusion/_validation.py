"""Checks of what users pass in, with messages that say where and what to do."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state, column_or_1d

from hyperfusion._sklearn_compat import Interval, _check_sample_weight, _num_samples
from hyperfusion._version import DISTRIBUTION
from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import InvalidInputError, MissingDependencyError

COUNT = Interval(Integral, 1, None, closed="left")
"""Constraint of whole numbers from 1."""

POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
"""Constraints of numbers above 0 and from 0."""

_MOST_JOBS = Interval(Integral, 1, 10_000, closed="both")
N_JOBS = [Interval(Integral, None, -1, closed="right"), _MOST_JOBS, None]
"""Constraint of parameters ``n_jobs``."""

_LARGEST = 1e18  # squares of what is larger leave the range of float32
_FEW_ROWS = 20
_FAR = 1000  # interquartile ranges


@contextmanager
def needing(
    package: str, feature: str, extra: str | None = None, otherwise: str = ""
) -> Iterator[None]:
    """Say what to install, or do otherwise, where the import in this block fails."""
    try:
        yield
    except ImportError as error:
        target = f"'{DISTRIBUTION}[{extra}]'" if extra else package
        raise MissingDependencyError(
            f"{feature} needs {package}, which is not installed. Install it with: pip "
            f"install {target}{otherwise}"
        ) from error


def local_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator of a seed; None gives a fresh one, not numpy's global."""
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)


def check_target(y: Any, X: Any, *, allow_nan: bool = False) -> np.ndarray:
    """Return `y` as a finite 1-D float64 array; NaN only if it is allowed."""
    if y is None:
        raise InvalidInputError(
            "requires y to be passed, but the target y is None: pass a number per row."
        )
    values = _as_float_vector(y)
    try:
        n_rows = X if isinstance(X, Integral) else _num_samples(X)
    except TypeError as error:
        raise InvalidInputError(f"X must be a table or an array: {error}") from error
    if len(values) != n_rows:
        raise InvalidInputError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{n_rows} rows, y has {len(values)}."
        )
    bad = np.isinf(values) if allow_nan else ~np.isfinite(values)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        cure = (
            "To learn from posts without a target, use PseudoLabelWrapper or "
            "make_hyperfusion(unlabeled=True)."
            if np.isnan(values[row])
            else "For the logarithm of counts use np.log1p(counts), finite at 0."
        )
        raise InvalidInputError(
            f"Input y contains NaN or infinity: y is {values[row]} in row {row} "
            f"({int(bad.sum())} such row(s) in all). Drop or fix these rows. "
            f"{cure}"
        )
    huge = np.flatnonzero(np.abs(values) > _LARGEST)
    if len(huge):
        raise InvalidInputError(
            f"Input y holds values that are too large to learn: y is "
            f"{values[huge[0]]:g} in row {huge[0]} ({len(huge)} such row(s) in all), "
            f"more than {_LARGEST:g}. Fix these rows, or learn np.log1p(y)."
        )
    warn_of_order(X, y)
    return values


def check_weights(sample_weight: Any, X: Any, **options: Any) -> np.ndarray:
    """Return what scikit-learn makes of weights, with errors of ours."""
    if _num_samples(X) == 0:
        raise InvalidInputError("Found array with 0 sample(s): X has no rows.")
    try:
        weight = _check_sample_weight(sample_weight, X, **options)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"sample_weight can't be used: {error}") from error
    if not weight.any():  # which scikit-learn refuses from 1.9 on
        raise InvalidInputError(
            "sample_weight is zero for all rows: there is nothing to learn or to score."
        )
    return weight


def check_increasing(values: Any, parameter: str, example: str) -> list[int]:
    """Return a parameter's values, which must be increasing whole numbers from 1."""
    numbers = list(values)
    whole = all(COUNT.is_satisfied_by(number) for number in numbers)
    if not numbers or not whole or sorted({*numbers}) != numbers:
        raise InvalidInputError(
            f"{parameter} must be increasing whole numbers, such as {example}. Got "
            f"{values!r} instead."
        )
    return numbers


def warn_of_target(y: np.ndarray) -> None:
    """Warn about a target from which hardly anything can be learned."""
    if len(y) == 0:
        return
    low, middle, high = (float(np.quantile(y, q)) for q in (0.25, 0.5, 0.75))
    far = np.abs(y - middle)
    if len(y) < _FEW_ROWS:
        message = (
            f"There are {len(y)} rows to learn from: with so few, scores and weights "
            "are mostly chance. Start with a few hundred."
        )
    elif not far.any():
        message = (
            f"y is {y[0]:g} in all {len(y)} rows, so there is nothing to learn, and "
            "every prediction will be that number. Is it the right column?"
        )
    elif high > low and far.max() > _FAR * (high - low):
        row = int(far.argmax())
        message = (
            f"y is {y[row]:g} in row {row}, while half of all rows lie between {low:g} "
            f"and {high:g}: {int((far > _FAR * (high - low)).sum())} such row(s) will "
            "outweigh all others. Fix them if they are mistakes; otherwise learn "
            "np.log1p(y)."
        )
    else:
        return
    warn_user(message)


def warn_of_order(X: Any, y: Any) -> None:
    """Warn if the indices of X and y have the same labels in a different order."""
    ours, theirs = getattr(X, "index", None), getattr(y, "index", None)
    if not (isinstance(ours, pd.Index) and isinstance(theirs, pd.Index)):
        return
    differ = len(ours) == len(theirs) and not ours.equals(theirs)
    if differ and ours.is_unique and theirs.is_unique and ours.isin(theirs).all():
        warn_user(
            "The indices of X and y have the same labels, but in another order. Rows "
            "are matched by position, as everywhere in scikit-learn. To match them by "
            "label, pass y.loc[X.index]."
        )


def _as_float_vector(y: Any) -> np.ndarray:
    if isinstance(y, np.ma.MaskedArray):
        y = np.ma.filled(y.astype(float), np.nan)
    try:
        values = np.asarray(column_or_1d(y))
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]  # what follows may be all of y
        raise InvalidInputError(
            f"The target must be one number per row: {reason}"
        ) from error
    if np.asarray(y).ndim == 2:
        warn_user(
            "A column-vector y was passed when a 1d array was expected: pass "
            "y.ravel(), or the one column of a table.",
            DataConversionWarning,
        )
    if values.dtype.kind in "mM":
        raise InvalidInputError(
            f"The target must be numbers, got {values.dtype}. Give durations as "
            "numbers of days or seconds."
        )
    if values.dtype.kind == "O":
        values = np.where(pd.isna(values), np.nan, values)
    try:
        return values.astype(np.float64)
    except OverflowError as error:
        raise InvalidInputError(
            "Input y holds whole numbers that are too large to learn: fix these rows."
        ) from error
    except (TypeError, ValueError) as error:
        cells = pd.Series(values.tolist(), dtype=object)
        unread = cells.notna() & pd.to_numeric(cells, errors="coerce").isna()
        cell = next(iter(cells[unread]), cells.iloc[0])
        raise InvalidInputError(
            f"The target must be numbers, got values like {reprlib.repr(cell)}. Turn "
            "texts into numbers first: pd.to_numeric(y.str.replace(',', '')) if commas "
            "separate thousands, or .replace(',', '.') if the comma is a decimal point."
        ) from error


def inferred(cells: Any) -> Any:
    """Return objects of a column or table in the dtypes that hold them, where any."""
    try:
        return cells.infer_objects()
    except UnicodeEncodeError:  # half an emoji
        return cells


def has_infinite(numbers: np.ndarray) -> bool:
    """Whether an array holds infinity, found without an array of its size."""
    return numbers.size > 0 and bool(
        np.isinf(np.fmax.reduce(numbers, axis=None))
        or np.isinf(np.fmin.reduce(numbers, axis=None))
    )
