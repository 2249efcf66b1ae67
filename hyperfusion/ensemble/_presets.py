"""The presets: members of an ensemble, chosen by name."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hyperfusion.table import Schema

PRESETS = ("fast", "default", "best", "paper")


def preset_members(name: str) -> list[tuple[str, Any]]:
    """Return a fresh list of a preset's members, by name.

    They err differently: "fast" are boosted trees, a smooth function, and trees that
    read neither pictures nor texts, "default" adds CatBoost with and without these,
    "best" two networks as well. "paper" are the four of section 3.4.
    """
    from hyperfusion import regressors as r
    from hyperfusion.preprocessing import NumericTable

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
    context = ContextColumns(), NumericTable()
    members: list[tuple[str, Any]] = [
        ("boosting", boosted_trees()),
        ("kernel", kernel_ridge()),
        ("context", make_pipeline(*context, as_array(), boosted_trees())),
    ]
    if name != "fast":
        members.insert(0, ("catboost", r.CatBoostHuberRegressor(iterations=300)))
        long = r.CatBoostHuberRegressor(iterations=1000, depth=4, early_stopping=False)
        members.append(("context_catboost", make_pipeline(ContextColumns(), long)))
    if name == "best":
        members.append(("coattention", r.CoAttentionRegressor()))
        members.append(("hierarchical", r.ClipHierarchicalRegressor()))
    return members


def boosted_trees() -> HistGradientBoostingRegressor:
    """Return boosted trees for the absolute error."""
    return HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=0.08,
        max_iter=200,
        max_leaf_nodes=15,
        max_features=0.6,
    )


def as_array() -> FunctionTransformer:
    """Return a step that makes a frame an array which can be written to.

    Some of scikit-learn's regressors refuse read-only arrays, which a frame gives, and
    each step would check the names of a frame's columns anew.
    """
    return FunctionTransformer(np.array)


class ContextColumns(TransformerMixin, BaseEstimator):
    """Drop the features of pictures and texts, unless there are no others.

    If these say little about the target, their many columns add noise.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the columns of a feature table that stay; an array keeps all."""
        schema = Schema.of(X)
        content = {*schema.leaving_with("visual"), *schema.leaving_with("textual")}
        columns = [*enumerate(schema.columns)]
        kept = [i for i, name in columns if name not in content]
        self.sources_ = [[i] for i in kept] or [[i] for i, _ in columns]
        return self

    def transform(self, X: Any) -> Any:
        """Return the columns that stay."""
        if not isinstance(X, pd.DataFrame):
            return X
        return X.iloc[:, [i for (i,) in self.sources_]]


def kernel_ridge() -> Pipeline:
    """Return a ridge regression on 500 features of an RBF kernel, linear in rows."""
    from hyperfusion.preprocessing import NumericTable

    return Pipeline(
        [
            ("numerictable", NumericTable(impute=True, max_one_hot=1)),
            ("functiontransformer", as_array()),
            ("standardscaler", StandardScaler()),
            ("nystroem", RowLimitedNystroem(gamma=1e-3, n_components=500)),
            ("ridgecv", RidgeCV(np.logspace(-3, 3, 13))),
        ]
    )


class RowLimitedNystroem(Nystroem):
    """`Nystroem` with at most as many components as rows, without a warning."""

    n_components: int

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit on `X`; `n_components` is an upper bound."""
        limit: int = self.n_components
        self.n_components = min(limit, np.shape(X)[0])
        try:
            return super().fit(X, y)
        finally:
            self.n_components = limit
