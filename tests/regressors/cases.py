"""Small, fast arguments for the common tests."""

from hyperfusion import CatBoostHuberRegressor
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
            iterations=20, depth=3, n_threads=1, random_state=0, early_stopping=False
        ),
        expected_failures=WEIGHT_EQUIVALENCE,
        stochastic=True,
    ),
]
