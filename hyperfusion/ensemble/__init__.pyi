from ._hyperfusion import HyperFusionRegressor as HyperFusionRegressor

__all__: list[str]
