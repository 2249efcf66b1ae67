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
    """Return the positions of each group's columns, in the order of their first."""
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
    """Return a fitted model's own importances of columns; None if it has none.

    The importances of features that a pipeline derives (such as the columns of a
    one-hot encoded category) are added to the columns that they were derived from.
    """
    sources = [[i] for i in range(n_columns)]
    for _, step in getattr(model, "steps", [])[:-1]:
        made_of = _sources(step, len(sources))
        if made_of is None:
            return None
        sources = [sorted({i for j in of for i in sources[j]}) for of in made_of]
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    values = getattr(final, "feature_importances_", None)
    if values is None or np.shape(values) != (len(sources),):
        return None
    totals = np.zeros(n_columns)
    for origin, value in zip(sources, values, strict=True):
        totals[origin] += value / max(len(origin), 1)
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
