"""From predictions of tested posts to tables of scores and paired differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.model_selection._bootstrap import (
    METRICS,
    TestFold,
    bootstrap_scores,
    draw_units,
    interval,
    mean_score,
    scores_of_users,
)

_KEYS = ["split", "users", "metric"]


def score_tables(
    predictions: pd.DataFrame,
    has_users: bool,
    models: list[str],
    n_bootstrap: int,
    confidence: float,
    rng: np.random.RandomState,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the models' scores, and their differences to the first model.

    Parameters
    ----------
    predictions : DataFrame
        ``split``, ``fold``, ``model``, ``unit``, ``known_user``, ``y`` and
        ``prediction`` of each tested post.
    has_users : bool
        Whether ``unit`` numbers users; otherwise it numbers posts.
    models : list of str
        The models' names, in order.
    n_bootstrap, confidence : int and float
        Number of bootstrap samples and coverage of the intervals.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    scores, differences : DataFrame
        As `evaluate` describes them.
    """
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for split, tested in predictions.groupby("split", sort=False):
        units, codes = np.unique(tested["unit"], return_inverse=True)
        tested = tested.assign(unit=codes)
        # the same samples for all models of a split: that makes differences paired
        counts = draw_units(len(units), n_bootstrap, rng)
        for users, some in _subsets(tested, has_users):
            folds = {model: _folds(some, model, has_users) for model in models}
            metrics = METRICS if has_users else METRICS[:2]
            for metric in metrics:
                key = {"split": split, "users": users, "metric": metric}
                values = {m: mean_score(folds[m], metric) for m in models}
                samples = {
                    m: bootstrap_scores(folds[m], metric, counts) for m in models
                }
                scores += [
                    {**key, "model": m, "score": values[m]}
                    | _bounds(samples[m], confidence)
                    | _sizes(folds[m], has_users, metric)
                    for m in models
                ]
                first = models[0]
                differences += [
                    {**key, "model": m, "baseline": first}
                    | {"difference": values[m] - values[first]}
                    | _bounds(samples[m] - samples[first], confidence)
                    for m in models[1:]
                ]
    bounds = ["low", "high"]
    return (
        _ordered(scores, ["model", "score", *bounds, "n_posts", "n_users"]),
        _ordered(differences, ["model", "baseline", "difference", *bounds]),
    )


def _ordered(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    split, *rest = _KEYS
    return pd.DataFrame(rows, columns=[split, columns[0], *rest, *columns[1:]])


def _subsets(
    tested: pd.DataFrame, has_users: bool
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tested posts: all, those of known and those of new users."""
    yield "all", tested
    if has_users:
        known = tested["known_user"].astype(bool)
        for name, rows in (("known", known), ("new", ~known)):
            if rows.any():
                yield name, tested[rows]


def _folds(tested: pd.DataFrame, model: str, has_users: bool) -> list[TestFold]:
    own = tested[tested["model"] == model]
    return [
        TestFold(
            rows["y"].to_numpy(),
            rows["prediction"].to_numpy(),
            rows["unit"].to_numpy(),
            has_users,
        )
        for _, rows in own.groupby("fold")
    ]


def _bounds(samples: np.ndarray, confidence: float) -> dict[str, float]:
    low, high = interval(samples, confidence)
    return {"low": low, "high": high}


def _sizes(folds: list[TestFold], has_users: bool, metric: str) -> dict[str, Any]:
    if metric == "within_user_src":
        users = [scores_of_users(fold) for fold in folds]
        return {
            "n_posts": int(sum(fold["n_posts"].sum() for fold in users)),
            "n_users": len(set().union(*(fold.index for fold in users))),
        }
    units = np.unique(np.concatenate([fold.units for fold in folds]))
    return {
        "n_posts": sum(len(fold.y) for fold in folds),
        "n_users": len(units) if has_users else None,
    }
