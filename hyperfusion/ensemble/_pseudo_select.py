"""Which pseudo-labels to trust, and whether a round of them has helped."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from hyperfusion.model_selection._split import quantile_bins

# a threshold from fewer rows than these would be mostly chance
_MIN_STRATUM = 10


def select(
    confidence: np.ndarray,
    predictions: np.ndarray,
    alpha: float,
    min_share: float = 0.0,
    max_share: float = 1.0,
    strata: int = 1,
) -> tuple[np.ndarray, float]:
    """Return the rows above the threshold of equation 10, and the (mean) threshold.

    The guards bound the shares of rows. The threshold, and the least share, apply to
    each of so many strata of the prediction.
    """
    stratum = np.zeros(len(confidence), dtype=int)
    if strata > 1:
        stratum = quantile_bins(predictions, strata, _MIN_STRATUM)
    # the most to take of each add up to max_share: the largest remainders are rounded
    # up, of equal ones those with the surest row
    quota = np.round(max_share * np.bincount(stratum), 9)
    most = np.floor(quota).astype(int)
    surest = [confidence[stratum == i].max() for i in range(len(most))]
    order = np.lexsort((-np.array(surest), -np.round(quota - most, 9)))
    most[order[: _rounded_up(max_share, len(confidence)) - most.sum()]] += 1
    chosen, total = np.zeros(len(confidence), dtype=bool), 0.0
    for value, limit in enumerate(most):
        rows = np.flatnonzero(stratum == value)
        own = confidence[rows]
        tau = float(own.mean() + alpha * own.std())
        fewest = min(_rounded_up(min_share, len(rows)), limit)
        count = np.clip(np.count_nonzero(own > tau), fewest, limit)
        chosen[rows[np.argsort(-own, kind="stable")[:count]]] = True
        total += tau * len(rows)
    return chosen, total / len(confidence)


def _rounded_up(share: float, n_rows: int) -> int:
    return int(np.ceil(round(share * n_rows, 9)))


def compare(
    y: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    folds: np.ndarray,
    weight: np.ndarray,
) -> dict[str, float]:
    """Compare out-of-fold predictions row by row, as `PseudoLabelWrapper` tells.

    The standard error over rows is too small where the rows of a fold gain together,
    that over folds is luck where there are few: the larger counts.
    """
    errors = [np.abs(y - p) for p in (before, after)]
    orders = [_rank_products(y, p, folds, weight) for p in (before, after)]
    mae = [float(np.average(e, weights=weight)) for e in errors]
    src = [float(np.average(o, weights=weight)) for o in orders]
    gains = (errors[0] - errors[1]) / max(mae[0], 1e-12)
    gains = (gains + (orders[1] - orders[0]) / max(1 - src[0], 1e-12)) / 2
    gain = float(np.average(gains, weights=weight))
    centered = gains - gain
    error = np.sqrt(np.sum((weight * centered) ** 2)) / weight.sum()
    parts = [folds == fold for fold in np.unique(folds[weight > 0])]
    if len(parts) > 1:
        means = [np.average(centered[rows], weights=weight[rows]) for rows in parts]
        error = max(error, np.std(means, ddof=1) / np.sqrt(len(means)))
    return {
        "src_before": src[0],
        "src_after": src[1],
        "mae_before": mae[0],
        "mae_after": mae[1],
        "gain": gain,
        "gain_error": float(error),
    }


def _rank_products(
    y: np.ndarray, prediction: np.ndarray, folds: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return products of standardized ranks; their mean in a fold is its SRC."""
    products = np.zeros(len(y))
    for fold in np.unique(folds[weight > 0]):
        rows = folds == fold
        product = np.ones(rows.sum())
        for values in (y, prediction):
            ranks = rankdata(values[rows])
            ranks -= np.average(ranks, weights=weight[rows])
            scale = np.sqrt(np.average(ranks**2, weights=weight[rows]))
            product *= ranks / scale if scale > 0 else 0.0
        products[rows] = product
    return products
