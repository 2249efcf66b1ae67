"""Out-of-fold engine: fits every member on every fold's training part.

All (fold, member) parts are independent tasks, none waits for another. A row's
out-of-fold prediction comes from models that never saw its label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils.validation import check_memory

from hyperfusion._anatomy import final_step
from hyperfusion._progress import now
from hyperfusion._sklearn_compat import _routing_enabled, _safe_indexing
from hyperfusion._workers import in_parallel, thread_limit
from hyperfusion.ensemble._members import weight_parameter
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.preprocessing import IQRFilter
from hyperfusion.table._frames import check_columns

Split = tuple[np.ndarray, np.ndarray]
ExtraRows = tuple[Any, np.ndarray, np.ndarray | None]


@dataclass
class Part:
    """What the engine returns for one member on one fold."""

    fold: int
    member: int
    model: Any
    predictions: np.ndarray
    seconds: float
    n_rows: int


def fit_parts(
    members: Sequence[Sequence[Any]],
    X: Any,
    y: np.ndarray,
    splits: Sequence[Split],
    *,
    names: Sequence[str],
    weights: Sequence[np.ndarray | None] | None = None,
    extra: Sequence[ExtraRows | None] | None = None,
    row_filter: Any = None,
    n_jobs: int | None = None,
    memory: Any = None,
    pairs: Iterable[tuple[int, int]] | None = None,
) -> Iterator[Part]:
    """Fit every member on every split and predict the split's validation rows.

    ``members[k][i]`` is cloned for split k and gets the sample weights ``weights[i]``.
    ``extra[k]`` joins the training part of split k alone, unfiltered, and is never
    validated. Parts come fold by fold, or as the pairs (k, i) that are given.
    """
    if pairs is None:
        pairs = product(range(len(splits)), range(len(members[0])))
    weights = weights or [None] * len(members[0])
    extra = extra or [None] * len(splits)
    fit = _fit_part if memory is None else check_memory(memory).cache(_fit_part)
    # Each array is an argument of its own: joblib's Dask backend sends an argument to
    # the cluster once, but what a tuple or a dict holds again with every task.
    calls = (
        (
            f"the member {names[i]!r} in fold {k}",
            (
                *(k, i, names[i], members[k][i], X, y, *splits[k], weights[i]),
                *(extra[k] or (None, None, None)),
                row_filter,
            ),
        )
        for k, i in pairs
    )
    yield from in_parallel(fit, calls, n_jobs)


def _fit_part(
    fold: int,
    index: int,
    name: str,
    member: Any,
    X: Any,
    y: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    sample_weight: np.ndarray | None,
    X_extra: Any,
    y_extra: np.ndarray | None,
    extra_weight: np.ndarray | None,
    row_filter: Any,
) -> Part:
    start = now()
    if row_filter is not None:
        train = train[_filtered_rows(row_filter, X, y, train)]
    X_train, y_train = _safe_indexing(X, train), y[train]
    weight = None if sample_weight is None else sample_weight[train]
    parameter = weight_parameter(member)
    if y_extra is not None:
        if weight is None and parameter is None:
            extra_weight = None
        if weight is not None or extra_weight is not None:
            pairs = ((y_train, weight), (y_extra, extra_weight))
            weights = [np.ones(len(t)) if w is None else w for t, w in pairs]
            weight = np.concatenate(weights)
        X_train = stack_rows(X_train, X_extra)
        y_train = np.concatenate([y_train, y_extra])
    if weight is not None and parameter is None and not _routing_enabled():
        kind = type(final_step(member)).__name__
        raise InvalidInputError(
            f"sample_weight was passed, but the member {kind} does not support it: "
            "leave the weights or the member out."
        )
    params = {} if weight is None else {parameter or "sample_weight": weight}
    predictions = np.empty(0)
    # the last digits of linear algebra depend on its threads, and those on n_jobs
    with thread_limit(1, user_api="blas"):
        with naming(name, fold, member):
            model = clone(member).fit(X_train, y_train, **params)
        if len(validation):
            rows = _safe_indexing(X, validation)
            predictions = finite_prediction(model, rows, name, fold)
    return Part(fold, index, model, predictions, now() - start, len(y_train))


@contextmanager
def naming(name: str, fold: int, member: Any) -> Iterator[None]:
    """Name the member and the fold in errors that come from them."""
    try:
        yield
    except Exception as error:
        hint = (
            " A Pipeline gets the table as it is: if it can't read categories or "
            "missing values, start it with NumericTable(impute=True)."
        )
        error.add_note(
            f"This comes from the member {name!r} in fold {fold}."
            + (hint if hasattr(member, "steps") else "")
        )
        raise


def _filtered_rows(
    row_filter: Any, X: Any, y: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Return which of the rows a filter keeps, as positions among them."""
    if isinstance(row_filter, IQRFilter) and isinstance(X, pd.DataFrame):
        # it need not be shown (nor copy) a wide table, but wants at least one column
        X = X[check_columns(X, row_filter.columns, "columns") or [X.columns[0]]]
    row_filter = clone(row_filter)
    row_filter.fit_resample(_safe_indexing(X, rows), y[rows])
    kept = getattr(row_filter, "sample_indices_", None)
    if kept is None:
        raise InvalidInputError(
            f"row_filter={row_filter!r} does not tell which rows it keeps: it needs an "
            "attribute sample_indices_ after fit_resample, as IQRFilter has."
        )
    return np.asarray(kept)


def finite_prediction(model: Any, X: Any, name: str, fold: int) -> np.ndarray:
    """Predict; raise where a member predicts NaN or infinity."""
    with naming(name, fold, model):
        predictions = np.asarray(model.predict(X), dtype=np.float64).reshape(-1)
        if not np.isfinite(predictions).all():
            raise InvalidInputError(
                f"The member {name!r}, {model!r}, predicts NaN or infinity for "
                f"{int((~np.isfinite(predictions)).sum())} of {len(predictions)} rows: "
                "scale its target or lower its learning rate."
            )
    return predictions


def stack_rows(*parts: Any) -> Any:
    """Concatenate the rows of tables with the same columns."""
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts, ignore_index=True)
    if sp.issparse(parts[0]):
        return sp.vstack(parts, format="csr")
    return np.concatenate(parts)
