"""Compare solvers of the members' weights, on rows that they were not solved on.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/weights.py [--seeds 3]
     [--sets smp_video youtube_thumbnails make_posts] [--members fast]
     [--inner] [--rows 400]

Members are fitted once per seed, on the training side of a split by time (``--inner``:
of the training posts alone) or on some rows of it. Each solver gets their out-of-fold
predictions, and its weights are scored twice:

- "other folds": weights solved on one fold's validation rows (equation 8), or on all
  folds but one, scored on rows that they were not solved on;
- "later posts": weights solved on all out-of-fold rows, scored on the test side.

The third number is the mean of SRC and MAE, each relative to equal weights: below 1 is
better than equal.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
from members import sets
from real_posts import Posts
from sklearn.metrics import mean_absolute_error
from sklearn.neighbors import KNeighborsRegressor
from small_members import boosting, ridge, scaled, trees

from hyperfusion import HyperFusionRegressor, make_hyperfusion, spearman_score
from hyperfusion.ensemble._weights import FoldPredictions, solve_weights

WAYS = ("equal", "greedy", "simplex")


def members_of_four_kinds() -> list[tuple[str, Any]]:
    """Return members that take seconds, the last a weak one."""
    return [
        ("catboost", boosting(100)),
        ("trees", trees(30)),
        ("ridge", ridge()),
        ("neighbors", scaled(KNeighborsRegressor(30))),
    ]


def folds_of(ensemble: HyperFusionRegressor, y: np.ndarray) -> list[FoldPredictions]:
    return [
        FoldPredictions(
            rows, ensemble.oof_member_predictions_[rows], y[rows], np.ones(len(rows))
        )
        for _, rows in ensemble.splits_
    ]


def scores(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.array([spearman_score(y, prediction), mean_absolute_error(y, prediction)])


def solve(way: str, rows: list[FoldPredictions]) -> Any:
    y = np.concatenate([f.y for f in rows])
    predictions = np.concatenate([f.predictions for f in rows])
    return solve_weights(way, y, predictions, np.ones(len(y)))


def judge(way: str, folds: list[FoldPredictions]) -> dict[str, np.ndarray]:
    """Score weights of one fold on the others, and of the others on one."""
    one, rest = [], []
    for k, fold in enumerate(folds):
        others = folds[:k] + folds[k + 1 :]
        weights = solve(way, [fold])
        one += [scores(f.y, f.predictions @ weights) for f in others]
        rest.append(scores(fold.y, fold.predictions @ solve(way, others)))
    return {"one fold": np.mean(one, axis=0), "other folds": np.mean(rest, axis=0)}


def encode(posts: Posts) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    X, y, later, truth = posts.parts()
    features = make_hyperfusion(**posts.arguments, random_state=0)[:-1]
    return features.fit_transform(X, y), y, features.transform(later), truth


def run(
    tables: tuple[Any, np.ndarray, Any, np.ndarray],
    members: Any,
    seeds: int,
    n_rows: int | None,
) -> None:
    every, targets, later, y_later = tables
    n_rows = min(n_rows or len(targets), len(targets))
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        drawn = np.random.RandomState(seed).permutation(len(targets))[:n_rows]
        train, y = every.iloc[np.sort(drawn)], targets[np.sort(drawn)]
        ensemble = HyperFusionRegressor(members, weighting="equal", random_state=seed)
        ensemble.fit(train, y)
        names = [name for name, _ in ensemble.members_]
        new = np.column_stack(
            [
                np.mean([m.predict(later) for m in ensemble.named_estimators_[n]], 0)
                for n in names
            ]
        )
        folds = folds_of(ensemble, y)
        for i, name in enumerate(names):
            alone = np.mean([scores(f.y, f.predictions[:, i]) for f in folds], axis=0)
            found = {"one fold": alone, "other folds": alone}
            rows.append(row(f"{name} alone", found, scores(y_later, new[:, i])))
        for way in WAYS:
            weights = solve(way, folds)
            found = scores(y_later, new @ weights)
            rows.append(row(way, judge(way, folds), found))
    show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    """Print means over seeds."""
    table = pd.DataFrame(rows).groupby("weights", sort=False).mean()
    for where in ("one fold", "other folds", "later"):
        src, mae = table[f"{where} SRC"], table[f"{where} MAE"]
        relative = (1 - src) / (1 - src["equal"]) + mae / mae["equal"]
        table[f"{where} both"] = relative / 2
    table = table[
        sorted(table.columns, key=lambda c: c.rsplit(" ", 1)[0], reverse=True)
    ]
    print(table.round(4).to_string(), flush=True)


def row(name: str, found: dict[str, np.ndarray], later: np.ndarray) -> dict[str, Any]:
    cells: dict[str, Any] = {"weights": name}
    for where, values in (found | {"later": later}).items():
        cells |= {f"{where} SRC": values[0], f"{where} MAE": values[1]}
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--members", help="a preset instead of four small members")
    parser.add_argument("--inner", action="store_true")
    parser.add_argument("--rows", type=int, help="learn from so many, drawn at random")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    members = given.members or members_of_four_kinds()
    for posts in sets(given.sets):
        if given.inner:
            posts = posts.inner()
        print(f"{posts.name}, {given.seeds} seeds")
        run(encode(posts), members, given.seeds, given.rows)


if __name__ == "__main__":
    main()
