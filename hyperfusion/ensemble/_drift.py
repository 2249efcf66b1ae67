"""Drift: how posts have changed, and weights for recent ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import Bunch

from hyperfusion._anatomy import Anatomy
from hyperfusion._base import Result
from hyperfusion._sklearn_compat import HasMethods, validate_params
from hyperfusion._validation import N_JOBS, POSITIVE
from hyperfusion.cells._times import as_times
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import as_float32
from hyperfusion.table._frames import as_frame, check_frame
from hyperfusion.table._schema import Schema

_N_FOLDS = 5
_N_TREES = 100


@validate_params(
    {
        "model": [HasMethods("predict"), HasMethods(["fit", "transform"]), None],
        "exclude": ["array-like", str],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def drift_report(
    model: Any,
    X_train: Any,
    X_test: Any,
    *,
    exclude: str | Sequence[Hashable] = (),
    n_jobs: int | None = None,
    random_state: Any = None,
) -> Bunch:
    """Report how well training and later posts can be distinguished, and by what.

    Adversarial validation: extremely randomized trees learn which posts are the later
    ones. If they can't, their AUC is 0.5, and scores on held-out training posts should
    hold. If they can, the report names the columns that differ. No targets are needed.

    Parameters
    ----------
    model : regressor, Pipeline, search, wrapper, transformer or None
        Fitted model whose steps before the regressor turn both tables into features.
        None if the tables are already features.
    X_train : DataFrame or array of shape (n_train, n_features)
        Posts that the model was fitted on.
    X_test : DataFrame or array of shape (n_test, n_features)
        Posts to compare them with.
    exclude : str or list, default=()
        Names of columns or blocks to leave out, such as ``"time"``, which differs by
        definition.
    n_jobs : int, default=None
        Parallel trees.
    random_state : int, RandomState instance or None, default=None
        Seed of folds and trees.

    Returns
    -------
    Bunch
        With the entries:

        auc : float
            Cross-validated area under the ROC curve; 0.5 is chance.
        auc_std : float
            Its standard deviation over the folds.
        columns : DataFrame
            One row per column, the most different first: ``importance`` (share
            of the trees' impurity decrease, adds up to 1), ``missing_train`` and
            ``missing_test`` (shares of missing cells).

    Raises
    ------
    InvalidInputError
        If the tables' columns differ, or `exclude` names none or all of them.

    Notes
    -----
    Costs five forests of 100 trees: seconds for ten thousand posts and some hundred
    columns. Each post is predicted by trees that were not fitted on it.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion import drift_report
    >>> rng = np.random.default_rng(0)
    >>> train = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    >>> test = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    >>> test["b"] += 2  # the others stay as they were
    >>> report = drift_report(None, train, test, random_state=0)
    >>> report.auc > 0.9, report.columns.index[0]
    (True, 'b')
    """
    train, test = (_features(model, X) for X in (X_train, X_test))
    if list(train.columns) != list(test.columns):
        differing = sorted(
            {*map(str, train.columns.symmetric_difference(test.columns))}
        )
        raise InvalidInputError(
            f"X_train and X_test must have the same columns. These differ: {differing}."
        )
    kept = _kept_columns(train, exclude)
    train, test = train[kept], test[kept]
    later = np.repeat([0, 1], [len(train), len(test)])
    if min(len(train), len(test)) < _N_FOLDS:
        raise InvalidInputError(
            f"drift_report needs at least {_N_FOLDS} rows of each table. There are "
            f"{len(train)} and {len(test)}."
        )
    if random_state is None:
        random_state = np.random.RandomState()  # the global generator stays as it is
    numbers, aucs, importance = _as_numbers(train, test), [], np.zeros(len(kept))
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=random_state)
    for fit, judge in folds.split(numbers, later):
        trees = ExtraTreesClassifier(
            _N_TREES,
            min_samples_leaf=3,
            class_weight="balanced",
            n_jobs=n_jobs,
            random_state=random_state,
        ).fit(numbers[fit], later[fit])
        chance = trees.predict_proba(numbers[judge])[:, 1]
        aucs.append(roc_auc_score(later[judge], chance))
        importance += trees.feature_importances_ / _N_FOLDS
    columns = pd.DataFrame(
        {
            "importance": importance,
            "missing_train": train.isna().mean().to_numpy(),
            "missing_test": test.isna().mean().to_numpy(),
        },
        index=pd.Index(kept, name="column"),
    )
    return Result(
        auc=float(np.mean(aucs)),
        auc_std=float(np.std(aucs, ddof=1)),
        columns=columns.sort_values("importance", ascending=False, kind="stable"),
    )


def _features(model: Any, X: Any) -> pd.DataFrame:
    if hasattr(model, "predict"):
        parts = Anatomy.of(model)
        X = parts.features(as_frame(X))
        plan = getattr(parts.ensemble, "plan_", [])
        if len(plan) == 1 and hasattr(plan[0][1], "steps"):  # it encodes in each fold
            X = Anatomy.of(parts.ensemble.estimators_[0][0]).features(X)
    elif model is not None:
        X = model.transform(X)
    X = as_frame(X)
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    check_frame(table, "drift_report")
    return table


def _kept_columns(table: pd.DataFrame, exclude: Any) -> list[Hashable]:
    names = [exclude] if isinstance(exclude, str) else list(exclude)
    schema = Schema.of(table)
    blocks = dict(zip(schema.columns, schema.blocks, strict=True))
    known = [*blocks, *blocks.values()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInputError(
            f"exclude names neither columns nor blocks: {sorted(map(str, unknown))}. "
            f"The blocks are {sorted({b for b in blocks.values() if b})}."
        )
    kept = [c for c, block in blocks.items() if c not in names and block not in names]
    if not kept:
        raise InvalidInputError("exclude leaves no column: name fewer.")
    return kept


def _as_numbers(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Join both tables; a category becomes the share of all rows with its level."""
    levels = train.columns[Schema.of(train).is_category]
    joined = pd.concat(
        [t.astype(dict.fromkeys(levels, object)) for t in (train, test)],
        ignore_index=True,
    )
    for column in levels:
        shares = joined[column].value_counts(normalize=True)
        joined[column] = joined[column].map(shares).astype(np.float32)
    numbers = as_float32(joined)
    return np.where(np.isinf(numbers), np.float32(np.nan), numbers)


@validate_params(
    {
        "time": ["array-like"],
        "half_life": [POSITIVE, str, pd.Timedelta],
    },
    prefer_skip_nested_validation=True,
)
def recency_weights(time: ArrayLike, half_life: Any) -> np.ndarray:
    """Weight training posts by age: one half for each half-life.

    Parameters
    ----------
    time : array-like of shape (n_samples,)
        Times of the posts: dates in any form that `TemporalEncoder` takes, or numbers
        only.
    half_life : float, str or Timedelta
        Age at which a post counts half as much as the latest. For dates a duration
        such as ``"180D"``, or a number of days; for numbers a number in their unit.

    Returns
    -------
    ndarray of shape (n_samples,)
        ``0.5 ** (age / half_life)``, with ages counted from the latest post: above 0
        and at most 1. They are sample weights: pass
        ``predict__sample_weight=weights`` to the ``fit`` of a `make_hyperfusion`.

    Raises
    ------
    InvalidInputError
        If a time is missing, or `half_life` does not fit the times.

    Examples
    --------
    >>> from hyperfusion import recency_weights
    >>> recency_weights(["2024-01-01", "2024-01-21", "2024-01-31"], "10D")
    array([0.125, 0.5  , 1.   ])
    """
    times = as_times(time, required=True)
    if pd.api.types.is_numeric_dtype(times.dtype):
        if not isinstance(half_life, Real):
            raise InvalidInputError(
                f"half_life={half_life!r} is a duration, but the times are numbers: "
                "give half_life as a number in their unit, or the times as dates."
            )
        span = float(half_life)
    else:
        try:
            is_number = isinstance(half_life, Real) or str(half_life).strip().isdigit()
            days = (float(half_life), "D") if is_number else (half_life,)
            span = pd.Timedelta(*days)
        except (ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"half_life={half_life!r} is not a duration: give a number of days, or "
                "a text such as '180D' or '12h'."
            ) from error
        if not span > pd.Timedelta(0):
            raise InvalidInputError(f"half_life={half_life!r} must be more than 0.")
    age = (times.max() - times) / span
    # an age of a thousand half-lives would round to 0
    return np.maximum(0.5 ** age.to_numpy(dtype=np.float64), np.finfo(float).tiny)
