"""Tables of any library at the door: pandas from here on, columns checked."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from hyperfusion.exceptions import InvalidInputError

_COLUMNS = (list, tuple, np.ndarray, pd.Series, pd.Index)

Columns = Hashable | Sequence[Hashable] | None


def check_table(
    estimator: Any, X: Any, *, reset: bool, numeric: bool = False
) -> pd.DataFrame:
    """Return `X` as a DataFrame and record (or compare) its columns.

    Cells are left as they are: text, paths, dates and numbers side by side.
    An array becomes a frame whose column names are positions, or those at fit; with
    `numeric` it must hold numbers, missing ones allowed.
    """
    X = as_frame(X)
    who = type(estimator).__name__
    if isinstance(X, pd.DataFrame):
        check_frame(X, who)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return _labeled_as_at_fit(estimator, X, reset=reset)
    if sp.issparse(X):
        raise InvalidInputError(
            f"{who} takes a table of cells, got a sparse {type(X).__name__}: "
            "pd.DataFrame.sparse.from_spmatrix(X) makes a table of it."
        )
    try:
        array = check_array(
            X,
            dtype="numeric" if numeric else None,
            ensure_all_finite="allow-nan" if numeric else False,
            estimator=estimator,
        )
    except ValueError as error:
        lines = str(error).splitlines()  # between first and last is the array
        raise InvalidInputError(
            f"{who} takes a DataFrame or an array of two dimensions, got "
            f"{type(X).__name__}. pd.DataFrame(X) makes one of rows, pd.read_csv(X) of "
            f"a file, X.to_frame().T of one row. scikit-learn says: "
            f"{lines[0]} {lines[-1] if len(lines) > 1 else ''}"
        ) from error
    validate_data(estimator, array, reset=reset, skip_check_array=True)
    return _labeled_as_at_fit(estimator, pd.DataFrame(array), reset=reset)


def _labeled_as_at_fit(
    estimator: Any, table: pd.DataFrame, *, reset: bool
) -> pd.DataFrame:
    """Return a table with the labels at fit, where it has others as an array has.

    scikit-learn has warned by then.
    """
    if reset:
        estimator._labels = list(table.columns)
    elif not set(getattr(estimator, "_labels", ())) <= set(table.columns):
        table = table.set_axis(estimator._labels, axis=1)
    return table


def as_frame(X: Any) -> Any:
    """Return tables of any kind as pandas: Polars, Arrow, dicts, records; else `X`.

    Whole numbers stay whole where some are missing: ids of 18 digits are no floats.
    Levels of column names are joined to tuples; Arrow's dictionaries are categories.
    """
    if isinstance(X, Mapping) and not sp.issparse(X):  # scipy's dok_matrix is a dict
        columns = any(isinstance(cells, _COLUMNS) for cells in X.values())
        X = pd.DataFrame(X if columns else [X])
    elif isinstance(X, list) and X and all(isinstance(row, Mapping) for row in X):
        X = pd.DataFrame(X)
    elif isinstance(X, np.ndarray) and X.dtype.names and X.ndim == 1:
        X = pd.DataFrame.from_records(X)
    if isinstance(X, pd.DataFrame):
        return _plain_frame(X)
    if isinstance(X, pd.Series):
        return X
    if hasattr(X, "collect") and not hasattr(X, "to_pandas"):
        raise InvalidInputError(
            f"Got a {type(X).__name__}, whose rows are not computed yet: call "
            ".collect() first."
        )
    if not hasattr(X, "to_pandas"):
        return X
    if not hasattr(X, "schema"):  # a column
        return X.to_pandas()
    import pyarrow as pa

    names = [f"{sign}Int{n}" for sign in ("", "U") for n in (8, 16, 32, 64)]
    nullable = {getattr(pa, n.lower())(): pd.array([], n).dtype for n in names}
    try:
        table = X.to_arrow() if hasattr(X, "to_arrow") else X
        return table.to_pandas(types_mapper=nullable.get)
    except pa.ArrowException as error:  # Int128 of Polars, say
        raise InvalidInputError(
            f"A column of the {type(X).__name__} has a type that pandas can't hold: "
            f"{error}. Turn it into another one first."
        ) from error


def _plain_frame(table: pd.DataFrame) -> pd.DataFrame:
    if isinstance(table.columns, pd.MultiIndex):
        table = table.set_axis(table.columns.to_flat_index(), axis=1)
    levels = [c for c, t in table.dtypes.items() if _is_arrow_dictionary(t)]
    if not levels or not table.columns.is_unique:
        return table
    import pyarrow as pa

    table = table.copy(deep=False)
    for label in levels:
        table[label] = pd.Categorical(pa.array(table[label].array).to_pylist())
    return table


def _is_arrow_dictionary(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and str(dtype).startswith("dictionary<")


def check_frame(X: pd.DataFrame, name: str) -> None:
    """Raise where a frame is empty, or its columns' names can't tell them apart."""
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()].unique().tolist()
        raise InvalidInputError(
            f"{name} got a table with duplicate column names: {twice}. "
            "Rename or drop all but one of each."
        )
    others = [c for c in X.columns if not isinstance(c, str)]
    if 0 < len(others) < X.shape[1]:
        raise InvalidInputError(
            f"{name} got a table some of whose column names are no texts: "
            f"{others[:5]}. X.columns = X.columns.astype(str) makes texts of all."
        )
    if min(X.shape) == 0:
        what = "sample" if len(X) == 0 else "feature"
        raise InvalidInputError(
            f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {name}."
        )
    if any(isinstance(t, np.dtype) and t.kind == "c" for t in X.dtypes):
        raise InvalidInputError("Complex data not supported")


def check_columns(
    table: pd.DataFrame, value: Columns, role: str, *, max_columns: int | None = None
) -> list[Hashable]:
    """Return the labels of the columns that a role names, at most `max_columns`."""
    if value is None:
        return []
    labels: list[Any] = [value] if _is_label(value, table) else [*cast(Sequence, value)]
    for label in labels:
        if not isinstance(label, Hashable) or label not in table.columns:
            known = [str(c) for c in table.columns]
            close = difflib.get_close_matches(str(label), known, n=3)
            hint = (
                f"Did you mean {close}?" if close else f"Its columns are {known[:20]}."
            )
            if isinstance(table.columns[0], tuple):
                hint += " Names of several levels are given as tuples."
            raise InvalidInputError(
                f"{role}={label!r} is not a column of the table. {hint}"
            )
    if len(set(labels)) < len(labels):
        twice = [label for i, label in enumerate(labels) if label in labels[:i]]
        raise InvalidInputError(
            f"{role} names a column twice: {twice[0]!r}. Name each column once; a "
            "column may have several roles."
        )
    if max_columns is not None and len(labels) > max_columns:
        raise InvalidInputError(
            f"{role} takes {max_columns} column(s). Got {len(labels)}: {labels}."
        )
    return labels


def _is_label(value: Any, table: pd.DataFrame) -> bool:
    if isinstance(value, (str, numbers.Integral)) or not isinstance(value, Iterable):
        return True
    return isinstance(value, tuple) and len(value) > 0 and value in table.columns
