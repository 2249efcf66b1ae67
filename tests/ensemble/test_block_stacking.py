"""Hierarchical fusion: levels by hand, leaks, columns, faults."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import BlockStackingRegressor, HyperFusionRegressor
from hyperfusion.exceptions import InvalidInputError

VISUAL = ["image__a", "image__b"]
TEXTUAL = ["text__a", "tags__a"]


@pytest.fixture
def posts():
    rng = np.random.RandomState(0)
    columns = [*VISUAL, *TEXTUAL, "user__fans", "cross__cosine"]
    X = pd.DataFrame(rng.normal(size=(120, 6)).astype("float32"), columns=columns)
    X.index = rng.permutation(120)
    y = X["image__a"] * X["image__b"] + X["text__a"] + 0.1 * rng.normal(size=120)
    return X, y.to_numpy()


def test_levels_agree_with_a_plain_loop(posts):
    X, y = posts
    cv = KFold(4, shuffle=True, random_state=0)
    tree = DecisionTreeRegressor(max_depth=4, random_state=0)
    model = BlockStackingRegressor(
        tree,
        LinearRegression(),
        blocks={"visual": ["image"], "textual": ["text", "tags"]},
        passthrough="none",
        cv=cv,
    ).fit(X, y)
    held = np.column_stack(
        [cross_val_predict(tree, X[c], y, cv=cv) for c in (VISUAL, TEXTUAL)]
    )
    assert_allclose(model.oof_predictions_, held)
    final = LinearRegression().fit(held.astype("float32"), y)
    new = np.zeros((120, 2))
    for train, _ in cv.split(X):
        for i, c in enumerate((VISUAL, TEXTUAL)):
            new[:, i] += tree.fit(X[c].iloc[train], y[train]).predict(X[c]) / 4
    assert_allclose(model.predict(X), final.predict(new.astype("float32")), rtol=1e-5)


@pytest.mark.parametrize(
    ("passthrough", "names"),
    [
        ("none", []),
        ("rest", ["user__fans", "cross__cosine"]),
        ("all", [*VISUAL, *TEXTUAL, "user__fans", "cross__cosine"]),
    ],
)
def test_columns_of_the_final_model(posts, passthrough, names):
    X, y = posts
    model = BlockStackingRegressor(
        Ridge(),
        LinearRegression(),
        blocks={"v": ["image"], "t": ["text", "tags"]},
        passthrough=passthrough,
        cv=2,
    ).fit(X, y)
    stacked = ["image__stacked_v", "text__stacked_t"]
    table = model._second_level(X, model.oof_predictions_)
    assert list(table.columns) == [*stacked, *names]
    assert (table.dtypes == "float32").all()
    assert table.index.equals(X.index)


def test_groups_of_columns(posts):
    X, y = posts
    groups = BlockStackingRegressor(Ridge(), Ridge(), cv=2).fit(X, y).blocks_
    assert groups == {
        "visual": VISUAL,
        "textual": TEXTUAL,
        "metadata": ["user__fans"],
        "other": ["cross__cosine"],
    }
    by_block = BlockStackingRegressor(Ridge(), Ridge(), blocks="block", cv=2)
    assert list(by_block.fit(X, y).blocks_) == [
        "image",
        "text",
        "tags",
        "user",
        "cross",
    ]
    array = BlockStackingRegressor(Ridge(), Ridge(), cv=2).fit(X.to_numpy(), y)
    assert array.blocks_ == {"other": [0, 1, 2, 3, 4, 5]}


def test_what_one_level_misses_the_next_can_join(posts):
    X, y = posts
    train, test = X.iloc[:80], X.iloc[80:]
    per_modality = {
        "visual": DecisionTreeRegressor(min_samples_leaf=3, random_state=0),
        "textual": Ridge(),
        "metadata": Ridge(),
        "other": Ridge(),
    }
    model = BlockStackingRegressor(per_modality, Ridge(), passthrough="none", cv=4)
    flat = Ridge().fit(train, y[:80]).score(test, y[80:])
    assert model.fit(train, y[:80]).score(test, y[80:]) > flat + 0.05


class Recorder(RegressorMixin, BaseEstimator):
    """Remembers the rows (first column) and weights that it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.rows_ = np.asarray(X)[:, 0]
        self.weight_, self.mean_ = sample_weight, float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_no_model_of_either_level_sees_the_rows_that_an_ensemble_validates():
    X = np.column_stack([np.arange(60.0), np.ones(60)])
    y = np.arange(60) % 7.0
    stack = BlockStackingRegressor(Recorder(), Recorder(), cv=3)
    ensemble = HyperFusionRegressor([("stack", stack)], cv=4, random_state=0)
    ensemble.fit(X, y, sample_weight=np.arange(1.0, 61.0))
    for (_, rows), (model,) in zip(ensemble.splits_, ensemble.estimators_, strict=True):
        held = set(X[rows, 0])
        assert len(model.estimators_) == 3
        for (pipeline,) in model.estimators_:
            seen = pipeline["model"]
            assert not held & set(seen.rows_)
            assert_array_equal(seen.weight_, seen.rows_ + 1)
        assert not held & set(model.final_estimator_.rows_)
        assert len(model.final_estimator_.rows_) == 45


