"""Target means of categories, free of each training row's own label."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from hyperfusion._validation import local_generator
from hyperfusion.exceptions import InvalidInputError


def fit_target_means(codes: np.ndarray, y: np.ndarray) -> TargetEncoder:
    """Fit scikit-learn's shrunken target means to the codes of each column.

    Rows whose target is NaN don't count; `InvalidInputError` if none is left.
    """
    labeled = ~np.isnan(y)
    if not labeled.any():
        raise InvalidInputError("y is missing in every row: there is nothing to learn.")
    encoder = TargetEncoder(target_type="continuous")
    return encoder.fit(codes[labeled], y[labeled])


def target_means(encoder: TargetEncoder, codes: np.ndarray) -> np.ndarray:
    """Return an encoder's means as an array, whatever scikit-learn is set to."""
    return np.asarray(encoder.transform(codes))


def cross_fit_target_means(
    codes: np.ndarray, y: np.ndarray, *, cv: int, random_state: Any
) -> np.ndarray:
    """Return each row's target means over the folds that don't contain the row.

    Rows without a target get the means over all others, as at transform.
    """
    means = target_means(fit_target_means(codes, y), codes).copy()
    labeled = np.flatnonzero(~np.isnan(y))
    n_splits = min(cv, len(labeled))
    if n_splits < 2:
        return means
    rng = local_generator(random_state)
    folds = KFold(n_splits, shuffle=True, random_state=rng)
    for train, test in folds.split(labeled):
        rows, others = labeled[test], labeled[train]
        encoder = fit_target_means(codes[others], y[others])
        means[rows] = target_means(encoder, codes[rows])
    return means
