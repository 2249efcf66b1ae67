"""Input of evaluation and ablation: models, rows, users and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._anatomy import final_step, is_search, layers, walk
from hyperfusion._validation import check_target
from hyperfusion.cells._columns import as_column, shown
from hyperfusion.cells._levels import number_levels
from hyperfusion.cells._times import as_times
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._split import StratifiedRegressionKFold, time_split
from hyperfusion.table._frames import as_frame, check_columns

Split = tuple[np.ndarray, np.ndarray]


def numbered(names: list[str]) -> list[str]:
    """Return names, with a number added to those that occur more than once."""
    return [
        f"{name}-{names[: i + 1].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def name_models(model: Any) -> dict[str, Any]:
    """Return models by name; if there is no dict, by the class of their last step."""
    if isinstance(model, Mapping):
        models = {str(name): m for name, m in model.items()}
    else:
        listed = model if isinstance(model, (list, tuple)) else [model]
        names = numbered([type(final_step(m)).__name__ for m in listed])
        models = dict(zip(names, listed, strict=True))
    if not models:
        raise InvalidInputError("model is empty: give at least one model.")
    for name, one in models.items():
        if not (hasattr(one, "fit") and hasattr(one, "predict")):
            raise InvalidInputError(
                f"The model {name!r} must have fit and predict. Got {one!r}."
            )
    return models


def learns_from_unlabeled(model: Any) -> bool:
    """Whether a model says that it takes rows whose target is NaN."""
    for layer in layers(model):
        learns = getattr(layer, "learns_unlabeled", False)
        if learns or not (hasattr(layer, "steps") or is_search(layer)):
            return learns
    return False


def check_posts(X: Any, y: Any) -> tuple[Any, np.ndarray]:
    """Return the table (other libraries' as pandas) and the target, NaN allowed."""
    X = as_frame(X)
    X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
    target = check_target(y, X, allow_nan=True)
    if np.isnan(target).all():
        raise InvalidInputError("y is NaN in all rows: some posts need a target.")
    return X, target


def find_users(X: Any, users: Any, models: Iterable[Any]) -> np.ndarray | None:
    """Return a number for each row's user; rows without a user are users themselves."""
    values = _values(X, users, "users", "user", models)
    if values is None:
        return None
    codes, known = number_levels(values)
    missing = codes < 0
    codes[missing] = len(known) + np.arange(missing.sum())
    return codes


def find_times(X: Any, times: Any, models: Iterable[Any]) -> pd.Series | None:
    """Return the times of the rows, as dates or as the given numbers."""
    values = _values(X, times, "times", "time", models)
    return None if values is None else as_times(values, "times")


def _values(
    X: Any, given: Any, parameter: str, role: str, models: Iterable[Any]
) -> pd.Series | None:
    """Return the values of a parameter (a column, or one per row) or of a role."""
    if given is None:
        parts = (part for model in models for part in walk(model))
        encoders = (p for p in parts if hasattr(p, "user") and hasattr(p, "time"))
        given = getattr(next(encoders, None), role, None)
    if given is None:
        return None
    if isinstance(given, tuple):  # a label only if there is such a column
        is_label = isinstance(X, pd.DataFrame) and given in X.columns
    else:
        is_label = isinstance(given, str) or not isinstance(given, Iterable)
    if not is_label:
        values = as_column(given)
        if len(values) != X.shape[0]:
            raise InvalidInputError(
                f"{parameter} must have one value per row. Got {len(values)} for "
                f"{X.shape[0]} rows."
            )
        return values.reset_index(drop=True)
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    column = check_columns(table, given, parameter, max_columns=1)[0]
    return table[column].reset_index(drop=True)


def read_folds(
    cv: Any, what: str, y: np.ndarray, units: np.ndarray | None, random_state: Any
) -> list[Split]:
    """Return folds of the labeled rows, as positions in the whole table."""
    if isinstance(cv, Integral):
        cv = StratifiedRegressionKFold(int(cv), random_state=random_state)
        units = None
    if isinstance(cv, (str, bytes)) or not hasattr(cv, "split"):
        return _checked(cv, what, len(y))
    rows = np.flatnonzero(~np.isnan(y))
    if hasattr(cv, "get_metadata_routing"):  # scikit-learn's warn where they don't
        takes_groups = cv.get_metadata_routing().split.requests.get("groups")
    else:
        takes_groups = "groups" in signature(cv.split).parameters
    groups = {"groups": units[rows]} if units is not None and takes_groups else {}
    folds = cv.split(rows, y[rows], **groups)
    return [(rows[train], rows[test]) for train, test in folds]


def _checked(pairs: Any, what: str, n_rows: int) -> list[Split]:
    """Return (train, test) pairs of positions, checked."""
    try:
        if isinstance(pairs, tuple) and len(pairs) == 2 and np.isscalar(pairs[0][0]):
            pairs = [pairs]  # as time_split returns it
        pairs = [(np.asarray(train), np.asarray(test)) for train, test in pairs]
    except (TypeError, ValueError, IndexError) as error:
        raise InvalidInputError(
            f"{what} must be a number, a splitter or pairs (train, test) of positions. "
            f"Got {shown(pairs)} instead."
        ) from error
    if not pairs:
        raise InvalidInputError(f"{what} is empty: give at least one (train, test).")
    for rows in (rows for pair in pairs for rows in pair):
        is_whole = rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows)
        if not is_whole or rows.min() < 0 or rows.max() >= n_rows:
            raise InvalidInputError(
                f"{what} must give positions of rows for train and test, from 0 to "
                f"{n_rows - 1}. Got {shown(rows)}."
            )
    return pairs


def split_by_time(times: pd.Series, rows: np.ndarray, test_size: float) -> Split:
    """Split rows by time; errors name a row without a time by its position."""
    missing = rows[times.iloc[rows].isna()]
    if len(missing):
        raise InvalidInputError(
            f"times is missing in row {missing[0]} ({len(missing)} row(s) with a "
            "target have no time): drop or fill them."
        )
    train, test = time_split(times.iloc[rows], test_size=test_size)
    return rows[train], rows[test]


def labeled_split(split: Split, y: np.ndarray, use_unlabeled: bool) -> Split:
    """Return a split that tests labeled rows; unlabeled rows only train, or not."""
    train, test = (rows[~np.isnan(y[rows])] for rows in split)
    if not len(test) or not len(train):
        raise InvalidInputError(
            "A split has no labeled rows to learn from, or no labeled rows to test on."
        )
    if use_unlabeled:
        train = np.concatenate([train, np.flatnonzero(np.isnan(y))])
    return train, test
