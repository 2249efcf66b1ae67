from ._ablation_display import AblationDisplay as AblationDisplay
from ._baseline import user_baseline as user_baseline
from ._distribution_display import DistributionDisplay as DistributionDisplay
from ._importance import feature_importance as feature_importance
from ._importance import shap_values as shap_values
from ._importance_display import ImportanceDisplay as ImportanceDisplay
from ._interval_display import PredictionIntervalDisplay as PredictionIntervalDisplay
from ._permutation import (
    grouped_permutation_importance as grouped_permutation_importance,
)
from ._posting_time import PostingTimeDisplay as PostingTimeDisplay
from ._pseudo_label_display import PseudoLabelDisplay as PseudoLabelDisplay
from ._training_display import TrainingCurveDisplay as TrainingCurveDisplay
from ._weights_display import EnsembleWeightsDisplay as EnsembleWeightsDisplay
from ._what_if import compare_drafts as compare_drafts
from ._what_if import what_if as what_if

__all__: list[str]
