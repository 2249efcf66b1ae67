"""From members' out-of-fold predictions to weights, honest predictions and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import mean_absolute_error

from hyperfusion.ensemble._out_of_fold import Part
from hyperfusion.ensemble._weights import make_loss, solve_weights
from hyperfusion.metrics import spearman_score


@dataclass
class FoldPredictions:
    """Validation rows of one fold and what the members predict for them."""

    rows: np.ndarray
    predictions: np.ndarray
    y: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Blend:
    """How to weigh the members."""

    solver: str
    objective: str
    scope: str
    delta: float
    prefer_equal: bool

    def solve(self, folds: Sequence[FoldPredictions]) -> np.ndarray:
        """Return the weights that do best on all these folds together."""
        y, predictions, weight = _pooled(folds)
        return solve_weights(
            self.solver, self.objective, y, predictions, weight, self.delta
        )

    def crossed(self, folds: Sequence[FoldPredictions]) -> np.ndarray:
        """Return weights for each fold that were solved on the other folds alone."""
        n_members = folds[0].predictions.shape[1]
        if len(folds) == 1:
            return np.full((1, n_members), 1 / n_members)
        others = [[f for f in folds if f is not fold] for fold in folds]
        return np.array([self.solve(rest) for rest in others])

    def weights(
        self, folds: Sequence[FoldPredictions], crossed: np.ndarray
    ) -> np.ndarray:
        """Return the weights to predict with, one row a fold (equations 8 and 9)."""
        n_members = folds[0].predictions.shape[1]
        equal = np.full((len(folds), n_members), 1 / n_members)
        if self.prefer_equal and len(folds) > 1 and not self._gains(folds, crossed):
            return equal
        if self.scope == "fold":
            return np.array([self.solve([fold]) for fold in folds])
        return np.tile(self.solve(folds), (len(folds), 1))

    def _gains(self, folds: Sequence[FoldPredictions], crossed: np.ndarray) -> bool:
        """Whether solved weights beat equal ones by a standard error over folds.

        They are judged on folds that they were not solved on.
        """
        gains = []
        for fold, weights in zip(folds, crossed, strict=True):
            loss = make_loss(
                self.objective, fold.y, fold.predictions, fold.weight, self.delta
            )
            equal = loss(fold.predictions.mean(axis=1))
            gains.append(equal - loss(fold.predictions @ weights))
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        return bool(np.mean(gains) > error)


def _pooled(
    folds: Sequence[FoldPredictions],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.concatenate([f.y for f in folds]),
        np.concatenate([f.predictions for f in folds]),
        np.concatenate([f.weight for f in folds]),
    )


def mean_by_row(
    folds: Sequence[FoldPredictions], values: Sequence[np.ndarray], n_samples: int
) -> np.ndarray:
    """Return each row's mean over the folds that validate it; NaN where none does."""
    shape = (n_samples, *values[0].shape[1:])
    total, count = np.zeros(shape), np.zeros(n_samples)
    for fold, value in zip(folds, values, strict=True):
        np.add.at(total, fold.rows, value)
        np.add.at(count, fold.rows, 1)
    count[count == 0] = np.nan
    return total / count.reshape(-1, *[1] * (len(shape) - 1))


def fold_score(fold: FoldPredictions, prediction: np.ndarray) -> tuple[float, float]:
    """Return SRC and MAE of a prediction of one fold's validation rows."""
    weight = fold.weight
    return (
        spearman_score(fold.y, prediction, sample_weight=weight),
        float(mean_absolute_error(fold.y, prediction, sample_weight=weight)),
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
        rows: list[tuple[str, np.ndarray, float]] = [
            (names[p.member], p.predictions, p.seconds) for p in parts if p.fold == k
        ]
        rows.append(("ensemble", honest[k], sum(seconds for _, _, seconds in rows)))
        for name, prediction, seconds in rows:
            src, mae = fold_score(fold, prediction)
            table.append(
                {"fold": k, "member": name, "src": src, "mae": mae}
                | {"n_validation": len(fold.rows), "seconds": seconds}
            )
    return table