def test_own_label_never_enters_the_own_feature():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(90, 3)), rng.normal(size=90)
    memory = KNeighborsRegressor(1)  # knows each label by heart
    model = BlockStackingRegressor(memory, Ridge(), cv=3, random_state=0).fit(X, y)
    assert abs(np.corrcoef(model.oof_predictions_[:, 0], y)[0, 1]) < 0.3
    assert_array_equal(memory.fit(X, y).predict(X), y)


def test_categories_and_missing_cells_reach_models_that_cannot_read_them(posts):
    X, y = posts
    X = X.copy()
    X["meta__kind"] = pd.Categorical(np.where(y > 0, "up", "down"))
    X.iloc[::5, 0] = np.nan
    model = BlockStackingRegressor(Ridge(), Ridge(), cv=3, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.5


def test_groups_keep_rows_together(posts):
    X, y = posts
    users = np.repeat(np.arange(30), 4)
    model = BlockStackingRegressor(Recorder(), Recorder(), blocks="block", cv=3)
    rows = X.assign(image__a=np.arange(120.0))
    model.fit(rows, y, groups=users)
    for fold in model.estimators_:
        seen = users[fold[0]["model"][-1].rows_.astype(int)]
        assert (np.bincount(seen, minlength=30) % 4 == 0).all()


def test_faults_are_named(posts):
    X, y = posts
    with pytest.raises(InvalidInputError, match=r"has not: \['geo'\]"):
        BlockStackingRegressor(blocks={"place": ["geo"]}).fit(X, y)
    with pytest.raises(InvalidInputError, match="no model for 'textual'"):
        BlockStackingRegressor({"visual": Ridge()}).fit(X, y)
    with pytest.raises(InvalidInputError, match="never holds row 0 back"):
        BlockStackingRegressor(Ridge(), Ridge(), cv=TimeSeriesSplit(3)).fit(X, y)


def test_weights_reach_both_levels_with_metadata_routing(posts):
    X, y = posts
    X = X.assign(image__a=X["image__a"].mask(X["image__a"] > 1))  # a table in front
    weight = np.random.RandomState(0).uniform(size=120)
    model = BlockStackingRegressor(Ridge(), Ridge(), cv=3, random_state=0)
    expected = model.fit(X, y, sample_weight=weight).predict(X)
    with config_context(enable_metadata_routing=True):
        found = model.fit(X, y, sample_weight=weight).predict(X)
        assert_allclose(found, expected)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        piped = make_pipeline(scaler, LinearRegression())
        model.set_params(
            estimator=piped, final_estimator=piped, passthrough="none", blocks="block"
        )
        model.fit(X.drop(columns="image__a"), y, sample_weight=weight)
        ensemble = HyperFusionRegressor(
            [model.set_fit_request(sample_weight=True)], cv=2
        )
        ensemble.fit(X.drop(columns="image__a"), y, sample_weight=weight)
