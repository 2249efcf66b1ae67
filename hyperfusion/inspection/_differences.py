"""Predictions of each fold's models, and whether they differ by more than noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t

from hyperfusion._anatomy import Anatomy
from hyperfusion.ensemble._intervals import intervals

CONFIDENCE = 0.9  # of intervals, and at which a difference counts as real


def predict_with_folds(
    parts: Anatomy, posts: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Return predictions with intervals, and the predictions of each fold.

    Intervals are NaN without an ensemble. The folds are None without one, or if it was
    refitted on all rows.
    """
    features = parts.features(posts)
    frame = intervals(parts, features, CONFIDENCE, index=posts.index).table
    if parts.ensemble is None or len(parts.models) < 2:
        return frame, None
    rows = []
    for fold in parts.models:
        used = [(weight, model) for _, weight, model in fold if weight > 0]
        every = [np.asarray(m.predict(features), np.float64).ravel() for _, m in used]
        rows.append(np.average(every, axis=0, weights=[weight for weight, _ in used]))
    return frame, parts.to_target(np.array(rows))


def against(
    reference: int, prediction: np.ndarray, by_fold: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the differences to one row, their noise, and which are within it.

    Without folds the noise is NaN, and only exact zeros are within it. `what_if`
    explains the noise.
    """
    difference = prediction - prediction[reference]
    noise = np.full(len(prediction), np.nan)
    if by_fold is not None:
        n_folds = len(by_fold)
        spread = (by_fold - by_fold[:, [reference]]).var(axis=0)
        quantile = t.ppf((1 + CONFIDENCE) / 2, n_folds - 1)
        noise = np.sqrt((n_folds - 1) * spread) * quantile
    rounding = 1e-9 * (1 + np.abs(difference))
    return difference, noise, np.abs(difference) <= np.nan_to_num(noise) + rounding


def ties_of_best(prediction: np.ndarray, by_fold: np.ndarray | None) -> np.ndarray:
    """Return which rows are not distinguishable from the highest prediction."""
    return against(int(np.argmax(prediction)), prediction, by_fold)[2]


def tied_ranks(prediction: np.ndarray, by_fold: np.ndarray | None) -> np.ndarray:
    """Return ranks from 1, the highest prediction first.

    A row that is not distinguishable from the first of a rank shares that rank.
    """
    ranks, rank = np.empty(len(prediction), dtype=int), 0
    tied = np.zeros(len(prediction), dtype=bool)
    for place, row in enumerate(np.argsort(-prediction, kind="stable"), 1):
        if not tied[row]:
            tied, rank = against(row, prediction, by_fold)[2], place
        ranks[row] = rank
    return ranks
