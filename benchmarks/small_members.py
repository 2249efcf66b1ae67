"""Members of different kinds that take seconds, for benchmarks of everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import CatBoostHuberRegressor, NumericTable


def scaled(model: RegressorMixin) -> Any:
    """Build a pipeline that gives a model standardized numbers."""
    numbers = NumericTable(impute=True, max_one_hot=1)
    return make_pipeline(numbers, StandardScaler(), model)


def boosting(n_trees: int) -> CatBoostHuberRegressor:
    """Build a short CatBoost."""
    return CatBoostHuberRegressor(iterations=n_trees, learning_rate=0.1)


def trees(n_trees: int) -> ExtraTreesRegressor:
    """Build extremely randomized trees."""
    return ExtraTreesRegressor(n_trees, min_samples_leaf=3, max_features=0.5)


def ridge() -> Any:
    """Build a ridge regression that chooses its own penalty."""
    return scaled(RidgeCV(np.logspace(0, 4, 9)))
