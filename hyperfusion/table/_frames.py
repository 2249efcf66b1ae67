"""Tables of any library at the door: pandas from here on, columns checked."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from hyperfusion.exceptions import InvalidInputError

Columns = Hashable | Sequence[Hashable] | None


def check_table(
    estimator: Any, X: Any, *, reset: bool, numeric: bool = False
) -> pd.DataFrame:
    """Return `X` as a DataFrame and record (or compare) its columns.

    Cells are left as they are: text, paths, dates and numbers side by side.
    An array becomes a frame whose column names are positions; with `numeric` it must
    hold numbers, missing ones allowed.
    """
    X = as_frame(X)
    if isinstance(X, pd.DataFrame):
        check_frame(X, type(estimator).__name__)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    try:
        array = check_array(
            X,
            dtype="numeric" if numeric else None,
            ensure_all_finite="allow-nan" if numeric else False,
            estimator=estimator,
        )
    except ValueError as error:
        raise InvalidInputError(
            f"{type(estimator).__name__} takes a DataFrame or an array of two "
            f"dimensions, got {type(X).__name__}. pd.DataFrame(X) makes one of dicts, "
            "pd.read_csv(X) of a file, X.to_frame().T of one row. scikit-learn says: "
            f"{error}"
        ) from error
    validate_data(estimator, array, reset=reset, skip_check_array=True)
    return pd.DataFrame(array)


def as_frame(X: Any) -> Any:
    """Return tables of other libraries (Polars, Arrow) as pandas; the rest as it is.

    Whole numbers stay whole where some are missing: ids of 18 digits are no floats.
    """
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X
    if hasattr(X, "collect") and not hasattr(X, "to_pandas"):
        raise InvalidInputError(
            f"Got a {type(X).__name__}, whose rows are not computed yet: call "
            ".collect() first."
        )
    if hasattr(X, "to_arrow"):
        X = X.to_arrow()
    if hasattr(X, "schema") and hasattr(X, "to_pandas"):
        import pyarrow as pa

        names = [f"{sign}Int{n}" for sign in ("", "U") for n in (8, 16, 32, 64)]
        nullable = {getattr(pa, n.lower())(): pd.array([], n).dtype for n in names}
        return X.to_pandas(types_mapper=nullable.get)
    return X.to_pandas() if hasattr(X, "to_pandas") else X


def check_frame(X: pd.DataFrame, name: str) -> None:
    """Raise where a frame has no rows, no columns, or two columns of one name."""
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()].unique().tolist()
        raise InvalidInputError(
            f"{name} got a table with duplicate column names: {twice}. "
            "Rename or drop all but one of each."
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
        if label not in table.columns:
            known = [str(c) for c in table.columns]
            close = difflib.get_close_matches(str(label), known, n=3)
            hint = (
                f"Did you mean {close}?" if close else f"Its columns are {known[:20]}."
            )
            raise InvalidInputError(
                f"{role}={label!r} is not a column of the table. {hint}"
            )
    twice = [label for i, label in enumerate(labels) if label in labels[:i]]
    if twice:
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
