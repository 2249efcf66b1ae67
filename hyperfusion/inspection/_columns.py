"""Groups of columns, and the importances that models have for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table import Schema
from hyperfusion.table._names import FAMILIES
from hyperfusion.table._schema import LEVELS, PLAIN

Groups = dict[Hashable, list[Any]]


def group_columns(schema: Schema, by: Any) -> Groups:
    """Return the groups of columns, in the order of their first columns."""
    groups: Groups = {}
    if isinstance(by, Mapping):
        known = set(schema.columns)
        for name, members in by.items():
            is_one = isinstance(members, str) or not isinstance(members, Iterable)
            groups[name] = [members] if is_one else list(members)
            unknown = [c for c in groups[name] if c not in known]
            if unknown:
                raise InvalidInputError(
                    f"by[{name!r}] names columns that the table lacks: {unknown[:5]}. "
                    f"It has {list(schema.columns)[:20]}."
                )
            if not groups[name]:
                raise InvalidInputError(f"by[{name!r}] is empty: name a column.")
        if not groups:
            raise InvalidInputError("by is an empty dict: name at least one group.")
        return groups
    if not isinstance(by, str) or by not in LEVELS:
        raise InvalidInputError(
            f"by must be one of {LEVELS} or a dict of names and columns. Got {by!r}."
        )
    for name, column in zip(schema.group_names(by), schema.columns, strict=True):
        groups.setdefault(name, []).append(column)
    return groups


def sum_groups(values: np.ndarray, columns: Sequence[Any], groups: Groups) -> Any:
    """Sum the last axis of an array over the columns of each group."""
    place = {column: i for i, column in enumerate(columns)}
    sums = [
        values[..., [place[c] for c in members]].sum(axis=-1)
        for members in groups.values()
    ]
    return np.stack(sums, axis=-1)


def ranked(
    schema: Schema, groups: Groups, by: Any, values: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Return one row per group, the most important first, ranked from 1."""
    label = by if isinstance(by, str) else "group"
    table: dict[str, Any] = {label: pd.Series(list(groups), dtype=object)}
    if label in ("feature", "vector"):
        for level in ("block", "family"):
            names = dict(zip(schema.columns, schema.group_names(level), strict=True))
            table[level] = [names[members[0]] for members in groups.values()]
    if label == "block":
        table["family"] = [FAMILIES.get(str(block), PLAIN) for block in groups]
    table |= values
    if label != "feature":
        table["n_features"] = [len(members) for members in groups.values()]
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
