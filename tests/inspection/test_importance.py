"""Importances that models bring along, SHAP values, and permuted blocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
    NumericTable,
    spearman_score,
    spearman_scorer,
)
from hyperfusion.ensemble._presets import ContextColumns
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection import (
    feature_importance,
    grouped_permutation_importance,
    shap_values,
)
from tests.inspection.models import feature_table, pipeline, posts


def catboost(**params):
    return CatBoostHuberRegressor(
        iterations=30, early_stopping=False, random_state=0, **params
    )


@pytest.fixture(scope="module")
def table():
    return feature_table()


@pytest.fixture(scope="module")
def ensemble(table):
    members = [
        ("catboost", catboost()),
        ("trees", ExtraTreesRegressor(20, random_state=0)),
        ("ridge", Ridge()),
    ]
    return HyperFusionRegressor(members, cv=3, weighting="equal", random_state=0).fit(
        *table
    )


def test_importance_of_a_tree_is_its_own_in_percent(table):
    X, y = table[0].drop(columns="meta__kind"), table[1]
    tree = DecisionTreeRegressor(max_depth=5, random_state=0).fit(X, y)
    found = feature_importance(tree).set_index("feature")["importance"]
    assert_allclose(found[list(X)], 100 * tree.feature_importances_)
    assert feature_importance(tree)["std"].isna().all()


def test_ensemble_weighs_its_members_fold_by_fold(table):
    X, y = table[0].drop(columns="meta__kind"), table[1]
    members = [
        ("a", DecisionTreeRegressor(max_depth=2)),
        ("b", ExtraTreesRegressor(10)),
        ("without", KNeighborsRegressor()),
    ]
    model = HyperFusionRegressor(members, cv=3, weights_per="fold", random_state=0).fit(
        X, y
    )
    model.weights_ = np.array([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.0, 0.0, 1.0]])
    shares = np.zeros((3, X.shape[1]))
    for k in (0, 1):  # the third fold has no importances
        a, b, _ = model.estimators_[k]
        wa, wb, _ = model.weights_[k]
        shares[k] = wa * a.feature_importances_ + wb * b.feature_importances_
        shares[k] /= shares[k].sum()
    found = feature_importance(model)
    by_name = found.set_index("feature").loc[list(X)]
    assert_allclose(by_name["importance"], 100 * shares[:2].mean(axis=0))
    assert_allclose(by_name["std"], 100 * shares[:2].std(axis=0, ddof=1))
    assert found.attrs["members"] == ["a", "b"]


def test_shares_add_up_and_the_feature_that_matters_leads(ensemble, table):
    X, _ = table
    found = feature_importance(ensemble)
    assert found["importance"].sum() == pytest.approx(100)
    assert sorted(found["feature"]) == sorted(X)
    assert found["feature"].iloc[0] == "user__followers"
    assert found["family"].iloc[0] == "user"
    assert list(found.index) == [1, 2, 3, 4, 5]
    assert found.attrs["members"] == ["catboost", "trees"]
    noise = found.set_index("feature").loc["image__clip__0", "importance"]
    assert noise < 5


def test_importances_of_derived_columns_go_to_the_column_they_come_from(table):
    X, y = table
    X = X.assign(user__id=pd.Categorical(np.arange(200) % 40))
    X.loc[X.index[:50], "time__hour"] = np.nan
    X.loc[X.index[::9], ["image__clip__0", "image__clip__1"]] = np.nan
    # it takes no missing values, so the ensemble puts a NumericTable in front
    trees = GradientBoostingRegressor(n_estimators=40, max_depth=6, random_state=0)
    split = [(np.arange(150), np.arange(150, 200))]
    ensemble = HyperFusionRegressor([trees], cv=split).fit(X, y)
    model = ensemble.estimators_[0][0]
    assert isinstance(model[0], NumericTable)
    inside = pd.Series(
        model[-1].feature_importances_, index=model[0].get_feature_names_out()
    )
    found = feature_importance(ensemble).set_index("feature")["importance"] / 100
    assert sorted(found.index) == sorted(X)
    kinds = inside[[c for c in inside.index if c.startswith("meta__kind")]]
    assert found["meta__kind"] == pytest.approx(kinds.sum())
    ids = inside[[c for c in inside.index if c.startswith("user__id")]]
    assert found["user__id"] == pytest.approx(ids.sum())
    hours = inside[[c for c in inside.index if c.startswith("time__hour")]]
    assert len(hours) == 2  # the number and its flag
    assert found["time__hour"] == pytest.approx(hours.sum())
    flag = inside["image__clip_missing"]  # shared by the vector's columns
    for column in ("image__clip__0", "image__clip__1"):
        assert found[column] == pytest.approx(inside[column] + flag / 2)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("block", {"user", "time", "image", "meta"}),
        ("family", {"user", "temporal", "visual", "metadata"}),
        ("vector", {"user__followers", "time__hour", "image__clip", "meta__kind"}),
    ],
)
def test_groups_are_sums_of_features(ensemble, by, names):
    single = feature_importance(ensemble).set_index("feature")["importance"]
    found = feature_importance(ensemble, by=by)
    grouped = found.set_index(by)
    assert set(grouped.index) == names
    clip = grouped.index[grouped["n_features"] == 2][0]
    both = single["image__clip__0"] + single["image__clip__1"]
    assert grouped.loc[clip, "importance"] == pytest.approx(both)
    assert found["importance"].sum() == pytest.approx(100)


def test_the_papers_table_is_one_call(ensemble):
    table = feature_importance(ensemble).head(3)
    assert list(table.index) == [1, 2, 3]
    assert list(table) == ["feature", "block", "family", "importance", "std"]


def test_models_without_importances_say_what_works(table):
    X, y = table[0].drop(columns="meta__kind"), table[1]
    with pytest.raises(InvalidInputError, match="grouped_permutation_importance"):
        feature_importance(Ridge().fit(X, y))
    with pytest.raises(InvalidInputError, match="CatBoostHuberRegressor"):
        shap_values(Ridge().fit(X, y), X)
    with pytest.raises(InvalidInputError, match="fitted regressor"):
        feature_importance(StandardScaler().fit(X))


@pytest.mark.filterwarnings("ignore:y is 1 in all 200 rows")
def test_constant_target_has_no_importance(table):
    X, _ = table
    model = HyperFusionRegressor([catboost()], cv=2).fit(X, np.ones(len(X)))
    assert (feature_importance(model)["importance"] == 0).all()


def test_importance_through_pipeline_and_search():
    X, y = posts()
    tree = DecisionTreeRegressor(max_depth=4)
    model = pipeline([tree], cv=2).fit(X, y)
    inside = feature_importance(model)
    assert set(inside["block"]) == {"user", "time", "meta"}
    pd.testing.assert_frame_equal(inside, feature_importance(model[-1]))
    search = GridSearchCV(pipeline([tree], cv=2), {"predict__cv": [2]}, cv=2)
    search.fit(X, y)
    assert set(feature_importance(search)["feature"]) == set(inside["feature"])


def test_shap_values_add_up_to_catboosts_prediction(table):
    X, y = table
    members = [catboost(), Ridge()]
    model = HyperFusionRegressor(members, cv=2, weighting="equal", random_state=0)
    model.fit(X, y)
    rows = X.iloc[:7]
    expected = np.mean([fold[0].predict(rows) for fold in model.estimators_], axis=0)
    for by in ("feature", "block", "family"):
        values = shap_values(model, rows, by=by)
        assert_allclose(values.sum(axis=1), expected, rtol=1e-5)
        assert values.index.equals(rows.index)
    single, blocks = shap_values(model, rows), shap_values(model, rows, by="block")
    both = single["image__clip__0"] + single["image__clip__1"]
    assert_allclose(blocks["image"], both)


def test_members_that_drop_columns_explain_those_they_keep(table):
    X, y = table
    boosted = CatBoostHuberRegressor(iterations=20, early_stopping=False)
    ensemble = HyperFusionRegressor(
        [("context", make_pipeline(ContextColumns(), boosted))], cv=2, random_state=0
    ).fit(X, y)
    dropped = [c for c in X if c.split("__")[0] in ("image", "text", "tags")]
    assert dropped
    values = shap_values(ensemble, X)
    assert (values[dropped] == 0).all(axis=None)
    assert_allclose(values.sum(axis=1), ensemble.predict(X), rtol=1e-6)
    own = feature_importance(ensemble).set_index("feature")["importance"]
    assert_allclose(own.sum(), 100)
    assert (own[dropped] == 0).all()


def test_permuted_blocks_by_hand(table):
    X, y = table
    model = catboost().fit(X, y)
    found = grouped_permutation_importance(model, X, y, n_repeats=3, random_state=7)
    rng = np.random.RandomState(7)
    losses = []
    for _ in range(3):
        order = rng.permutation(len(X))
        moved = X.copy()
        for column in ("image__clip__0", "image__clip__1"):
            moved[column] = X[column].to_numpy()[order]
        losses.append(
            spearman_score(y, model.predict(X))
            - spearman_score(y, model.predict(moved))
        )
    image = found.set_index("block").loc["image"]
    assert image["importance"] == pytest.approx(np.mean(losses))
    assert image["std"] == pytest.approx(np.std(losses, ddof=1))
    assert image["n_features"] == 2
    assert found.attrs["score"] == spearman_score(y, model.predict(X))


def test_permutation_finds_what_matters_and_noise_is_within_its_spread():
    rng = np.random.RandomState(3)
    X = pd.DataFrame(rng.normal(size=(600, 3)), columns=["a", "b", "c"])
    y = 2 * X["a"] + X["b"] + rng.normal(size=600)
    model = LinearRegression().fit(X[:300], y[:300])
    found = grouped_permutation_importance(
        model, X[300:], y[300:], by="feature", n_repeats=20, random_state=0
    ).set_index("feature")
    assert list(found.index) == ["a", "b", "c"]
    assert found.loc["b", "importance"] > 5 * found.loc["b", "std"]
    assert abs(found.loc["c", "importance"]) < 2 * found.loc["c", "std"] + 0.01


def test_permutation_agrees_with_scikit_learn(table):
    X, y = table[0].drop(columns="meta__kind"), table[1]
    model = Ridge().fit(X, y)
    ours = grouped_permutation_importance(
        model, X, y, by="feature", n_repeats=30, random_state=0
    ).set_index("feature")
    theirs = permutation_importance(
        model, X, y, scoring=spearman_scorer, n_repeats=30, random_state=0
    )
    assert_allclose(
        ours["importance"][list(X)], theirs.importances_mean, rtol=0.05, atol=1e-3
    )


def test_features_that_stand_in_for_each_other_leave_together():
    rng = np.random.RandomState(0)
    a = rng.normal(size=300)
    X = pd.DataFrame({"user__a": a, "user__b": a, "time__c": rng.normal(size=300)})
    model = ExtraTreesRegressor(30, random_state=0, max_features=1).fit(X, a)
    alone = grouped_permutation_importance(model, X, a, by="feature", random_state=0)
    block = grouped_permutation_importance(model, X, a, random_state=0)
    alone = alone.set_index("feature")["importance"]
    assert block.set_index("block").loc["user", "importance"] > 2 * alone["user__a"]


def test_any_jobs(table):
    X, y = table
    model = catboost().fit(X, y)
    arguments = {"n_repeats": 2, "random_state": 0}
    found = grouped_permutation_importance(model, X, y, **arguments)
    with parallel_config("threading"):
        again = grouped_permutation_importance(model, X, y, n_jobs=2, **arguments)
    assert_allclose(found["importance"], again["importance"])


def test_arrays_have_positions_for_columns():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(100, 3))
    model = LinearRegression().fit(X, X[:, 1])
    found = grouped_permutation_importance(model, X, X[:, 1], by="feature")
    assert found["feature"].iloc[0] == 1
    tree = HyperFusionRegressor([DecisionTreeRegressor()], cv=2).fit(X, X[:, 1])
    assert feature_importance(tree)["feature"].iloc[0] == 1


def test_rows_and_model_stay_what_they_were(table):
    X, y = table
    model = catboost().fit(X, y)
    before, prediction = X.copy(), model.predict(X)
    grouped_permutation_importance(model, X, y, n_repeats=1, random_state=0)
    pd.testing.assert_frame_equal(X, before)
    assert_allclose(model.predict(X), prediction)


def test_one_post_and_constant_predictions_lose_nothing(table):
    X, y = table
    model = DummyRegressor().fit(X, y)
    found = grouped_permutation_importance(model, X, y, n_repeats=2)
    assert (found["importance"] == 0).all()
    one = grouped_permutation_importance(
        catboost().fit(X, y), X[:1], y[:1], n_repeats=1
    )
    assert (one["importance"] == 0).all()
    assert one["std"].isna().all()


@pytest.mark.parametrize("by", ["color", {"a": ["time__hour"]}])
def test_bad_groups(table, by):
    X, y = table
    model = DummyRegressor().fit(X, y)
    with pytest.raises(InvalidInputError, match="by must be one of"):
        grouped_permutation_importance(model, X, y, by=by)


def test_unfitted_models_say_so():
    with pytest.raises(NotFittedError):
        feature_importance(catboost())
