"""Rounds of pseudo-labels: label, select, fit again, keep or roll back.

Fold k of the ensemble has a training set of its own: the pseudo-labels in it come
from the models of fold k, which never saw the rows that fold k validates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone

from hyperfusion._sklearn_compat import _routing_enabled
from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.ensemble._members import name_members
from hyperfusion.ensemble._out_of_fold import (
    ExtraRows,
    finite_prediction,
    take_rows,
    takes_weight,
)
from hyperfusion.ensemble._pseudo_inputs import Rows
from hyperfusion.ensemble._pseudo_select import Comparison, SelectionRule, compare
from hyperfusion.exceptions import InvalidInputError

TRACE = (
    *("round", "n_added", "n_per_fold", "tau", "mean_confidence"),
    *("src_before", "src_after", "mae_before", "mae_after"),
    *("gain", "gain_error", "kept"),
)
ConfidenceFunction = Callable[[np.ndarray, Any], Any]


@dataclass(frozen=True)
class Settings:
    """How pseudo-labels are made, chosen and judged."""

    rule: SelectionRule
    max_rounds: int
    confidence: ConfidenceFunction | None
    weight: float
    by_confidence: bool
    with_weights: bool
    min_gain_se: float | None
    committee: int
    verbose: int


def read_settings(wrapper: Any, ensemble: HyperFusionRegressor, rows: Rows) -> Settings:
    """Return the settings that a `PseudoLabelWrapper`'s parameters stand for.

    Raises
    ------
    InvalidInputError
        If a member can't take the weights that ``confidence_weights=True`` asks for.
    """
    by_confidence = wrapper.confidence_weights is not False
    weighted = by_confidence or wrapper.weight != 1
    if weighted:
        _check_weights(ensemble, required=wrapper.confidence_weights is True)
    return Settings(
        SelectionRule(
            wrapper.alpha, wrapper.min_share, wrapper.max_share, wrapper.strata
        ),
        wrapper.max_rounds,
        wrapper.confidence if callable(wrapper.confidence) else None,
        wrapper.weight,
        by_confidence,
        weighted or rows.labeled.sample_weight is not None,
        wrapper.min_gain_se,
        wrapper.committee,
        wrapper.verbose,
    )


def _check_weights(ensemble: HyperFusionRegressor, *, required: bool) -> None:
    members = name_members(ensemble.members)
    without = [name for name, member in members if not takes_weight(member)]
    if not without:
        return
    message = (
        f"The fit of members {without} takes no sample_weight, so they would learn "
        "from pseudo-labels as from labels"
    )
    if _routing_enabled():
        message += (
            " (with metadata routing, a Pipeline takes it where each of its steps "
            "says so by set_fit_request(sample_weight=True) or False)"
        )
    if required:
        raise InvalidInputError(
            f"{message}: leave them out, or set confidence_weights='auto'."
        )
    warnings.warn(
        f"{message}. Set confidence_weights=False (and weight=1) for all members "
        "alike.",
        UserWarning,
        stacklevel=5,
    )


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
    """Rounds of pseudo-labels around a fitted ensemble that kept its fold models.

    Parameters
    ----------
    ensemble : HyperFusionRegressor
        Fitted on the labeled rows, with ``refit="folds"`` and a number as
        ``random_state``.
    rows : Rows
        The rows that it was fitted on, and the unlabeled ones.
    settings : Settings
        How to go on.
    """

    def __init__(self, ensemble: HyperFusionRegressor, rows: Rows, settings: Settings):
        self.first, self.settings = ensemble, settings
        self.labeled, self.unlabeled = rows.labeled, rows.unlabeled
        self.n_folds = len(ensemble.splits_)
        self.fold = np.full(len(self.labeled.y), -1)
        for k, (_, validated) in reversed(list(enumerate(ensemble.splits_))):
            self.fold[validated] = k

    def run(self) -> Outcome:
        """Return the last ensemble that was worth keeping."""
        n_rows = len(self.unlabeled.places)
        done = Outcome(self.first, labeled_iter=np.full(n_rows, -1))
        chosen = np.zeros((self.n_folds, n_rows), dtype=bool)
        votes = self._committee() if len(self.first.members_) == 1 else None
        for number in range(1, self.settings.max_rounds + 1):
            parts, taus = self._label(done.ensemble, chosen, votes)
            joining = np.array([p.chosen for p in parts])
            if not (joining & ~chosen).any():
                done.condition = "no_change"
                break
            ensemble = self.labeled.fit(self._again(), [self._extra(p) for p in parts])
            scores = self._compare(done.ensemble, ensemble)
            min_gain_se = self.settings.min_gain_se
            kept = min_gain_se is None or scores.gain > min_gain_se * scores.gain_error
            self._record(done, number, joining, chosen, parts, taus, scores, kept)
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
        twin = clone(self.first)
        if not isinstance(twin.cv, Integral):
            twin.cv = self.first.splits_
        return twin

    def _committee(self) -> list[np.ndarray]:
        """Return, for each fold, what refits on halves of its training rows predict.

        They learn from labeled rows alone and so are fitted once: refits that share
        pseudo-labels would agree on them.
        """
        rng = np.random.RandomState(self.first.random_state)
        size = self.settings.committee
        splits = []
        for train, validation in self.first.splits_:
            for _ in range(size):
                half = rng.choice(train, (len(train) + 1) // 2, replace=False)
                splits.append((np.sort(half), validation))
        refits = self._again().set_params(cv=splits, verbose=0)
        models = [fold[0] for fold in self.labeled.fit(refits, None).estimators_]
        return [
            _predictions(models[k * size : (k + 1) * size], self.unlabeled.X)
            for k in range(self.n_folds)
        ]

    def _label(
        self,
        ensemble: HyperFusionRegressor,
        chosen: np.ndarray,
        votes: list[np.ndarray] | None,
    ) -> tuple[list[PseudoLabels], list[float]]:
        """Label all unlabeled rows fold by fold and choose more of them."""
        parts, taus = [], []
        for k, models in enumerate(ensemble.estimators_):
            members = _predictions(models, self.unlabeled.X)
            labels = members @ ensemble._crossed_weights[k]
            vote = members - ensemble._crossed_bias[k] if votes is None else votes[k]
            spread = vote.std(axis=1)
            confidence = self._confidence(vote, spread)
            joining, tau = chosen[k].copy(), np.nan
            pool = np.flatnonzero(~joining)
            if len(pool):
                selected, tau = self.settings.rule.select(
                    confidence[pool], labels[pool]
                )
                joining[pool[selected]] = True
            weight = self._weight(ensemble, k, spread)
            parts.append(PseudoLabels(joining, labels, weight, confidence))
            taus.append(tau)
        return parts, taus

    def _confidence(self, votes: np.ndarray, spread: np.ndarray) -> np.ndarray:
        if self.settings.confidence is None:
            return -spread
        given = np.asarray(
            self.settings.confidence(votes, self.unlabeled.X), dtype=np.float64
        )
        if given.shape != spread.shape or not np.isfinite(given).all():
            raise InvalidInputError(
                "confidence must return one finite number for each of the "
                f"{len(spread)} unlabeled rows. Got shape {given.shape} with "
                f"{int((~np.isfinite(given)).sum())} that are not finite."
            )
        return given

    def _weight(
        self, ensemble: HyperFusionRegressor, k: int, spread: np.ndarray
    ) -> np.ndarray:
        """Return the pseudo-labels' weights, relative to a label's.

        A label is off the truth by the noise, a pseudo-label by the models' spread
        as well: weights go by the inverse of the two variances together.
        """
        weight = self.settings.weight * self.unlabeled.weight
        if not self.settings.by_confidence:
            return weight
        known = self.fold >= 0
        known[self.first.splits_[k][1]] = False
        if not known.any():
            known = self.fold >= 0
        errors = self.labeled.y[known] - ensemble.oof_predictions_[known]
        noise = max(float(np.mean(errors**2)), 1e-12)
        return weight * noise / (noise + spread**2)

    def _extra(self, part: PseudoLabels) -> ExtraRows:
        rows = np.flatnonzero(part.chosen)
        weight = part.weight[rows] if self.settings.with_weights else None
        return take_rows(self.unlabeled.X, rows), part.labels[rows], weight

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

    def _record(
        self,
        done: Outcome,
        number: int,
        joining: np.ndarray,
        chosen: np.ndarray,
        parts: list[PseudoLabels],
        taus: list[float],
        scores: Comparison,
        kept: bool,
    ) -> None:
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
        if self.settings.verbose:
            print(
                f"[PseudoLabelWrapper] round {number}: {line['n_added']} rows added, "
                f"SRC {scores.src_before:.4f} -> {scores.src_after:.4f}, "
                f"MAE {scores.mae_before:.4f} -> {scores.mae_after:.4f}, "
                f"{'kept' if kept else 'rolled back'}",
                flush=True,
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


def _predictions(models: Sequence[Any], X: Any) -> np.ndarray:
    """Return a column of predictions for each model."""
    return np.column_stack([finite_prediction(model, X) for model in models])
