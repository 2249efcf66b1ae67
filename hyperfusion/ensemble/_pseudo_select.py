"""Which pseudo-labels to trust, and whether a round of them has helped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from hyperfusion.model_selection._split import quantile_bins

# a threshold from fewer rows than these would be mostly chance
_MIN_STRATUM = 10


@dataclass(frozen=True)
class SelectionRule:
    """Threshold of equation 10, its guards, and the number of strata."""

    alpha: float
    min_share: float
    max_share: float
    strata: int | None

    def select(
        self, confidence: np.ndarray, predictions: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the rows that are sure enough, and the (mean) threshold."""
        if self.strata is None:
            return self._select(confidence, _share(self.max_share, len(confidence)))
        stratum = quantile_bins(predictions, self.strata, _MIN_STRATUM)
        chosen, total = np.zeros(len(confidence), dtype=bool), 0.0
        most = self._most_of_each(stratum, confidence)
        for value, limit in enumerate(most):
            rows = np.flatnonzero(stratum == value)
            chosen[rows], tau = self._select(confidence[rows], limit)
            total += tau * len(rows)
        return chosen, total / len(confidence)

    def _most_of_each(self, stratum: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Return the most rows to take of each stratum; they add up to `max_share`.

        The largest remainders are rounded up, of equal ones those with the surest row.
        """
        quota = np.round(self.max_share * np.bincount(stratum), 9)
        most = np.floor(quota).astype(int)
        surest = [confidence[stratum == i].max() for i in range(len(most))]
        order = np.lexsort((-np.array(surest), -np.round(quota - most, 9)))
        left = _share(self.max_share, len(confidence)) - most.sum()
        most[order[:left]] += 1
        return most

    def _select(self, confidence: np.ndarray, most: int) -> tuple[np.ndarray, float]:
        tau = float(confidence.mean() + self.alpha * confidence.std())
        n_rows = len(confidence)
        fewest = min(_share(self.min_share, n_rows), most)
        count = np.clip(np.count_nonzero(confidence > tau), fewest, most)
        chosen = np.zeros(n_rows, dtype=bool)
        chosen[np.argsort(-confidence, kind="stable")[:count]] = True
        return chosen, tau


def _share(share: float, n_rows: int) -> int:
    """Return so many of the rows, rounded up."""
    return int(np.ceil(round(share * n_rows, 9)))


@dataclass(frozen=True)
class Comparison:
    """Scores of two sets of out-of-fold predictions of the same rows."""

    src_before: float
    src_after: float
    mae_before: float
    mae_after: float
    gain: float
    gain_error: float


def compare(
    y: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    folds: np.ndarray,
    weight: np.ndarray,
) -> Comparison:
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
    error = _standard_error(gains - gain, folds, weight)
    return Comparison(src[0], src[1], mae[0], mae[1], gain, error)


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


def _standard_error(
    centered: np.ndarray, folds: np.ndarray, weight: np.ndarray
) -> float:
    by_row = np.sqrt(np.sum((weight * centered) ** 2)) / weight.sum()
    counted = np.unique(folds[weight > 0])
    if len(counted) < 2:
        return float(by_row)
    means = [
        np.average(centered[folds == fold], weights=weight[folds == fold])
        for fold in counted
    ]
    return float(max(by_row, np.std(means, ddof=1) / np.sqrt(len(means))))
