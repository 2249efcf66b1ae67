"""Intervals on later posts: what they cover, what has drifted, and what helps.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/intervals.py
     [--sets smp_video youtube_thumbnails]

Learns from the training side of a split by time with a small ensemble. Prints the share
of later posts that intervals cover, by month or year and by user, for two coverages
and for intervals calibrated by user; how well the intervals' widths rank the errors;
how well training and later posts can be distinguished; and, if times are precise
enough, SRC (higher is better) and MAE (lower is better) with recent posts weighted.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
from real_posts import Posts, real_posts, score
from scipy.stats import spearmanr
from small_members import boosting, ridge, trees

from hyperfusion import (
    HyperFusionRegressor,
    coverage_report,
    drift_report,
    make_hyperfusion,
    predict_interval,
    recency_weights,
)


def fitted(posts: Posts) -> tuple[HyperFusionRegressor, pd.DataFrame, pd.DataFrame]:
    """Return the ensemble and the feature tables of both parts, encoded once."""
    members = [("catboost", boosting(200)), ("trees", trees(60)), ("ridge", ridge())]
    X, y, later, _ = posts.parts()
    model = make_hyperfusion(**posts.arguments, members=members, random_state=0)
    model.fit(X, y)
    return model[-1], model[:-1].transform(X), model[:-1].transform(later)


def show_coverage(
    ensemble: HyperFusionRegressor, table: pd.DataFrame, posts: Posts
) -> None:
    _, _, later, truth = posts.parts()
    when = pd.to_datetime(later[posts.arguments["time"]])
    period = when.dt.to_period("M" if posts.name == "smp_video" else "Y")
    by = {"period": period.to_numpy()}
    for promised in (0.8, 0.9):
        report = coverage_report(ensemble, table, truth, coverage=promised, by=by)
        print(report.round(3).to_string())
    by_user = coverage_report(ensemble, table, truth, groups="user")
    print(f"calibrated by user\n{by_user.round(3).to_string()}")
    bands = predict_interval(ensemble, table)
    width, error = bands["upper"] - bands["lower"], np.abs(truth - bands["prediction"])
    told = f"widths {width.min():.2f} to {width.max():.2f}"
    if np.ptp(width) > 1e-6:
        told += f", correlation with errors {spearmanr(width, error).statistic:.2f}"
    print(told)


def show_drift(
    ensemble: HyperFusionRegressor, earlier: pd.DataFrame, later: pd.DataFrame
) -> None:
    for exclude in (["time"], ["time", "user"]):
        report = drift_report(ensemble, earlier, later, exclude=exclude, random_state=0)
        told = ", ".join(str(name) for name in report.columns.index[:6])
        print(f"drift without {exclude}: AUC {report.auc:.3f} ({told})")


def show_remedies(posts: Posts) -> None:
    X, y, later, truth = posts.parts()
    column = posts.arguments["time"]
    members = [("catboost", boosting(60)), ("ridge", ridge())]
    plain = make_hyperfusion(**posts.arguments, members=members, cv=3, random_state=0)

    def tell(label: str, model: Any) -> None:
        found = score(label, model.predict(later), truth)
        print(
            f"  {label:22} SRC {found['SRC']:.4f}  MAE {found['MAE']:.4f}", flush=True
        )

    tell("plain", plain.fit(X, y))
    recent = recency_weights(X[column], half_life="180D")
    tell("half-life of 180 days", plain.fit(X, y, predict__sample_weight=recent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    for posts in real_posts(given.sets):
        print(posts.name, flush=True)
        ensemble, earlier, later = fitted(posts)
        show_coverage(ensemble, later, posts)
        show_drift(ensemble, earlier, later)
        if posts.name == "smp_video":
            show_remedies(posts)


if __name__ == "__main__":
    main()
