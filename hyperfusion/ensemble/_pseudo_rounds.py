"""Rounds of pseudo-labels: label, select, fit again, keep or roll back.

Fold k of the ensemble has a training set of its own: the pseudo-labels in it come
from the models of fold k, which never saw the rows that fold k validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone

from hyperfusion._progress import Progress, now, say, tells_lines
from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.ensemble._out_of_fold import (
    ExtraRows,
    finite_prediction,
    naming,
    take_rows,
)
from hyperfusion.ensemble._pseudo_inputs import Rows
from hyperfusion.ensemble._pseudo_select import Comparison, SelectionRule, compare

TRACE = (
    *("round", "n_added", "n_per_fold", "tau", "mean_confidence"),
    *("src_before", "src_after", "mae_before", "mae_after"),
    *("gain", "gain_error", "kept"),
)
_COMMITTEE = 5  # refits on halves, whose disagreement is a lone member's confidence


@dataclass(frozen=True)
class Settings:
    """How pseudo-labels are made, chosen and judged; `shared` ones join all folds."""

    rule: SelectionRule
    shared: bool
    max_rounds: int
    min_gain_se: float | None
    verbose: int | str


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo-labels of one fold; those in use are `chosen`."""

    chosen: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    confidence: np.ndarray


@dataclass
class Outcome:
    """What the rounds have come to."""

    ensemble: HyperFusionRegressor
    used: list[PseudoLabels] = field(default_factory=list)
    labeled_iter: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    trace: list[dict[str, Any]] = field(default_factory=list)
    condition: str = "max_iter"


