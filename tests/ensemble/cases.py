"""Small, fast arguments for the common tests."""

from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    HyperFusionRegressor,
    PseudoLabelWrapper,
)
from tests.common import Case

CASES: list[Case] = [
    Case(
        HyperFusionRegressor(
            [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3))],
            cv=2,
            random_state=0,
        ),
    ),
    Case(PseudoLabelWrapper(Ridge(), cv=2, random_state=0)),
    Case(PseudoLabelWrapper(HyperFusionRegressor([Ridge()], cv=2, random_state=0))),
]
