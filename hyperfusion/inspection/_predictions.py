"""Predictions with intervals, and those of each fold's models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError

from hyperfusion.ensemble import predict_interval
from hyperfusion.ensemble._find import find_ensemble
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._parts import encode, encode_and_predict


def predict_with_folds(
    model: Any, posts: pd.DataFrame, coverage: float | None = None
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Return predictions with intervals, and the predictions of each fold.

    The posts are encoded once. A model without an ensemble has neither intervals
    (they are NaN) nor folds (None); nor has an ensemble refitted on all rows folds.
    There are no intervals without a `coverage` either.
    """
    steps, regressor = encode_and_predict(model)
    features = encode(steps, posts)
    frame = pd.DataFrame(index=posts.index)
    frame["prediction"] = np.asarray(regressor.predict(features), np.float64).ravel()
    frame["lower"] = frame["upper"] = np.nan
    try:
        ensemble, table, shift = find_ensemble(regressor, features)
    except (InvalidInputError, NotFittedError):
        return frame, None
    if coverage is not None:
        bands = predict_interval(regressor, features, coverage=coverage)
        frame["lower"], frame["upper"] = np.asarray(bands[["lower", "upper"]]).T
    if len(ensemble.estimators_) < 2:
        return frame, None
    return frame, fold_predictions(ensemble, table) + shift


def fold_predictions(ensemble: Any, table: Any) -> np.ndarray:
    """Return what each fold's weighted models predict, one row a fold."""
    rows = []
    for weights, fold in zip(ensemble.weights_, ensemble.estimators_, strict=True):
        used = np.flatnonzero(weights)
        every = [np.asarray(fold[i].predict(table), np.float64).ravel() for i in used]
        rows.append(np.average(every, axis=0, weights=weights[used]))
    return np.array(rows)
