"""Feature tables taken apart into numbers and categories, and joined again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table._frames import as_frame, check_table
from hyperfusion.table._schema import Schema, declare

Infinite = Literal["raise", "missing", "keep"]


@dataclass(frozen=True)
class Features:
    """A feature table or array taken apart.

    Attributes
    ----------
    numbers : ndarray of shape (n_samples, n_numbers), float32
        Often a view of what was passed: never write into it.
    categories : DataFrame of shape (n_samples, n_categories)
        The category columns, with the table's index.
    table : Schema
        What the columns of the input are.
    schema : Schema
        What the columns of `numbers` are.
    is_frame : bool
        Whether the input was a table with names.
    """

    numbers: np.ndarray
    categories: pd.DataFrame
    table: Schema
    schema: Schema
    is_frame: bool

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Labels of the numbers' columns; positions for an array."""
        return self.schema.columns

    @property
    def is_category(self) -> np.ndarray:
        """Which columns of the input hold categories."""
        return self.table.is_category

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
        Numbers and categories; tables of other libraries as well.
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
    X = as_frame(X)
    if isinstance(X, pd.DataFrame):
        features = _read_frame(check_table(estimator, X, reset=reset))
        if infinite == "raise":
            _refuse_infinite(features)
    else:
        finite = "allow-nan" if infinite == "raise" else False
        with np.errstate(over="ignore"):  # overflow is found as infinity
            numbers = validate_data(
                estimator, X, reset=reset, dtype=np.float32, ensure_all_finite=finite
            )
        schema = Schema.of(numbers)
        nothing = pd.DataFrame(index=range(len(numbers)))
        features = Features(numbers, nothing, schema, schema, False)
    if infinite == "missing" and has_infinite(features.numbers):
        numbers = np.where(np.isinf(features.numbers), np.nan, features.numbers)
        features = replace(features, numbers=numbers)
    return features


def _read_frame(table: pd.DataFrame) -> Features:
    schema = Schema.of(table)
    levels = list(table.columns[schema.is_category])
    # drop keeps views of the numbers, where a mask would copy them
    plain = table.drop(columns=levels) if levels else table
    categories = table[levels]
    return Features(as_float32(plain), categories, schema, schema.numbers(), True)


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


def _refuse_infinite(features: Features) -> None:
    if has_infinite(features.numbers):
        row, column = np.argwhere(np.isinf(features.numbers))[0]
        raise BadCellError(
            "Input X contains infinity or a value too large for dtype('float32'): "
            "BlockImputer takes such values as missing, IQRFilter clips them",
            int(row),
            features.names[column],
        )


def write_features(
    numbers: np.ndarray,
    names: Sequence[str] | np.ndarray,
    categories: pd.DataFrame,
    schema: Schema | None = None,
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
    schema : Schema, default=None
        Of the table that the columns come from: what it declares of vectors that are
        still there is declared of the result.
    """
    n = numbers.shape[1]
    table = pd.DataFrame(
        numbers, index=categories.index, columns=list(names[:n]), copy=False
    )
    for name, column in zip(names[n:], categories, strict=True):
        table[name] = categories[column]
    if schema is None:
        return table
    return declare(table, schema.spaces, schema.related)


def take_columns(numbers: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return columns of an array, as a view where they stand side by side."""
    start, n = (int(columns[0]) if len(columns) else 0), len(columns)
    if np.array_equal(columns, np.arange(start, start + n)):
        return numbers[:, start : start + n]
    return np.take(numbers, columns, axis=1)
