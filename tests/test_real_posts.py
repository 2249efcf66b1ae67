"""The main job on real posts, where their folder is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import (
    CatBoostHuberRegressor,
    NumericTable,
    coverage_report,
    load_smp_video,
    make_hyperfusion,
    spearman_score,
    time_split,
)

FOLDER = os.environ.get("HYPERFUSION_DATA")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="HYPERFUSION_DATA names no folder"),
    # some users have fewer than no likes
    pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning"),
]


@pytest.fixture(scope="module")
def split():
    posts = load_smp_video(Path(FOLDER) / "smp_video")
    train, test = time_split(posts.data["post_time"], test_size=800)
    return posts, train, test


def small_model(posts, iterations, learning_rate):
    boosted = CatBoostHuberRegressor(
        iterations=iterations, learning_rate=learning_rate, colsample=0.5
    )
    members = [
        ("catboost", boosted),
        (
            "ridge",
            make_pipeline(
                NumericTable(impute=True, max_one_hot=1),
                StandardScaler(),
                RidgeCV(np.logspace(0, 4, 9)),
            ),
        ),
    ]
    return make_hyperfusion(
        **posts.roles, text_encoder=False, members=members, cv=3, random_state=0
    )


@pytest.fixture(scope="module")
def model(split):
    posts, train, _ = split
    model = small_model(posts, 80, 0.15)
    return model.fit(posts.data.iloc[train], posts.target[train])


def test_later_posts_are_ranked(split, model):
    posts, train, test = split
    predicted = model.predict(posts.data.iloc[test])
    assert spearman_score(posts.target[test], predicted) > 0.66
    error = np.abs(posts.target[test] - predicted).mean()
    assert (
        error
        < 0.75 * np.abs(posts.target[test] - np.median(posts.target[train])).mean()
    )


def test_later_posts_are_covered_or_drift_is_reported(split, model):
    posts, _, test = split
    later = posts.data.iloc[test]
    report = coverage_report(
        model,
        later,
        posts.target[test],
        by={"month": later["post_time"].dt.to_period("M")},
    )
    whole = report.loc[("all", "all")]
    assert abs(whole["gap"]) <= 0.03 or whole["drift"]
    assert report.loc[("user", "new"), "n"] > 500
    assert 0.8 < whole["coverage"] < 0.97


def test_shuffled_labels_are_chance(split):
    posts, train, _ = split
    train = train[-1500:]
    rng = np.random.RandomState(0)
    scores = []
    for _ in range(3):
        y = rng.permutation(posts.target[train])
        model = small_model(posts, 30, 0.08).fit(posts.data.iloc[train], y)
        scores.append(spearman_score(y, model[-1].oof_predictions_))
    # one score spreads by about 0.026 over shuffles, their mean by 0.015
    assert abs(np.mean(scores)) < 0.04
