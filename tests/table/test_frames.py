"""Columns are recorded at fit and compared afterwards, by one rule for all forms."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from hyperfusion import (
    BlockPCA,
    BlockScaler,
    HyperFusionRegressor,
    IQRFilter,
    NumberEncoder,
    NumericTable,
    RelationEncoder,
)
from hyperfusion.exceptions import InvalidInputError

NAMED = pd.DataFrame(np.arange(24.0).reshape(8, 3) ** 2, columns=["a", "b", "c"])
FORMS = {
    "names": NAMED,
    "other names": NAMED.set_axis(["b", "c", "d"], axis=1),
    "fewer names": NAMED[["a", "b"]],
    "array": NAMED.to_numpy(),
    "narrow array": NAMED.to_numpy()[:, :2],
    "positions": NAMED.set_axis(range(3), axis=1),
}
ESTIMATORS = [
    BlockScaler(),
    BlockPCA(),
    NumericTable(),
    RelationEncoder(),
    IQRFilter(),
    NumberEncoder(),
    HyperFusionRegressor([Ridge()], cv=2, random_state=0),
]
Y = np.arange(8.0)

each_estimator = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=lambda e: type(e).__name__
)


def outcomes(model):
    """Return what a fitted model does with each form: numbers, warnings, errors."""
    found = {}
    for form, X in FORMS.items():
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                work = getattr(model, "transform", None) or model.predict
                done = np.asarray(work(X), dtype=float).tolist()
            except ValueError as error:
                done = str(error)
        found[form] = done, [str(w.message) for w in told]
    return found


@each_estimator
def test_only_the_columns_of_the_last_fit_count(estimator):
    for last, X in FORMS.items():
        once = outcomes(clone(estimator).fit(X, Y))
        for first in FORMS.keys() - {last}:
            again = clone(estimator).fit(FORMS[first], Y).fit(X, Y)
            assert outcomes(again) == once, (first, last)


@each_estimator
def test_known_columns_are_not_known_cells(estimator):
    model = clone(estimator).fit(NAMED, Y)
    work = getattr(model, "transform", None) or model.predict
    with pytest.raises(InvalidInputError, match="0 sample"):
        work(NAMED.iloc[:0])
    with pytest.raises(InvalidInputError, match="Complex data not supported"):
        work(NAMED * 1j)
