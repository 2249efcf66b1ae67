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
    scores_of_authors,
)

_KEYS = ["split", "authors", "metric"]


def score_tables(
    predictions: pd.DataFrame,
    has_authors: bool,
    models: list[str],
    n_bootstrap: int,
    confidence: float,
    rng: np.random.RandomState,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the models' scores, and their differences to the first model.

    Parameters
    ----------
    predictions : DataFrame
        ``split``, ``fold``, ``model``, ``unit``, ``known_author``, ``y`` and
        ``prediction`` of each tested post.
    has_authors : bool
        Whether ``unit`` numbers authors; otherwise it numbers posts.
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
        for authors, some in _subsets(tested, has_authors):
            folds = {model: _folds(some, model, has_authors) for model in models}
            metrics = METRICS if has_authors else METRICS[:2]
            for metric in metrics:
                key = {"split": split, "authors": authors, "metric": metric}
                values = {m: mean_score(folds[m], metric) for m in models}
                samples = {
                    m: bootstrap_scores(folds[m], metric, counts) for m in models
                }
                scores += [
                    {**key, "model": m, "score": values[m]}
                    | _bounds(samples[m], confidence)
                    | _sizes(folds[m], has_authors, metric)
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
        _ordered(scores, ["model", "score", *bounds, "n_posts", "n_authors"]),
        _ordered(differences, ["model", "baseline", "difference", *bounds]),
    )


def _ordered(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    split, *rest = _KEYS
    return pd.DataFrame(rows, columns=[split, columns[0], *rest, *columns[1:]])


def _subsets(
    tested: pd.DataFrame, has_authors: bool
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tested posts: all, those of known and those of new authors."""
    yield "all", tested
    if has_authors:
        known = tested["known_author"].astype(bool)
        for name, rows in (("known", known), ("new", ~known)):
            if rows.any():
                yield name, tested[rows]


def _folds(tested: pd.DataFrame, model: str, has_authors: bool) -> list[TestFold]:
    own = tested[tested["model"] == model]
    return [
        TestFold(
            rows["y"].to_numpy(),
            rows["prediction"].to_numpy(),
            rows["unit"].to_numpy(),
            has_authors,
        )
        for _, rows in own.groupby("fold")
    ]


def _bounds(samples: np.ndarray, confidence: float) -> dict[str, float]:
    low, high = interval(samples, confidence)
    return {"low": low, "high": high}


def _sizes(folds: list[TestFold], has_authors: bool, metric: str) -> dict[str, Any]:
    if metric == "within_author_src":
        authors = [scores_of_authors(fold) for fold in folds]
        return {
            "n_posts": int(sum(fold["n_posts"].sum() for fold in authors)),
            "n_authors": len(set().union(*(fold.index for fold in authors))),
        }
    units = np.unique(np.concatenate([fold.units for fold in folds]))
    return {
        "n_posts": sum(len(fold.y) for fold in folds),
        "n_authors": len(units) if has_authors else None,
    }
