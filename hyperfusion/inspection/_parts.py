"""A fitted model taken apart: what encodes, what predicts, the ensemble inside."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from hyperfusion.encoders import PostEncoder
from hyperfusion.ensemble import HyperFusionRegressor
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame, check_columns


@dataclass(frozen=True)
class Parts:
    """A fitted model taken apart.

    Attributes
    ----------
    steps : list of transformers
        What turns raw columns into features; empty for a lone regressor.
    regressor : regressor
        What predicts from the features.
    ensemble : HyperFusionRegressor or None
        The ensemble inside the regressor.
    """

    steps: list[Any]
    regressor: Any
    ensemble: HyperFusionRegressor | None

    def features(self, X: Any) -> Any:
        """Return the features of raw rows."""
        return encode(self.steps, X)

    @property
    def models(self) -> list[list[tuple[str, float, Any]]]:
        """Name, weight and fitted model of each member, fold by fold.

        Weights of a fold add up to 1. A lone regressor is one member of one fold.
        """
        ensemble = self.ensemble
        if ensemble is None:
            return [[("model", 1.0, self.regressor)]]
        names = [name for name, _ in ensemble.members_]
        weights = ensemble.weights_
        if len(weights) != len(ensemble.estimators_):
            weights = weights.mean(axis=0, keepdims=True)
        return [
            list(zip(names, map(float, row), fold, strict=True))
            for row, fold in zip(weights, ensemble.estimators_, strict=True)
        ]


def encode(steps: list[Any], X: Any) -> Any:
    """Send rows through transformers."""
    for step in steps:
        X = step.transform(X)
    return X


def take_apart(model: Any) -> Parts:
    """Take a fitted pipeline, search, wrapper, ensemble or lone regressor apart."""
    steps, regressor = encode_and_predict(model)
    inside = _inside(regressor)
    if isinstance(inside, Pipeline):  # a wrapper around a whole pipeline
        parts = take_apart(inside)
        return Parts(steps + parts.steps, parts.regressor, parts.ensemble)
    ensemble = inside if isinstance(inside, HyperFusionRegressor) else None
    return Parts(steps, regressor, ensemble)


def encode_and_predict(model: Any) -> tuple[list[Any], Any]:
    """Return what encodes and what predicts; no wrapper is looked into.

    The second predicts from the first's output what `model` predicts.
    """
    steps: list[Any] = []
    model = getattr(model, "best_estimator_", model)
    while isinstance(model, Pipeline):
        check_is_fitted(model)
        every = [step for _, step in model.steps]
        steps += [s for s in every[:-1] if s is not None and s != "passthrough"]
        model = getattr(every[-1], "best_estimator_", every[-1])
    if not hasattr(model, "predict"):
        raise InvalidInputError(
            f"model must be a fitted regressor or a Pipeline that ends in one. Got "
            f"{model!r}."
        )
    check_is_fitted(model)
    return steps, model


def _inside(regressor: Any) -> Any:
    """Return the fitted model inside a wrapper, or the regressor itself."""
    if isinstance(regressor, HyperFusionRegressor):
        return regressor
    inside = getattr(regressor, "estimator_", None)
    if isinstance(inside, (HyperFusionRegressor, Pipeline)) and _is_fitted(inside):
        return inside
    return regressor


def _is_fitted(model: Any) -> bool:
    try:
        check_is_fitted(model)
    except NotFittedError:  # bagging keeps an unfitted template under this name
        return False
    return True


def find_step(parts: Parts, kind: type) -> Any:
    """Return the first step of a class, also inside a `PostEncoder`; None if none."""
    return next((s for s in _walk(parts.steps) if isinstance(s, kind)), None)


def _walk(steps: list[Any]) -> Iterator[Any]:
    for step in steps:
        yield step
        if isinstance(step, Pipeline):
            yield from _walk([inner for _, inner in step.steps])
        yield from (c.encoder for c in getattr(step, "components_", ()))


def role_column(
    parts: Parts, X: pd.DataFrame, given: Hashable | None, role: str, what: str
) -> Hashable:
    """Return a column of posts: the one named, or that of the model's role.

    Parameters
    ----------
    parts : Parts
        The model, whose `PostEncoder` knows the roles.
    X : DataFrame
        Posts.
    given : column or None
        What the user named.
    role : str
        The role, which is the name of the user's parameter as well.
    what : str
        What the column holds, for the message.
    """
    if given is None:
        encoder = find_step(parts, PostEncoder)
        found = [] if encoder is None else encoder.roles_[role]
        if not found:
            raise InvalidInputError(
                f"{role}=None needs a model with a {role} role. Name the column of "
                f"{what}; there are {list(X.columns)[:20]}."
            )
        given = found[0]
    return check_columns(X, given, role)[0]


def check_rows(X: Any) -> pd.DataFrame | np.ndarray:
    """Return rows as a DataFrame or a two-dimensional array."""
    X = as_frame(X)
    if sp.issparse(X):
        raise InvalidInputError(
            "X is a sparse matrix, whose columns can't be permuted one by one here. "
            "Give X.toarray(), or fewer columns."
        )
    if isinstance(X, pd.DataFrame):
        return X
    X = np.asarray(X)
    if X.ndim != 2:
        raise InvalidInputError(
            f"X must be a table of rows and columns. Got shape {X.shape}."
        )
    return X


def columns_of(X: Any) -> list[Any]:
    """Return the columns of a table: labels, or positions of an array's."""
    return list(X.columns) if hasattr(X, "columns") else list(range(X.shape[1]))
