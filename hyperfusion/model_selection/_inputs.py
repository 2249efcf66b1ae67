"""What evaluation and ablation take: models, rows, users and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import has_fit_parameter

from hyperfusion._anatomy import final_step, find, is_search, layers
from hyperfusion._sklearn_compat import _safe_indexing
from hyperfusion._validation import check_target, warn_of_order
from hyperfusion.cells._columns import as_column
from hyperfusion.cells._levels import level_codes
from hyperfusion.cells._times import as_times
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._split import StratifiedRegressionKFold, time_split
from hyperfusion.table._frames import as_frame, check_columns

Split = tuple[np.ndarray, np.ndarray]


def name_models(model: Any) -> dict[str, Any]:
    """Return models by name: of a dict, of a list, or of a single model.

    Models of a list are named after their classes (a Pipeline's last step), numbered
    where a class comes twice.
    """
    if isinstance(model, Mapping):
        models = {str(name): m for name, m in model.items()}
    elif isinstance(model, (list, tuple)):
        kinds = [type(final_step(m)).__name__ for m in model]
        names = [
            f"{kind}-{kinds[: i + 1].count(kind)}" if kinds.count(kind) > 1 else kind
            for i, kind in enumerate(kinds)
        ]
        models = dict(zip(names, model, strict=True))
    else:
        models = {type(final_step(model)).__name__: model}
    if not models:
        raise InvalidInputError("model is empty: give at least one model.")
    for name, one in models.items():
        if not (hasattr(one, "fit") and hasattr(one, "predict")):
            raise InvalidInputError(
                f"The model {name!r} must have fit and predict. Got {one!r}."
            )
    return models


def learns_from_unlabeled(model: Any) -> bool:
    """Whether a model's fit takes rows whose target is NaN, as PseudoLabelWrapper."""
    for layer in layers(model):
        if has_fit_parameter(layer, "X_unlabeled"):
            return True
        if not (hasattr(layer, "steps") or is_search(layer)):
            return False
    return False


def check_posts(X: Any, y: Any) -> tuple[Any, np.ndarray]:
    """Return the table (other libraries' as pandas) and the target, NaN allowed."""
    X = as_frame(X)
    warn_of_order(X, y, stacklevel=4)
    X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
    target = check_target(y, X.shape[0], allow_nan=True)
    if np.isnan(target).all():
        raise InvalidInputError(
            "y is NaN in all rows: at least some posts need a target."
        )
    return X, target


def find_users(X: Any, users: Any, models: Iterable[Any]) -> np.ndarray | None:
    """Return a number for each row's user; a row without one is its own user."""
    values = _values(X, users, "users", "user", models)
    if values is None:
        return None
    codes, known = level_codes(values)
    missing = codes < 0
    codes[missing] = len(known) + np.arange(missing.sum())
    return codes


def find_times(X: Any, times: Any, models: Iterable[Any]) -> pd.Series | None:
    """Return the rows' times: dates, or numbers as they are."""
    values = _values(X, times, "times", "time", models)
    return None if values is None else as_times(values, "times")


def _values(
    X: Any, given: Any, parameter: str, role: str, models: Iterable[Any]
) -> pd.Series | None:
    """Return what was given (a column's name or one value a row), or a model's role."""
    if given is None:
        given = _role(role, models)
    if given is None:
        return None
    if not _is_label(given, X):
        values = as_column(given)
        if len(values) != X.shape[0]:
            raise InvalidInputError(
                f"{parameter} must have one value a row. Got {len(values)} for "
                f"{X.shape[0]} rows."
            )
        return values.reset_index(drop=True)
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    column = check_columns(table, given, parameter, max_columns=1)[0]
    return table[column].reset_index(drop=True)


def _is_label(given: Any, X: Any) -> bool:
    """Whether a value names a column; tuples do only where there is such a column."""
    if isinstance(given, tuple):
        return isinstance(X, pd.DataFrame) and given in X.columns
    return isinstance(given, str) or not isinstance(given, Iterable)


def _role(role: str, models: Iterable[Any]) -> Any:
    """Return the column that the encoder inside a model has in a role."""
    for model in models:
        encoder = find(
            model, lambda part: hasattr(part, "user") and hasattr(part, "time")
        )
        if encoder is not None:
            return getattr(encoder, role)
    return None


def read_folds(
    cv: Any, what: str, y: np.ndarray, units: np.ndarray | None, random_state: Any
) -> list[Split]:
    """Return folds, as positions in the whole table.

    Numbers and splitters cut the labeled rows. A splitter that takes groups gets the
    rows' users as such.
    """
    if isinstance(cv, Integral):
        cv = StratifiedRegressionKFold(int(cv), random_state=random_state)
        units = None
    if isinstance(cv, str) or not hasattr(cv, "split"):
        return read_splits(cv, what, len(y))
    rows = np.flatnonzero(~np.isnan(y))
    groups = {}
    if units is not None and _takes_groups(cv):
        groups["groups"] = units[rows]
    folds = cv.split(rows, y[rows], **groups)
    return [(rows[train], rows[test]) for train, test in folds]


def _takes_groups(cv: Any) -> bool:
    """Whether a splitter uses groups; scikit-learn's warn where they don't."""
    if hasattr(cv, "get_metadata_routing"):
        return bool(cv.get_metadata_routing().split.requests.get("groups"))
    return "groups" in signature(cv.split).parameters


def read_splits(splits: Any, what: str, n_rows: int) -> list[Split]:
    """Return (train, test) pairs of positions, checked."""
    try:
        if isinstance(splits, tuple) and len(splits) == 2 and _are_positions(splits[0]):
            splits = [splits]
        pairs = [(np.asarray(a), np.asarray(b)) for a, b in splits]
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{what} takes a number, a splitter or pairs (train, test) of positions. "
            f"Got {splits!r} instead."
        ) from error
    if not pairs:
        raise InvalidInputError(f"{what} is empty: give at least one (train, test).")
    for pair in pairs:
        for side, rows in zip(("train", "test"), pair, strict=True):
            _check_positions(rows, what, side, n_rows)
    return pairs


