"""How the ensemble is fitted, step by step: folds, parts, weights, fits on all rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import process_routing

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import (
    _check_sample_weight,
    _routing_enabled,
)
from hyperfusion._validation import local_generator
from hyperfusion.ensemble._combine import (
    Blend,
    FoldPredictions,
    crossed_bias,
    fold_score,
    mean_by_row,
    member_bias,
    score_table,
)
from hyperfusion.ensemble._folds import check_weighed, make_splits
from hyperfusion.ensemble._members import (
    ask_for_weights,
    check_features,
    for_table,
    name_members,
    set_seeds,
)
from hyperfusion.ensemble._out_of_fold import Part, fit_parts, take_rows
from hyperfusion.ensemble._uncertainty import disagreement, fit_variance
from hyperfusion.table._names import column_name

USER = column_name("user", "user")  # as `UserProfileEncoder` writes it


def has_users(X: Any) -> bool:
    """Whether a table holds the column of users."""
    return isinstance(X, pd.DataFrame) and USER in X.columns


class FoldEnsemble(HyperFusionEstimator):
    """The steps of `HyperFusionRegressor.fit`; the parameters are declared there."""

    members: Any
    cv: Any
    weighting: str
    weights_per: str
    objective: str
    delta: float
    shrink_to_equal: bool
    row_filter: Any
    refit: str
    n_jobs: int | None
    memory: Any
    random_state: Any

    def _fit(
        self,
        X: Any,
        y: np.ndarray,
        sample_weight: Any,
        groups: Any,
        fit_params: dict[str, Any],
        extra: Any,
    ) -> Self:
        """Fit on a checked target; `extra` rows join the training part of each fold.

        With ``refit="full"`` its last entry joins the fit on all rows.
        """
        # All checks come first: a fit that they refuse leaves a fitted ensemble alone.
        weight = _check_sample_weight(
            sample_weight, y, dtype=np.float64, ensure_non_negative=True
        )
        rng = local_generator(self.random_state)
        named = self._named_members()
        given = None if sample_weight is None else weight
        engine = self._engine_arguments(named, given, groups, fit_params)
        splits = make_splits(self.cv, X, y, engine.pop("groups"), rng)
        check_weighed(splits, weight)
        X = check_features(self, X, reset=True)
        self.splits_ = splits
        self.members_ = [(name, for_table(member, X)) for name, member in named]
        parts = self._fit_folds(X, y, weight, rng, engine, extra)
        self._weigh(parts, y, weight)
        self._learn_users(X)
        if self.refit == "full":
            parts = self._fit_full(X, y, rng, engine, extra)
        n_fits = max(p.fold for p in parts) + 1
        self.estimators_ = [
            [p.model for p in parts if p.fold == k] for k in range(n_fits)
        ]
        return self

    def _named_members(self) -> list[tuple[str, Any]]:
        """Return the members by name, as they are fitted."""
        named = name_members(self.members, taken=self._get_param_names())
        return [(name, ask_for_weights(member)) for name, member in named]

    def _engine_arguments(
        self, named: Any, sample_weight: Any, groups: Any, fit_params: dict[str, Any]
    ) -> dict[str, Any]:
        if not _routing_enabled():
            return {
                "groups": groups,
                "sample_weight": sample_weight,
                "fit_params": [fit_params] * len(named),
            }
        given = {"sample_weight": sample_weight, "groups": groups, **fit_params}
        given = {k: v for k, v in given.items() if v is not None}
        routed = process_routing(self, "fit", **given)
        # folds that are given as a list take nothing
        splitter = routed.get("splitter", Bunch(split={}))
        return {
            "groups": splitter.split.get("groups"),
            "sample_weight": None,
            "fit_params": [routed[name].fit for name, _ in named],
        }

    def _fit_folds(
        self,
        X: Any,
        y: np.ndarray,
        weight: np.ndarray,
        rng: Any,
        engine: Any,
        extra: Any,
    ) -> list[Part]:
        members = [self._seeded(rng) for _ in self.splits_]
        n_parts = len(self.splits_) * len(self.members_)
        progress = _Progress(self, X, y, n_parts)
        engine = engine | self._how()
        parts = []
        for part in fit_parts(members, X, y, self.splits_, extra=extra, **engine):
            progress.report(part, weight)
            parts.append(part)
        progress.end()
        return parts

    def _fit_full(
        self, X: Any, y: np.ndarray, rng: Any, engine: Any, extra: Any
    ) -> list[Part]:
        everything = [(np.arange(len(y)), np.arange(0))]
        engine = engine | self._how()
        last = None if extra is None else extra[-1:]
        return list(
            fit_parts([self._seeded(rng)], X, y, everything, extra=last, **engine)
        )

    def _how(self) -> dict[str, Any]:
        how = ("row_filter", "n_jobs", "memory")
        names = [name for name, _ in self.members_]
        return {"names": names, **{name: getattr(self, name) for name in how}}

    def _seeded(self, rng: Any) -> list[Any]:
        return [set_seeds(clone(member), rng) for _, member in self.members_]

    @property
    def _validated(self) -> list[np.ndarray]:
        return [rows for _, rows in self.splits_]

    def _weigh(self, parts: list[Part], y: np.ndarray, weight: np.ndarray) -> None:
        folds = []
        for k, (_, rows) in enumerate(self.splits_):
            members = np.column_stack([p.predictions for p in parts if p.fold == k])
            folds.append(FoldPredictions(rows, members, y[rows], weight[rows]))
        blend = Blend(
            self.weighting,
            self.objective,
            self.weights_per,
            self.delta,
            self.shrink_to_equal and self.weighting != "equal",
        )
        crossed = self._crossed_weights = blend.crossed(folds)
        self.weights_ = blend.weights(folds, crossed)
        honest = blend.honest(folds, crossed)
        self.oof_predictions_ = mean_by_row(self._validated, honest, len(y))
        single = [f.predictions for f in folds]
        self.oof_member_predictions_ = mean_by_row(self._validated, single, len(y))
        self._bias, self._crossed_bias = member_bias(folds), crossed_bias(folds)
        self._learn_variance(folds, y, weight)
        self._scores = score_table(folds, honest, parts, [n for n, _ in self.members_])

    def _learn_variance(
        self, folds: list[FoldPredictions], y: np.ndarray, weight: np.ndarray
    ) -> None:
        """Relate the members' disagreement to the size of out-of-fold errors."""
        spread = [
            disagreement(list(f.predictions.T), bias, weights)
            for f, bias, weights in zip(folds, self._bias, self.weights_, strict=True)
        ]
        variance = mean_by_row(self._validated, spread, len(y))
        self.oof_residuals_ = y - self.oof_predictions_
        seen = np.isfinite(self.oof_residuals_) & (weight > 0)
        self.variance_coefficients_ = fit_variance(
            self.oof_residuals_[seen], variance[seen], weight[seen]
        )
        constant, slope = self.variance_coefficients_
        self.oof_std_ = np.sqrt(constant + slope * variance)
        self._oof_weight = weight

    def _learn_users(self, X: Any) -> None:
        """Note whose posts were in the training part of the fold that validates a row.

        For each row 1 where its user was, 0 where not, NaN where no fold validates
        it; None without a column of users.
        """
        self._user_known: np.ndarray | None = None
        self._users: list[Any] = []
        if not has_users(X):
            return
        users = X[USER]
        self._users = list(users.dropna().unique())
        known = [
            users.iloc[rows].isin(users.iloc[train].dropna()).to_numpy(dtype=float)
            for train, rows in self.splits_
        ]
        self._user_known = mean_by_row(self._validated, known, len(X))

    def _model_weights(self) -> np.ndarray:
        """Return one weight for each of `estimators_`; they add up to 1."""
        if len(self.estimators_) == len(self.weights_):
            return self.weights_ / len(self.weights_)
        return self.weights_.mean(axis=0, keepdims=True)

    def _model_bias(self) -> np.ndarray:
        same = len(self.estimators_) == len(self._bias)
        return self._bias if same else self._bias.mean(axis=0, keepdims=True)


