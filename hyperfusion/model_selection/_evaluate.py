"""Honest scores: random, user-grouped and time splits side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit
from sklearn.utils import Bunch, check_random_state

from hyperfusion._base import Result
from hyperfusion._progress import VERBOSE, Progress, now, tells_lines
from hyperfusion._sklearn_compat import Interval, _safe_indexing, validate_params
from hyperfusion._validation import COUNT, N_JOBS
from hyperfusion._workers import Call, in_parallel
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import _inputs
from hyperfusion.model_selection._scores import print_scores, score_tables

COMMON_CONSTRAINTS: dict[str, list[Any]] = {
    "test_size": [Interval(Real, 0, 1, closed="neither")],
    "n_bootstrap": [COUNT],
    "n_jobs": N_JOBS,
    "random_state": ["random_state"],
    "verbose": VERBOSE,
}


@validate_params(
    {
        **COMMON_CONSTRAINTS,
        "splits": [str, list, tuple, dict, None],
        "n_repeats": [COUNT],
    },
    prefer_skip_nested_validation=True,
)
def evaluate(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    splits: str | Sequence[str] | Mapping[str, Any] | None = None,
    users: Any = None,
    times: Any = None,
    test_size: float = 0.2,
    n_repeats: int = 1,
    n_bootstrap: int = 1000,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int | str = "auto",
) -> Bunch:
    """Score models on random, user-grouped and time splits, side by side.

    A random split shows the score on posts like the training posts, a split by user
    that on new users, and a split by time that on later posts. Each model is fitted
    once per split and repeat. Posts of known and of new users are also scored apart.

    Parameters
    ----------
    model : estimator, list of estimators or dict of {name: estimator}
        Models to evaluate. Several are compared with the first.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts, or a feature table, as the models take them.
    y : array-like of shape (n_posts,)
        Targets. Rows with NaN are never tested; only models with an attribute
        ``learns_unlabeled=True``, as `PseudoLabelWrapper`, learn from them.
    splits : list of {"random", "user", "time"}, dict or None, default=None
        The splits to use. None uses those for which users and times are known. A dict
        has your own splits by name: pairs (train, test) of positions, a splitter (which
        gets the users if it takes groups), or a number for `StratifiedRegressionKFold`.
    users, times : column or array-like of shape (n_posts,), default=None
        Users and times of the posts. None uses the roles ``user`` and ``time`` of the
        first step with roles, as in the Pipeline of `make_hyperfusion`.
    test_size : float, default=0.2
        Share of the posts (for "user", of the users) to test on.
    n_repeats : int, default=1
        Number of random splits and of splits by user; scores are means over them. There
        is always one split by time.
    n_bootstrap : int, default=1000
        Number of bootstrap samples behind each 95% interval.
    n_jobs : int, default=None
        Number of parallel fits; the result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the splits and of the bootstrap. Models need their own seeds.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook and nothing elsewhere, 0
        nothing, 1 also prints a line for every fit.

    Returns
    -------
    Bunch
        With the entries:

        scores : DataFrame
            One row for each `split`, `model`, `users` ("all", "known", with posts in
            the training rows, or "new") and `metric` ("src": Spearman's rank
            correlation, SRC; "mae": mean absolute error; "within_user_src": SRC within
            users with three posts or more), with `score`, the bounds `low` and `high`
            of its interval, `n_posts` and `n_users`.
        differences : DataFrame
            For each model but the first (the `baseline`): `difference`, its score minus
            the first model's on the same posts, with `low` and `high`, by the same
            keys.
        predictions : DataFrame
            `split`, `fold`, `model`, `row` (position in `X`), `y`, `prediction` and
            `known_user` of every tested post.

    Raises
    ------
    InvalidInputError
        If the users or times of a split are unknown, a column is missing, or one of
        your own splits is empty or does not give positions of rows.

    Notes
    -----
    Intervals are percentiles over bootstrap samples of users with all of their tested
    posts (or of posts, if users are unknown), the same for all models, so differences
    are paired. They show the uncertainty due to the choice of test posts, not that due
    to the seed of the model. The paper reports SRC and MAE on one random split.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import evaluate
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y, users = X[:, 0] + 0.1 * rng.normal(size=200), np.arange(200) // 5
    >>> models = {"mean": DummyRegressor(), "ridge": Ridge()}
    >>> result = evaluate(models, X, y, users=users, random_state=0)
    >>> scores = result.scores.query("metric == 'src' and users == 'all'")
    >>> scores[["split", "model", "score"]].round(1)
         split  model  score
    0   random   mean    0.0
    1   random  ridge    1.0
    ...
    """
    models = _inputs.name_models(model)
    X, target = _inputs.check_posts(X, y)
    units = _inputs.find_users(X, users, models.values())
    moments = _inputs.find_times(X, times, models.values())
    rng = check_random_state(random_state)
    learning = {name: _inputs.learns_from_unlabeled(m) for name, m in models.items()}
    plan = _plan(splits, target, units, moments, test_size, n_repeats, rng)
    jobs = [
        (name, fold, kind, *_inputs.labeled_split(split, target, learns))
        for name, folds in plan.items()
        for fold, split in enumerate(folds)
        for kind, learns in learning.items()
    ]
    titles = [f"{name} split {fold}, {kind}" for name, fold, kind, *_ in jobs]
    calls: Iterator[Call] = (
        (title, (models[kind], X, target, train, test))
        for title, (_, _, kind, train, test) in zip(titles, jobs, strict=True)
    )
    fits = in_parallel(_fit_predict, calls, n_jobs)
    tables = []
    with Progress("evaluate", len(jobs), verbose) as progress:
        results = zip(titles, jobs, progress.over(fits, titles), strict=True)
        for title, (name, fold, kind, train, test), (found, seconds) in results:
            table = {"split": name, "fold": fold, "model": kind, "row": test}
            table |= {"y": target[test], "prediction": found, "known_user": None}
            table["unit"] = test if units is None else units[test]
            if units is not None:
                seen = units[train[~np.isnan(target[train])]]
                table["known_user"] = np.isin(units[test], seen)
            tables.append(pd.DataFrame(table))
            if tells_lines(verbose):
                print_scores(f"[evaluate] {title}", target[test], found, seconds)
    predictions = pd.concat(tables, ignore_index=True)
    has_users = units is not None
    scores, differences = score_tables(predictions, has_users, n_bootstrap, rng)
    predictions = predictions.drop(columns="unit")
    return Result(scores=scores, differences=differences, predictions=predictions)


def _plan(
    splits: Any,
    y: np.ndarray,
    units: np.ndarray | None,
    times: pd.Series | None,
    test_size: float,
    n_repeats: int,
    rng: np.random.RandomState,
) -> dict[str, list[_inputs.Split]]:
    """Return the folds of each split, as positions in the whole table."""
    if splits is not None and not len(splits):
        raise InvalidInputError("splits is empty: give at least one, or None.")
    if isinstance(splits, Mapping):
        return {
            str(name): _inputs.read_folds(folds, f"splits[{name!r}]", y, units, rng)
            for name, folds in splits.items()
        }
    known: dict[str, Any] = {"random": True, "user": units, "time": times}
    if splits is None:
        splits = [name for name, values in known.items() if values is not None]
    rows = np.flatnonzero(~np.isnan(y))
    plan = {}
    for name in [splits] if isinstance(splits, str) else splits:
        if name not in [*known]:
            raise InvalidInputError(f"splits takes {[*known]} or a dict. Got {name!r}.")
        if known[name] is None:
            raise InvalidInputError(
                f"splits has {name!r}, but the {name}s of the posts are not known: "
                f"pass {name}s= (a column, or one value per row)."
            )
        if name == "time":
            plan[name] = [_inputs.split_by_time(known[name], rows, test_size)]
            continue
        kind = GroupShuffleSplit if name == "user" else ShuffleSplit
        groups = known[name][rows] if name == "user" else None
        splitter = kind(n_repeats, test_size=test_size, random_state=rng)
        folds = splitter.split(rows, groups=groups)
        plan[name] = [(rows[train], rows[test]) for train, test in folds]
    return plan


def _fit_predict(
    model: Any, X: Any, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, float]:
    start = now()
    fitted = clone(model).fit(_safe_indexing(X, train), y[train])
    prediction = np.asarray(fitted.predict(_safe_indexing(X, test)), dtype=np.float64)
    return prediction.reshape(-1), now() - start