def _check_positions(rows: np.ndarray, what: str, side: str, n_rows: int) -> None:
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
        raise InvalidInputError(
            f"{what} must give positions of rows for train and test. Got an array of "
            f"shape {rows.shape} and dtype {rows.dtype} for {side}."
        )
    outside = rows[(rows < 0) | (rows >= n_rows)]
    if len(outside):
        raise InvalidInputError(
            f"{what} names row {outside[0]} for {side}; there are {n_rows} rows."
        )


def _are_positions(rows: Any) -> bool:
    return len(rows) > 0 and np.ndim(rows[0]) == 0


def split_by_time(times: pd.Series, rows: np.ndarray, test_size: float) -> Split:
    """Split rows by time; a missing time is named by its row in the whole table."""
    missing = rows[times.iloc[rows].isna()]
    if len(missing):
        raise InvalidInputError(
            f"times is missing in row {missing[0]} ({len(missing)} such row(s) with a "
            "target in all): drop or fill it."
        )
    train, test = time_split(times.iloc[rows], test_size=test_size)
    return rows[train], rows[test]


def labeled_split(split: Split, y: np.ndarray, use_unlabeled: bool) -> Split:
    """Return a split that tests labeled rows; unlabeled ones train, or are left out.

    Unlabeled rows train wherever they stand: a model may look at their features.
    """
    train, test = (rows[~np.isnan(y[rows])] for rows in split)
    if not len(test) or not len(train):
        raise InvalidInputError(
            "A split has no labeled rows to learn from, or none to test on."
        )
    if use_unlabeled:
        train = np.concatenate([train, np.flatnonzero(np.isnan(y))])
    return train, test


def take(X: Any, rows: Sequence[int] | np.ndarray) -> Any:
    """Return rows of a table."""
    return _safe_indexing(X, rows)
