"""Fixtures of the ensemble's tests."""

import numpy as np
import pytest


@pytest.fixture
def data():
    """200 rows of five numbers, and their targets."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 5))
    return X, X @ [3, 1, 0, 0, 1] + np.sin(3 * X[:, 0]) + 0.5 * rng.normal(size=200)
