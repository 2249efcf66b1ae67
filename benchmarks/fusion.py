"""Fusion level by level against the flat ensemble, on a split by time.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/fusion.py
     [--sets smp_video] [--seeds 3]

`BlockStackingRegressor` fits a model for each modality and one above them. Prints SRC
(more is better) and MAE (less is better) of later posts, alone and blended with the
members of a flat ensemble, all equally weighted, as means and standard deviations over
seeds. Each member is fitted once a seed and fold; blends are read from that.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
from real_posts import Posts, real_posts, score
from small_members import boosting, ridge, trees

from hyperfusion import (
    BlockStackingRegressor,
    HyperFusionRegressor,
    make_hyperfusion,
)
from hyperfusion.table._old import block_columns

FLAT = ("catboost", "trees", "ridge")
BLENDS = {
    "CatBoost": ("catboost",),
    'hierarchical alone, "none"': ("none",),
    'hierarchical alone, "all"': ("all",),
    'hierarchical alone, "rest"': ("rest",),
    "flat: CatBoost, trees, ridge": FLAT,
    'flat and hierarchical, "none"': (*FLAT, "none"),
    'flat and hierarchical, "all"': (*FLAT, "all"),
    'hierarchical "all", trees, ridge': ("all", "trees", "ridge"),
}


def stack(passthrough: str, table: pd.DataFrame) -> BlockStackingRegressor:
    """Build a hierarchical model; "rest" has the blocks of the 2023 winner."""
    held = set(block_columns(table))
    winner = {"visual": {"image"} & held, "textual": {"text", "tags"} & held}
    blocks = {name: sorted(parts) for name, parts in winner.items() if parts}
    return BlockStackingRegressor(
        boosting(40),
        boosting(60),
        blocks=blocks if passthrough == "rest" else "modality",
        passthrough=passthrough,
        cv=3,
    )


def one_seed(posts: Posts, seed: int) -> list[dict[str, Any]]:
    X, y, later, truth = posts.parts()
    encode = make_hyperfusion(**posts.arguments, random_state=seed)[:-1]
    table = encode.fit_transform(X, y)
    members = [("catboost", boosting(60)), ("trees", trees(30)), ("ridge", ridge())]
    members += [(name, stack(name, table)) for name in ("none", "all", "rest")]
    ensemble = HyperFusionRegressor(
        members, cv=3, weighting="equal", random_state=seed
    ).fit(table, y)
    new = encode.transform(later)
    predicted = {
        name: np.mean([m.predict(new) for m in models], axis=0)
        for name, models in ensemble.named_estimators_.items()
    }
    return [
        score(label, np.mean([predicted[name] for name in names], axis=0), truth)
        for label, names in BLENDS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    for posts in real_posts(given.sets):
        rows = [row for seed in range(given.seeds) for row in one_seed(posts, seed)]
        scores = pd.DataFrame(rows).groupby("model", sort=False).agg(["mean", "std"])
        print(f"{posts.name}, {given.seeds} seeds\n{scores.round(4).to_string()}")


if __name__ == "__main__":
    main()
