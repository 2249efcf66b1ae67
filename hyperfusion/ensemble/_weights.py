"""Weights of the members, and predictions, scores and uncertainty from them.

All weights are non-negative and add up to 1 (equation 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import softmax

from hyperfusion.ensemble._out_of_fold import Part
from hyperfusion.metrics import mean_ranks, spearman_score

SOLVERS = ("greedy", "simplex", "equal")

Loss = Callable[[np.ndarray], float]


def solve_weights(
    solver: str, y: np.ndarray, predictions: np.ndarray, sample_weight: np.ndarray
) -> np.ndarray:
    """Return the members' weights."""
    n_members = predictions.shape[1]
    if solver == "equal" or n_members == 1:
        return _equal(n_members)
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
    ranks = mean_ranks(y)
    ranks -= share @ ranks
    shared, size = share * ranks, share @ ranks**2

    def mae(p: np.ndarray) -> float:
        return float((share * np.abs(y - p)).sum())

    def disorder(p: np.ndarray) -> float:
        predicted = mean_ranks(p)
        predicted -= share @ predicted
        scale = np.sqrt(size * (share @ predicted**2))
        return 1 - float(shared @ predicted / scale) if scale > 1e-9 else 1.0

    best = [max(min(f(p) for p in predictions.T), 1e-12) for f in (mae, disorder)]
    return lambda p: (mae(p) / best[0] + disorder(p) / best[1]) / 2


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


@dataclass
class FoldPredictions:
    """Validation rows of one fold and what the members predict for them."""

    rows: np.ndarray
    predictions: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def part(self, kept: np.ndarray) -> FoldPredictions:
        """Return the rows that a mask keeps."""
        return FoldPredictions(
            self.rows[kept], self.predictions[kept], self.y[kept], self.weight[kept]
        )


def solve_folds(solver: str, folds: Sequence[FoldPredictions]) -> np.ndarray:
    """Return the weights that do best on all folds; equal ones without any row."""
    y, predictions, weight = (
        np.concatenate([getattr(f, name) for f in folds])
        for name in ("y", "predictions", "weight")
    )
    if not weight.any():
        return _equal(predictions.shape[1])
    return solve_weights(solver, y, predictions, weight)


def crossed_weights(solver: str, folds: Sequence[FoldPredictions]) -> np.ndarray:
    """Return weights for each fold, solved on rows that it does not validate."""
    return np.array([solve_folds(solver, other_rows(fold, folds)) for fold in folds])


def honest_predictions(
    solver: str, folds: Sequence[FoldPredictions], crossed: np.ndarray
) -> list[np.ndarray]:
    """Return each fold's predictions, with weights not solved on the same rows."""
    honest = []
    for fold, weights in zip(folds, crossed, strict=True):
        prediction = fold.predictions @ weights
        if not any(f.weight.any() for f in other_rows(fold, folds)):
            half = np.unique(fold.rows, return_inverse=True)[1] % 2 == 0
            for here in (half, ~half):  # each half is weighed by the other
                solved = solve_folds(solver, [fold.part(~here)])
                prediction[here] = fold.predictions[here] @ solved
        honest.append(prediction)
    return honest


def _equal(n_members: int) -> np.ndarray:
    return np.full(n_members, 1 / n_members)


def other_rows(
    fold: FoldPredictions, folds: Sequence[FoldPredictions]
) -> list[FoldPredictions]:
    """Return all folds without the rows that one of them validates."""
    return [f.part(~np.isin(f.rows, fold.rows)) for f in folds]


def member_bias(folds: Sequence[FoldPredictions]) -> np.ndarray:
    """Return the members' mean errors in each fold."""
    return np.array(
        [np.average(f.predictions.T - f.y, axis=1, weights=f.weight) for f in folds]
    )


def crossed_bias(folds: Sequence[FoldPredictions]) -> np.ndarray:
    """Return members' mean errors on the rows that a fold does not validate, or 0."""
    found = []
    for fold in folds:
        others = [f for f in other_rows(fold, folds) if f.weight.any()]
        nothing = np.zeros(fold.predictions.shape[1])
        found.append(member_bias(others).mean(axis=0) if others else nothing)
    return np.array(found)


def mean_by_row(
    validated: Sequence[np.ndarray], values: Sequence[np.ndarray], n_samples: int
) -> np.ndarray:
    """Return each row's mean over the folds that validate it; NaN where none does."""
    shape = (n_samples, *values[0].shape[1:])
    total, count = np.zeros(shape), np.zeros(n_samples)
    for rows, value in zip(validated, values, strict=True):
        np.add.at(total, rows, value)
        np.add.at(count, rows, 1)
    count[count == 0] = np.nan
    return total / count.reshape(-1, *[1] * (len(shape) - 1))


def fold_score(
    y: np.ndarray, prediction: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """Return SRC and MAE of a prediction of one fold's validation rows."""
    return (
        spearman_score(y, prediction, sample_weight=weight),
        float(np.average(np.abs(y - prediction), weights=weight)),
    )


def score_table(
    folds: list[FoldPredictions],
    honest: list[np.ndarray],
    parts: list[Part],
    names: list[str],
) -> list[dict[str, Any]]:
    """Return one row of scores for every fold and member, and for the ensemble."""
    table = []
    for k, fold in enumerate(folds):
        own = [p for p in parts if p.fold == k]
        rows = [(names[p.member], p.predictions, p.seconds) for p in own]
        rows.append(("ensemble", honest[k], sum(p.seconds for p in own)))
        for name, prediction, seconds in rows:
            src, mae = fold_score(fold.y, prediction, fold.weight)
            table.append(
                {"fold": k, "member": name, "src": src, "mae": mae}
                | {"n_validation": len(fold.rows), "seconds": seconds}
            )
    return table


def disagreement(
    predictions: Sequence[np.ndarray], bias: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the weighted variance of members' predictions, each without its bias."""
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
