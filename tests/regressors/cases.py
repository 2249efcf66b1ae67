"""Small, fast arguments for the common tests."""

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    TabNetHuberRegressor,
)
from tests.common import Case

STOCHASTIC = (
    "weights and repeated rows draw different random numbers (held-out rows, splits)"
)
WEIGHT_EQUIVALENCE = {
    "check_sample_weight_equivalence_on_dense_data": STOCHASTIC,
}

CASES: list[Case] = [
    Case(
        CatBoostHuberRegressor(
            iterations=20,  # few trees, so that each must be a large step
            learning_rate=0.3,
            depth=3,
            n_threads=1,
            random_state=0,
            early_stopping=False,
        ),
        expected_failures=WEIGHT_EQUIVALENCE,
        stochastic=True,
    ),
    Case(
        TabNetHuberRegressor(
            n_d=16,
            n_steps=1,
            dropout=0.0,
            weight_decay=0.01,
            max_iter=12,
            early_stopping=False,
            random_state=0,
        ),
        expected_failures=WEIGHT_EQUIVALENCE,
        stochastic=True,
    ),
    Case(
        CoAttentionRegressor(
            hidden_size=32,
            learning_rate=0.02,
            max_iter=8,
            early_stopping=False,
            random_state=0,
        ),
        expected_failures=WEIGHT_EQUIVALENCE,
        stochastic=True,
    ),
    Case(
        ClipHierarchicalRegressor(
            hidden_size=16,
            final_sizes=(16,),
            learning_rate=0.02,
            max_iter=6,
            early_stopping=False,
            random_state=0,
        ),
        expected_failures=WEIGHT_EQUIVALENCE,
        stochastic=True,
    ),
]
