"""
Predict popularity, end to end
==============================

Makes posts (or loads real ones with ``--smp-video FOLDER``), learns from the
earlier ones and predicts the later ones, beside what one would do otherwise.

The real posts are the metadata of the SMP Challenge's video track; they need no
pretrained encoder. The synthetic ones use the tiny CLIP that the package brings.
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
    DistributionDisplay,
    make_hyperfusion,
    spearman_score,
    time_split,
)
from hyperfusion.datasets import load_smp_video, make_posts
from hyperfusion.exceptions import BadCellWarning


class RawCatBoost(RegressorMixin, BaseEstimator):
    """CatBoost on the raw columns, with its own text and category features."""

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
    """Return posts, target, roles and the encoders' arguments."""
    if arguments.smp_video:
        posts = load_smp_video(arguments.smp_video, split="train")
        return posts, {"text_encoder": False}
    posts = make_posts(arguments.posts, random_state=0)
    tiny = "hyperfusion-tiny"
    return posts, {"image_encoder": tiny, "text_encoder": tiny}


def models(roles, encoders, raw) -> dict[str, Callable[[int], BaseEstimator]]:
    """Return what is compared: from a seed to an estimator."""

    def features_and_catboost(seed):
        encode = make_hyperfusion(**roles, **encoders, random_state=seed)[:-1]
        return make_pipeline(encode, CatBoostHuberRegressor(random_state=seed))

    alone = {"CatBoost, raw columns": lambda seed: RawCatBoost(roles, seed)}
    return {
        "median": lambda seed: DummyRegressor(strategy="median"),
        **(alone if raw else {}),
        "CatBoost, our features": features_and_catboost,
        "full pipeline": lambda seed: make_hyperfusion(
            **roles, **encoders, n_jobs=-1, random_state=seed
        ),
    }


def compare(posts, encoders, seeds, raw, test_size=0.2):
    """Fit every model for every seed; return scores, and predictions by name."""
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
    return pd.DataFrame(scores), predictions, y[test]


def paired_bootstrap(y, ours, theirs, n_resamples=1000):
    """Return how often resampled test posts favor `ours`, in SRC and in MAE.

    Runs of the same seed are compared and their differences averaged, so that what
    is judged is one run and not the mean of several.
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


def draw(y, predicted, path):
    """Draw the distributions of predicted and true scores (the paper's figure 2)."""
    import matplotlib as mpl

    mpl.use("Agg")
    display = DistributionDisplay.from_predictions(y, predicted)
    path.parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("--smp-video", help="folder of the SMP video posts")
    parser.add_argument("--posts", type=int, default=800, help="synthetic posts")
    parser.add_argument(
        "--seeds", type=int, help="runs of each model (1; real posts: 3)"
    )
    parser.add_argument(
        "--raw", action="store_true", help="also CatBoost on raw columns (minutes)"
    )
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    arguments = parser.parse_args()
    seeds = arguments.seeds or (3 if arguments.smp_video else 1)

    posts, encoders = load(arguments)
    scores, predictions, y = compare(posts, encoders, seeds, arguments.raw)
    grouped = scores.groupby("model", sort=False)
    table = grouped.agg(["mean", "std"]) if seeds > 1 else grouped.mean()
    print(f"{len(posts.data)} posts, the latest {len(y)} of them for testing,")
    print(f"{seeds} seed(s); SRC: higher is better, MAE: lower is better\n")
    print(table.round(4).to_string())

    ours = predictions["full pipeline"]
    for name in [n for n in predictions if n.startswith("CatBoost")]:
        src, mae = paired_bootstrap(y, ours, predictions[name])
        print(
            f"\nfull pipeline against {name}: better SRC in {src:.1%}, better MAE in "
            f"{mae:.1%} of 1000 resamples of the test posts"
        )
    picture = arguments.output / "distribution.png"
    draw(y, predictions["full pipeline"][0], picture)
    print(f"\npicture: {picture}")


if __name__ == "__main__":
    warnings.simplefilter("once", BadCellWarning)
    main()
