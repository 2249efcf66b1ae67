"""The two sets of real posts, as the benchmarks split them, and the presets on them.

Run as a script it fits each preset to the earlier posts and prints SRC, MAE and seconds
on the later ones, with mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from hyperfusion import make_hyperfusion, spearman_score
from hyperfusion.datasets import load_smp_video
from hyperfusion.model_selection._scores import score_tables

TINY = "hyperfusion-tiny"
N_RESAMPLES = 1000


@dataclass
class Posts:
    """Posts, target, arguments of `make_hyperfusion`, and which posts are early."""

    name: str
    data: pd.DataFrame
    target: np.ndarray
    arguments: dict[str, Any]
    early: np.ndarray

    def inner(self) -> Posts:
        """Return the early posts alone, split once more by time."""
        data = self.data[self.early].reset_index(drop=True)
        when = pd.to_datetime(data[self.arguments["time"]])
        early = (when < when.quantile(0.8)).to_numpy()
        target = self.target[self.early]
        return Posts(f"{self.name}, inner", data, target, self.arguments, early)

    def parts(self) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
        """Return the posts and targets to learn from, then those to predict."""
        X, y, early = self.data, self.target, self.early
        return X[early], y[early], X[~early], y[~early]


def smp_video(folder: Path) -> Posts:
    """Return the SMP Challenge's videos: train on the first 3,200, test on 800."""
    posts = load_smp_video(folder)
    early = np.arange(len(posts.data)) < 3200
    arguments = posts.roles | {"text_encoder": False}
    return Posts("smp_video", posts.data, posts.target, arguments, early)


def youtube_thumbnails(folder: Path) -> Posts:
    """Return YouTube's videos: train on those up to 2013, test on later ones."""
    videos = pd.read_csv(folder / "videos.csv", keep_default_na=False)
    videos = videos.sort_values("published_year", kind="stable", ignore_index=True)
    years = videos["published_year"]
    counts = ["subscriber_count", "channel_video_count"]
    data = videos.assign(
        image=[str(folder / path) for path in videos["image"]],
        words=videos["tags"].str.replace("_", " "),
        published=pd.to_datetime(years.astype(str) + "-07-01"),
        **{name: pd.to_numeric(videos[name], errors="coerce") for name in counts},
    )
    arguments = {
        "image": "image",
        "text": ["words"],
        "tags": "tags",
        "user": "channel_id",
        "user_created": "channel_created",
        "user_numeric": counts,
        "time": "published",
        "categorical": ["language"],
        "image_encoder": TINY,
        "text_encoder": TINY,
    }
    target = videos["popularity"].to_numpy()
    early = (years <= 2013).to_numpy()
    return Posts("youtube_thumbnails", data, target, arguments, early)


def data_folder() -> Path:
    """Return the folder of real posts, or exit if it is not named."""
    folder = os.environ.get("HYPERFUSION_DATA")
    if not folder:
        raise SystemExit("Set HYPERFUSION_DATA to the folder of real posts.")
    return Path(folder)


def real_posts(names: list[str] | None = None) -> Iterator[Posts]:
    """Yield both sets (or those named) from the folder in `HYPERFUSION_DATA`."""
    for load in (smp_video, youtube_thumbnails):
        if names is None or load.__name__ in names:
            yield load(data_folder() / load.__name__)


def score(name: str, predicted: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return a row of scores."""
    return {
        "model": name,
        "SRC": spearman_score(truth, predicted),
        "MAE": mean_absolute_error(truth, predicted),
    }


def summary(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return mean and deviation over the seeds of each model.

    "SRC +" and "MAE +" are the paired differences to the first model.
    """
    models = pd.DataFrame(rows).groupby("model", sort=False)
    first = rows[0]["model"]
    base = models.get_group(first)[["SRC", "MAE"]].to_numpy()
    found = {}
    for name, own in models:
        own = own.drop(columns="model")
        if name != first and len(own) == len(base):
            own[["SRC +", "MAE +"]] = own[["SRC", "MAE"]].to_numpy() - base
        found[name] = {
            (column, kind): own[column].agg(kind)
            for column in own
            for kind in ("mean", "std")
        }
    return pd.DataFrame(found).T.round(4)


def leads(truth: np.ndarray, runs: dict[str, list[np.ndarray]]) -> pd.DataFrame:
    """Return how far the first model is ahead of the others, over resampled posts.

    Each model has a list of predictions, such as one for each seed. There are two rows
    for each of the others, for SRC and MAE, with the bounds of 95% intervals.
    """
    tables = [
        pd.DataFrame(
            {"y": truth, "prediction": one, "unit": np.arange(len(truth))}
        ).assign(split="later", model=name, fold=fold)
        for name, each in runs.items()
        for fold, one in enumerate(each)
    ]
    rng = np.random.RandomState(0)
    _, found = score_tables(pd.concat(tables), False, N_RESAMPLES, rng)
    ahead = {
        "ahead": -found["difference"],
        "low": -found["high"],
        "high": -found["low"],
    }
    return found.assign(**ahead, metric=found["metric"].str.upper())


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description="Presets on real posts.")
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--presets", nargs="*", default=["fast", "default"])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for posts in real_posts(given.sets):
        X, y, later, truth = posts.parts()
        rows = []
        for preset in given.presets:
            for seed in range(given.seeds):
                start = time.perf_counter()
                arguments = posts.arguments | {"preset": preset, "random_state": seed}
                model = make_hyperfusion(**arguments).fit(X, y)
                row = score(preset, model.predict(later), truth)
                rows.append(row | {"seconds": time.perf_counter() - start})
        table = summary(rows).to_string()
        print(f"\n{posts.name}, {given.seeds} seeds\n{table}", flush=True)


if __name__ == "__main__":
    main()
