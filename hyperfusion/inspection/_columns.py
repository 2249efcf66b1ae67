"""Groups of columns, and the importances that models have for them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin

from hyperfusion.table import Schema
from hyperfusion.table._schema import LEVELS

Groups = dict[Hashable, list[int]]


def group_columns(schema: Schema, by: str) -> Groups:
    """Return the positions of each group's columns, in order of first appearance."""
    groups: Groups = {}
    for position, name in enumerate(schema.group_names(by)):
        groups.setdefault(name, []).append(position)
    return groups


def sum_groups(values: np.ndarray, groups: Groups) -> np.ndarray:
    """Sum the last axis of an array over the columns of each group."""
    sums = [values[..., columns].sum(axis=-1) for columns in groups.values()]
    return np.stack(sums, axis=-1)


def ranked(
    schema: Schema, groups: Groups, by: str, values: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Return one row per group, the most important first, ranked from 1."""
    table: dict[str, Any] = {by: pd.Series(list(groups), dtype=object)}
    for level in LEVELS[max(LEVELS.index(by) + 1, 2) :]:
        names = schema.group_names(level)
        table[level] = [names[columns[0]] for columns in groups.values()]
    table |= values
    if by != "feature":
        table["n_features"] = [len(columns) for columns in groups.values()]
    frame = pd.DataFrame(table)
    frame = frame.sort_values("importance", ascending=False, kind="stable")
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="rank"))


def spread(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation over folds or repeats; NaN for a single one."""
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    return values.std(axis=0, ddof=1)


def own_importances(model: Any, n_columns: int) -> np.ndarray | None:
    """Return a fitted model's own importances of columns; None if it has none."""
    final = model[-1] if hasattr(model, "steps") else model
    values = getattr(final, "feature_importances_", None)
    if values is None or np.ndim(values) != 1:
        return None
    shared = _shared_out(np.asarray(values)[None], model, n_columns)
    return None if shared is None else shared[0]


def own_shap(model: Any, X: Any) -> np.ndarray | None:
    """Return SHAP values of columns and, last, their base; None if it has none."""
    final = model[-1] if hasattr(model, "steps") else model
    if not hasattr(final, "_shap_values"):
        return None
    values = final._shap_values(X if final is model else model[:-1].transform(X))
    columns = _shared_out(values[:, :-1], model, X.shape[1])
    return None if columns is None else np.column_stack([columns, values[:, -1]])


def _shared_out(values: np.ndarray, model: Any, n_columns: int) -> np.ndarray | None:
    """Share out values of a last step's features among the columns they come from."""
    origins = [[i] for i in range(n_columns)]
    for _, step in getattr(model, "steps", [])[:-1]:
        made_of = _sources(step, len(origins))
        if made_of is None:
            return None
        origins = [sorted({i for j in of for i in origins[j]}) for of in made_of]
    if len(origins) != values.shape[1]:
        return None
    totals = np.zeros((len(values), n_columns))
    for origin, own in zip(origins, values.T, strict=True):
        totals[:, origin] += own[:, None] / max(len(origin), 1)
    return totals


def _sources(step: Any, n_inputs: int) -> list[list[int]] | None:
    """Return the inputs that each output of a step comes from; None if unknown."""
    if hasattr(step, "sources_"):
        return step.sources_
    if hasattr(step, "get_support"):
        return [[int(i)] for i in step.get_support(indices=True)]
    copies = getattr(step, "func", None) is np.array or step in (None, "passthrough")
    if copies or isinstance(step, OneToOneFeatureMixin):
        return [[i] for i in range(n_inputs)]
    return None
