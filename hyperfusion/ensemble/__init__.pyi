from ._drift import drift_report as drift_report
from ._drift import recency_weights as recency_weights
from ._hyperfusion import HyperFusionRegressor as HyperFusionRegressor
from ._intervals import coverage_report as coverage_report
from ._intervals import predict_interval as predict_interval
from ._pseudo_label import PseudoLabelWrapper as PseudoLabelWrapper

__all__: list[str]
