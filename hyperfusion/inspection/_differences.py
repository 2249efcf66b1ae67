"""Predictions of each fold's models, and whether they differ by more than noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t

from hyperfusion._anatomy import Anatomy
from hyperfusion.ensemble._intervals import intervals


def predict_with_folds(
    parts: Anatomy, posts: pd.DataFrame, coverage: float | None = None
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Return predictions with intervals, and the predictions of each fold.

    Intervals are NaN without an ensemble or a `coverage`. The folds are None without an
    ensemble, or if it was refitted on all rows.
    """
    features = parts.features(posts)
    if parts.ensemble is not None and coverage is not None:
        frame = intervals(parts, features, coverage=coverage, index=posts.index)
    else:
        frame = pd.DataFrame({"prediction": parts.predict(features)}, posts.index)
        frame["lower"] = frame["upper"] = np.nan
    if parts.ensemble is None or len(parts.models) < 2:
        return frame, None
    rows = []
    for fold in parts.models:
        used = [(weight, model) for _, weight, model in fold if weight > 0]
        every = [np.asarray(m.predict(features), np.float64).ravel() for _, m in used]
        rows.append(np.average(every, axis=0, weights=[weight for weight, _ in used]))
    return frame, parts.to_target(np.array(rows))


def paired_noise(
    differences: np.ndarray | None, confidence: float
) -> np.ndarray | float:
    """Return the size below which differences count as zero; see `what_if`."""
    if differences is None:
        return np.nan
    n_folds = len(differences)
    error = np.sqrt((n_folds - 1) * differences.var(axis=0))
    return error * t.ppf((1 + confidence) / 2, n_folds - 1)


def is_noise(difference: np.ndarray, noise: np.ndarray | float) -> np.ndarray:
    """Return which differences count as zero; if noise is unknown, only exact zeros."""
    rounding = 1e-9 * (1 + np.abs(difference))
    return np.abs(difference) <= np.nan_to_num(noise, nan=0.0) + rounding


def tied_ranks(
    prediction: np.ndarray, by_fold: np.ndarray | None, confidence: float
) -> np.ndarray:
    """Return ranks from 1, the highest prediction first.

    A row that is not distinguishable from the first of a rank shares that rank.
    """
    order = np.argsort(-prediction, kind="stable")
    ranks = np.empty(len(prediction), dtype=int)
    leader = order[0]
    for position, row in enumerate(order):
        pair = [leader, row]
        folds = None if by_fold is None else by_fold[:, pair]
        if not is_noise(*against(0, prediction[pair], folds, confidence))[1]:
            leader = row
        ranks[row] = ranks[leader] if row != leader else position + 1
    return ranks


def ties_of_best(
    prediction: np.ndarray, by_fold: np.ndarray | None, confidence: float
) -> np.ndarray:
    """Return which rows are not distinguishable from the highest prediction."""
    best = int(np.argmax(prediction))
    return is_noise(*against(best, prediction, by_fold, confidence))


def against(
    reference: int,
    prediction: np.ndarray,
    by_fold: np.ndarray | None,
    confidence: float,
) -> tuple[np.ndarray, np.ndarray | float]:
    """Return all differences to one row, and their noise."""
    folds = None if by_fold is None else by_fold - by_fold[:, [reference]]
    return prediction - prediction[reference], paired_noise(folds, confidence)
