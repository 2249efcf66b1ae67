from ._catboost import CatBoostHuberRegressor as CatBoostHuberRegressor

__all__: list[str]
