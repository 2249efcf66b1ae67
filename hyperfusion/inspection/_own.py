"""The importances that models bring along, by the columns of the feature table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from hyperfusion.table._features import stem_of

# what `NumericTable` and `BlockImputer` append to the names of columns
_SEPARATORS = ("=", "_target_mean", "_frequency", "_missing")


def own_importances(model: Any, columns: Sequence[Any]) -> np.ndarray | None:
    """Return a fitted model's own importances of columns; None where it has none.

    Those of a pipeline's derived features (such as the columns of zeros and ones of
    a category) are added to the column that they were made of.
    """
    if not isinstance(model, Pipeline):
        return _values(model, len(columns))
    names = _names_inside(model, columns)
    values = _values(model[-1], len(names)) if names is not None else None
    if names is None or values is None:
        return None
    return _by_origin(values, names, columns)


def _values(model: Any, n_columns: int) -> np.ndarray | None:
    values = getattr(model, "feature_importances_", None)
    if values is None or np.shape(values) != (n_columns,):
        return None
    return np.asarray(values, dtype=np.float64)


def _names_inside(pipeline: Pipeline, columns: Sequence[Any]) -> list[str] | None:
    """Return the names of the features that reach a pipeline's last step."""
    names = [str(c) for c in columns]
    for _, step in pipeline.steps[:-1]:
        if step is None or step == "passthrough":
            continue
        try:
            names = [str(n) for n in step.get_feature_names_out(names)]
        except (AttributeError, ValueError):
            # a plain function that keeps the columns has no names; others do
            if getattr(step, "func", None) is not np.array:
                return None
    return names


def _by_origin(
    values: np.ndarray, names: Sequence[str], columns: Sequence[Any]
) -> np.ndarray | None:
    labels = [str(column) for column in columns]
    place = {label: [i] for i, label in enumerate(labels)}
    totals = np.zeros(len(columns))
    for name, value in zip(names, values, strict=True):
        origin = place.get(name) or _origin(name, labels)
        if not origin:
            return None
        totals[origin] += value / len(origin)
    return totals


def _origin(name: str, labels: Sequence[str]) -> list[int]:
    """Return the columns that a derived feature comes from: one, or a whole vector."""
    found = [
        (len(label), i)
        for i, label in enumerate(labels)
        if name.startswith(label) and name[len(label) :].startswith(_SEPARATORS)
    ]
    if found:
        return [max(found)[1]]
    stem = name.removesuffix("_missing")
    return [i for i, label in enumerate(labels) if stem_of(label) == stem != name]