class PseudoLabelRounds:
    """Rounds of pseudo-labels around a fitted ensemble that kept its fold models."""

    def __init__(self, ensemble: HyperFusionRegressor, rows: Rows, settings: Settings):
        self.first, self.settings = ensemble, settings
        self.rows, self.labeled = rows, rows.labeled
        self.n_folds = len(ensemble.splits_)
        self.deadline = now() + ensemble._left
        self.fold = np.full(len(self.labeled.y), -1)
        for k, (_, validated) in reversed(list(enumerate(ensemble.splits_))):
            self.fold[validated] = k

    def run(self, progress: Progress) -> Outcome:
        """Return the last ensemble that was worth keeping."""
        n_rows = len(self.rows.places)
        done = Outcome(self.first, labeled_iter=np.full(n_rows, -1))
        chosen = np.zeros((self.n_folds, n_rows), dtype=bool)
        needs_votes = len(self.first.members_) == 1 and not self.settings.shared
        votes = self._committee() if needs_votes else None
        for number in range(1, self.settings.max_rounds + 1):
            if now() + self.first._seconds > self.deadline:
                done.condition = "time_limit"
                break
            progress.at(f"round {number} of {self.settings.max_rounds}")
            parts, taus = self._label(done.ensemble, chosen, votes)
            joining = np.array([p.chosen for p in parts])
            if not (joining & ~chosen).any():
                done.condition = "no_change"
                break
            ensemble = self.labeled.fit(self._again(), [self._extra(p) for p in parts])
            scores = self._compare(done.ensemble, ensemble)
            min_gain_se = self.settings.min_gain_se
            kept = min_gain_se is None or scores.gain > min_gain_se * scores.gain_error
            added = joining & ~chosen
            confidence = np.array([p.confidence for p in parts])
            line = {
                "round": number,
                "n_added": int((added.any(axis=0) & ~chosen.any(axis=0)).sum()),
                "n_per_fold": float(joining.sum(axis=1).mean()),
                "tau": float(np.nanmean(taus)),
                "mean_confidence": float(confidence[added].mean()),
                **vars(scores),
                "kept": bool(kept),
            }
            done.trace.append(line)
            progress.step()
            if tells_lines(self.settings.verbose):
                say(
                    "[PseudoLabelWrapper] round {round}: {n_added} rows added, "
                    "SRC {src_before:.4f} -> {src_after:.4f}, "
                    "MAE {mae_before:.4f} -> {mae_after:.4f}, ".format(**line)
                    + ("kept" if kept else "rolled back")
                )
            if not kept:
                done.condition = "no_improvement"
                break
            fresh = joining.any(axis=0) & (done.labeled_iter < 0)
            done.labeled_iter[fresh] = number
            done.ensemble, done.used, chosen = ensemble, parts, joining
            if chosen.all():
                done.condition = "all_labeled"
                break
        return done

    def fit_on_all(self, done: Outcome) -> HyperFusionRegressor:
        """Return an ensemble like the kept one whose members see all rows at last."""
        extra = None
        if done.used:
            rows, labels, weight = merged(done.used)
            last = PseudoLabels(rows, labels, weight, np.empty(0))
            extra = [self._extra(p) for p in (*done.used, last)]
        return self.labeled.fit(self._again().set_params(refit="full"), extra)

    def _again(self) -> HyperFusionRegressor:
        """Return an unfitted twin with the same folds and the same seeds."""
        twin = clone(self.first).set_params(members=self.first.plan_, time_limit=None)
        if not isinstance(twin.cv, Integral):
            twin.cv = self.first.splits_
        return twin

    def _committee(self) -> list[np.ndarray]:
        """Return, for each fold, what refits on halves of its training rows predict.

        They learn from labeled rows alone and so are fitted once: refits that share
        pseudo-labels would agree on them.
        """
        rng, size = np.random.RandomState(self.first.random_state), _COMMITTEE
        splits = [
            (np.sort(rng.choice(train, (len(train) + 1) // 2, replace=False)), rows)
            for train, rows in self.first.splits_
            for _ in range(size)
        ]
        refits = self._again().set_params(cv=splits, verbose=0)
        models = [fold[0] for fold in self.labeled.fit(refits, None).estimators_]
        return [
            self._predictions(k, models[k * size : (k + 1) * size])
            for k in range(self.n_folds)
        ]

    def _label(
        self,
        ensemble: HyperFusionRegressor,
        chosen: np.ndarray,
        votes: list[np.ndarray] | None,
    ) -> tuple[list[PseudoLabels], list[float]]:
        """Label all unlabeled rows fold by fold and choose more of them."""
        if self.settings.shared:  # equations 8 and 9 label, 10 chooses
            freed = [
                self._predictions(k, models) - ensemble._bias[k]
                for k, models in enumerate(ensemble.estimators_)
            ]
            confidence = -np.hstack(freed).std(axis=1)
            labels = np.asarray(ensemble.predict(self.rows.unlabeled))
            joining, tau = self._choose(chosen[0], confidence, labels)
            part = PseudoLabels(joining, labels, self.rows.weight, confidence)
            return [part] * self.n_folds, [tau] * self.n_folds
        parts, taus = [], []
        for k, models in enumerate(ensemble.estimators_):
            members = self._predictions(k, models)
            labels = members @ ensemble._crossed_weights[k]
            vote = members - ensemble._crossed_bias[k] if votes is None else votes[k]
            spread = vote.std(axis=1)
            joining, tau = self._choose(chosen[k], -spread, labels)
            weight = self._weight(ensemble, k, spread)
            parts.append(PseudoLabels(joining, labels, weight, -spread))
            taus.append(tau)
        return parts, taus

    def _choose(
        self, chosen: np.ndarray, confidence: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the rows that join, those that did before among them."""
        joining, pool = chosen.copy(), np.flatnonzero(~chosen)
        if not len(pool):
            return joining, np.nan
        selected, tau = self.settings.rule.select(confidence[pool], labels[pool])
        joining[pool[selected]] = True
        return joining, tau

    def _predictions(self, fold: int, models: Sequence[Any]) -> np.ndarray:
        """Return what a fold's models predict for unlabeled rows, one column each."""
        names = [name for name, _ in self.first.members_] * len(models)
        found = []
        for name, model in zip(names, models, strict=False):
            with naming(name, fold):
                found.append(finite_prediction(model, self.rows.unlabeled, name))
        return np.column_stack(found)

    def _weight(
        self, ensemble: HyperFusionRegressor, k: int, spread: np.ndarray
    ) -> np.ndarray:
        """Return weights: the inverse of the noise and the spread together."""
        known = self.fold >= 0
        known[self.first.splits_[k][1]] = False
        if not known.any():
            known = self.fold >= 0
        errors = self.labeled.y[known] - ensemble.oof_predictions_[known]
        noise = max(float(np.mean(errors**2)), 1e-12)
        return self.rows.weight * noise / (noise + spread**2)

    def _extra(self, part: PseudoLabels) -> ExtraRows:
        rows = np.flatnonzero(part.chosen)
        plain = self.settings.shared and self.labeled.sample_weight is None
        weight = None if plain else part.weight[rows]
        return take_rows(self.rows.unlabeled, rows), part.labels[rows], weight

    def _compare(
        self, before: HyperFusionRegressor, after: HyperFusionRegressor
    ) -> Comparison:
        rows = self.fold >= 0
        weight = self.labeled.sample_weight
        return compare(
            self.labeled.y[rows],
            before.oof_predictions_[rows],
            after.oof_predictions_[rows],
            self.fold[rows],
            np.ones(rows.sum()) if weight is None else weight[rows],
        )


def merged(
    parts: Sequence[PseudoLabels],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows that any fold uses, and their mean label and weight there."""
    chosen = np.array([p.chosen for p in parts])
    count = chosen.sum(axis=0)
    used, count = count > 0, np.maximum(count, 1)
    labels = np.sum([p.labels * p.chosen for p in parts], axis=0) / count
    weight = np.sum([p.weight * p.chosen for p in parts], axis=0) / count
    return used, labels, weight
