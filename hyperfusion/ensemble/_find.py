"""Finds the ensemble inside pipelines, searches and wrappers."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.exceptions import InvalidInputError

_INSIDE = ("best_estimator_", "estimator_")  # of searches, of wrappers


def find_ensemble(model: Any, X: Any) -> tuple[HyperFusionRegressor, Any, Any]:
    """Return the fitted ensemble inside a model and what reaches it of `X`.

    Parameters
    ----------
    model : estimator
        An ensemble, or a Pipeline, search or wrapper around one.
    X : DataFrame or array
        What the model takes.

    Returns
    -------
    ensemble : HyperFusionRegressor
        The fitted ensemble.
    table : DataFrame or array
        `X` as the ensemble sees it.
    shift : float or ndarray of shape (n_samples,)
        What the models around it add to its predictions.
    """
    outer, shift = model, 0.0
    while not isinstance(model, HyperFusionRegressor):
        check_is_fitted(model)
        if hasattr(model, "drift_shift"):
            shift = shift + model.drift_shift(X)
        if isinstance(model, Pipeline):
            if len(model) > 1:
                X = model[:-1].transform(X)
            model = model[-1]
            continue
        inside = [getattr(model, name) for name in _INSIDE if hasattr(model, name)]
        if not inside:
            raise InvalidInputError(
                f"There is no HyperFusionRegressor inside {type(outer).__name__}: give "
                "an ensemble, or a Pipeline, a search or a wrapper (with a fitted "
                "estimator_) around one."
            )
        model = inside[0]
    check_is_fitted(model)
    return model, X, shift
