"""Rounds of pseudo-labels: label, select, fit again, keep or roll back.

Fold k of the ensemble has a training set of its own: the pseudo-labels in it come
from the models of fold k, which never saw the rows that fold k validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_consistent_length

from hyperfusion._progress import Progress, now, say, tells_lines
from hyperfusion._sklearn_compat import _safe_indexing, with_callbacks
from hyperfusion._validation import check_target, check_weights
from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.ensemble._members import check_features
from hyperfusion.ensemble._out_of_fold import ExtraRows, finite_prediction
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.metrics import mean_ranks
from hyperfusion.model_selection._split import quantile_bins
from hyperfusion.table._frames import as_frame

TRACE = (
    *("round", "n_added", "n_per_fold", "tau", "mean_confidence"),
    *("src_before", "src_after", "mae_before", "mae_after"),
    *("gain", "gain_error", "kept"),
)
_COMMITTEE = 5  # refits on halves, whose disagreement is a lone member's confidence
_MIN_SHARE, _STRATA = 0.05, 10
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

    At least `min_share` and at most `max_share` of the rows are returned. The threshold
    and `min_share` apply within each of `strata` bins of the prediction.
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
    """Compare out-of-fold predictions row by row, as `PseudoLabelWrapper` describes.

    The standard error over rows is too small if the rows of a fold gain together. The
    one over folds is unreliable if there are few. So the larger one counts.
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
            ranks = mean_ranks(values[rows])
            ranks -= np.average(ranks, weights=weight[rows])
            scale = np.sqrt(np.average(ranks**2, weights=weight[rows]))
            product *= ranks / scale if scale > 0 else 0.0
        products[rows] = product
    return products


_fit_with = with_callbacks(HyperFusionRegressor._fit)


class Rows(NamedTuple):
    """The labeled rows, the unlabeled ones, and which of all rows are `labeled`."""

    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    groups: Any
    unlabeled: Any
    unlabeled_weight: np.ndarray
    labeled: np.ndarray

    @classmethod
    def read(
        cls, ensemble: HyperFusionRegressor, X: Any, y: Any, weight: Any, groups: Any
    ) -> Rows:
        """Check the inputs of ``fit`` and take them apart."""
        X = as_frame(X)
        y = check_target(y, X, allow_nan=True)
        X = check_features(ensemble, X, reset=True)
        labeled = ~np.isnan(y)
        if not labeled.any():
            raise InvalidInputError(
                f"Input y contains NaN in all {len(y)} rows: there is no label to "
                "learn from."
            )
        check_consistent_length(y, groups)
        here, others = np.flatnonzero(labeled), np.flatnonzero(~labeled)
        own, others_weight = None, np.ones(len(others))
        if weight is not None:
            weight = check_weights(
                weight, y, dtype=np.float64, ensure_non_negative=True
            )
            own, others_weight = weight[here], weight[others]
        return cls(
            _safe_indexing(X, here) if len(others) else X,
            y[here],
            own,
            None if groups is None else _safe_indexing(groups, here),
            _safe_indexing(X, others),
            others_weight,
            labeled,
        )

    def fit(self, ensemble: HyperFusionRegressor, extra: Any) -> HyperFusionRegressor:
        """Fit an ensemble on the labeled rows and, fold by fold, on the extra ones."""
        return _fit_with(ensemble, self.X, self.y, self.weight, self.groups, extra)


class PseudoLabels(NamedTuple):
    """Pseudo-labels of one fold; those in use are `chosen`."""

    chosen: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    confidence: np.ndarray


