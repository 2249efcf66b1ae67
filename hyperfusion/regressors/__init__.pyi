from ._catboost import CatBoostHuberRegressor as CatBoostHuberRegressor
from ._search_spaces import param_distributions as param_distributions
from .networks._members import (
    ClipHierarchicalRegressor as ClipHierarchicalRegressor,
)
from .networks._members import CoAttentionRegressor as CoAttentionRegressor
from .networks._members import TabNetHuberRegressor as TabNetHuberRegressor

__all__: list[str]
