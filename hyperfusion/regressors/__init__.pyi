from ._catboost import CatBoostHuberRegressor as CatBoostHuberRegressor
from ._clip_hierarchical import ClipHierarchicalRegressor as ClipHierarchicalRegressor
from ._coattention import CoAttentionRegressor as CoAttentionRegressor
from ._search_spaces import param_distributions as param_distributions
from ._tabnet import TabNetHuberRegressor as TabNetHuberRegressor

__all__: list[str]
