"""Each member alone, the ensembles of the presets and their weights, on three sets.

Run: HYPERFUSION_DATA=<folder> python benchmarks/members.py [--seeds 3] [--sets ...]

Splits by time. All members are fitted once per seed, on the same five folds. Each
preset, and "default" without each of its members ("- catboost"), weighs its members by
their out-of-fold predictions, as `HyperFusionRegressor` does. Prints SRC (higher
is better), MAE (lower is better), their spread over seeds, the weights, and the seconds
of a member's five fits; then how far the ensembles' predictions (means over seeds) are
ahead of each member's, with 95% intervals over resampled posts.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from real_posts import TINY, Posts, leads, real_posts, score
from sklearn.base import BaseEstimator, RegressorMixin

from hyperfusion import HyperFusionRegressor, make_hyperfusion
from hyperfusion.datasets import make_posts
from hyperfusion.ensemble._presets import preset_members

PRESETS = ("fast", "default", "best")


class Known(RegressorMixin, BaseEstimator):
    """Returns one column: predictions that were made before."""

    def __init__(self, column: int = 0):
        self.column = column

    def fit(self, X: np.ndarray, y: np.ndarray) -> Known:
        """Learn nothing."""
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the column."""
        return X[:, self.column]


def synthetic(n_posts: int = 3000) -> Posts:
    """Return synthetic posts; the last fifth is predicted."""
    posts = make_posts(n_posts, random_state=0)
    when = posts.data[posts.roles["time"]]
    early = (when < when.quantile(0.8)).to_numpy()
    encoders = {"image_encoder": TINY, "text_encoder": TINY}
    target = np.asarray(posts.target)
    return Posts("make_posts", posts.data, target, posts.roles | encoders, early)


def sets(names: list[str] | None) -> Iterator[Posts]:
    """Yield the sets (or those named)."""
    yield from real_posts(names)
    if names is None or "make_posts" in names:
        yield synthetic()


def all_members() -> list[tuple[str, object]]:
    """Return the members of all presets, each once."""
    return list({name: m for p in PRESETS for name, m in preset_members(p)}.items())


def one_seed(
    posts: Posts, seed: int
) -> tuple[list[dict[str, object]], dict[str, np.ndarray]]:
    """Return scores and weights, and predictions, of all members and presets."""
    X, y, later, truth = posts.parts()
    model = make_hyperfusion(
        **posts.arguments, members=all_members(), random_state=seed
    ).fit(X, y)
    ensemble, table = model[-1], model[:-1].transform(later)
    names = [name for name, _ in ensemble.members_]
    by_fold = np.array(
        [[m.predict(table) for m in models] for models in ensemble.estimators_]
    )
    seconds = ensemble.fold_scores_.groupby("member")["seconds"].sum()
    predicted = dict(zip(names, by_fold.mean(axis=0), strict=True))
    rows = [
        score(name, predicted[name], truth) | {"seconds": seconds[name]}
        for name in names
    ]
    for label, held in ensembles():
        weights = solved_weights(ensemble, [names.index(n) for n in held], y)
        mean = weights.mean(axis=0)
        predicted[label] = np.einsum("kir,ki->r", by_fold, weights) / len(by_fold)
        rows.append(score(label, predicted[label], truth))
        rows[-1] |= {f"weight {n}": mean[names.index(n)] for n in held}
    return [{"set": posts.name, "seed": seed} | row for row in rows], predicted


def ensembles() -> Iterator[tuple[str, list[str]]]:
    """Yield the presets, and the default one without each member, by names."""
    for preset in PRESETS:
        yield f"ensemble {preset}", [name for name, _ in preset_members(preset)]
    names = [name for name, _ in preset_members("default")]
    for left_out in names:
        yield f"- {left_out}", [name for name in names if name != left_out]


def solved_weights(
    ensemble: HyperFusionRegressor, held: list[int], y: np.ndarray
) -> np.ndarray:
    """Return one row of weights a fold; members that are not held get none."""
    known = ensemble.oof_member_predictions_[:, held]
    again = HyperFusionRegressor(
        [(f"m{i}", Known(i)) for i in range(len(held))], cv=ensemble.splits_
    ).fit(known, y)
    weights = np.zeros((len(ensemble.splits_), len(ensemble.members_)))
    weights[:, held] = again.weights_
    return weights


def report(scores: pd.DataFrame) -> None:
    """Print means and spreads over seeds."""
    for label, rows in scores.groupby("model", sort=False):
        mean, spread = rows.mean(numeric_only=True), rows.std(numeric_only=True)
        line = (
            f"  {label:18} SRC {mean['SRC']:.4f} +- {spread['SRC']:.4f}  "
            f"MAE {mean['MAE']:.4f} +- {spread['MAE']:.4f}"
        )
        if np.isfinite(mean["seconds"]):
            line += f"  {mean['seconds']:6.1f} s"
        weights = mean.filter(like="weight ").dropna()
        named = (f"{name[7:]} {value:.2f}" for name, value in weights.items())
        print(line, " ".join(named), flush=True)


def report_leads(truth: np.ndarray, runs: list[dict[str, np.ndarray]]) -> None:
    """Print how far each ensemble is ahead of each member, over resampled posts."""
    means = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
    for preset in PRESETS:
        names = [f"ensemble {preset}", *(name for name, _ in preset_members(preset))]
        for row in leads(truth, {name: [means[name]] for name in names}).itertuples():
            print(
                f"  ensemble {preset} - {row.model:12} {row.metric} {row.ahead:+.4f} "
                f"({row.low:+.4f} to {row.high:+.4f})",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # of cells that can't be read
    for posts in sets(arguments.sets):
        rows: list[dict[str, object]] = []
        runs = []
        for seed in range(arguments.seeds):
            scores, predicted = one_seed(posts, seed)
            rows += scores
            runs.append(predicted)
            print(f"{posts.name}, {seed + 1} seeds")
            report(pd.DataFrame(rows))
        report_leads(posts.parts()[3], runs)


if __name__ == "__main__":
    main()
