"""param_distributions: every draw is valid, and a search runs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    StratifiedRegressionKFold,
    TabNetHuberRegressor,
    param_distributions,
)
from hyperfusion.exceptions import InvalidInputError
from tests.regressors.tables import feature_table, target_of

MEMBERS = [
    CatBoostHuberRegressor(iterations=3),
    TabNetHuberRegressor(max_iter=1),
    CoAttentionRegressor(max_iter=1),
    ClipHierarchicalRegressor(max_iter=1),
]
each_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)


@each_member
def test_every_draw_is_a_valid_parameter(member):
    space = param_distributions(member)
    for drawn in ParameterSampler(space, 50, random_state=0):
        type(member)(**drawn)._validate_params()
    assert param_distributions(type(member)).keys() == space.keys()


@each_member
def test_a_search_runs(member):
    X = feature_table(40)
    search = RandomizedSearchCV(
        member,
        param_distributions(member),
        n_iter=2,
        cv=StratifiedRegressionKFold(2),
        random_state=0,
        error_score="raise",
    ).fit(X, target_of(X))
    assert np.isfinite(search.best_score_)


def test_prefix_reaches_into_pipelines():
    names = param_distributions(CatBoostHuberRegressor, prefix="predict__catboost")
    assert all(name.startswith("predict__catboost__") for name in names)


def test_other_estimators_have_no_space():
    with pytest.raises(InvalidInputError, match="no search space for Ridge"):
        param_distributions(Ridge())
