"""From members' out-of-fold predictions to weights, honest predictions and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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

    def part(self, kept: np.ndarray) -> FoldPredictions:
        """Return the rows that a mask keeps."""
        return FoldPredictions(
            self.rows[kept], self.predictions[kept], self.y[kept], self.weight[kept]
        )


@dataclass(frozen=True)
class Blend:
    """How to weigh the members."""

    solver: str
    scope: str
    shrink_to_equal: bool

    def solve(self, folds: Sequence[FoldPredictions]) -> np.ndarray:
        """Return the weights that do best on all folds; equal ones without any row."""
        y, predictions, weight = (
            np.concatenate([getattr(f, name) for f in folds])
            for name in ("y", "predictions", "weight")
        )
        if not weight.any():
            return _equal(predictions.shape[1])
        return solve_weights(self.solver, y, predictions, weight)

    def crossed(self, folds: Sequence[FoldPredictions]) -> np.ndarray:
        """Return weights for each fold, solved on rows that it does not validate."""
        return np.array([self.solve(other_rows(fold, folds)) for fold in folds])

    def honest(
        self, folds: Sequence[FoldPredictions], crossed: np.ndarray
    ) -> list[np.ndarray]:
        """Return predictions of each fold, with weights not solved on their rows."""
        if self.keeps_equal(folds, crossed):
            return [f.predictions @ _equal(crossed.shape[1]) for f in folds]
        honest = []
        for fold, weights in zip(folds, crossed, strict=True):
            prediction = fold.predictions @ weights
            if not any(f.weight.any() for f in other_rows(fold, folds)):
                half = np.unique(fold.rows, return_inverse=True)[1] % 2 == 0
                for here in (half, ~half):  # each half is weighed by the other
                    solved = self.solve([fold.part(~here)])
                    prediction[here] = fold.predictions[here] @ solved
            honest.append(prediction)
        return honest

    def weights(
        self, folds: Sequence[FoldPredictions], crossed: np.ndarray
    ) -> np.ndarray:
        """Return the weights to predict with, one row per fold (equations 8 and 9)."""
        if self.keeps_equal(folds, crossed):
            return np.tile(_equal(crossed.shape[1]), (len(folds), 1))
        if self.scope == "fold":
            return np.array([self.solve([fold]) for fold in folds])
        return np.tile(self.solve(folds), (len(folds), 1))

    def keeps_equal(
        self, folds: Sequence[FoldPredictions], crossed: np.ndarray
    ) -> bool:
        """Whether to use equal weights: solved ones don't win by a standard error."""
        if not self.shrink_to_equal or len(folds) < 2:
            return False
        gains = []
        for fold, weights in zip(folds, crossed, strict=True):
            loss = make_loss(fold.y, fold.predictions, fold.weight)
            equal = loss(fold.predictions.mean(axis=1))
            gains.append(equal - loss(fold.predictions @ weights))
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        return not np.mean(gains) > error


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
