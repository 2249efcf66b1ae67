"""The members of an ensemble: presets, names, seeds, and what each can read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_array, get_tags
from sklearn.utils.validation import has_fit_parameter

from hyperfusion._anatomy import final_step
from hyperfusion._sklearn_compat import _routing_enabled
from hyperfusion.ensemble._presets import PRESETS, as_array, preset_members
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._inputs import numbered
from hyperfusion.table._frames import as_frame, check_table, validated, without_texts
from hyperfusion.table._schema import Schema

NamedMembers = list[tuple[str, Any]]


def name_members(members: Any, taken: Collection[str] = ()) -> NamedMembers:
    """Return members as (name, regressor) pairs; classes name those without a name."""
    members = "default" if members is None else members
    if isinstance(members, str) and members in PRESETS:
        return preset_members(members)
    if not isinstance(members, (list, tuple)):
        raise InvalidInputError(
            f"members must be one of {PRESETS} or a list of regressors. Got "
            f"{members!r} instead."
        )
    if len(members) == 0:
        raise InvalidInputError("members is empty: give at least one regressor.")
    pairs = [m if isinstance(m, tuple) else (None, m) for m in members]
    if any(len(pair) != 2 for pair in pairs):
        raise InvalidInputError(
            f"members must be regressors or pairs (name, regressor). Got {members!r}."
        )
    given = [name for name, _ in pairs if name is not None]
    if len(set(given)) != len(given):
        raise InvalidInputError(f"Names of members must be unique. Got {given}.")
    names = numbered([name or type(m).__name__.lower() for name, m in pairs])
    named = [(own or name, m) for (own, m), name in zip(pairs, names, strict=True)]
    for name, member in named:
        is_made = hasattr(member, "fit") and not isinstance(member, type)
        if not (is_made and is_regressor(member)):
            raise InvalidInputError(
                f"The member {name!r} must be a scikit-learn regressor. Got {member!r}."
            )
        if "__" in name or name in taken:
            raise InvalidInputError(
                f"A member's name can't contain '__', nor be the name of one of the "
                f"ensemble's parameters: {name!r}."
            )
    return named


def for_table(member: Any, X: Any) -> Any:
    """Return a clone of a member that can read `X`, if need be as numbers.

    A frame may hold missing values at predict even if it has none at fit.
    """
    tags = get_tags(member).input_tags
    if isinstance(member, Pipeline) or tags.categorical:
        return clone(member)
    if not tags.string:
        without_texts(X, type(member).__name__)
    may_miss = isinstance(X, pd.DataFrame) or _has_missing(X)
    if not _has_categories(X) and (tags.allow_nan or not may_miss):
        # scikit-learn's trees fail where a column is empty in the rows of a fold, which
        # `NumericTable` fills
        is_sklearn = type(member).__module__.startswith("sklearn.")
        if not (is_sklearn and _has_missing(X)):
            return clone(member)
    from hyperfusion.preprocessing import NumericTable

    numbers = NumericTable(impute=not tags.allow_nan)
    return make_pipeline(numbers, as_array(), clone(member))


def _has_categories(X: Any) -> bool:
    return isinstance(X, pd.DataFrame) and bool(Schema.of(X).is_category.any())


def _has_missing(X: Any) -> bool:
    if isinstance(X, pd.DataFrame):
        return any(column.hasnans for _, column in X.items())
    may_miss = isinstance(X, np.ndarray) and X.dtype.kind in "fO"
    return may_miss and bool(pd.isna(X).any())


def set_seeds(member: Any, name: str, fold: int, seed: int) -> Any:
    """Give every ``random_state`` parameter that is None a seed of its own.

    It does not depend on which other members there are.
    """
    sequence = np.random.SeedSequence([seed, fold, *name.encode()])
    rng = np.random.RandomState(sequence.generate_state(1))
    params = member.get_params(deep=True)
    names = [k for k in sorted(params) if k.split("__")[-1] == "random_state"]
    seeds = {k: int(rng.randint(2**31 - 1)) for k in names if params[k] is None}
    return member.set_params(**seeds)


def check_features(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Return a table or array that members can read; record or compare its columns.

    After a fit on a table without categories, an array is read as its columns in the
    same order.
    """
    X = as_frame(X)
    names: Any = () if reset else getattr(estimator, "feature_names_in_", ())
    is_frame = isinstance(X, pd.DataFrame)
    if len(names) and not is_frame and np.shape(X)[1:] == (len(names),):
        if estimator._has_categories:
            raise InvalidInputError(
                f"{type(estimator).__name__} was fitted on a table with categories, "
                f"got {type(X).__name__}. Give a DataFrame with the columns "
                f"{list(names[:20])}."
            )
        X = pd.DataFrame(X.toarray() if sp.issparse(X) else X, columns=names)
    if isinstance(X, pd.DataFrame):
        X = check_table(estimator, X, reset=reset)
        if reset:
            estimator._has_categories = _has_categories(X)
        return X
    if not hasattr(X, "shape"):
        X = check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator)
    return validated(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",  # whose rows can be taken
        dtype=None,
        ensure_all_finite="allow-nan",
    )


def ask_for_weights(member: Any) -> Any:
    """Return a member that requests weights if metadata routing needs that.

    Requests that were set before stay. In a pipeline the last step requests them.
    """
    if not _routing_enabled():
        return member
    member = clone(member)
    asking = [(member, True)]
    while asking:
        model, wanted = asking.pop()
        asking += [(step, False) for _, step in getattr(model, "steps", [])[:-1]]
        final = final_step(model)
        if hasattr(final, "set_fit_request"):
            routing = final.get_metadata_routing()
            own = getattr(routing, "_self_request", None) or routing  # of a router
            asked = getattr(own, "fit", None)
            if asked is not None and asked.requests.get("sample_weight", False) is None:
                final.set_fit_request(sample_weight=wanted)
    return member


def weight_parameter(member: Any) -> str | None:
    """Return the name under which a member's ``fit`` takes weights, if it does.

    In a pipeline the last step takes them; with routing, steps that ask for them.
    """
    if _routing_enabled() and isinstance(member, Pipeline):
        takes = member.get_metadata_routing().consumes("fit", ["sample_weight"])
        return "sample_weight" if takes else None
    prefix = ""
    while isinstance(member, Pipeline):
        name, member = member.steps[-1]
        prefix += f"{name}__"
    takes = has_fit_parameter(member, "sample_weight")
    return f"{prefix}sample_weight" if takes else None
