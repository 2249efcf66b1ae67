"""Importances by feature, vector, block and family."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._anatomy import Anatomy
from hyperfusion._sklearn_compat import Interval, StrOptions, validate_params
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._columns import (
    Groups,
    group_columns,
    own_importances,
    ranked,
    spread,
    sum_groups,
)
from hyperfusion.inspection._posts import check_rows
from hyperfusion.table import Schema


@validate_params(
    {
        "method": [StrOptions({"model", "shap"})],
        "n_top": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def feature_importance(
    model: Any,
    X: Any = None,
    *,
    method: str = "model",
    by: Any = "feature",
    n_top: int | None = None,
) -> pd.DataFrame:
    """Rank features by their importance in percent, with their blocks and families.

    The paper's table 2 (section 4.3.3) is ``feature_importance(model, n_top=20)``. In
    an ensemble, the importances of the members that have them (CatBoost, TabNet, trees)
    are averaged with the members' weights in each fold.

    Parameters
    ----------
    model : fitted regressor or Pipeline
        An ensemble, a Pipeline, search or wrapper around one, or a single regressor.
    X : DataFrame or array of shape (n_posts, n_columns), default=None
        Posts to explain, as for ``model.predict``. Only for ``method="shap"``.
    method : {"model", "shap"}, default="model"
        "model" uses the models' own importances, which cost nothing but favor features
        with many values, such as the user. "shap" uses the mean absolute SHAP values
        over `X` (CatBoost members only), a few milliseconds per post and fold. Both
        show what the model used rather than what helps on new posts.
    by : {"feature", "vector", "block", "family"} or dict, default="feature"
        Groups of columns to sum over. A "vector" has the numbered columns of one
        embedding, a "family" several related blocks. A dict names your own groups. SHAP
        values are summed before taking absolute values.
    n_top : int, default=None
        Number of rows to return. None returns all.

    Returns
    -------
    DataFrame
        One row per feature (or group), the most important first, ranked from 1. The
        columns are ``feature`` (or ``vector``, ``block``, ``family``, ``group``), its
        ``block`` and ``family``, ``importance`` in percent of the total, ``std`` (over
        the folds; NaN for a single one), and ``n_features`` of a group. ``attrs`` holds
        ``method``, ``members`` and ``unit``.

    Raises
    ------
    InvalidInputError
        If no member of nonzero weight has such importances, or `X` is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from hyperfusion.inspection import feature_importance
    >>> X = pd.DataFrame({"time__hour": [0, 1, 0, 1], "geo__latitude": [5, 5, 5, 6]})
    >>> model = DecisionTreeRegressor().fit(X, [1.0, 3.0, 1.0, 3.0])
    >>> feature_importance(model)[["feature", "family", "importance"]]
                feature      family  importance
    rank
    1        time__hour    temporal       100.0
    2     geo__latitude  geographic         0.0
    """
    parts = Anatomy.of(model)
    if method == "model":
        schema = Schema(_fitted_columns(parts))
        n_columns, none = len(schema.columns), "its own importances"
        folds, members = _explain(parts, lambda m: _own(m, n_columns), none)
        groups = group_columns(schema, by)
        summed = sum_groups(np.array(folds), schema.columns, groups)
    elif X is None:
        raise InvalidInputError(
            "method='shap' needs X, the posts to explain, such as the latest thousand."
        )
    else:
        folds, schema, groups, members = _fold_shap(parts, X, by)
        summed = np.array([np.abs(values[:, :-1]).mean(axis=0) for values in folds])
    shares = np.array([_shares(fold) for fold in summed])
    values = {"importance": 100 * shares.mean(axis=0), "std": 100 * spread(shares)}
    frame = ranked(schema, groups, by, values).head(n_top if n_top else len(groups))
    frame.attrs = {"method": method, "members": members, "unit": "%"}
    return frame


def shap_values(model: Any, X: Any, *, by: Any = "feature") -> pd.DataFrame:
    """Return the contribution of each feature to each prediction (SHAP values).

    Parameters
    ----------
    model : fitted regressor or Pipeline
        A CatBoost model, or an ensemble with a CatBoost member of nonzero weight. Only
        CatBoost members are explained; ``attrs["members"]`` of the result names them.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts to explain, as for ``model.predict``.
    by : {"feature", "vector", "block", "family"} or dict, default="feature"
        Groups to sum over.

    Returns
    -------
    DataFrame of shape (n_posts, n_groups + 1)
        Contributions, in the unit of the target that the members were fitted to. With
        the column ``base``, each row adds up to the prediction of the explained
        members, averaged over the folds and by weight. How correlated features share a
        contribution depends on which of them the trees chose.

    Raises
    ------
    InvalidInputError
        If no member of nonzero weight has SHAP values.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import CatBoostHuberRegressor
    >>> from hyperfusion.inspection import shap_values
    >>> X = pd.DataFrame({"time__hour": range(24), "user__followers": [5, 9] * 12})
    >>> model = CatBoostHuberRegressor(iterations=30, early_stopping=False)
    >>> list(shap_values(model.fit(X, X["time__hour"]), X, by="block"))
    ['time', 'user', 'base']
    """
    parts, X = Anatomy.of(model), check_rows(X)
    folds, _, groups, members = _fold_shap(parts, X, by)
    index = X.index if isinstance(X, pd.DataFrame) else None
    frame = pd.DataFrame(np.mean(folds, axis=0), index, [*groups, "base"])
    frame.attrs = {"members": members}
    return frame


def _fitted_columns(parts: Anatomy) -> list[Any]:
    columns = getattr(parts.regressor, "feature_names_in_", None)
    if columns is None and not hasattr(parts.regressor, "n_features_in_"):
        raise InvalidInputError(
            f"{type(parts.regressor).__name__} does not say which columns it was "
            "fitted on. Use grouped_permutation_importance(model, X, y)."
        )
    return list(range(parts.regressor.n_features_in_) if columns is None else columns)


def _own(model: Any, n_columns: int) -> np.ndarray | None:
    values = own_importances(model, n_columns)
    return None if values is None else _shares(values)


def _fold_shap(
    parts: Anatomy, X: Any, by: Any
) -> tuple[list[np.ndarray], Schema, Groups, list[str]]:
    """Return each fold's SHAP values by group; the last column is their base."""
    features = check_rows(parts.features(check_rows(X)))
    schema = Schema.of(features)
    groups = group_columns(schema, by)
    folds, members = _explain(
        parts,
        lambda m: m.shap_values(features) if hasattr(m, "shap_values") else None,
        "SHAP values; only CatBoostHuberRegressor does",
    )
    summed = [sum_groups(values[:, :-1], schema.columns, groups) for values in folds]
    with_base = [np.c_[s, v[:, -1]] for s, v in zip(summed, folds, strict=True)]
    return with_base, schema, groups, members


def _explain(
    parts: Anatomy, explain: Callable[[Any], np.ndarray | None], what: str
) -> tuple[list[np.ndarray], list[str]]:
    """Return the weighted mean of what each fold's members say, and their names."""
    folds, members = [], []
    for fold in parts.models:
        said = [(name, w, explain(model)) for name, w, model in fold if w > 0]
        known = [(name, w, values) for name, w, values in said if values is not None]
        if known:
            names, weights, values = zip(*known, strict=True)
            folds.append(np.average(values, axis=0, weights=weights))
            members += names
    if not folds:
        raise InvalidInputError(
            f"No member of nonzero weight has {what}. Use "
            "grouped_permutation_importance(model, X, y), which takes any model."
        )
    return folds, list(dict.fromkeys(members))


def _shares(values: np.ndarray) -> np.ndarray:
    """Return values divided by their sum; zeros stay zeros."""
    return values / max(values.sum(), np.finfo(float).tiny)
