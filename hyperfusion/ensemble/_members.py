"""The members of an ensemble: presets, names, seeds, and what each can read."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone, is_regressor
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._old import category_columns

PRESETS = ("default", "fast")
NamedMembers = list[tuple[str, Any]]


def preset_members(name: str) -> NamedMembers:
    """Return a fresh list of a preset's members, by name.

    "default" are the paper's four (section 3.4). "fast" are three of different kinds
    without a network.
    """
    return _fast_members() if name == "fast" else _paper_members()


def _paper_members() -> NamedMembers:
    from hyperfusion.regressors import (
        CatBoostHuberRegressor,
        ClipHierarchicalRegressor,
        CoAttentionRegressor,
        TabNetHuberRegressor,
    )

    return [
        ("catboost", CatBoostHuberRegressor(iterations=600)),
        ("tabnet", TabNetHuberRegressor()),
        ("coattention", CoAttentionRegressor()),
        ("hierarchical", ClipHierarchicalRegressor()),
    ]


def _fast_members() -> NamedMembers:
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    from hyperfusion.preprocessing import NumericTable
    from hyperfusion.regressors import CatBoostHuberRegressor

    smooth = Pipeline(
        [
            ("numerictable", NumericTable(impute=True, max_one_hot=1)),
            ("standardscaler", StandardScaler()),
            ("nystroem", RowLimitedNystroem(gamma=2e-3, n_components=500)),
            ("ridgecv", RidgeCV(np.logspace(-3, 3, 13))),
        ]
    )
    return [
        ("catboost", CatBoostHuberRegressor(iterations=600)),
        (
            "trees",
            ExtraTreesRegressor(200, min_samples_leaf=3, max_features=0.5),
        ),
        ("kernel", smooth),
    ]


class RowLimitedNystroem(Nystroem):
    """`Nystroem` that takes at most as many components as there are rows, unwarned."""

    n_components: int

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit on `X`; `n_components` is an upper bound.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted transformer.
        """
        limit: int = self.n_components
        self.n_components = min(limit, np.shape(X)[0])
        try:
            return super().fit(X, y)
        finally:
            self.n_components = limit


def name_members(members: Any) -> NamedMembers:
    """Return members as a list of (name, regressor) pairs.

    Takes a preset's name, None for the default preset, a list of regressors (named
    after their classes, numbered where a class comes twice) or the pairs themselves.
    """
    if members is None:
        return preset_members("default")
    if isinstance(members, str):
        if members not in PRESETS:
            raise InvalidInputError(
                f"members must be one of {PRESETS} or a list of regressors. Got "
                f"{members!r} instead."
            )
        return preset_members(members)
    if len(members) == 0:
        raise InvalidInputError("members is empty: give at least one regressor.")
    pairs = [m if isinstance(m, tuple) else (None, m) for m in members]
    names = _unique_names(pairs)
    for name, member in zip(names, (m for _, m in pairs), strict=True):
        if not (is_regressor(member) and hasattr(member, "fit")):
            raise InvalidInputError(
                f"The member {name!r} must be a scikit-learn regressor. Got {member!r}."
            )
        if "__" in name:
            raise InvalidInputError(f"A member's name can't contain '__': {name!r}.")
    return list(zip(names, (m for _, m in pairs), strict=True))


def _unique_names(pairs: list[tuple[str | None, Any]]) -> list[str]:
    wanted = [name or type(member).__name__.lower() for name, member in pairs]
    given = [name for name, _ in pairs if name is not None]
    if len(set(given)) != len(given):
        raise InvalidInputError(f"Names of members must be unique. Got {given}.")
    names = []
    for i, name in enumerate(wanted):
        repeated = wanted.count(name) > 1 and pairs[i][0] is None
        names.append(f"{name}-{wanted[: i + 1].count(name)}" if repeated else name)
    return names


def for_table(member: Any, X: Any) -> Any:
    """Return a clone of a member that can read `X`.

    Pipelines and regressors whose tag says that they take categories get the table
    as it is; any other regressor gets numbers, through `NumericTable`. A frame may
    hold missing values at predict even where it has none at fit.
    """
    tags = get_tags(member).input_tags
    if isinstance(member, Pipeline) or tags.categorical:
        return clone(member)
    may_miss = isinstance(X, pd.DataFrame) or _has_missing(X)
    # a frame gives read-only arrays, which some of scikit-learn's regressors refuse
    writable = FunctionTransformer(np.array)
    if not category_columns(X) and (tags.allow_nan or not may_miss):
        if _is_sklearn(member) and isinstance(X, pd.DataFrame) and _has_missing(X):
            return make_pipeline(writable, clone(member))
        return clone(member)
    from hyperfusion.preprocessing import NumericTable

    numbers = NumericTable(impute=not tags.allow_nan)
    return make_pipeline(numbers, writable, clone(member))


def _is_sklearn(member: Any) -> bool:
    return type(member).__module__.startswith("sklearn.")


def _has_missing(X: Any) -> bool:
    if isinstance(X, pd.DataFrame):
        return any(column.hasnans for _, column in X.items())
    is_float = isinstance(X, np.ndarray) and X.dtype.kind == "f"
    return is_float and bool(np.isnan(X).any())


def set_seeds(member: Any, rng: np.random.RandomState) -> Any:
    """Give every ``random_state`` parameter that is None a seed of its own."""
    params = member.get_params(deep=True)
    names = [k for k in sorted(params) if k.split("__")[-1] == "random_state"]
    seeds = {k: int(rng.randint(2**31 - 1)) for k in names if params[k] is None}
    return member.set_params(**seeds)
