"""Tables from any library, as pandas with checked columns."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from numbers import Integral
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
    """Return `X` as a DataFrame, and record its columns or compare them to fit.

    Cells stay as they are. The columns of an array are named by position, or as at fit;
    with `numeric` it must hold numbers, some of which may be missing.
    """
    X = as_frame(X)
    who = type(estimator).__name__
    if isinstance(X, pd.DataFrame):
        return check_own_columns(estimator, X, reset=reset)
    if sp.issparse(X):
        raise InvalidInputError(
            f"{who} takes a table of cells, got a sparse {type(X).__name__}: make "
            "a table with pd.DataFrame.sparse.from_spmatrix(X)."
        )
    if numeric:
        without_texts(X, who)
    try:
        array = check_array(
            X,
            dtype="numeric" if numeric else None,
            ensure_all_finite="allow-nan" if numeric else False,
            estimator=estimator,
        )
    except ValueError as error:
        lines = str(error).splitlines()  # the array is between first and last
        raise InvalidInputError(
            f"{who} takes a DataFrame or a two-dimensional array, got "
            f"{type(X).__name__}. Use pd.DataFrame(X) for rows, pd.read_csv(X) for "
            f"a file, X.to_frame().T for one row. scikit-learn says: "
            f"{lines[0]} {lines[-1] if len(lines) > 1 else ''}"
        ) from error
    validated(estimator, array, reset=reset, skip_check_array=True)
    return _labeled(estimator, made_of(array))


def check_own_columns(
    estimator: Any, table: pd.DataFrame, *, reset: bool
) -> pd.DataFrame:
    """Return a table whose columns are recorded, or compared to those at fit."""
    labels = table.columns.tolist()
    if not reset and labels == getattr(estimator, "_labels", None):
        check_cells(table, type(estimator).__name__)
        return table
    check_frame(table, type(estimator).__name__)
    validated(estimator, table, reset=reset, skip_check_array=True)
    return _labeled(estimator, table)


def _labeled(estimator: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the labels at fit, if it lacks some of them.

    Its own are those of an array; scikit-learn has warned of it already.
    """
    if set(estimator._labels) <= set(table.columns.tolist()):
        return table
    return table.set_axis(estimator._labels, axis=1)


def validated(estimator: Any, X: Any, *, reset: bool, **options: Any) -> Any:
    """Return what scikit-learn's ``validate_data`` does, with errors of ours."""
    try:
        # scikit-learn finds infinite cells, also those too large for float32
        with np.errstate(over="ignore", invalid="ignore"):
            checked = validate_data(estimator, X, reset=reset, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, TypeError) and type(X) is np.ndarray:
            raise  # a cell is no number, which scikit-learn wants as a TypeError
        said = str(error)  # which may show the whole array
        raise InvalidInputError(
            said if len(said) < 500 else said.splitlines()[0]
        ) from error
    if reset:
        is_frame = isinstance(X, pd.DataFrame)
        labels = X.columns.tolist() if is_frame else range(estimator.n_features_in_)
        estimator._labels = list(labels)
    return checked


def without_texts(X: Any, who: str) -> Any:
    """Return an array; refuse one of objects with texts that are not numbers."""
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "OU":
        return X
    for column, cells in enumerate(X.T if X.ndim == 2 else ()):
        texts = [cell for cell in cells if isinstance(cell, str)]
        unread = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").isna()
        if unread.any():
            raise InvalidInputError(
                f"{who} could not convert string to float: the array holds "
                f"{texts[int(unread.argmax())]!r} in column {column}. An array can't "
                "say which columns are categories: make the previous step "
                "return a DataFrame, with .set_output(transform='pandas')."
            )
    return X


