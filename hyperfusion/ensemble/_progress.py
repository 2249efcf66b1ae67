"""What an ensemble tells while it is fitted: printed lines and callbacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperfusion.ensemble._combine import FoldPredictions, fold_score
from hyperfusion.ensemble._out_of_fold import Part, take_rows


class Progress:
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
