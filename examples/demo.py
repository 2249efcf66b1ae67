"""
Predict popularity, end to end
==============================

Fit the full pipeline on earlier posts, predict later ones, and compare its scores
with those of simpler models.

By default the posts are synthetic and are encoded by the tiny CLIP model of the
package. ``--smp-video FOLDER`` uses real posts instead: the metadata of the SMP
Challenge's video track, which needs no pretrained encoder.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import make_pipeline

from hyperfusion import (
    CatBoostHuberRegressor,
    PredictionIntervalDisplay,
    make_hyperfusion,
    spearman_score,
    time_split,
)
from hyperfusion.datasets import load_smp_video, make_posts
from hyperfusion.exceptions import BadCellWarning


class RawCatBoost(RegressorMixin, BaseEstimator):
    """Plain CatBoost, which reads texts and categories itself."""

    def __init__(self, roles, random_state=None):
        self.roles = roles
        self.random_state = random_state

    def _columns(self, X):
        roles, frame = self.roles, pd.DataFrame(index=X.index)
        texts = [*roles.get("text", []), *_listed(roles.get("tags"))]
        for column in texts:
            joined = X[column].map(lambda c: " ".join(c) if isinstance(c, list) else c)
            frame[f"text {column}"] = joined.fillna("").astype(str)
        for role in ("user", "place", "categorical"):
            for column in _listed(roles.get(role)):
                frame[f"category {column}"] = (
                    X[column].astype(object).fillna("none").astype(str)
                )
        for role in ("numeric", "user_numeric", "latitude", "longitude"):
            for column in _listed(roles.get(role)):
                frame[column] = pd.to_numeric(X[column], errors="coerce")
        when = pd.to_datetime(X[roles["time"]])
        frame["hour"], frame["weekday"] = when.dt.hour, when.dt.day_of_week
        frame["day"] = when.astype("int64") // 86_400_000_000_000
        return frame

    def fit(self, X, y):
        frame = self._columns(X)
        self.model_ = CatBoostRegressor(
            cat_features=[c for c in frame if c.startswith("category ")],
            text_features=[c for c in frame if c.startswith("text ")],
            random_seed=self.random_state,
            allow_writing_files=False,
            verbose=0,
        ).fit(frame, y)
        return self

    def predict(self, X):
        return self.model_.predict(self._columns(X))


def _listed(value):
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def load(arguments):
    """Return the posts and the encoders to use for them."""
    if arguments.smp_video:
        posts = load_smp_video(arguments.smp_video, split="train")
        return posts, {"text_encoder": False}
    posts = make_posts(arguments.posts, random_state=0)
    tiny = "hyperfusion-tiny"
    return posts, {"image_encoder": tiny, "text_encoder": tiny}


def models(roles, encoders, raw) -> dict[str, Callable[[int], BaseEstimator]]:
    """Return the models to compare: functions that build one from a seed."""

    def features_and_catboost(seed):
        encode = make_hyperfusion(**roles, **encoders, random_state=seed)[:-1]
        return make_pipeline(encode, CatBoostHuberRegressor(random_state=seed))

    alone = {"CatBoost, raw columns": lambda seed: RawCatBoost(roles, seed)}
    return {
        "median": lambda seed: DummyRegressor(strategy="median"),
        **(alone if raw else {}),
        "CatBoost, hyperfusion's features": features_and_catboost,
        "full pipeline": lambda seed: make_hyperfusion(
            **roles, **encoders, n_jobs=-1, random_state=seed
        ),
    }


def compare(posts, encoders, seeds, raw, test_size=0.2):
    """Fit each model with each seed; return what they predict and how well."""
    train, test = time_split(posts.data[posts.roles["time"]], test_size=test_size)
    X, y = posts.data, np.asarray(posts.target)
    scores, predictions = [], {}
    for name, make in models(posts.roles, encoders, raw).items():
        for seed in range(1 if name == "median" else seeds):
            print(f"fitting: {name}", flush=True)
            start = time.perf_counter()
            model = make(seed).fit(X.iloc[train], y[train])
            predicted = model.predict(X.iloc[test])
            seconds = time.perf_counter() - start
            predictions.setdefault(name, []).append(predicted)
            src = spearman_score(y[test], predicted)
            mae = mean_absolute_error(y[test], predicted)
            scores.append({"model": name, "SRC": src, "MAE": mae, "seconds": seconds})
    return pd.DataFrame(scores), predictions, model, X.iloc[test], y[test]


def paired_bootstrap(y, ours, theirs, n_resamples=1000):
    """Return the share of resampled test sets in which `ours` is better: SRC, MAE.

    Runs with the same seed are compared, so the shares are about single runs and not
    about the mean of several.
    """
    rng = np.random.RandomState(0)
    wins = np.zeros(2)
    for rows in rng.randint(len(y), size=(n_resamples, len(y))):
        true = y[rows]
        gains = [
            (
                spearman_score(true, a[rows]) - spearman_score(true, b[rows]),
                np.abs(true - b[rows]).mean() - np.abs(true - a[rows]).mean(),
            )
            for a, b in zip(ours, theirs, strict=True)
        ]
        wins += np.mean(gains, axis=0) > 0
    return wins / n_resamples


def draw(model, later, y, path):
    """Draw the true values of later posts against predictions with intervals."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    figure, ax = plt.subplots(figsize=(7.7, 4.6), layout="constrained")
    display = PredictionIntervalDisplay.from_estimator(model, later, y, ax=ax)
    ax.set(xlabel="Predicted popularity", ylabel="True popularity")
    ax.set_xlim(display.y_pred.min() - 0.3, display.y_pred.max() + 0.3)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("--smp-video", help="folder with posts of the video track")
    parser.add_argument(
        "--posts", type=int, default=800, help="number of synthetic posts"
    )
    parser.add_argument(
        "--seeds", type=int, help="runs of each model (default: 1; real posts: 3)"
    )
    parser.add_argument(
        "--raw", action="store_true", help="add plain CatBoost (takes minutes)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo_output"),
        help="folder for the picture",
    )
    arguments = parser.parse_args()
    seeds = arguments.seeds or (3 if arguments.smp_video else 1)

    posts, encoders = load(arguments)
    results = compare(posts, encoders, seeds, arguments.raw)
    scores, predictions, full_pipeline, later, y = results
    grouped = scores.groupby("model", sort=False)
    table = grouped.agg(["mean", "std"]) if seeds > 1 else grouped.mean()
    print(
        f"\nScores on the latest {len(y)} of {len(posts.data)} posts, {seeds} seed(s)."
    )
    print("SRC: rank correlation, higher is better.")
    print("MAE: mean absolute error, lower is better.\n")
    print(table.round(4).to_string())

    ours = predictions["full pipeline"]
    for name in [n for n in predictions if n.startswith("CatBoost")]:
        src, mae = paired_bootstrap(y, ours, predictions[name])
        print(
            f"\nFull pipeline and {name}, on 1000 resamples of the test posts:\n"
            f"the pipeline has the better SRC in {src:.1%}, the better MAE in {mae:.1%}"
        )
    picture = arguments.output / "predictions.png"
    draw(full_pipeline, later, y, picture)
    print(f"\nPicture of predicted and true values: {picture}")


if __name__ == "__main__":
    warnings.simplefilter("once", BadCellWarning)
    main()
