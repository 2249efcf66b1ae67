"""What all members share: features, the target's scale, rows for early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from hyperfusion._sklearn_compat import _check_sample_weight
from hyperfusion._validation import check_target
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import read_features


def split_features(
    estimator: Any, X: Any, *, reset: bool
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the numbers and the categories of a feature table or an array.

    Numbers are float32 of shape (n_samples, n_numbers), NaN where missing, and often
    a view of `X`: never write into them. Categories keep their pandas dtype. Columns
    keep their order within each.
    """
    features = read_features(estimator, X, reset=reset)
    return features.numbers, features.categories


def check_fit_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[np.ndarray, pd.DataFrame, np.ndarray, np.ndarray]:
    """Return numbers, categories, target and weights, without rows of weight zero."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    numbers, categories = split_features(estimator, X, reset=True)
    y = check_target(y, len(numbers))
    weight = _check_sample_weight(
        sample_weight, numbers, dtype=np.float64, ensure_non_negative=True
    )
    kept = weight > 0
    if not kept.any():
        raise InvalidInputError("sample_weight is zero for all rows: nothing to learn.")
    if kept.all():
        return numbers, categories, y, weight
    return numbers[kept], categories[kept], y[kept], weight[kept]


@dataclass(frozen=True)
class TargetScaler:
    """Center and spread of a target, and Huber's delta on the scaled target.

    A Huber loss starts from zero in some back-ends and its gradient is bounded:
    on a target far from zero it never arrives. So every member learns the
    centered and scaled target.
    """

    center: float
    spread: float

    @classmethod
    def fit(cls, y: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """Measure the weighted mean and standard deviation (1 if it is zero)."""
        center = float(np.average(y, weights=weight))
        spread = float(np.sqrt(np.average((y - center) ** 2, weights=weight)))
        negligible = spread <= 1e-12 * max(1.0, abs(center))
        return cls(center, 1.0 if negligible else spread)

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Return the centered and scaled target."""
        return (y - self.center) / self.spread

    def inverse_transform(self, z: np.ndarray) -> np.ndarray:
        """Return predictions of the scaled target in the target's own units."""
        return z * self.spread + self.center

    def scaled_delta(self, delta: float, unit: str) -> float:
        """Return Huber's delta on the scaled target."""
        return delta if unit == "spread" else delta / self.spread


def validation_rows(
    n_samples: int,
    fraction: float,
    by: np.ndarray | pd.Series | None,
    random_state: Any,
) -> np.ndarray:
    """Choose rows to hold out for early stopping.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    fraction : float
        Share to hold out.
    by : array or Series of shape (n_samples,), optional
        None: random rows. A category: whole groups, missing ones row by row.
        Numbers: the rows with the largest (the latest, where it is time).
    random_state : int, RandomState or None
        Chooses rows or groups.

    Returns
    -------
    ndarray of shape (n_samples,), bool
        True for the held-out rows: at least one, unless that leaves fewer than
        two rows to learn from (then none).
    """
    held = np.zeros(n_samples, dtype=bool)
    size = max(1, round(fraction * n_samples))
    if n_samples - size < 2:
        return held
    rng = check_random_state(random_state)
    if by is None:
        held[rng.permutation(n_samples)[:size]] = True
    elif isinstance(by, pd.Series) and isinstance(by.dtype, pd.CategoricalDtype):
        codes = by.cat.codes.to_numpy().astype(np.int64)
        codes[codes < 0] = codes.max() + 1 + np.arange((codes < 0).sum())
        held = _whole_groups(codes, size, rng)
    else:
        order = np.argsort(np.nan_to_num(np.asarray(by, dtype=float), nan=-np.inf))
        held[order[-size:]] = True
    return held


def _whole_groups(
    codes: np.ndarray, size: int, rng: np.random.RandomState
) -> np.ndarray:
    """Draw groups as long as they fit into `size` rows; the smallest if none does."""
    groups, counts = np.unique(codes, return_counts=True)
    chosen, free = [], size
    for group in rng.permutation(len(groups)):
        if counts[group] <= free:
            chosen.append(group)
            free -= counts[group]
    held = np.isin(codes, groups[chosen or [int(np.argmin(counts))]])
    return held if (~held).sum() >= 2 else np.zeros_like(held)


def held_out_rows(
    estimator: Any,
    X: Any,
    numbers: np.ndarray,
    categories: pd.DataFrame,
    random_state: Any,
) -> np.ndarray:
    """Return the mask of rows for early stopping by the estimator's parameters."""
    if not estimator.early_stopping:
        return np.zeros(len(numbers), dtype=bool)
    by = estimator.validation_by
    if by is not None:
        by = _validation_column(X, by, numbers, categories)
    return validation_rows(
        len(numbers), estimator.validation_fraction, by, random_state
    )


def _validation_column(
    X: Any, by: Any, numbers: np.ndarray, categories: pd.DataFrame
) -> np.ndarray | pd.Series:
    if by in categories.columns:
        return categories[by]
    levels = set(categories.columns)
    names = X.columns if hasattr(X, "columns") else range(np.shape(X)[1])
    plain = [c for c in names if c not in levels]
    if by not in plain:
        raise InvalidInputError(
            f"validation_by={by!r} is not a column of X. Its columns are "
            f"{list(names)[:20]}."
        )
    return numbers[:, plain.index(by)]
