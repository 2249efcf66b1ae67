"""Intervals on later posts: what they cover, what has drifted, and what helps.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/intervals.py
     [--sets smp_video youtube_thumbnails]

Learns from the training side of a split by time with a small ensemble. Prints the share
of later posts that intervals cover, by month or year and by author, for two promises
and for intervals calibrated by author; how far the intervals' widths follow the errors;
how well training and later posts can be told apart; and, where times are fine enough,
SRC (more is better) and MAE (less is better) with recent posts weighted and with the
drift calibrator.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
from real_posts import Posts, real_posts
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error
from small_members import boosting, ridge, trees

from hyperfusion import (
    DriftCalibrator,
    coverage_report,
    drift_report,
    make_hyperfusion,
    predict_interval,
    recency_weights,
    spearman_score,
)


def fitted(posts: Posts) -> Any:
    members = [("catboost", boosting(200)), ("trees", trees(60)), ("ridge", ridge())]
    X, y, *_ = posts.parts()
    return make_hyperfusion(**posts.arguments, members=members, random_state=0).fit(
        X, y
    )


def show_coverage(model: Any, posts: Posts) -> None:
    _, _, later, truth = posts.parts()
    when = pd.to_datetime(later[posts.arguments["time"]])
    period = when.dt.to_period("M" if posts.name == "smp_video" else "Y")
    for promised in (0.8, 0.9):
        report = coverage_report(
            model, later, truth, coverage=promised, by={"period": period}
        )
        print(report.round(3).to_string())
    by_author = coverage_report(model, later, truth, groups="author")
    print(f"calibrated by author\n{by_author.round(3).to_string()}")
    bands = predict_interval(model, later)
    width, error = bands["upper"] - bands["lower"], np.abs(truth - model.predict(later))
    told = f"widths {width.min():.2f} to {width.max():.2f}"
    if np.ptp(width) > 1e-6:
        told += f", correlation with errors {spearmanr(width, error).statistic:.2f}"
    print(told)


def show_drift(model: Any, posts: Posts) -> None:
    X, _, later, _ = posts.parts()
    for exclude in (["time"], ["time", "user"]):
        report = drift_report(model, X, later, exclude=exclude, random_state=0)
        told = ", ".join(str(name) for name in report.columns.index[:6])
        print(f"drift without {exclude}: AUC {report.auc:.3f} ({told})")


def show_remedies(posts: Posts) -> None:
    X, y, later, truth = posts.parts()
    column = posts.arguments["time"]
    members = [("catboost", boosting(60)), ("ridge", ridge())]
    plain = make_hyperfusion(**posts.arguments, members=members, cv=3, random_state=0)

    def tell(label: str, model: Any) -> None:
        predicted = model.predict(later)
        src, mae = (
            spearman_score(truth, predicted),
            mean_absolute_error(truth, predicted),
        )
        print(f"  {label:22} SRC {src:.4f}  MAE {mae:.4f}", flush=True)

    tell("plain", plain.fit(X, y))
    recent = recency_weights(X[column], half_life="180D")
    tell("half-life of 180 days", plain.fit(X, y, predict__sample_weight=recent))
    calibrator = DriftCalibrator(plain, time=column).fit(X, y)
    tell("drift calibrator", calibrator)
    print(f"  slopes a day {calibrator.slopes_}, used {calibrator.slope_}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    for posts in real_posts(given.sets):
        print(posts.name, flush=True)
        model = fitted(posts)
        show_coverage(model, posts)
        show_drift(model, posts)
        if posts.name == "smp_video":
            show_remedies(posts)


if __name__ == "__main__":
    main()
