"""How sure an ensemble is: disagreement, predictive variance, conformal quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import nnls
from scipy.signal import fftconvolve
from scipy.stats import betabinom


def disagreement(
    predictions: Sequence[np.ndarray], bias: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the weighted variance of members' predictions, each freed of its bias."""
    share = weights / weights.sum()
    freed = [p - b for p, b in zip(predictions, bias, strict=True)]
    # summed member by member, so that a row never depends on the others of the call
    mean = sum(s * p for s, p in zip(share, freed, strict=True))
    return sum(s * (p - mean) ** 2 for s, p in zip(share, freed, strict=True))


def fit_variance(
    error: np.ndarray, variance: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return (a, b), not negative, with squared error = a + b * disagreement.

    Least squares in two rounds: the second divides by the variance that the first
    finds, since large errors vary most. `a` is at least a hundredth of the mean squared
    error: models that agree by chance never promise a perfect prediction.
    """
    unit = np.average(error**2, weights=weight)
    if unit == 0:
        return np.zeros(2)
    square = error**2 / unit
    terms = np.column_stack([np.ones_like(variance), variance / unit])
    root = np.sqrt(weight / weight.mean())
    divisor = np.ones_like(square)
    for _ in range(2):
        scale = root / divisor
        coefficients, _ = nnls(terms * scale[:, None], square * scale)
        coefficients[0] = max(coefficients[0], 0.01)
        divisor = terms @ coefficients
    return coefficients * [unit, 1.0]


@dataclass(frozen=True)
class Calibration:
    """A conformal quantile and what it rests on.

    `n_rows` is the effective number of out-of-fold rows (Kish), `rank` that of the rows
    whose error is not above the quantile, which is infinite where they are too few.
    """

    quantile: float
    n_rows: float
    rank: float

    @classmethod
    def fit(cls, scores: np.ndarray, weight: np.ndarray, coverage: float) -> Self:
        """Calibrate on the scaled errors of rows, with their weights."""
        if not weight.any():
            return cls(np.inf, 0.0, 0.0)
        scaled = weight / weight.max()  # squares of tiny weights would be 0
        n_rows = float(scaled.sum() ** 2 / np.sum(scaled**2))
        # weights add up to the effective number of rows, and the new row is one
        weight = weight * n_rows / weight.sum()
        order = np.argsort(scores, kind="stable")
        share = np.cumsum(weight[order]) / (weight.sum() + 1)
        position = int(np.searchsorted(share, coverage - 1e-9))
        if position == len(order):
            return cls(np.inf, n_rows, n_rows)
        quantile = float(scores[order[position]])
        below = weight[scores <= quantile].sum() / weight.sum()
        return cls(quantile, n_rows, float(below * n_rows))

    def chances(self, n_posts: int) -> np.ndarray:
        """Return the probabilities that 0, 1, ... of new posts are covered."""
        if np.isinf(self.quantile):
            return np.eye(1, n_posts + 1, n_posts)[0]  # all are
        a, b = self.rank, self.n_rows + 1 - self.rank
        return betabinom.pmf(np.arange(n_posts + 1), n_posts, a, b)


def chance_range(
    n_posts: Sequence[int], calibrations: Sequence[Calibration]
) -> tuple[float, float]:
    """Return between which shares of posts are covered in 95% of cases."""
    total = np.ones(1)
    for n, calibration in zip(n_posts, calibrations, strict=True):
        total = fftconvolve(total, calibration.chances(n))
    low, high = np.searchsorted(np.cumsum(total), [0.025, 0.975]) / sum(n_posts)
    return float(low), float(high)
