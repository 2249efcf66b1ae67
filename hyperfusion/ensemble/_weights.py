"""Weights of the members: solvers, and the loss that they minimize.

All solvers return weights that are not negative and add up to 1 (equation 8).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

SOLVERS = ("greedy", "simplex", "equal")

Loss = Callable[[np.ndarray], float]


def solve_weights(
    solver: str, y: np.ndarray, predictions: np.ndarray, sample_weight: np.ndarray
) -> np.ndarray:
    """Return the members' weights."""
    n_members = predictions.shape[1]
    if solver == "equal" or n_members == 1:
        return np.full(n_members, 1 / n_members)
    unit = np.std(y) or 1.0  # tolerances below are in standard deviations
    y, predictions = y / unit, predictions / unit
    loss = make_loss(y, predictions, sample_weight)
    return (_greedy if solver == "greedy" else _simplex)(predictions, loss)


def make_loss(
    y: np.ndarray, predictions: np.ndarray, sample_weight: np.ndarray
) -> Loss:
    """Return the loss of a prediction: the mean of ``1 - SRC`` and of the MAE.

    Each is divided by that of the best single member: the SMP Challenge ranks by the
    two, and so neither depends on the target's unit.
    """
    share = sample_weight / sample_weight.sum()
    # as spearman_score does, but the targets are ranked once for all predictions
    ranks = _ranks(y)
    ranks -= share @ ranks
    shared, size = share * ranks, share @ ranks**2

    def mae(p: np.ndarray) -> float:
        return float((share * np.abs(y - p)).sum())

    def disorder(p: np.ndarray) -> float:
        predicted = _ranks(p)
        predicted -= share @ predicted
        scale = np.sqrt(size * (share @ predicted**2))
        return 1 - float(shared @ predicted / scale) if scale > 1e-9 else 1.0

    best = [max(min(f(p) for p in predictions.T), 1e-12) for f in (mae, disorder)]
    return lambda p: (mae(p) / best[0] + disorder(p) / best[1]) / 2


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return what `scipy.stats.rankdata` does, in a tenth of its time."""
    order = values.argsort()
    ordered = values[order]
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1  # of equal values
    bounds = np.concatenate([[0], starts, [len(values)]])
    ranks = np.empty(len(values))
    means = (bounds[:-1] + bounds[1:] + 1) / 2
    ranks[order] = np.repeat(means, np.diff(bounds))
    return ranks


def _greedy(
    predictions: np.ndarray, loss: Loss, n_steps: int = 50, patience: int = 10
) -> np.ndarray:
    """Add the member that helps most, again and again; keep the best stage.

    Differences below a millionth don't count, and of equal members one that is in
    already wins, so that rounding never chooses.
    """
    n_members = predictions.shape[1]
    counts = np.zeros(n_members)
    total = np.zeros(len(predictions))
    best_loss, best_step, best_counts = np.inf, 0, counts
    for step in range(1, n_steps + 1):
        losses = [loss((total + p) / step) for p in predictions.T]
        close = np.flatnonzero(np.round(losses, 6) == np.round(min(losses), 6))
        chosen = close[np.argmax(counts[close] > 0)]
        counts[chosen] += 1
        total = total + predictions[:, chosen]
        if losses[chosen] < best_loss - 1e-6:
            best_loss, best_step, best_counts = losses[chosen], step, counts.copy()
        elif step - best_step >= patience:
            break
    return best_counts / best_counts.sum()


def _simplex(predictions: np.ndarray, loss: Loss) -> np.ndarray:
    """Minimize over all convex combinations.

    A rank correlation has no gradient and many local minima: Nelder and Mead's first
    steps must be wide, and they start from equal weights, from each member and from
    greedy weights.
    """
    n_members = predictions.shape[1]
    corners = np.vstack([np.zeros(n_members), np.eye(n_members)])
    greedy = np.log(np.maximum(_greedy(predictions, loss), 1e-3))
    found = [
        minimize(
            lambda logits: loss(predictions @ softmax(logits)),
            start,
            method="Nelder-Mead",
            options={
                "initial_simplex": start + corners,
                "maxfev": 100 * n_members,
                "xatol": 1e-3,
                "fatol": 1e-7,
            },
        )
        for start in [*(3 * corners), greedy]
    ]
    return softmax(min(found, key=lambda result: result.fun).x)
