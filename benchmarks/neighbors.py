"""What the targets of similar earlier posts add, on real posts.

Run: HYPERFUSION_DATA=<folder> python benchmarks/neighbors.py [--later] [--seeds 3]
     [--sets smp_video ...] [--variants default "no trend" ...]

`CatBoostHuberRegressor` (400 iterations) learns from the default features without CLIP,
and from these with `NeighborTargets` in each variant. Choices are made on the posts
of the training part: it learns from earlier ones and is scored on the next.
``--later`` scores the later posts instead. Prints SRC (higher is better), MAE (less is
better) and their differences to the features alone, of the same seeds.

``--speed N`` prints what N posts of 256 numbers cost instead.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from real_posts import Posts, real_posts, score

from hyperfusion import CatBoostHuberRegressor, NeighborTargets, make_hyperfusion

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "texts and tags as one": {"text": ["text", "tags"]},
    "texts, and tags": {"text": {"text": "text", "tags": "tags"}},
    "tags alone": {"text": "tags"},
    "profile counts": {"text": None, "vectors": "profile"},
    "texts, and pictures": {"vectors": "picture"},
    "pictures alone": {"text": None, "vectors": "picture"},
    "64 components": {"n_components": 64},
    "5 neighbors": {"n_neighbors": (5,)},
    "20 neighbors": {"n_neighbors": (20,)},
    "up to 200 neighbors": {"n_neighbors": (5, 20, 60, 200)},
    "sharpness 3": {"sharpness": 3.0},
    "sharpness 20": {"sharpness": 20.0},
    "no trend": {"trend": None},
    "trend of 1000": {"trend": 1000},
    "own user's posts too": {"user": None},
    "means alone": {"summaries": ("mean",)},
    "means and spreads": {"summaries": ("mean", "spread")},
    "ages too": {"summaries": ("mean", "spread", "similarity", "age")},
}


def moments(posts: Posts, *, later: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the posts to learn from and those to score."""
    early = np.flatnonzero(posts.early)
    when = pd.to_datetime(posts.data[posts.arguments["time"]]).to_numpy()[early]
    if later:
        yield early, np.flatnonzero(~posts.early)
    elif len(np.unique(when)) < 20:  # years alone are known: the last three
        for year in np.unique(when)[-3:]:
            yield early[when < year], early[when == year]
    else:
        for share in (0.6, 0.7, 0.8, 0.9):
            start, stop = (int(len(early) * s) for s in (share, share + 0.1))
            yield early[:start], early[start:stop]


def columns_of(posts: Posts) -> pd.DataFrame:
    """Return what posts are compared by: texts, tags, user, time, counts, pictures."""
    data, roles = posts.data, posts.arguments
    counts = np.log1p(data[roles["user_numeric"]].fillna(0).clip(lower=0))
    profile = (counts - counts.mean()) / counts.std()
    columns = {
        "text": data[roles["text"][0]],
        "tags": data[roles["tags"]],
        "user": data[roles["user"]],
        "time": data[roles["time"]],
        "profile": list(profile.to_numpy()),
    }
    if "image" in roles:
        columns["picture"] = [thumbnail(path) for path in data[roles["image"]]]
    return pd.DataFrame(columns)


def thumbnail(path: str) -> np.ndarray | None:
    """Return the colors of a picture made 8 by 8, less their mean."""
    from PIL import Image

    try:
        colors = np.asarray(Image.open(path).convert("RGB").resize((8, 8)), float)
    except OSError:
        return None
    return (colors - colors.mean()).ravel()


def scores(
    known: tuple[pd.DataFrame, np.ndarray],
    unknown: tuple[pd.DataFrame, np.ndarray],
    n_seeds: int,
) -> np.ndarray:
    """Return SRC and MAE of each seed."""
    found = []
    for seed in range(n_seeds):
        model = CatBoostHuberRegressor(
            iterations=400, early_stopping=False, random_state=seed
        ).fit(*known)
        row = score("", model.predict(unknown[0]), unknown[1])
        found.append((row["SRC"], row["MAE"]))
    return np.array(found)


def compare(posts: Posts, names: list[str], n_seeds: int, *, later: bool) -> None:
    """Print the scores of the features alone and with each variant."""
    columns, y = columns_of(posts), posts.target
    roles = posts.arguments | {"image_encoder": False, "text_encoder": False}
    alone, beside = [], {name: [] for name in names}
    for learn, judge in moments(posts, later=later):
        encode = make_hyperfusion(**roles, random_state=0)[:1]
        parts = (
            encode.fit_transform(posts.data.iloc[learn], y[learn]),
            encode.transform(posts.data.iloc[judge]),
        )
        targets = y[learn], y[judge]
        alone.append(scores(*zip(parts, targets, strict=True), n_seeds))
        for name in names:
            settings = {"text": "text", "user": "user", "time": "time"}
            neighbors = NeighborTargets(
                **settings | VARIANTS[name], random_state=0
            ).set_output(transform="pandas")
            new = (
                neighbors.fit_transform(columns.iloc[learn], y[learn]),
                neighbors.transform(columns.iloc[judge]),
            )
            joined = [
                pd.concat([part, more.add_prefix("neighbors__")], axis=1)
                for part, more in zip(parts, new, strict=True)
            ]
            beside[name].append(scores(*zip(joined, targets, strict=True), n_seeds))
    print(f"\n{posts.name}: SRC, MAE, their spread over seeds, and the differences")
    for name, found in {"features alone": alone, **beside}.items():
        by_seed = np.mean(found, axis=0)
        src, mae = by_seed.mean(axis=0)
        gain = by_seed.mean(axis=0) - np.mean(alone, axis=(0, 1))
        spread = by_seed.std(axis=0)
        print(
            f"{name:24s} {src:.4f} {mae:.4f}  {spread[0]:.4f} {spread[1]:.4f}  "
            f"{gain[0]:+.4f} {gain[1]:+.4f}",
            flush=True,
        )


def speed(n: int) -> None:
    """Print the time and memory of neighbors among posts of 256 numbers."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(n // 50, 256)).astype(np.float32)
    vectors = centers[rng.integers(0, len(centers), n)]
    vectors += rng.normal(size=vectors.shape).astype(np.float32)
    table = pd.DataFrame(vectors, columns=[f"v{i}" for i in range(256)], copy=False)
    table["user"] = rng.integers(0, n // 7, n)
    table["time"] = pd.Timestamp("2016-01-01") + pd.to_timedelta(np.arange(n), "s")
    wall, cpu = time.perf_counter(), time.process_time()
    NeighborTargets(user="user", time="time").fit_transform(table, rng.normal(size=n))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n:,} posts: {wall:.0f} s, {cpu:.0f} s of a core, {peak:.2f} GB at most")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--later", action="store_true")
    parser.add_argument("--speed", type=int, default=None)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.speed:
        return speed(arguments.speed)
    for posts in real_posts(arguments.sets):
        pictures = "image" in posts.arguments
        names = [v for v in arguments.variants if pictures or "picture" not in v]
        compare(posts, names, arguments.seeds, later=arguments.later)
    return None


if __name__ == "__main__":
    main()
