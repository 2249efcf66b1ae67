"""The presets: members of an ensemble that are chosen by a word."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

PRESETS = ("fast", "default", "best", "paper")


def preset_members(name: str) -> list[tuple[str, Any]]:
    """Return a fresh list of a preset's members, by name.

    They err differently: "fast" are boosted trees and a smooth function, "default" adds
    CatBoost, "best" two networks as well. "paper" are the four of section 3.4.
    """
    from hyperfusion import regressors as r

    if name == "paper":
        # the paper trains on four of five parts and names no further hold-out, so none
        # stops early; they are as long as early stopping was on earlier real posts
        late: dict[str, Any] = {"early_stopping": False}
        hierarchical = {"batch_norm": True, "max_iter": 15, **late}
        return [
            ("catboost", r.CatBoostHuberRegressor(iterations=400, **late)),
            ("tabnet", r.TabNetHuberRegressor(max_iter=40, **late)),
            ("coattention", r.CoAttentionRegressor(max_iter=15, **late)),
            ("hierarchical", r.ClipHierarchicalRegressor(**hierarchical)),
        ]
    boosting = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=0.08,
        max_iter=200,
        max_leaf_nodes=15,
        max_features=0.6,
    )
    members = [("boosting", boosting), ("kernel", kernel_ridge())]
    if name != "fast":
        members.insert(0, ("catboost", r.CatBoostHuberRegressor(iterations=300)))
    if name == "best":
        members.append(("coattention", r.CoAttentionRegressor()))
        members.append(("hierarchical", r.ClipHierarchicalRegressor()))
    return members


def kernel_ridge() -> Pipeline:
    """Return a ridge regression on 500 features of an RBF kernel, linear in rows."""
    from hyperfusion.preprocessing import NumericTable

    return Pipeline(
        [
            ("numerictable", NumericTable(impute=True, max_one_hot=1)),
            ("standardscaler", StandardScaler()),
            ("nystroem", RowLimitedNystroem(gamma=1e-3, n_components=500)),
            ("ridgecv", RidgeCV(np.logspace(-3, 3, 13))),
        ]
    )


class RowLimitedNystroem(Nystroem):
    """`Nystroem` that takes at most as many components as there are rows, unwarned."""

    n_components: int

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit on `X`; `n_components` is an upper bound."""
        limit: int = self.n_components
        self.n_components = min(limit, np.shape(X)[0])
        try:
            return super().fit(X, y)
        finally:
            self.n_components = limit
