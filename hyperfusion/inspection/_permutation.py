"""How much a model's score drops if features are permuted."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state

from hyperfusion._anatomy import Anatomy
from hyperfusion._sklearn_compat import Interval, validate_params
from hyperfusion._validation import N_JOBS
from hyperfusion._workers import Call, in_parallel
from hyperfusion.inspection._columns import group_columns, ranked, spread
from hyperfusion.inspection._posts import check_rows
from hyperfusion.metrics import spearman_scorer
from hyperfusion.table import Schema


@validate_params(
    {
        "y": ["array-like"],
        "scoring": [str, callable, None],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
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
    scoring: Any = None,
    n_repeats: int = 5,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Measure how much the score drops if the features of a block are permuted.

    All columns of a group are permuted together, because features that can replace each
    other would hide each other's importance.

    Parameters
    ----------
    model : fitted regressor or Pipeline
        Any model.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts to score on, as for ``model.predict``. Use posts that the model was not
        fitted on to measure what helps on new posts.
    y : array-like of shape (n_posts,)
        Their targets.
    by : {"feature", "vector", "block", "family"} or dict, default="block"
        Columns of the feature table to permute together; a dict names groups of them.
    scoring : str, callable or None, default=None
        Any scorer of scikit-learn. None is Spearman's rank correlation (SRC).
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
        ``importance`` (mean drop of the score), ``std`` over the repeats, and
        ``n_features``. ``attrs`` holds ``method``, ``unit`` (the scorer's name) and the
        ``score`` without permutation.

    Raises
    ------
    InvalidInputError
        If a group names a missing column.

    See Also
    --------
    sklearn.inspection.permutation_importance : Permutes columns of `X` itself.

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
    predictor = _OnFeatures(parts)
    X = check_rows(parts.features(X))
    schema = Schema.of(X)
    groups = group_columns(schema, by)
    check_consistent_length(X, y)
    scorer = check_scoring(predictor, scoring=scoring or spearman_scorer)
    rng = check_random_state(random_state)
    orders = [rng.permutation(len(X)) for _ in range(n_repeats)]
    score = float(scorer(predictor, X, y))
    calls: Iterator[Call] = (
        (f"the columns of {name!r}", (scorer, predictor, X, y, c, orders))
        for name, c in groups.items()
    )
    scores = in_parallel(_scores, calls, n_jobs)
    losses = score - np.array(list(scores)).T
    values = {"importance": losses.mean(axis=0), "std": spread(losses)}
    frame = ranked(schema, groups, by, values)
    name = scoring or "SRC"
    if not isinstance(name, str):
        function = getattr(scoring, "_score_func", scoring)  # what make_scorer wraps
        name = getattr(function, "__name__", "score")
    frame.attrs = {"method": "permutation", "unit": name, "score": score}
    return frame


class _OnFeatures(RegressorMixin, BaseEstimator):
    """Predicts from features, in the unit of the model's target."""

    def __init__(self, parts: Anatomy):
        self.parts = parts

    def fit(self, X: Any, y: Any) -> Self:  # scorers ask whether there is one
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self.parts.predict(X)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _scores(
    scorer: Any, predictor: Any, X: Any, y: Any, columns: list[Any], orders: Any
) -> list[float]:
    return [float(scorer(predictor, permuted(X, columns, o), y)) for o in orders]


def permuted(X: Any, columns: list[Any], order: np.ndarray) -> Any:
    """Return a table in which the rows of these columns are reordered."""
    if not isinstance(X, pd.DataFrame):
        X = X.copy()
        X[:, columns] = X[np.ix_(order, columns)]
        return X
    moved = X[columns].iloc[order].set_axis(X.index)
    rest = X.drop(columns=columns)
    return pd.concat([rest, moved], axis=1)[list(X.columns)]
