"""Tables of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from hyperfusion.metrics import spearman_score


def score_table(
    ensemble: Any, predicted: np.ndarray, target: np.ndarray
) -> pd.DataFrame:
    """Return SRC and MAE on these posts and, of an ensemble, out of fold."""
    rows = [_scores("these posts", predicted, target)]
    if ensemble is not None:
        scores = ensemble.fold_scores_.reset_index()
        held = scores[scores["member"] == "ensemble"]
        rows.append(
            {
                "posts": "out of fold, mean over folds",
                "n": int(held["n_validation"].sum()),
                "SRC": held["src"].mean(),
                "MAE": held["mae"].mean(),
            }
        )
    median = np.full(len(target), np.median(target))
    rows.append(_scores("these posts, always their median", median, target))
    return pd.DataFrame(rows)


def _scores(name: str, predicted: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    return {
        "posts": name,
        "n": len(target),
        "SRC": spearman_score(target, predicted),
        "MAE": mean_absolute_error(target, predicted),
    }


def split_table(evaluation: Any) -> pd.DataFrame:
    """Return the scores of `evaluate`, one row a split and kind of users."""
    scores = evaluation["scores"]
    values = [
        f"{s:.3f} ({low:.3f} to {high:.3f})"
        for s, low, high in zip(
            scores["score"], scores["low"], scores["high"], strict=True
        )
    ]
    keys = ["split", "model", "users"]
    wide = scores.assign(value=values).pivot_table(
        index=keys, columns="metric", values="value", aggfunc="first", sort=False
    )
    return wide.fillna("").reset_index().rename_axis(columns=None)


def calibration_table(predicted: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Return the mean prediction and target of ten groups sorted by prediction."""
    order = np.argsort(predicted, kind="stable")
    groups = [g for g in np.array_split(order, 10) if len(g)]
    return pd.DataFrame(
        {
            "group": np.arange(1, len(groups) + 1),
            "n": [len(g) for g in groups],
            "mean prediction": [float(predicted[g].mean()) for g in groups],
            "mean target": [float(target[g].mean()) for g in groups],
            "MAE": [float(np.abs(predicted[g] - target[g]).mean()) for g in groups],
        }
    )


def member_table(ensemble: Any) -> pd.DataFrame:
    """Return the scores, seconds and weight of each member of an ensemble."""
    grouped = ensemble.fold_scores_.reset_index().groupby("member", sort=False)
    table = grouped[["src", "mae"]].mean()
    table.columns = pd.Index(["SRC", "MAE"])
    table["seconds"] = grouped["seconds"].sum()
    names = [name for name, _ in ensemble.members_]
    table["weight"] = pd.Series(ensemble.weights_.mean(axis=0), index=names)
    return table.reset_index()
