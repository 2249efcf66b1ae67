from ._contribution_displays import AblationDisplay as AblationDisplay
from ._contribution_displays import EnsembleWeightsDisplay as EnsembleWeightsDisplay
from ._contribution_displays import ImportanceDisplay as ImportanceDisplay
from ._importance import feature_importance as feature_importance
from ._importance import (
    grouped_permutation_importance as grouped_permutation_importance,
)
from ._importance import shap_values as shap_values
from ._posting_time import PostingTimeDisplay as PostingTimeDisplay
from ._prediction_displays import DistributionDisplay as DistributionDisplay
from ._prediction_displays import PredictionIntervalDisplay as PredictionIntervalDisplay
from ._what_if import compare_drafts as compare_drafts
from ._what_if import what_if as what_if

__all__: list[str]
