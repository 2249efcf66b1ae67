"""Scores of tested posts and their differences, with a bootstrap over users."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from hyperfusion._progress import say
from hyperfusion.metrics import (
    spearman_score,
    weighted_correlation,
    within_user_spearman,
)

METRICS = ("src", "mae", "within_user_src")
MIN_POSTS = 3  # for a rank correlation
MIN_UNITS = 2  # users (or posts) for a bootstrap


@dataclass(frozen=True)
class TestFold:
    """The test rows of one fold, with a model's predictions."""

    __test__ = False  # pytest takes it for a test class otherwise

    y: np.ndarray
    prediction: np.ndarray
    units: np.ndarray
    """The units that the bootstrap draws: the number of each row's user, or its own."""
    has_users: bool


def print_scores(
    said: str, y: np.ndarray, prediction: np.ndarray, seconds: float
) -> None:
    """Print a line with the scores of a fitted model."""
    say(
        f"{said}: SRC {spearman_score(y, prediction):.4f}, "
        f"MAE {mean_absolute_error(y, prediction):.4f}, {seconds:.1f} s"
    )


def score(fold: TestFold, metric: str) -> float:
    """Return one score of a fold; NaN if there are too few rows or no users."""
    if metric == "mae":
        return float(mean_absolute_error(fold.y, fold.prediction))
    if metric == "src":
        if len(fold.y) < MIN_POSTS:
            return float("nan")
        return spearman_score(fold.y, fold.prediction)
    if not fold.has_users:
        return float("nan")
    return within_user_spearman(
        fold.y, fold.prediction, fold.units, min_frequency=MIN_POSTS
    )


def mean_score(folds: Sequence[TestFold], metric: str) -> float:
    """Return the mean of one score over the folds in which it is known."""
    return float(_mean_of_known([score(fold, metric) for fold in folds]))


def _mean_of_known(scores: Any) -> np.ndarray:
    with warnings.catch_warnings():  # numpy warns if all are NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(scores, axis=0)


def draw_units(
    n_units: int, n_bootstrap: int, rng: np.random.RandomState
) -> np.ndarray:
    """Draw units with replacement; return how often each is in each sample."""
    drawn = (rng.randint(n_units, size=n_units) for _ in range(n_bootstrap))
    counts = [np.bincount(d, minlength=n_units).astype(np.uint8) for d in drawn]
    return np.array(counts)


def bootstrap_scores(
    folds: Sequence[TestFold], metric: str, counts: np.ndarray
) -> np.ndarray:
    """Return the mean score over folds in each bootstrap sample.

    A drawn user comes with all of their posts, since posts of one user are not
    independent.
    """
    return _mean_of_known([_fold_scores(fold, metric, counts) for fold in folds])


def _fold_scores(fold: TestFold, metric: str, counts: np.ndarray) -> np.ndarray:
    one_unit = len(np.unique(fold.units)) < MIN_UNITS
    if one_unit or (metric == "src" and len(fold.y) < MIN_POSTS):
        return np.full(len(counts), np.nan)
    if metric == "within_user_src":
        # a user has the same score in every sample, but counts more or less often
        users = scores_of_users(fold)
        if len(users) < MIN_UNITS:
            return np.full(len(counts), np.nan)
        weights = counts[:, users.index] * users["n_posts"].to_numpy()
        own = users["score"].to_numpy()
        return np.array([_mean(own, weight) for weight in weights])
    if metric == "mae":
        error = np.abs(fold.y - fold.prediction)
        return np.array([_mean(error, sample[fold.units]) for sample in counts])
    true, predicted = _Ranks(fold.y), _Ranks(fold.prediction)
    scores = np.empty(len(counts))
    for i, sample in enumerate(counts):
        weight = sample[fold.units].astype(np.float64)
        scores[i] = np.nan
        if weight.any():  # a sample may draw no user of this fold
            ranks = true.of(weight), predicted.of(weight)
            scores[i] = weighted_correlation(*ranks, weight)
    return scores


def scores_of_users(fold: TestFold) -> pd.DataFrame:
    """Return rank correlation and number of posts of each user with enough posts."""
    found = {}
    if fold.has_users:
        rows = pd.DataFrame({"y": fold.y, "prediction": fold.prediction})
        for unit, own in rows.groupby(fold.units):
            y = own["y"].to_numpy()
            if len(own) >= MIN_POSTS and np.ptp(y) > 0:
                found[unit] = spearman_score(y, own["prediction"].to_numpy()), len(own)
    return pd.DataFrame.from_dict(found, orient="index", columns=["score", "n_posts"])


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    total = weight.sum()
    return float(values @ weight / total) if total > 0 else float("nan")


class _Ranks:
    """Mean ranks of values in samples that repeat some rows and leave out others."""

    def __init__(self, values: np.ndarray):
        distinct, self._codes = np.unique(values, return_inverse=True)
        self._n_distinct = len(distinct)

    def of(self, weight: np.ndarray) -> np.ndarray:
        per_value = np.bincount(self._codes, weight, minlength=self._n_distinct)
        return (np.cumsum(per_value) - per_value / 2)[self._codes]


def score_tables(
    predictions: pd.DataFrame,
    has_users: bool,
    models: list[str],
    n_bootstrap: int,
    confidence: float,
    rng: np.random.RandomState,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of the models, and their differences to the first model."""
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for split, tested in predictions.groupby("split", sort=False):
        units, codes = np.unique(tested["unit"], return_inverse=True)
        tested = tested.assign(unit=codes)
        # the same samples for all models of a split, so that differences are paired
        counts = draw_units(len(units), n_bootstrap, rng)
        subsets = {"all": tested}
        if has_users:
            known = tested["known_user"].astype(bool)
            subsets |= {"known": tested[known], "new": tested[~known]}
        for users, some in subsets.items():
            if not len(some):
                continue
            folds = {model: _folds(some, model, has_users) for model in models}
            for metric in METRICS if has_users else METRICS[:2]:
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
    keys, bounds = ["split", "model", "users", "metric"], ["low", "high"]
    counted = [*keys, "score", *bounds, "n_posts", "n_users"]
    paired = [*keys, "baseline", "difference", *bounds]
    table = pd.DataFrame(scores, columns=counted)
    return table, pd.DataFrame(differences, columns=paired)


def _folds(tested: pd.DataFrame, model: str, has_users: bool) -> list[TestFold]:
    own = tested[tested["model"] == model].rename(columns={"unit": "units"})
    return [
        TestFold(
            **{name: rows[name].to_numpy() for name in ("y", "prediction", "units")},
            has_users=has_users,
        )
        for _, rows in own.groupby("fold")
    ]


def _bounds(samples: np.ndarray, confidence: float) -> dict[str, float]:
    """Return the bounds of the middle part of bootstrap values; NaN if empty."""
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return {"low": np.nan, "high": np.nan}
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return {"low": float(low), "high": float(high)}


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
