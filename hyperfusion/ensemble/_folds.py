"""The folds, checked before anything is fitted on them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from hyperfusion.ensemble._out_of_fold import Split
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import StratifiedRegressionKFold


def make_splits(cv: Any, X: Any, y: np.ndarray, groups: Any, rng: Any) -> list[Split]:
    """Return the folds of a ``cv`` parameter, checked."""
    if isinstance(cv, Integral):
        splitter = StratifiedRegressionKFold(int(cv), random_state=rng)
    else:
        splitter = check_cv(cv)
    splits = [(np.asarray(a), np.asarray(b)) for a, b in splitter.split(X, y, groups)]
    check_splits(splits, len(y))
    return splits


def check_splits(splits: Sequence[Split], n_rows: int) -> None:
    """Raise where folds are missing, empty, or train on what they validate."""
    if not splits:
        raise InvalidInputError("cv gives no fold: it must give one at least.")
    for k, fold in enumerate(splits):
        for side, rows in zip(("training", "validation"), fold, strict=True):
            _check_positions(rows, n_rows, f"the {side} part of fold {k} of cv")
        both = np.intersect1d(*fold)
        if len(both):
            raise InvalidInputError(
                f"Fold {k} of cv trains on rows that it validates, such as row "
                f"{both[0]} ({len(both)} in all): out-of-fold predictions need the "
                "two parts to be apart."
            )


def _check_positions(rows: np.ndarray, n_rows: int, where: str) -> None:
    if len(rows) == 0:
        raise InvalidInputError(f"There is no row in {where}: give it one at least.")
    if rows.dtype.kind not in "iu":
        raise InvalidInputError(
            f"There must be positions of rows in {where}. Got dtype {rows.dtype}."
        )
    wrong = rows[(rows < 0) | (rows >= n_rows)]
    if len(wrong):
        raise InvalidInputError(
            f"There is a position {wrong[0]} in {where}, but the {n_rows} rows are "
            f"numbered 0 to {n_rows - 1}."
        )


def check_weighed(splits: Sequence[Split], weight: np.ndarray) -> None:
    """Raise where all rows that a fold validates weigh nothing."""
    for k, (_, rows) in enumerate(splits):
        if not weight[rows].any():
            raise InvalidInputError(
                f"sample_weight is 0 for all {len(rows)} rows that fold {k} validates: "
                "it can't be scored. Leave these rows out, weigh some of them above 0, "
                "or choose a cv that mixes them with others."
            )
