"""Find the ensemble and other parts of pipelines, searches and wrappers.

Parts are recognized by their attributes, so nothing else of the package is imported.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from hyperfusion.exceptions import InvalidInputError


def is_ensemble(model: Any) -> bool:
    """Whether a model is a `HyperFusionRegressor`."""
    return hasattr(model, "members") and hasattr(model, "weights_per")


def is_search(model: Any) -> bool:
    """Whether a model is one of scikit-learn's searches."""
    return all(hasattr(model, name) for name in ("estimator", "refit", "scoring"))


def is_fitted(model: Any) -> bool:
    """Whether a model is a fitted estimator."""
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        return False
    return True


def inner(model: Any) -> Any:
    """Return the model one level deeper; None for an ensemble or a lone regressor."""
    if is_ensemble(model):
        return None
    if hasattr(model, "steps"):
        return model.steps[-1][1]
    for name in ("best_estimator_", "regressor_", "estimator_"):
        inside = getattr(model, name, None)
        if inside is not None and is_fitted(inside):  # bagging keeps a template there
            return inside
    if is_fitted(model):
        return None
    given = (getattr(model, name, None) for name in ("estimator", "regressor"))
    return next((m for m in given if hasattr(m, "fit")), None)


def layers(model: Any) -> Iterator[Any]:
    """Yield a model and the models inside it, the outermost first."""
    while model is not None:
        yield model
        model = inner(model)


def walk(model: Any) -> Iterator[Any]:
    """Yield a model, all steps and models inside it, and the parts of encoders."""
    for layer in layers(model):
        yield layer
        for _, step in getattr(layer, "steps", [])[:-1]:
            yield from walk(step)
        yield from (part.encoder for part in getattr(layer, "components_", ()))


def final_step(model: Any) -> Any:
    """Return the last step of a pipeline (of pipelines), or the model itself."""
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return model


def parameter_path(model: Any) -> str | None:
    """Return the prefix of the parameters of the ensemble inside a model, if any."""
    names = (n for n in model.get_params() if n.split("__")[-1] == "weights_per")
    found = (name.removesuffix("weights_per") for name in names)
    return min(found, key=len, default=None)


def folds_parameter(model: Any) -> str | None:
    """Return the name of the parameter that holds the folds of the ensemble inside."""
    path = parameter_path(model)
    if path is None:
        return None
    params, outer = model.get_params(), path.removesuffix("estimator__")
    if f"{outer}min_gain_se" in params and params[f"{outer}cv"] is not None:
        return f"{outer}cv"
    return f"{path}cv"


@dataclass(frozen=True)
class Anatomy:
    """A fitted model taken apart.

    `steps` turn raw columns into features, from which `regressor` (the ensemble, if
    there is one) predicts; `targets` transform the target, the outermost first.
    """

    steps: list[Any]
    regressor: Any
    targets: list[Any]

    @classmethod
    def of(cls, model: Any) -> Anatomy:
        """Take a fitted pipeline, search, wrapper, ensemble or lone regressor apart."""
        steps: list[Any] = []
        targets = []
        regressor = model
        for layer in layers(model):
            regressor = layer
            try:
                check_is_fitted(layer)
            except NotFittedError:
                raise
            except (TypeError, AttributeError) as error:
                raise _no_model(model) from error
            if hasattr(layer, "steps"):
                steps += [s for _, s in layer.steps[:-1] if hasattr(s, "transform")]
            elif hasattr(layer, "regressor_"):
                targets.append(layer.transformer_)
            elif hasattr(layer, "estimator_") and hasattr(layer, "support_"):
                steps.append(layer)  # selects columns, as RFE does
        if not hasattr(regressor, "predict"):
            raise _no_model(model)
        return cls(steps, regressor, targets)

    @property
    def ensemble(self) -> Any:
        """The `HyperFusionRegressor` inside, or None."""
        return self.regressor if is_ensemble(self.regressor) else None

    @property
    def models(self) -> list[list[tuple[str, float, Any]]]:
        """Name, weight and fitted model of each member, fold by fold."""
        if self.ensemble is None:
            return [[("model", 1.0, self.regressor)]]
        names = [name for name, _ in self.ensemble.members_]
        weights = self.ensemble._per_fit(self.ensemble.weights_)
        return [
            list(zip(names, map(float, row), fold, strict=True))
            for row, fold in zip(weights, self.ensemble.estimators_, strict=True)
        ]

    def find(self, kind: type) -> Any:
        """Return the first step, or part of an encoder, of a class, or None."""
        parts = (part for step in self.steps for part in walk(step))
        return next((part for part in parts if isinstance(part, kind)), None)

    def features(self, X: Any) -> Any:
        """Return the features of raw rows, as the regressor gets them."""
        for step in self.steps:
            X = step.transform(X)
        return X

    def to_target(self, values: Any) -> np.ndarray:
        """Return predictions in units of the model's target; infinite ones stay."""
        values = np.array(values, dtype=np.float64)
        finite = np.isfinite(values)
        for transformer in reversed(self.targets):
            column = values[finite].reshape(-1, 1)
            if len(column):
                back = transformer.inverse_transform(column)
                values[finite] = np.asarray(back).reshape(-1)
        return values

    def predict(self, features: Any) -> np.ndarray:
        """Return what the whole model predicts from features."""
        values = np.asarray(self.regressor.predict(features), dtype=np.float64)
        return self.to_target(values.reshape(-1))


def _no_model(model: Any) -> InvalidInputError:
    return InvalidInputError(
        "model must be a fitted regressor, or a Pipeline, search or wrapper around "
        f"one. Got {reprlib.repr(model)}."
    )


def ensemble_inside(model: Any) -> Anatomy:
    """Take a fitted model apart; raise where there is no ensemble inside."""
    parts = Anatomy.of(model)
    if parts.ensemble is None:
        raise InvalidInputError(
            f"There is no HyperFusionRegressor inside {type(model).__name__}: give "
            "an ensemble, or a Pipeline, a search or a wrapper around one."
        )
    return parts