class PseudoLabelRounds:
    """Rounds of pseudo-labels around a fitted ensemble that kept its fold models.

    `wrapper` has the parameters. `ensemble` is the last one that was worth keeping,
    `used` holds its pseudo-labels by fold, and `condition` says why the rounds ended.
    """

    def __init__(self, wrapper: Any, ensemble: HyperFusionRegressor, rows: Rows):
        self.wrapper, self.rows, self.paper = wrapper, rows, wrapper.rule == "paper"
        self.first = self.ensemble = ensemble
        self.used: list[PseudoLabels] = []
        self.labeled_iter = np.full(len(rows.unlabeled_weight), -1)
        self.trace: list[dict[str, Any]] = []
        self.condition = "max_iter"
        self.deadline = now() + ensemble._left
        self.fold = np.full(len(rows.y), -1)
        for k, (_, validated) in reversed(list(enumerate(ensemble.splits_))):
            self.fold[validated] = k

    def run(self, progress: Progress) -> None:
        """Go on as long as rounds are worth keeping."""
        if not len(self.labeled_iter):
            self.condition = "all_labeled"
            return
        shape = len(self.first.splits_), len(self.labeled_iter)
        chosen = np.zeros(shape, dtype=bool)
        needs_votes = len(self.first.members_) == 1 and not self.paper
        votes = self._committee() if needs_votes else None
        for number in range(1, self.wrapper.max_rounds + 1):
            if now() + self.first._seconds > self.deadline:
                self.condition = "time_limit"
                break
            progress.at(f"round {number} of {self.wrapper.max_rounds}")
            parts, taus = self._label(chosen, votes)
            joining = np.array([p.chosen for p in parts])
            added = joining & ~chosen
            if not added.any():
                self.condition = "no_change"
                break
            ensemble = self.rows.fit(self._again(), [self._extra(p) for p in parts])
            scores = self._compared_to(ensemble)
            least = self.wrapper.min_gain_se
            kept = least is None or scores["gain"] > least * scores["gain_error"]
            confidence = np.array([p.confidence for p in parts])
            line = {
                "round": number,
                "n_added": int((added.any(axis=0) & ~chosen.any(axis=0)).sum()),
                "n_per_fold": float(joining.sum(axis=1).mean()),
                "tau": float(np.nanmean(taus)),
                "mean_confidence": float(confidence[added].mean()),
                **scores,
                "kept": bool(kept),
            }
            self.trace.append(line)
            progress.step()
            if tells_lines(self.wrapper.verbose):
                say(
                    "[PseudoLabelWrapper] round {round}: {n_added} rows added, "
                    "SRC {src_before:.4f} -> {src_after:.4f}, "
                    "MAE {mae_before:.4f} -> {mae_after:.4f}, ".format(**line)
                    + ("kept" if kept else "rolled back")
                )
            if not kept:
                self.condition = "no_improvement"
                break
            self.labeled_iter[joining.any(axis=0) & (self.labeled_iter < 0)] = number
            self.ensemble, self.used, chosen = ensemble, parts, joining
            if chosen.all():
                self.condition = "all_labeled"
                break

    def _compared_to(self, ensemble: HyperFusionRegressor) -> dict[str, float]:
        """Compare the kept ensemble and a new one on the rows that were validated."""
        judged, weight = self.fold >= 0, self.rows.weight
        return compare(
            self.rows.y[judged],
            self.ensemble.oof_predictions_[judged],
            ensemble.oof_predictions_[judged],
            self.fold[judged],
            np.ones(judged.sum()) if weight is None else weight[judged],
        )

    def fit_on_all(self) -> None:
        """Fit the members of the kept ensemble on all rows, as the last step."""
        extra = None
        if self.used:
            extra = [self._extra(p) for p in (*self.used, self.merged())]
        self.ensemble = self.rows.fit(self._again().set_params(refit="full"), extra)

    def merged(self) -> PseudoLabels:
        """Return the rows that any fold uses, and their mean label and weight there."""
        count = np.sum([p.chosen for p in self.used], axis=0)
        labels, weight = (
            np.sum([getattr(p, name) * p.chosen for p in self.used], axis=0)
            / np.maximum(count, 1)
            for name in ("labels", "weight")
        )
        return PseudoLabels(count > 0, labels, weight, np.empty(0))

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
        models = [fold[0] for fold in self.rows.fit(refits, None).estimators_]
        return [
            self._predictions(k, models[k * size : (k + 1) * size])
            for k in range(len(self.first.splits_))
        ]

    def _label(
        self, chosen: np.ndarray, votes: list[np.ndarray] | None
    ) -> tuple[list[PseudoLabels], list[float]]:
        """Label all unlabeled rows fold by fold and choose more of them."""
        ensemble, weight = self.ensemble, self.rows.unlabeled_weight
        found = [self._predictions(k, m) for k, m in enumerate(ensemble.estimators_)]
        if self.paper:  # equations 8 and 9 label, 10 chooses
            freed = [p - bias for p, bias in zip(found, ensemble._bias, strict=True)]
            confidence = -np.hstack(freed).std(axis=1)
            labels = np.asarray(ensemble.predict(self.rows.unlabeled))
            joining, tau = self._choose(chosen[0], confidence, labels)
            part = PseudoLabels(joining, labels, weight, confidence)
            return [part] * len(chosen), [tau] * len(chosen)
        parts, taus = [], []
        for k, members in enumerate(found):
            labels = members @ ensemble._crossed_weights[k]
            vote = members - ensemble._crossed_bias[k] if votes is None else votes[k]
            spread = vote.std(axis=1)
            joining, tau = self._choose(chosen[k], -spread, labels)
            # the inverse of the noise, in the other folds, and the spread together
            known = self.fold >= 0
            known[self.first.splits_[k][1]] = False
            known = known if known.any() else self.fold >= 0
            errors = self.rows.y[known] - ensemble.oof_predictions_[known]
            noise = max(float(np.mean(errors**2)), 1e-12)
            share = weight * noise / (noise + spread**2)
            parts.append(PseudoLabels(joining, labels, share, -spread))
            taus.append(tau)
        return parts, taus

    def _choose(
        self, chosen: np.ndarray, confidence: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the rows that join, those that did before among them."""
        joining, pool = chosen.copy(), np.flatnonzero(~chosen)
        if not len(pool):
            return joining, np.nan
        guards = () if self.paper else (_MIN_SHARE, self.wrapper.max_share, _STRATA)
        alpha = self.wrapper.alpha
        selected, tau = select(confidence[pool], labels[pool], alpha, *guards)
        joining[pool[selected]] = True
        return joining, tau

    def _predictions(self, fold: int, models: Sequence[Any]) -> np.ndarray:
        """Return what a fold's models predict for unlabeled rows, one column each."""
        names = cycle(name for name, _ in self.first.members_)
        return np.column_stack(
            [
                finite_prediction(model, self.rows.unlabeled, name, fold)
                for name, model in zip(names, models, strict=False)
            ]
        )

    def _extra(self, part: PseudoLabels) -> ExtraRows:
        rows = np.flatnonzero(part.chosen)
        plain = self.paper and self.rows.weight is None
        weight = None if plain else part.weight[rows]
        return _safe_indexing(self.rows.unlabeled, rows), part.labels[rows], weight