class _Progress:
    """Reports the parts of a fit in the order in which they are ready."""

    def __init__(self, ensemble: Any, X: Any, y: np.ndarray, n_parts: int):
        self.ensemble, self.X, self.y = ensemble, X, y
        self.root = ensemble._init_callback_context(max_subtasks=n_parts)
        self.root.call_on_fit_task_begin(estimator=ensemble, X=X, y=y)
        self.tasks = [
            self.root.subcontext(task_name="fit-part") for _ in range(n_parts)
        ]
        self.waiting = iter(self.tasks)
        for task in self.tasks:
            task.call_on_fit_task_begin(estimator=ensemble)

    def report(self, part: Part, weight: np.ndarray) -> None:
        """Print a fitted part's score; callbacks score it on its validation rows."""
        rows = self.ensemble.splits_[part.fold][1]
        if self.ensemble.verbose:
            self._print(part, self.y[rows], weight[rows])
        next(self.waiting).call_on_fit_task_end(
            estimator=self.ensemble,
            X=lambda: take_rows(self.X, rows),
            y=self.y[rows],
            reconstruction_attributes=lambda: {
                "estimators_": [[part.model]],
                "weights_": np.ones((1, 1)),
            },
        )

    def end(self) -> None:
        """Tell callbacks that all parts are fitted."""
        self.root.call_on_fit_task_end(estimator=self.ensemble, X=self.X, y=self.y)

    def _print(self, part: Part, y: np.ndarray, weight: np.ndarray) -> None:
        fold = FoldPredictions(np.arange(len(y)), part.predictions, y, weight)
        src, mae = fold_score(fold, part.predictions)
        print(
            f"[HyperFusionRegressor] fold {part.fold + 1}/{len(self.ensemble.splits_)} "
            f"{self.ensemble.members_[part.member][0]}: SRC {src:.4f}, MAE {mae:.4f}, "
            f"{part.n_rows} rows, {part.seconds:.1f} s",
            flush=True,
        )
