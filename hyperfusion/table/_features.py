"""Feature tables taken apart into numbers and categories, and joined again."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from hyperfusion._validation import check_table
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table._names import category_columns

Infinite = Literal["raise", "missing", "keep"]

_NUMBERED = re.compile(r"(.*\D)(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Features:
    """A feature table or array taken apart.

    Attributes
    ----------
    numbers : ndarray of shape (n_samples, n_numbers), float32
        Often a view of what was passed: never write into it.
    names : list
        Labels of the numbers' columns; positions for an array.
    categories : DataFrame of shape (n_samples, n_categories)
        The category columns, with the table's index.
    is_category : ndarray of shape (n_features,), bool
        Which columns of the input hold categories.
    is_frame : bool
        Whether the input was a table with names.
    """

    numbers: np.ndarray
    names: Sequence[Hashable]
    categories: pd.DataFrame
    is_category: np.ndarray
    is_frame: bool

    @property
    def index(self) -> pd.Index:
        """The index of the rows."""
        return self.categories.index


def read_features(
    estimator: Any, X: Any, *, reset: bool, infinite: Infinite = "raise"
) -> Features:
    """Take a feature table or an array apart and record (or compare) its columns.

    Parameters
    ----------
    estimator : estimator
        Where the columns' names and number are recorded.
    X : DataFrame or array of shape (n_samples, n_features)
        Numbers and categories.
    reset : bool
        Whether to record the columns (at fit) or to compare them.
    infinite : {"raise", "missing", "keep"}, default="raise"
        What becomes of infinite values: an error, NaN, or nothing.

    Returns
    -------
    Features
        Numbers as float32, categories as they are.

    Raises
    ------
    InvalidInputError
        If a column is neither a number nor a category.
    BadCellError
        If a value is infinite (or too large for float32) and that is not allowed.
    """
    if isinstance(X, pd.DataFrame) or hasattr(X, "to_pandas"):
        table = check_table(estimator, X, reset=reset)
        levels = category_columns(table)
        is_category = table.columns.isin(levels)
        plain = table.drop(columns=levels) if levels else table
        numbers = as_float32(plain)
        if infinite == "raise":
            _refuse_infinite(numbers, list(plain.columns))
        features = Features(
            numbers, list(plain.columns), table[levels], is_category, True
        )
    else:
        finite = "allow-nan" if infinite == "raise" else False
        with np.errstate(over="ignore"):  # overflow is found as infinity
            numbers = validate_data(
                estimator, X, reset=reset, dtype=np.float32, ensure_all_finite=finite
            )
        columns = list(range(numbers.shape[1]))
        nothing = pd.DataFrame(index=range(len(numbers)))
        no_category = np.zeros(len(columns), dtype=bool)
        features = Features(numbers, columns, nothing, no_category, False)
    if infinite == "missing" and has_infinite(features.numbers):
        numbers = np.where(np.isinf(features.numbers), np.nan, features.numbers)
        features = Features(**(vars(features) | {"numbers": numbers}))
    return features


def as_float32(frame: pd.DataFrame) -> np.ndarray:
    """Return the numbers of a table, often as a view; refuse what is no number."""
    if any(pd.api.types.is_object_dtype(t) for t in frame.dtypes):
        frame = frame.infer_objects()
    for column, dtype in frame.dtypes.items():
        if not (pd.api.types.is_numeric_dtype(dtype) or _may_be_numbers(frame[column])):
            raise InvalidInputError(
                f"Column {column!r} has dtype {dtype}, which is neither a number nor a "
                "category: encode it first (PostEncoder does), turn it into numbers, "
                "or make it a category with .astype('category')."
            )
    fill: dict[str, float] = {}  # older pandas copies where it is given
    if any(pd.api.types.is_object_dtype(t) or _is_extension(t) for t in frame.dtypes):
        fill = {"na_value": np.nan}
    with np.errstate(over="ignore"):  # overflow is found as infinity
        return frame.to_numpy(dtype=np.float32, **fill)


def _is_extension(dtype: Any) -> bool:
    return isinstance(dtype, pd.api.extensions.ExtensionDtype)


def _may_be_numbers(column: pd.Series) -> bool:
    # Objects of other kinds fail in the conversion, with numpy's own message.
    is_object = pd.api.types.is_object_dtype(column.dtype)
    return is_object and not any(isinstance(cell, (str, bytes)) for cell in column)


def has_infinite(numbers: np.ndarray) -> bool:
    """Whether an array holds infinity, found without an array of its size."""
    if numbers.size == 0:
        return False
    largest = np.fmax.reduce(numbers, axis=None)
    smallest = np.fmin.reduce(numbers, axis=None)
    return bool(np.isinf(largest) or np.isinf(smallest))


def _refuse_infinite(numbers: np.ndarray, names: list[Hashable]) -> None:
    if has_infinite(numbers):
        row, column = np.argwhere(np.isinf(numbers))[0]
        raise BadCellError(
            "Input X contains infinity or a value too large for dtype('float32'): "
            "BlockImputer takes such values as missing, IQRFilter clips them",
            int(row),
            names[column],
        )


def write_features(
    numbers: np.ndarray, names: Sequence[str] | np.ndarray, categories: pd.DataFrame
) -> pd.DataFrame:
    """Return a feature table around one array of numbers, without a copy of it.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples, n_numbers), float32
        The numbers.
    names : sequence of str of length n_numbers + n_categories
        Names of all columns: the numbers' first, then the categories'.
    categories : DataFrame of shape (n_samples, n_categories)
        The categories; the result gets their index.
    """
    n = numbers.shape[1]
    table = pd.DataFrame(
        numbers, index=categories.index, columns=list(names[:n]), copy=False
    )
    for name, column in zip(names[n:], categories, strict=True):
        table[name] = categories[column]
    return table


def vector_groups(names: Sequence[Hashable]) -> dict[str, np.ndarray]:
    """Find the vectors among columns: the same stem, numbered from 0 without gaps.

    Parameters
    ----------
    names : list of hashable
        Names of columns. Those that are no text belong to no vector.

    Returns
    -------
    dict of {str: ndarray of int}
        For each stem, in the table's order, the positions of its columns in the
        order of their numbers. Single columns are not vectors.

    Examples
    --------
    >>> from hyperfusion.table._features import vector_groups
    >>> vector_groups(["clip_1", "clip_0", "last_3", "last_5"])
    {'clip': array([1, 0])}
    """
    members: dict[str, dict[int, int]] = {}
    for position, name in enumerate(names):
        match = _NUMBERED.fullmatch(name) if isinstance(name, str) else None
        if match:
            stem = match[1].removesuffix("_")
            members.setdefault(stem, {})[int(match[2])] = position
    return {
        stem: np.array([numbered[i] for i in range(len(numbered))])
        for stem, numbered in members.items()
        if stem and len(numbered) > 1 and max(numbered) == len(numbered) - 1
    }


def take_columns(numbers: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return columns of an array, as a view where they stand side by side."""
    start, n = (int(columns[0]) if len(columns) else 0), len(columns)
    if np.array_equal(columns, np.arange(start, start + n)):
        return numbers[:, start : start + n]
    return np.take(numbers, columns, axis=1)


def stem_of(name: str) -> str:
    """Return the stem of a vector's column: its name without the number."""
    return name.rstrip("0123456789").removesuffix("_")