def as_frame(X: Any) -> Any:
    """Return a table (Polars, Arrow, dicts, records) as pandas, anything else as is.

    Integers with missing values don't become floats, which would garble long ids.
    Multi-level column names become tuples, and Arrow's dictionaries categories.
    """
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(object if X.dtype == object else float), np.nan)
    if isinstance(X, Mapping) and not sp.issparse(X):  # scipy's dok_matrix is a dict
        # a post may hold a list of tags, but no column is a number or a text
        cells = {label: _column_of_objects(column) for label, column in X.items()}
        columns = all(isinstance(column, _COLUMNS) for column in cells.values())
        X = made_of(cells if cells and columns else [X])
    elif isinstance(X, list) and X and all(isinstance(row, Mapping) for row in X):
        X = made_of(X)
    elif isinstance(X, np.ndarray) and X.dtype.names and X.ndim == 1:
        X = made_of({name: X[name] for name in X.dtype.names})
    if isinstance(X, pd.DataFrame):
        return _plain_frame(X)
    if isinstance(X, pd.Series):
        return X
    if hasattr(X, "collect") and not hasattr(X, "to_pandas"):
        raise InvalidInputError(
            f"Got a {type(X).__name__}, which is not computed yet: call .collect() "
            "first."
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
        # pyarrow before 26 refuses the unsigned codes of Polars' categories
        signed = [
            field.with_type(pa.dictionary(pa.int64(), field.type.value_type))
            if pa.types.is_dictionary(field.type)
            else field
            for field in table.schema
        ]
        table = table.cast(pa.schema(signed, table.schema.metadata))
        return table.to_pandas(types_mapper=nullable.get)
    except pa.ArrowException as error:  # such as Polars' Int128
        raise InvalidInputError(
            f"A column of the {type(X).__name__} has a type that pandas can't hold: "
            f"{error}. Convert it first."
        ) from error


def _column_of_objects(cells: Any) -> Any:
    """Return a column of Polars or Arrow as one of pandas, anything else as is."""
    if isinstance(cells, _COLUMNS) or not hasattr(cells, "to_pandas"):
        return cells
    values = cells.to_list() if hasattr(cells, "to_list") else cells.to_pylist()
    return pd.Series(values, dtype=object)


def made_of(cells: Any) -> pd.DataFrame:
    try:
        return pd.DataFrame(cells)
    except (UnicodeEncodeError, OverflowError):  # half an emoji, a huge number
        return pd.DataFrame(cells, dtype=object)
    except ValueError as error:
        raise InvalidInputError(f"This makes no table: {error}.") from error


def _plain_frame(table: pd.DataFrame) -> pd.DataFrame:
    if isinstance(table.columns, pd.MultiIndex):
        table = table.set_axis(table.columns.to_flat_index(), axis=1)
    dtypes = table.dtypes
    arrow = [d for d in set(dtypes) if isinstance(d, pd.ArrowDtype)]
    levels = [d for d in arrow if str(d).startswith("dictionary<")]
    if not levels or not table.columns.is_unique:
        return table
    import pyarrow as pa

    table = table.copy(deep=False)
    for label in dtypes.index[dtypes.isin(levels)]:
        table[label] = pd.Categorical(pa.array(table[label].array).to_pylist())
    return table


def check_frame(X: pd.DataFrame, name: str) -> None:
    """Raise if a frame is empty or its column names are ambiguous or mixed."""
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()].unique().tolist()
        raise InvalidInputError(
            f"{name} got a table with duplicate column names: {twice}. Rename or drop "
            "all but one of each."
        )
    labels = X.columns.tolist()
    others = [c for c in labels if not isinstance(c, str)]
    if 0 < len(others) < len(labels):
        raise InvalidInputError(
            f"{name} got a table with column names that are not strings beside others "
            f"that are: {others[:5]}. Rename them, for example with X.columns = "
            "X.columns.astype(str)."
        )
    if not others:
        try:
            "".join(labels).encode()
        except UnicodeEncodeError as error:
            bad = [c for c in labels if c != c.encode(errors="replace").decode()]
            raise InvalidInputError(
                f"{name} got a table with half an emoji in the name of a column, which "
                f"pandas can't hold: {bad[:5]}. Rename it."
            ) from error
    check_cells(X, name)


def check_cells(X: pd.DataFrame, name: str) -> None:
    """Raise if a frame is empty or holds complex numbers."""
    if min(X.shape) == 0:
        what = "sample" if len(X) == 0 else "feature"
        raise InvalidInputError(
            f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {name}."
        )
    if any(isinstance(t, np.dtype) and t.kind == "c" for t in set(X.dtypes)):
        raise InvalidInputError("Complex data not supported")


def check_columns(
    table: pd.DataFrame, value: Columns, role: str, *, max_columns: int | None = None
) -> list[Hashable]:
    """Return the labels of the columns that a role names, at most `max_columns`."""
    if value is None:
        return []
    is_label = isinstance(value, (str, Integral)) or not isinstance(value, Iterable)
    if isinstance(value, tuple):
        is_label = len(value) > 0 and value in table.columns
    labels: list[Any] = [value] if is_label else [*cast(Sequence, value)]
    for label in labels:
        if not isinstance(label, Hashable) or label not in table.columns:
            known = [str(c) for c in table.columns]
            close = difflib.get_close_matches(str(label), known, n=3)
            hint = f"Did you mean {close}?" if close else f"It has {known[:20]}."
            if any(isinstance(c, tuple) for c in table.columns[:1]):
                hint += " Give names of several levels as tuples."
            raise InvalidInputError(
                f"{role}={label!r} is not a column of the table. {hint}"
            )
    if len(set(labels)) < len(labels):
        twice = [label for i, label in enumerate(labels) if label in labels[:i]]
        raise InvalidInputError(
            f"{role} names a column twice: {twice[0]!r}. Name each column once per "
            "role."
        )
    if max_columns is not None and len(labels) > max_columns:
        raise InvalidInputError(
            f"{role} takes {max_columns} column(s). Got {len(labels)}: {labels}."
        )
    return labels
