"""Unlabeled posts through the whole Pipeline, and metadata routing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    HyperFusionRegressor,
    LabeledSplit,
    PseudoLabelWrapper,
    load_smp_video,
    make_hyperfusion,
    predict_interval,
    spearman_score,
    spearman_scorer,
)

MEMBERS = [
    ("ridge", Ridge(10.0, solver="lsqr")),
    ("tree", DecisionTreeRegressor(max_depth=4)),
]
ROLES = {"text": "title", "user": "user", "time": "when", "numeric": "likes"}


def make_model(**parameters):
    settings = {"members": MEMBERS, "cv": 3, "random_state": 0, "text_encoder": False}
    return make_hyperfusion(**ROLES, unlabeled=True, **settings | parameters)


def draw(n, seed=0):
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "title": rng.choice(["a red fox", "blue whale", "green tree"], n),
            "user": rng.choice([f"a{i}" for i in range(n // 8)], n),
            "when": pd.date_range("2024-01-01", periods=n, freq="7h"),
            "likes": rng.poisson(20, n),
        }
    )
    y = frame["likes"] / 5 + 2.0 * (frame["title"] == "a red fox") + rng.normal(size=n)
    return frame, y.to_numpy(copy=True)


@pytest.fixture
def posts():
    X, y = draw(150)
    y[np.random.RandomState(1).permutation(150)[:60]] = np.nan
    return X, y


def test_wrapper_is_the_last_step_and_members_can_be_set(posts):
    model = make_model()
    assert isinstance(model.named_steps["predict"], PseudoLabelWrapper)
    model.set_params(predict__estimator__ridge__alpha=3.0)
    assert model[-1].estimator.get_params()["ridge__alpha"] == 3.0
    X, y = posts
    model.fit(X, y)
    predicted = model.predict(X)
    assert np.isfinite(predicted).all()
    assert_array_equal(np.isnan(model[-1].oof_predictions_), np.isnan(y))
    mean, std = model.predict(X, return_std=True)
    assert_array_equal(mean, predicted)
    assert (std > 0).all()
    assert len(predict_interval(model, X)) == len(X)


def test_posts_without_labels_reach_the_encoders_but_not_the_histories(posts):
    X, y = posts
    first, known = np.isnan(y), ~np.isnan(y)
    X = X.assign(title=np.where(first, "zebra", X["title"]))
    model = make_model().fit(X, y)
    words = [n for n in model[0].get_feature_names_out() if n.startswith("text__")]
    alone = make_model().fit(X[known], y[known])
    assert words
    seen, unseen = (m[0].transform(X)[words] for m in (model, alone))
    assert not np.allclose(seen[first].to_numpy(), unseen[first].to_numpy())
    # histories hold scores of labeled posts alone: they are the same either way
    history = [n for n in model[0].get_feature_names_out() if "history_mean" in n]
    table = (m[0].transform(X)[history].to_numpy() for m in (model, alone))
    assert history
    assert_allclose(*table, rtol=1e-5)


def test_search_over_partly_labeled_posts(posts):
    X, y = posts
    search = GridSearchCV(
        make_model(),
        {"predict__estimator__ridge__alpha": [1e6, 10.0]},
        cv=LabeledSplit(KFold(2)),
        scoring=spearman_scorer,
        error_score="raise",
        refit=False,
    ).fit(X, y)
    assert search.best_params_ == {"predict__estimator__ridge__alpha": 10.0}


def test_shuffled_labels_score_at_chance_through_the_whole_stack():
    rng = np.random.RandomState(0)
    X, _ = draw(500)
    within, later = [], []
    for seed in range(4):
        truth = rng.normal(size=500)
        y = truth.copy()
        y[rng.permutation(400)[:150]] = np.nan
        model = make_model(random_state=seed)
        # keep every round: what leaks would be seen
        model.set_params(predict__min_gain_se=None, predict__max_rounds=2)
        model.fit(X[:400], y[:400])
        known = ~np.isnan(y[:400])
        oof = model[-1].oof_predictions_[known]
        within.append(spearman_score(y[:400][known], oof))
        later.append(spearman_score(truth[400:], model.predict(X[400:])))
    # one score of 250 rows spreads by 0.06, the mean of four by 0.03
    assert abs(np.mean(within)) < 0.08
    assert abs(np.mean(later)) < 0.12


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_weights_and_groups_are_routed(posts, n_jobs):
    X, y = posts
    numbers = np.column_stack([X["likes"], np.arange(150)]).astype(float)
    weight, groups = np.arange(1.0, 151.0), np.arange(150) % 5
    known = ~np.isnan(y)
    with config_context(enable_metadata_routing=True):
        member = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            Ridge().set_fit_request(sample_weight=True),
        )
        ensemble = HyperFusionRegressor(
            [("ridge", member)], cv=GroupKFold(3), n_jobs=n_jobs, random_state=0
        ).set_fit_request(sample_weight=True, groups=True)
        model = PseudoLabelWrapper(ensemble, min_gain_se=None, max_rounds=1)
        model.fit(numbers, y, sample_weight=weight, groups=groups)
        for train, test in model.estimator_.splits_:
            assert not set(groups[known][train]) & set(groups[known][test])
        lone = PseudoLabelWrapper(
            Ridge().set_fit_request(sample_weight=True), cv=3, random_state=0
        ).fit(numbers, y, sample_weight=weight)
    plain = clone(model).fit(numbers, y, sample_weight=weight, groups=groups)
    assert_allclose(model.oof_predictions_, plain.oof_predictions_)
    same = PseudoLabelWrapper(Ridge(), cv=3, random_state=0)
    same.fit(numbers, y, sample_weight=weight)
    assert_allclose(lone.oof_predictions_, same.oof_predictions_)


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
def test_real_unlabeled_posts_are_read_with_the_labeled_ones():
    folder = os.environ.get("HYPERFUSION_DATA")
    if not folder:
        pytest.skip("needs HYPERFUSION_DATA, the folder of real posts")
    folder = Path(folder) / "smp_video"
    train, test = load_smp_video(folder), load_smp_video(folder, "test")
    X = pd.concat([train.data[-400:], test.data[:200]], ignore_index=True)
    y = np.concatenate([train.target[-400:], np.full(200, np.nan)])
    model = make_hyperfusion(
        **train.roles, text_encoder=False, members=MEMBERS, cv=3, unlabeled=True,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    oof = model[-1].oof_predictions_
    assert spearman_score(y[:400], oof[:400]) > 0.3
    assert np.isnan(oof[400:]).all()
    assert np.isfinite(model.predict(test.data[-400:])).all()
