"""Scores of tested posts and their differences, with a bootstrap over users."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from hyperfusion._progress import say
from hyperfusion.metrics import (
    MIN_POSTS,
    scores_of_users,
    spearman_score,
    weighted_correlation,
)

METRICS = ("src", "mae", "within_user_src")
CONFIDENCE = 0.95
_MIN_UNITS = 2  # users (or posts) for a bootstrap


def print_scores(
    said: str, y: np.ndarray, prediction: np.ndarray, seconds: float
) -> None:
    """Print a line with the scores of a fitted model."""
    say(
        f"{said}: SRC {spearman_score(y, prediction):.4f}, "
        f"MAE {mean_absolute_error(y, prediction):.4f}, {seconds:.1f} s"
    )


def score_tables(
    predictions: pd.DataFrame,
    has_users: bool,
    n_bootstrap: int,
    rng: np.random.RandomState,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of the models, and their differences to the first model."""
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for split, tested in predictions.groupby("split", sort=False):
        units, codes = np.unique(tested["unit"], return_inverse=True)
        tested = tested.assign(unit=codes)
        # the same samples for all models of a split, so that differences are paired
        drawn = (rng.randint(len(units), size=len(units)) for _ in range(n_bootstrap))
        counts = [np.bincount(d, minlength=len(units)).astype(np.uint8) for d in drawn]
        subsets = {"all": tested}
        if has_users:
            known = tested["known_user"].astype(bool)
            subsets |= {"known": tested[known], "new": tested[~known]}
        for users, some in subsets.items():
            for metric in METRICS if has_users else METRICS[:2]:
                first: tuple[Any, ...] = ()
                for model, own in some.groupby("model", sort=False):
                    key = {"split": split, "model": model, "users": users}
                    key["metric"] = metric
                    folds = [rows for _, rows in own.groupby("fold")]
                    value, samples = mean_scores(folds, metric, np.array(counts))
                    sizes = _sizes(folds, has_users, metric)
                    scores.append(key | {"score": value} | _bounds(samples) | sizes)
                    if not first:
                        first = model, value, samples
                        continue
                    lead = {"baseline": first[0], "difference": value - first[1]}
                    differences.append(key | lead | _bounds(samples - first[2]))
    columns = ["split", "model", "users", "metric", "baseline", "difference"]
    table = pd.DataFrame(differences, columns=[*columns, "low", "high"])
    return pd.DataFrame(scores), table


def mean_scores(
    folds: Sequence[pd.DataFrame], metric: str, counts: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the mean of a score over folds, and that mean in each bootstrap sample."""
    each = [_fold_scores(fold, metric, counts) for fold in folds]
    with warnings.catch_warnings():  # numpy warns if all are NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(np.nanmean([value for value, _ in each]))
        return value, np.nanmean([samples for _, samples in each], axis=0)


def _fold_scores(
    rows: pd.DataFrame, metric: str, counts: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the score of a fold and those of its samples, NaN if too few posts."""
    y, prediction, unit = (rows[c].to_numpy() for c in ("y", "prediction", "unit"))
    scores, times = np.full(len(counts), np.nan), np.ones(1, dtype=np.uint8)
    if metric == "src":
        value = spearman_score(y, prediction) if len(y) >= MIN_POSTS else np.nan
        ranks = _mean_ranks(y), _mean_ranks(prediction)
    elif metric == "mae":
        value, values = mean_absolute_error(y, prediction), np.abs(y - prediction)
    else:
        # a user has the same score in every sample, but counts more or less often
        users = scores_of_users(rows)
        values, times = users["score"].to_numpy(), users["n_posts"].to_numpy()
        value = np.average(values, weights=times) if len(values) else np.nan
        unit = users.index.to_numpy(dtype=int)
    if len(np.unique(unit)) < _MIN_UNITS or np.isnan(value):
        return float(value), scores
    for i, sample in enumerate(counts):
        weight = (sample[unit] * times).astype(np.float64)
        if not weight.any():  # a sample may draw no user of this fold
            continue
        if metric == "src":
            true, predicted = (of(weight) for of in ranks)
            scores[i] = weighted_correlation(true, predicted, weight)
        else:
            scores[i] = values @ weight / weight.sum()
    return float(value), scores


def _mean_ranks(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of weights that gives the values' mean ranks."""
    distinct, codes = np.unique(values, return_inverse=True)

    def ranks(weight: np.ndarray) -> np.ndarray:
        per_value = np.bincount(codes, weight, minlength=len(distinct))
        return (np.cumsum(per_value) - per_value / 2)[codes]

    return ranks


def _bounds(samples: np.ndarray) -> dict[str, float]:
    """Return the bounds of the middle part of bootstrap values; NaN if empty."""
    samples = samples[~np.isnan(samples)]
    tail = (1 - CONFIDENCE) / 2
    found = np.quantile(samples, [tail, 1 - tail]) if len(samples) else [np.nan] * 2
    return {"low": float(found[0]), "high": float(found[1])}


def _sizes(folds: list[pd.DataFrame], has_users: bool, metric: str) -> dict[str, Any]:
    if metric == "within_user_src":
        users = [scores_of_users(fold) for fold in folds]
        n_users = len(set().union(*(fold.index for fold in users)))
        n_posts = int(sum(fold["n_posts"].sum() for fold in users))
        return {"n_posts": n_posts, "n_users": n_users}
    rows = pd.concat(folds)
    known = rows["unit"].nunique() if has_users else None
    return {"n_posts": len(rows), "n_users": known}
