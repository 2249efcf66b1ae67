from ._hyperfusion import HyperFusionRegressor as HyperFusionRegressor
from ._intervals import coverage_report as coverage_report
from ._intervals import predict_interval as predict_interval

__all__: list[str]
