"""Feature tables taken apart into numbers and categories, and joined again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd

from hyperfusion._validation import has_infinite, inferred
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table._frames import (
    as_frame,
    check_own_columns,
    validated,
    without_texts,
)
from hyperfusion.table._schema import Schema, declare

_VECTORS = (list, tuple, np.ndarray)

Infinite = Literal["raise", "missing"]


@dataclass(frozen=True)
class Features:
    """A feature table or array taken apart.

    The float32 numbers are often a view of what was passed: never write into them.
    `table` is the schema of the input's columns, `schema` that of the numbers.
    """

    numbers: np.ndarray
    categories: pd.DataFrame
    table: Schema
    schema: Schema
    is_frame: bool


def read_features(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    infinite: Infinite = "raise",
) -> Features:
    """Take a feature table or an array apart and record (or compare) its columns.

    A column that is neither a number nor a category, or no longer the one of both that
    it was at fit, is an `InvalidInputError`. With "raise" an infinite value, or one too
    large for float32, is a `BadCellError`; with "missing" it becomes NaN.
    """
    X = as_frame(X)
    if isinstance(X, pd.DataFrame):
        table = check_own_columns(estimator, X, reset=reset)
        schema = Schema.of(table)
        numbers = as_float32(chosen(table, ~schema.is_category))
        categories = chosen(table, schema.is_category)
        features = Features(numbers, categories, schema, schema.numbers(), True)
        if infinite == "raise" and has_infinite(numbers):
            row, column = np.argwhere(np.isinf(numbers))[0]
            raise BadCellError(
                "Input X contains infinity or a value too large for dtype('float32'): "
                "BlockImputer treats such values as missing, IQRFilter clips them",
                int(row),
                features.schema.columns[column],
            )
    else:
        finite = "allow-nan" if infinite == "raise" else False
        numbers = validated(
            estimator,
            without_texts(X, type(estimator).__name__),
            reset=reset,
            dtype=np.float32,
            ensure_all_finite=finite,
        )
        schema = Schema.of(numbers)
        nothing = pd.DataFrame(index=range(len(numbers)))
        features = Features(numbers, nothing, schema, schema, False)
    if infinite == "missing" and has_infinite(features.numbers):
        numbers = np.where(np.isinf(features.numbers), np.nan, features.numbers)
        features = replace(features, numbers=numbers)
    if reset:
        estimator._were_categories = schema.is_category
    for column in np.flatnonzero(schema.is_category != estimator._were_categories)[:1]:
        kinds = "a number", "a category"
        was = bool(estimator._were_categories[column])
        names = getattr(estimator, "feature_names_in_", schema.columns)
        raise InvalidInputError(
            f"Column {names[column]!r} was {kinds[was]} when "
            f"{type(estimator).__name__} was fitted and is {kinds[not was]} now: "
            "give it the same dtype."
        )
    return features


def chosen(table: pd.DataFrame, is_chosen: np.ndarray) -> pd.DataFrame:
    """Return some columns of a table, without a copy of their cells."""
    if is_chosen.all():
        return table
    together = _side_by_side(np.flatnonzero(is_chosen))
    if together is None:
        return table.drop(columns=table.columns[~is_chosen])
    return table.iloc[:, together]


def as_float32(frame: pd.DataFrame) -> np.ndarray:
    """Return the numbers of a table, often as a view; refuse what is no number."""
    dtypes = frame.dtypes
    if set(dtypes) == {np.dtype(np.float32)}:
        return frame.to_numpy()
    if any(pd.api.types.is_object_dtype(t) for t in set(dtypes)):
        frame = inferred(frame)
        dtypes = frame.dtypes
    fill: dict[str, float] = {}  # older pandas copies where it is given
    for column, dtype in dtypes.items():
        is_object = pd.api.types.is_object_dtype(dtype)
        others = [c for c in frame[column] if not _is_number(c)] if is_object else []
        if any(isinstance(cell, _VECTORS) for cell in others):
            raise InvalidInputError(
                f"The cells of column {column!r} are vectors or lists: VectorEncoder "
                "makes a column for each of their numbers."
            )
        if others or not (is_object or pd.api.types.is_numeric_dtype(dtype)):
            raise InvalidInputError(
                f"Column {column!r} has dtype {dtype}, which is neither a number nor a "
                "category: encode it first (PostEncoder does), turn it into numbers, "
                "or make it a category with .astype('category'). An earlier step "
                "keeps categories with .set_output(transform='pandas')."
            )
        if is_object or isinstance(dtype, pd.api.extensions.ExtensionDtype):
            fill = {"na_value": np.nan}
    with np.errstate(over="ignore"):  # overflow is found as infinity
        return frame.to_numpy(dtype=np.float32, **fill)


def _is_number(cell: Any) -> bool:
    if isinstance(cell, (Real, Decimal, np.bool_)):
        return True
    return cell is None or cell is pd.NA or cell is pd.NaT


def write_features(
    numbers: np.ndarray,
    names: Sequence[str] | np.ndarray,
    categories: pd.DataFrame,
    schema: Schema | None = None,
) -> pd.DataFrame:
    """Return a feature table around one float32 array, without a copy of it."""
    n = numbers.shape[1]
    table = pd.DataFrame(
        numbers, index=categories.index, columns=list(names[:n]), copy=False
    )
    for name, column in zip(names[n:], categories, strict=True):
        table[name] = categories[column]
    if schema is None:
        return table
    return declare(table, schema.spaces, schema.related)


def level_codes(column: pd.Series, levels: list[Any]) -> np.ndarray:
    """Return the positions of a column's categories in `levels`, -1 for others."""
    if column.cat.categories.tolist() != levels:  # setting is slow for single rows
        column = column.cat.set_categories(levels)
    return column.array.codes.astype(np.int64)


def take_columns(numbers: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return columns of an array, as a view where they stand side by side."""
    together = _side_by_side(columns)
    if together is None:
        return np.take(numbers, columns, axis=1)
    return numbers[:, together]


def _side_by_side(columns: np.ndarray) -> slice | None:
    """Return columns as a slice if they stand side by side."""
    start, n = (int(columns[0]) if len(columns) else 0), len(columns)
    is_run = np.array_equal(columns, np.arange(start, start + n))
    return slice(start, start + n) if is_run else None
