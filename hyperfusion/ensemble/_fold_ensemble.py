"""How the ensemble is fitted, step by step: folds, parts, weights, fits on all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from functools import partial
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import process_routing

from hyperfusion._base import HyperFusionEstimator, with_parameters
from hyperfusion._progress import VERBOSE, Progress, now, say, take_seconds, tells_lines
from hyperfusion._sklearn_compat import (
    HasMethods,
    StrOptions,
    _routing_enabled,
    _safe_indexing,
)
from hyperfusion._validation import N_JOBS, POSITIVE, check_weights, local_generator
from hyperfusion.ensemble._costs import (
    TimePlan,
    cost_of,
    n_columns_read,
    warn_of_memory,
)
from hyperfusion.ensemble._folds import CV_WORDS, USER, has_users, make_splits
from hyperfusion.ensemble._members import (
    PRESETS,
    ask_for_weights,
    check_features,
    for_table,
    name_members,
    set_seeds,
)
from hyperfusion.ensemble._out_of_fold import Part, Split, fit_parts
from hyperfusion.ensemble._weights import (
    SOLVERS,
    FoldPredictions,
    crossed_bias,
    crossed_weights,
    disagreement,
    fit_variance,
    fold_score,
    honest_predictions,
    mean_by_row,
    member_bias,
    score_table,
    solve_folds,
)


@with_parameters
class FoldEnsemble(HyperFusionEstimator):
    """The parameters and the steps of `HyperFusionRegressor`, documented there."""

    _parameter_constraints = {
        "members": [list, tuple, StrOptions(set(PRESETS)), None],
        "cv": ["cv_object", StrOptions(set(CV_WORDS))],
        "weighting": [StrOptions(set(SOLVERS))],
        "weights_per": [StrOptions({"pooled", "fold"})],
        "row_filter": [HasMethods("fit_resample"), None],
        "refit": [StrOptions({"folds", "full"})],
        "n_jobs": N_JOBS,
        "memory": [str, HasMethods("cache"), None],
        "random_state": ["random_state"],
        "time_limit": [POSITIVE, None],
        "verbose": VERBOSE,
    }

    members: Any = field(default=None, kw_only=False)
    cv: Any = 5
    weighting: str = "greedy"
    weights_per: str = "pooled"
    row_filter: Any = None
    refit: str = "folds"
    n_jobs: int | None = None
    memory: Any = None
    random_state: Any = None
    time_limit: float | None = None
    verbose: int | str = "auto"

    def _fit(
        self,
        X: Any,
        y: np.ndarray,
        sample_weight: Any,
        groups: Any,
        extra: Any = None,
    ) -> Self:
        """Fit on a checked target; `extra` rows join the training part of each fold.

        With ``refit="full"`` its last entry joins the fit on all rows.
        """
        # All checks come first: a fit that they refuse leaves a fitted ensemble alone.
        start = now()
        weight = check_weights(
            sample_weight, y, dtype=np.float64, ensure_non_negative=True
        )
        rng = local_generator(self.random_state)
        named = self._named_members()
        weighted = [sample_weight is not None] * len(named)
        if _routing_enabled():
            given = {"sample_weight": sample_weight, "groups": groups}
            given = {k: v for k, v in given.items() if v is not None}
            routed = process_routing(self, "fit", **given)
            # folds that are given as a list take nothing
            groups = routed.get("splitter", Bunch(split={})).split.get("groups")
            weighted = ["sample_weight" in routed[name].fit for name, _ in named]
        splits = make_splits(self.cv, X, y, weight, groups, rng)
        X, spent = take_seconds(check_features(self, X, reset=True))
        self.splits_ = splits
        self.members_ = [(name, for_table(member, X)) for name, member in named]
        plan = self._plan(X, len(y), start - spent)

        def fits_of(splits: list[Split], extra: Any) -> Callable[..., Iterator[Part]]:
            """Return a function that fits pairs (fold, member), or all of them."""
            seed = rng.randint(2**31 - 1)
            members = [
                [set_seeds(clone(m), name, k, seed) for name, m in self.members_]
                for k in range(len(splits))
            ]
            return partial(
                fit_parts,
                members,
                X,
                y,
                splits,
                names=plan.names,
                weights=[weight if takes else None for takes in weighted],
                extra=extra,
                row_filter=self.row_filter,
                n_jobs=self.n_jobs,
                memory=self.memory,
            )

        run = fits_of(splits, extra)
        fits = run() if self.time_limit is None else plan.parts(run)
        parts = sorted(
            self._reported(fits, plan, X, y, weight), key=lambda p: (p.fold, p.member)
        )
        kept = sorted({p.member for p in parts})
        self.skipped_ = plan.skipped
        self.plan_ = [(named[i][0], clone(named[i][1])) for i in kept]
        every = [(np.arange(len(y)), np.arange(0))]
        on_all = fits_of(every, None if extra is None else extra[-1:])
        self.members_ = [self.members_[i] for i in kept]
        parts = [replace(p, member=kept.index(p.member)) for p in parts]
        self._weigh(parts, y, weight)
        self._learn_users(X)
        if self.refit == "full":
            parts = list(on_all(pairs=[(0, i) for i in kept]))
        n_fits = max(p.fold for p in parts) + 1
        self.estimators_ = [
            [p.model for p in parts if p.fold == k] for k in range(n_fits)
        ]
        self._seconds, self._left = now() - start, plan.deadline - now()
        return self

    def _plan(self, X: Any, n_rows: int, start: float) -> TimePlan:
        """Return the plan of the members' fits, with their costs and the time limit."""
        train = int(np.mean([len(rows) for rows, _ in self.splits_]))
        costs = [
            cost_of(member, train, n_columns_read(member, X))
            for _, member in self.members_
        ]
        names, n_folds = [name for name, _ in self.members_], len(self.splits_)
        n_jobs = effective_n_jobs(self.n_jobs)
        warn_of_memory(X, costs, names, n_folds, n_jobs)
        limit = np.inf if self.time_limit is None else float(self.time_limit)
        last = n_rows / train if self.refit == "full" else 0.0
        # weighing the members, once a fold and once in all
        ranks = n_rows * np.log2(n_rows + 2)
        reserved = 5e-9 * ranks * 25 * len(costs) * (n_folds + 1)
        sizes = names, costs, n_folds, n_jobs
        return TimePlan(limit, start + limit, *sizes, last, reserved)

    def _named_members(self) -> list[tuple[str, Any]]:
        """Return the members by name, as they are fitted."""
        named = name_members(self.members, taken=self._get_param_names())
        return [(name, ask_for_weights(member)) for name, member in named]

    def _reported(
        self, parts: Iterator[Part], plan: TimePlan, X: Any, y: Any, weight: Any
    ) -> Iterator[Part]:
        """Pass parts on: show them, print their scores, and let callbacks score."""
        n_folds, costs = len(self.splits_), [c.seconds for c in plan.costs]
        root = self._init_callback_context(max_subtasks=n_folds * len(costs))
        root.call_on_fit_task_begin(estimator=self, X=X, y=y)
        with Progress("fit", n_folds * sum(costs), self.verbose) as progress:
            plan.announce = progress.at
            places = np.ndindex(n_folds, len(costs)) if self.time_limit is None else ()
            titles = [plan.title(k, i) for k, i in places]
            for part in progress.over(parts, titles, lambda p: costs[p.member]):
                task = root.subcontext(task_name="fit-part")
                task.call_on_fit_task_begin(estimator=self)
                rows = self.splits_[part.fold][1]
                if tells_lines(self.verbose):
                    src, mae = fold_score(y[rows], part.predictions, weight[rows])
                    say(
                        f"[HyperFusionRegressor] {plan.title(part.fold, part.member)}: "
                        f"SRC {src:.4f}, MAE {mae:.4f}, {part.n_rows} rows, "
                        f"{part.seconds:.1f} s"
                    )
                fitted = {"estimators_": [[part.model]], "weights_": np.ones((1, 1))}
                task.call_on_fit_task_end(
                    estimator=self,
                    X=partial(_safe_indexing, X, rows),
                    y=y[rows],
                    reconstruction_attributes=partial(dict, fitted),
                )
                yield part
        root.call_on_fit_task_end(estimator=self, X=X, y=y)

    def _weigh(self, parts: list[Part], y: np.ndarray, weight: np.ndarray) -> None:
        folds = []
        for k, (_, rows) in enumerate(self.splits_):
            members = np.column_stack([p.predictions for p in parts if p.fold == k])
            folds.append(FoldPredictions(rows, members, y[rows], weight[rows]))
        solver = self.weighting
        self._crossed_weights = crossed_weights(solver, folds)
        honest = honest_predictions(solver, folds, self._crossed_weights)
        if self.weights_per == "fold":
            self.weights_ = np.array([solve_folds(solver, [fold]) for fold in folds])
        else:
            self.weights_ = np.tile(solve_folds(solver, folds), (len(folds), 1))
        self._bias, self._crossed_bias = member_bias(folds), crossed_bias(folds)
        # the members' disagreement tells how large out-of-fold errors are
        spread = [
            disagreement(list(f.predictions.T), bias, weights)
            for f, bias, weights in zip(folds, self._bias, self.weights_, strict=True)
        ]
        single, validated = [f.predictions for f in folds], [f.rows for f in folds]
        self.oof_predictions_, self.oof_member_predictions_, variance = (
            mean_by_row(validated, values, len(y))
            for values in (honest, single, spread)
        )
        self.oof_residuals_ = y - self.oof_predictions_
        seen = np.isfinite(self.oof_residuals_) & (weight > 0)
        constant, slope = self.variance_coefficients_ = fit_variance(
            self.oof_residuals_[seen], variance[seen], weight[seen]
        )
        self.oof_std_ = np.sqrt(constant + slope * variance)
        self._oof_weight = weight
        self._scores = score_table(folds, honest, parts, [n for n, _ in self.members_])

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
        validated = [rows for _, rows in self.splits_]
        self._user_known = mean_by_row(validated, known, len(X))

    def _per_fit(self, values: np.ndarray) -> np.ndarray:
        """Return values per fold as values per entry of `estimators_`."""
        same = len(values) == len(self.estimators_)
        return values if same else values.mean(axis=0, keepdims=True)
