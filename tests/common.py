"""What the common tests need to know of every public estimator.

Each folder of the tests has a module ``cases.py`` with a list ``CASES``; the
common tests run over all of them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

import hyperfusion


@dataclass
class Case:
    """One estimator with small, fast arguments.

    `X` (and `y`) are for estimators that take text, images or tables: they go
    through the twin checks. Without `X` scikit-learn's own checks run, and the
    common checks use numbers. `expected_failures` maps the name of one of
    scikit-learn's checks to the reason why it must fail.
    """

    estimator: BaseEstimator
    X: Any = None
    y: Any = None
    expected_failures: dict[str, str] = field(default_factory=dict)
    stochastic: bool = False

    @property
    def id(self) -> str:
        return type(self.estimator).__name__

    @property
    def data(self) -> tuple[Any, Any]:
        if self.X is not None:
            return self.X, self.y
        rng = np.random.RandomState(0)
        X = rng.normal(size=(40, 4))
        return X, X[:, 0] + 0.1 * rng.normal(size=40)

    @cached_property
    def fitted(self) -> BaseEstimator:
        """The estimator, fitted once for all tests that only read it."""
        X, y = self.data
        return clone(self.estimator).fit(X, y)


def public_estimators() -> dict[str, type]:
    """Every public estimator of the package, found by its name."""
    found = {name: getattr(hyperfusion, name) for name in hyperfusion.__all__}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, BaseEstimator)
    }


def all_cases() -> list[Case]:
    """The cases of all folders, in a fixed order."""
    here = Path(__file__).parent
    cases: list[Case] = []
    for path in sorted(here.glob("*/cases.py")):
        cases += importlib.import_module(f"tests.{path.parent.name}.cases").CASES
    return cases


def take(X: Any, rows: Any) -> Any:
    """Rows of a frame, array or list."""
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X.iloc[rows]
    if isinstance(X, np.ndarray):
        return X[rows]
    return [X[i] for i in rows]


def as_array(values: Any) -> np.ndarray:
    """Numbers of an output: categories become codes of their sorted levels."""
    if hasattr(values, "toarray"):
        return values.toarray()
    if isinstance(values, pd.DataFrame):
        columns = [_column(values[c]) for c in values]
        return np.column_stack(columns) if columns else np.empty((len(values), 0))
    return np.asarray(values)


def _column(series: pd.Series) -> np.ndarray:
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.astype(object).map(hash, na_action="ignore").astype(float)
    return series.to_numpy()
