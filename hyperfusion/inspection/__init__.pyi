from ._baseline import author_baseline as author_baseline
from ._importance import feature_importance as feature_importance
from ._importance import shap_values as shap_values
from ._permutation import (
    grouped_permutation_importance as grouped_permutation_importance,
)
from ._what_if import compare as compare
from ._what_if import what_if as what_if

__all__: list[str]
