"""Scores of popularity predictions.

The SMP Challenge ranks by Spearman's rank correlation (SRC; higher is better) and by
the mean absolute error (MAE; lower is better).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import make_scorer
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import column_or_1d

from hyperfusion._sklearn_compat import validate_params
from hyperfusion._validation import check_weights
from hyperfusion.cells._levels import number_levels
from hyperfusion.exceptions import InvalidInputError

__all__ = ["spearman_score", "spearman_scorer", "within_user_spearman"]

MIN_POSTS = 3  # for a rank correlation


@validate_params(
    {
        "y_true": ["array-like"],
        "y_pred": ["array-like"],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def spearman_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return Spearman's rank correlation between targets and predictions.

    Equation 11 of the paper holds without ties. With ties this is the correlation of
    mean ranks, as in `scipy.stats.spearmanr`.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True targets, and predictions.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the correlation. The ranks themselves are unweighted.

    Returns
    -------
    float
        Between -1 and 1. It is 0 if either side is constant, since a constant
        prediction orders nothing.

    Examples
    --------
    >>> from hyperfusion.metrics import spearman_score
    >>> spearman_score([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    true, predicted = column_or_1d(y_true), column_or_1d(y_pred)
    check_consistent_length(true, predicted, sample_weight)
    for name, values in (("y_true", true), ("y_pred", predicted)):
        if not np.isfinite(values).all():
            raise InvalidInputError(f"{name} contains NaN or infinity.")
    weight = check_weights(sample_weight, true, dtype=np.float64)
    return weighted_correlation(mean_ranks(true), mean_ranks(predicted), weight)


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Return what `scipy.stats.rankdata` does, in a tenth of its time."""
    order = values.argsort()
    ordered = values[order]
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1  # of equal values
    bounds = np.concatenate([[0], starts, [len(values)]])
    ranks = np.empty(len(values))
    means = (bounds[:-1] + bounds[1:] + 1) / 2
    ranks[order] = np.repeat(means, np.diff(bounds))
    return ranks


def weighted_correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """Return Pearson's correlation; 0 if a side is constant."""
    a = a - np.average(a, weights=weight)
    b = b - np.average(b, weights=weight)
    scale = np.sqrt(np.sum(weight * a**2) * np.sum(weight * b**2))
    if scale == 0:
        return 0.0
    return float(np.clip(np.sum(weight * a * b) / scale, -1.0, 1.0))


@validate_params(
    {
        "y_true": ["array-like"],
        "y_pred": ["array-like"],
        "users": ["array-like"],
    },
    prefer_skip_nested_validation=True,
)
def within_user_spearman(
    y_true: ArrayLike, y_pred: ArrayLike, users: ArrayLike
) -> float:
    """Return Spearman's correlation within posts of a user, averaged over users.

    `spearman_score` mostly separates popular users from others. This score measures
    what a user can change: which of their own posts does better.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True targets, and predictions.
    users : array-like of shape (n_samples,)
        User of each row. Rows without a user (None, NaN, blank) and users with less
        than three posts or a constant target don't count.

    Returns
    -------
    float
        Mean over users, weighted by their numbers of posts; NaN if no user counts.

    Examples
    --------
    >>> from hyperfusion.metrics import within_user_spearman
    >>> within_user_spearman([1, 2, 3, 9, 8, 7], [1, 2, 3, 4, 5, 6], list("aaabbb"))
    0.0
    """
    check_consistent_length(y_true, y_pred, users)
    posts = {"y": column_or_1d(y_true), "prediction": column_or_1d(y_pred)}
    posts["unit"], _ = number_levels(users)
    found = scores_of_users(pd.DataFrame(posts).query("unit >= 0"))
    if found.empty:
        return float("nan")
    return float(np.average(found["score"], weights=found["n_posts"]))


def scores_of_users(posts: pd.DataFrame) -> pd.DataFrame:
    """Return rank correlation and number of posts of each user with enough posts."""
    found = {}
    for user, own in posts.groupby("unit"):
        y = own["y"].to_numpy()
        if len(own) >= MIN_POSTS and np.ptp(y) > 0:
            found[user] = spearman_score(y, own["prediction"].to_numpy()), len(own)
    return pd.DataFrame.from_dict(found, orient="index", columns=["score", "n_posts"])


spearman_scorer = make_scorer(spearman_score)
"""Scorer of `spearman_score`, for ``scoring=`` of scikit-learn's searches."""
