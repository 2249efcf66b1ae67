"""Importances by feature, vector, block and family, and by permutation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from hyperfusion._anatomy import Anatomy
from hyperfusion._sklearn_compat import _num_samples, validate_params
from hyperfusion._validation import COUNT, N_JOBS
from hyperfusion._workers import Call, in_parallel
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._columns import (
    group_columns,
    own_importances,
    own_shap,
    ranked,
    spread,
    sum_groups,
)
from hyperfusion.inspection._posts import check_rows
from hyperfusion.metrics import spearman_score
from hyperfusion.table import Schema


def feature_importance(model: Any, *, by: str = "feature") -> pd.DataFrame:
    """Rank features by their importance in percent, with their blocks and families.

    The paper's table 2 (section 4.3.3) is ``feature_importance(model).head(20)``. In
    an ensemble, the importances of the members that have them (CatBoost, TabNet, trees)
    are averaged with the members' weights in each fold.

    Parameters
    ----------
    model : fitted regressor or Pipeline
        An ensemble, a Pipeline, search or wrapper around one, or a single regressor.
    by : {"feature", "vector", "block", "family"}, default="feature"
        Groups of columns to sum over. A "vector" has the numbered columns of one
        embedding, a "family" several related blocks.

    Returns
    -------
    DataFrame
        One row per feature (or group), the most important first, ranked from 1. The
        columns are ``feature`` (or ``vector``, ``block``, ``family``), its ``block``
        and ``family``, ``importance`` in percent of the total, ``std`` (over the folds;
        NaN for a single one), and ``n_features`` of a group. ``attrs`` holds
        ``method``, ``members`` and ``unit``.

    Raises
    ------
    InvalidInputError
        If no member of nonzero weight has such importances.

    See Also
    --------
    grouped_permutation_importance : What helps on new posts.
    shap_values : What each feature adds to each prediction of CatBoost.

    Notes
    -----
    Importances cost nothing. They show what the model used, and favor features with
    many values, such as the user.

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
    n_columns = getattr(parts.regressor, "n_features_in_", None)
    if n_columns is None:
        raise InvalidInputError(
            f"{type(parts.regressor).__name__} does not say which columns it was "
            "fitted on. Use grouped_permutation_importance(model, X, y)."
        )
    schema = Schema([*getattr(parts.regressor, "feature_names_in_", range(n_columns))])

    def own(model: Any) -> np.ndarray | None:
        values = own_importances(model, n_columns)
        return None if values is None else _shares(values)

    folds, members = _explain(parts, own, "its own importances")
    groups = group_columns(schema, by)
    summed = sum_groups(np.array(folds), groups)
    shares = np.array([_shares(fold) for fold in summed])
    values = {"importance": 100 * shares.mean(axis=0), "std": 100 * spread(shares)}
    frame = ranked(schema, groups, by, values)
    frame.attrs = {"method": "model", "members": members, "unit": "%"}
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
    by : {"feature", "vector", "block", "family"}, default="feature"
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
    features = check_rows(parts.features(X))
    groups = group_columns(Schema.of(features), by)
    folds, members = _explain(
        parts,
        lambda m: own_shap(m, features),
        "SHAP values; only CatBoostHuberRegressor does",
    )
    summed = [np.c_[sum_groups(v[:, :-1], groups), v[:, -1]] for v in folds]
    index = X.index if isinstance(X, pd.DataFrame) else None
    frame = pd.DataFrame(np.mean(summed, axis=0), index, [*groups, "base"])
    frame.attrs = {"members": members}
    return frame


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


@validate_params(
    {
        "y": ["array-like"],
        "n_repeats": [COUNT],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def grouped_permutation_importance(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    by: Any = "block",
    n_repeats: int = 5,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Measure how much SRC drops if the features of a block are permuted.

    SRC is Spearman's rank correlation. All columns of a group are permuted together,
    because features that can replace each other would hide each other's importance.

    Parameters
    ----------
    model : fitted regressor or Pipeline
        Any model.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts to score on, as for ``model.predict``. Use posts that the model was not
        fitted on to measure what helps on new posts.
    y : array-like of shape (n_posts,)
        Their targets.
    by : {"feature", "vector", "block", "family"}, default="block"
        Columns of the feature table to permute together.
    n_repeats : int, default=5
        Permutations of each group.
    n_jobs : int, default=None
        Number of groups scored in parallel; the result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the permutations, which are the same for all groups.

    Returns
    -------
    DataFrame
        One row per group, the most important first, ranked from 1: its name,
        ``importance`` (mean drop of SRC), ``std`` over the repeats, and ``n_features``.
        ``attrs`` holds ``method``, ``unit`` ("SRC") and the ``score`` without
        permutation.

    Raises
    ------
    InvalidInputError
        If `by` is unknown, or the feature table is a sparse matrix.

    See Also
    --------
    sklearn.inspection.permutation_importance : Permutes columns of `X` itself, under
        any scorer.

    Notes
    -----
    Encodes `X` once and predicts it ``n_groups * n_repeats`` times. The importances of
    groups don't add up to the score: if two groups hold the same information, permuting
    one of them loses nothing.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LinearRegression
    >>> from hyperfusion.inspection import grouped_permutation_importance
    >>> columns = ["user__followers", "user__views", "geo__latitude"]
    >>> X = pd.DataFrame(np.random.RandomState(0).normal(size=(80, 3)), columns=columns)
    >>> y = X["user__followers"] + X["user__views"]
    >>> model = LinearRegression().fit(X, y)
    >>> losses = grouped_permutation_importance(model, X, y, random_state=0)
    >>> losses.set_index("block")["importance"].round(1).to_dict()
    {'user': 1.1, 'geo': 0.0}
    """
    parts, X = Anatomy.of(model), check_rows(X)
    X = check_rows(parts.features(X))
    schema = Schema.of(X)
    groups = group_columns(schema, by)
    if len(X) != _num_samples(y):
        raise InvalidInputError(f"X has {len(X)} rows, y has {_num_samples(y)}.")
    rng = check_random_state(random_state)
    orders = [rng.permutation(len(X)) for _ in range(n_repeats)]
    score = spearman_score(y, parts.predict(X))
    calls: Iterator[Call] = (
        (f"the columns of {name!r}", (parts, X, y, c, orders))
        for name, c in groups.items()
    )
    scores = in_parallel(_scores, calls, n_jobs)
    losses = score - np.array(list(scores)).T
    values = {"importance": losses.mean(axis=0), "std": spread(losses)}
    frame = ranked(schema, groups, by, values)
    frame.attrs = {"method": "permutation", "unit": "SRC", "score": score}
    return frame


def _scores(
    parts: Anatomy, X: Any, y: ArrayLike, columns: list[int], orders: list[np.ndarray]
) -> list[float]:
    moved = (permuted(X, columns, order) for order in orders)
    return [spearman_score(y, parts.predict(table)) for table in moved]


def permuted(X: Any, columns: list[int], order: np.ndarray) -> Any:
    """Return a table in which the rows of these columns are reordered."""
    if not isinstance(X, pd.DataFrame):
        X = X.copy()
        X[:, columns] = X[order][:, columns]
        return X
    moved = X.iloc[order, columns].set_axis(X.index)
    rest = X.drop(columns=moved.columns)
    return pd.concat([rest, moved], axis=1)[list(X.columns)]
