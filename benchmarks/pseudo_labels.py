"""Posts with and without the real unlabeled ones, on a split by time.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/pseudo_labels.py
     [--members catboost,boosting] [--seeds 3] [--alphas 0.5,1,2] [--strict]

Trains on the first 3,200 labeled posts of the SMP Challenge's video track by time and
tests on the last 800, with and without the 2,000 later posts that have no label.
Prints, for each seed, Spearman's correlation (higher is better) and the mean absolute
error (lower is better) of the test posts: without pseudo-labels, with them under each
alpha, with every round kept ("unjudged"), and by the paper's rule.
Encoders are fitted once, on all training and unlabeled posts, for all sides.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_posts import data_folder, summary
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
    NumericTable,
    PseudoLabelWrapper,
    make_hyperfusion,
    spearman_score,
)
from hyperfusion.datasets import load_smp_video
from hyperfusion.ensemble._presets import preset_members

N_TRAIN = 3200
WAYS: dict[str, dict[str, Any]] = {
    "": {},
    ", unjudged": {"min_gain_se": None},
    ", as the paper": {"rule": "paper", "min_gain_se": None},
}


def members(names: str) -> list[tuple[str, Any]]:
    known = dict(preset_members("default"))
    known["small"] = CatBoostHuberRegressor(iterations=150, depth=5, n_threads=1)
    known["ridge"] = make_pipeline(
        NumericTable(impute=True), StandardScaler(), RidgeCV(np.logspace(0, 5, 11))
    )
    return [(name, known[name]) for name in names.split(",")]


def feature_tables(folder: Path, strict: bool) -> dict[str, Any]:
    labeled = load_smp_video(folder, strict=strict)
    further = load_smp_video(folder, "test", strict=strict)
    posts = pd.concat([labeled.data[:N_TRAIN], further.data], ignore_index=True)
    target = np.concatenate(
        [labeled.target[:N_TRAIN], np.full(len(further.data), np.nan)]
    )
    roles = labeled.roles | {"text_encoder": False}
    encode = make_hyperfusion(**roles, preset="fast", random_state=0)[:-1]
    table = encode.fit_transform(posts, target)
    return {
        "X_labeled": table[:N_TRAIN],
        "y_labeled": labeled.target[:N_TRAIN],
        "X_all": table,
        "y_all": target,
        "X_test": encode.transform(labeled.data[N_TRAIN:]),
        "y_test": labeled.target[N_TRAIN:],
    }


def runs(
    tables: dict[str, Any], names: str, seed: int, alphas: list[float]
) -> Iterator[tuple[str, float, float, float, str]]:
    ensemble = HyperFusionRegressor(members(names), random_state=seed)
    models: list[tuple[str, Any]] = [("without", ensemble)]
    for alpha in alphas:
        for label, options in WAYS.items():
            wrapper = PseudoLabelWrapper(ensemble, alpha=alpha, **options)
            models.append((f"alpha {alpha:g}{label}", wrapper))
    for label, model in models:
        wrapped = isinstance(model, PseudoLabelWrapper)
        part = "all" if wrapped else "labeled"
        start = time.perf_counter()
        model.fit(tables[f"X_{part}"], tables[f"y_{part}"])
        seconds = time.perf_counter() - start
        predicted = model.predict(tables["X_test"])
        src = spearman_score(tables["y_test"], predicted)
        mae = mean_absolute_error(tables["y_test"], predicted)
        told = _told(model) if wrapped else ""
        yield label, src, mae, seconds, told


def _told(model: PseudoLabelWrapper) -> str:
    rounds = [
        f"+{row.n_added} gain {row.gain:+.4f} ({row.gain_error:.4f}) "
        f"{'kept' if row.kept else 'undone'}"
        for row in model.trace_.itertuples()
    ]
    return f"{model.termination_condition_}: " + "; ".join(rounds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", default="catboost,boosting,kernel")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alphas", default="0,1,2")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = data_folder() / "smp_video"
    tables = feature_tables(folder, options.strict)
    alphas = [float(a) for a in options.alphas.split(",")]
    found = []
    for seed in range(options.seeds):
        for label, *scores, told in runs(tables, options.members, seed, alphas):
            src, mae, seconds = scores
            print(
                f"seed {seed} {label:<22} SRC {src:.4f} MAE {mae:.4f} "
                f"{seconds:6.1f} s {told}",
                flush=True,
            )
            found.append({"model": label, "SRC": src, "MAE": mae})
    print(f"\nmembers {options.members}, {options.seeds} seeds")
    print(summary(found).to_string())


if __name__ == "__main__":
    main()
