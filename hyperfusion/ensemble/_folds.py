"""The folds of the ensemble: numbers, words, splitters and lists, checked."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv
from sklearn.utils import check_consistent_length

from hyperfusion.cells._columns import shown
from hyperfusion.cells._times import as_times
from hyperfusion.ensemble._out_of_fold import Split
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import StratifiedRegressionKFold
from hyperfusion.table._names import column_name

CV_WORDS = ("time", "user")
USER = column_name("user", "user")  # as `UserProfileEncoder` writes it
TIME = column_name("time", "days")  # as `TemporalEncoder` writes it
_N_FOLDS = 5


def make_splits(
    cv: Any, X: Any, y: np.ndarray, weight: np.ndarray, groups: Any, rng: Any
) -> list[Split]:
    """Return the folds; raise if they are empty or train on what they test."""
    splits: list[Split] = []
    for k, fold in enumerate(_folds(cv, X, y, groups, rng)):
        try:
            train, validation = map(np.atleast_1d, fold)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                "cv must be a number, a splitter, or an iterable of pairs (positions "
                "of training rows, positions of validation rows). It gives "
                f"{shown(fold)}."
            ) from error
        for side, rows in (("training", train), ("validation", validation)):
            where = f"the {side} part of fold {k} of cv"
            if len(rows) == 0:
                raise InvalidInputError(f"There is no row in {where}; it needs one.")
            if rows.dtype.kind not in "iu":
                raise InvalidInputError(
                    f"There must be integer positions in {where}. Got dtype "
                    f"{rows.dtype}."
                )
            wrong = rows[(rows < 0) | (rows >= len(y))]
            if len(wrong):
                raise InvalidInputError(
                    f"There is a position {wrong[0]} in {where}, but the {len(y)} rows "
                    f"are numbered 0 to {len(y) - 1}."
                )
        both = np.intersect1d(train, validation)
        if len(both):
            raise InvalidInputError(
                f"Fold {k} of cv trains on rows that it validates, such as row "
                f"{both[0]} ({len(both)} in all): out-of-fold predictions need the "
                "two parts to be apart."
            )
        if not weight[validation].any():
            raise InvalidInputError(
                f"sample_weight is 0 for all {len(validation)} rows that fold {k} "
                "validates: it can't be scored. Leave these rows out, weigh some "
                "of them above 0, or choose a cv that mixes them with others."
            )
        splits.append((train, validation))
    if not splits:
        raise InvalidInputError("cv gives no folds: it must give at least one.")
    return splits


def _folds(cv: Any, X: Any, y: np.ndarray, groups: Any, rng: Any) -> Any:
    if isinstance(cv, str):
        check_consistent_length(y, groups)
        if cv == "time":
            return _time_blocks(_times(X, groups))
        groups = _users(X) if groups is None else groups
        cv = _N_FOLDS
    if isinstance(cv, Integral):
        splitter = StratifiedRegressionKFold(int(cv), random_state=rng)
        return splitter.split(X, y, groups)
    if isinstance(cv, Iterable) and (isinstance(cv, bytes) or not hasattr(cv, "split")):
        return cv
    return check_cv(cv).split(X, y, groups)


def has_users(X: Any) -> bool:
    """Whether a table holds the column of users."""
    return isinstance(X, pd.DataFrame) and USER in X.columns


def _users(X: Any) -> np.ndarray:
    """Return a number for each row's user; a row without a user gets its own."""
    if not has_users(X):
        raise InvalidInputError(
            'cv="user" needs the users of the rows: name the role user= in '
            "make_hyperfusion (or PostEncoder), or pass them to fit as groups."
        )
    users = pd.factorize(X[USER])[0]
    unknown = np.flatnonzero(users < 0)
    users[unknown] = len(users) + unknown
    return users


def _times(X: Any, groups: Any) -> pd.Series:
    if groups is not None:
        return as_times(groups, "groups")
    if not (isinstance(X, pd.DataFrame) and TIME in X.columns):
        raise InvalidInputError(
            'cv="time" needs the times of the rows: name the role time= in '
            "make_hyperfusion (or PostEncoder), or pass them to fit as groups."
        )
    return X[TIME]


def _time_blocks(times: pd.Series) -> list[Split]:
    """Return folds that are blocks of time; rows without one are spread over all.

    Rows of the same time stay together.
    """
    before = times.reset_index(drop=True).rank(method="min").to_numpy() - 1
    known = np.isfinite(before)
    blocks = np.arange(len(before)) % _N_FOLDS
    blocks[known] = before[known] * _N_FOLDS // max(known.sum(), 1)
    used = np.unique(blocks[known])
    if len(used) < 2:
        raise InvalidInputError(
            'cv="time" needs rows of at least two times, far enough from each other '
            f"to make blocks. Got {len(times)} rows, {known.sum()} of them with a time."
        )
    blocks = used[np.searchsorted(used, blocks) % len(used)]
    return [(np.flatnonzero(blocks != b), np.flatnonzero(blocks == b)) for b in used]
