"""CatBoost's explanations and its weights of vectors: agreement with CatBoost."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoost, Pool
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from hyperfusion import CatBoostHuberRegressor, shap_values
from tests.regressors.tables import feature_table, target_of

N = 200


def small(**parameters):
    settings = {"iterations": 30, "depth": 3, "early_stopping": False}
    return CatBoostHuberRegressor(random_state=0, n_threads=1, **settings | parameters)


def feature_weights(model):
    return model._back_end_params(0)["feature_weights"]


@pytest.fixture(scope="module")
def posts():
    """A category before numbers, a vector among them, with missing cells."""
    rng = np.random.RandomState(0)
    vectors = rng.normal(size=(N, 4)).astype(np.float32)
    table = pd.DataFrame({"meta__kind": pd.Categorical(rng.choice(["x", "y"], N))})
    table[[f"image__clip__{i}" for i in range(4)]] = vectors
    table["likes"] = pd.Categorical(rng.choice(["few", "many"], N))
    table["time__hour"] = rng.uniform(0, 24, N).astype(np.float32)
    y = 2.0 * (table["likes"] == "many") + vectors[:, 0]
    table.loc[5, "image__clip__1"] = np.nan
    table.loc[7, "meta__kind"] = None
    return table, y.to_numpy() + 0.1 * rng.normal(size=N)


NUMBERS_FIRST = [1, 2, 3, 4, 6, 0, 5]


def called_directly(table, y):
    """The same model by CatBoost alone: (model, pool, center, spread)."""
    center, spread = y.mean(), y.std()
    levels = ["meta__kind", "likes"]
    plain = table.iloc[:, NUMBERS_FIRST]
    plain = plain.assign(
        **{c: plain[c].astype(object).fillna("__missing__") for c in levels}
    )
    pool = Pool(plain, (y - center) / spread, cat_features=levels)
    settings = {
        "loss_function": "Huber:delta=0.5",
        "iterations": 30,
        "depth": 3,
        "learning_rate": 0.08,
        "leaf_estimation_method": "Gradient",
        "leaf_estimation_iterations": 1,
        "max_ctr_complexity": 1,
        "l2_leaf_reg": 3.0,
        "random_seed": int(np.random.RandomState(0).randint(2**31 - 1)),
        "allow_writing_files": False,
        "thread_count": 1,
        "verbose": 0,
    }
    return CatBoost(settings).fit(pool), pool, center, spread


def test_importances_agree_with_catboost_called_directly(posts):
    table, y = posts
    reference = called_directly(table, y)[0]
    values = reference.get_feature_importance(type="PredictionValuesChange")
    found = small().fit(table, y).feature_importances_[NUMBERS_FIRST]
    assert_allclose(found, values / 100, rtol=1e-5, atol=1e-9)


def test_shap_values_agree_with_catboost_called_directly(posts):
    table, y = posts
    model = small().fit(table, y)
    reference, pool, center, spread = called_directly(table, y)
    values = reference.get_feature_importance(pool, type="ShapValues")
    found = shap_values(model, table)
    expected = values[:, :-1] * spread
    assert_allclose(found.iloc[:, NUMBERS_FIRST], expected, rtol=1e-5, atol=1e-9)
    assert_allclose(found["base"], values[:, -1] * spread + center)
    assert_allclose(found.sum(axis=1), model.predict(table), rtol=1e-6)


def test_shap_values_of_new_rows_have_their_index():
    table = feature_table()
    model = small().fit(table, target_of(table))
    later = table.iloc[10:14].set_axis(list("wxyz"))
    found = shap_values(model, later)
    assert list(found.index) == list("wxyz")
    assert_allclose(found.sum(axis=1), model.predict(later), rtol=1e-6)


def test_a_pickle_explains_and_predicts_the_same(posts):
    table, y = posts
    model = small().fit(table, y)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(table), model.predict(table))
    assert_array_equal(shap_values(copy, table), shap_values(model, table))
    assert_array_equal(copy.feature_importances_, model.feature_importances_)
    assert clone(copy).get_params() == model.get_params()


def with_noise(n_noise, n_samples=400, seed=0):
    """Two numbers that tell, and a vector that tells nothing."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_samples, n_noise + 2)).astype(np.float32)
    y = X[:, 0] + np.abs(X[:, 1]) + rng.normal(size=n_samples)
    names = ["meta__a", "meta__b", *(f"image__clip__{i}" for i in range(n_noise))]
    return pd.DataFrame(X, columns=names), y


@pytest.mark.parametrize(("n_noise", "weight"), [(17, 0.970), (64, 0.5), (400, 0.5)])
def test_columns_of_long_vectors_weigh_less(n_noise, weight):
    table, y = with_noise(n_noise, n_samples=30)
    given = feature_weights(small(iterations=1).fit(table, y))
    assert_allclose(list(given.values()), n_noise * [weight], atol=5e-4)


def test_only_numbered_columns_of_blocks_are_vectors():
    table, y = with_noise(25)
    names = [*table.columns, *(f"tags__tfidf__{i}" for i in range(4)), "x0", "x1"]
    table = table.reindex(columns=names[::-1], fill_value=0).assign(meta__kind="k")
    table["meta__kind"] = table["meta__kind"].astype("category")
    model = small(iterations=1).fit(table, y)
    places = [names[::-1].index(f"image__clip__{i}") for i in range(25)]
    assert feature_weights(model) == dict.fromkeys(places, 0.8)
    given = feature_weights(model.set_params(vector_weight=0.25))
    assert list(given.values()) == [0.25] * (25 + 4)
    assert feature_weights(model.set_params(vector_weight=1.0)) is None


def test_feature_weights_are_those_of_catboost_called_directly():
    table, y = with_noise(64)
    model = small().fit(table, y)
    z = (y - y.mean()) / y.std()
    reference = CatBoost(
        {
            "loss_function": "Huber:delta=0.5",
            "leaf_estimation_method": "Gradient",
            "leaf_estimation_iterations": 1,
            "iterations": 30,
            "depth": 3,
            "learning_rate": 0.08,
            "rsm": 30 / 66,
            "feature_weights": [1.0, 1.0] + 64 * [0.5],
            "max_ctr_complexity": 1,
            "l2_leaf_reg": 3.0,
            "random_seed": np.random.RandomState(0).randint(2**31 - 1),
            "allow_writing_files": False,
        }
    ).fit(table, z, verbose=False)
    expected = reference.predict(table) * y.std() + y.mean()
    assert_allclose(model.predict(table), expected, rtol=1e-6)


def test_a_vector_of_noise_does_less_harm():
    errors = {"auto": [], 1.0: []}
    for seed in range(2):
        table, y = with_noise(256, n_samples=1200, seed=seed)
        for weight, found in errors.items():
            model = small(iterations=100, vector_weight=weight)
            predicted = model.fit(table[:400], y[:400]).predict(table[400:])
            found.append(np.abs(y[400:] - predicted).mean())
    assert np.mean(errors["auto"]) < np.mean(errors[1.0]) - 0.02


def test_share_of_features():
    for n_noise, share in ((28, 1), (58, 0.5), (98, 0.3), (298, 0.3)):
        table, y = with_noise(n_noise, n_samples=40)
        model = small(iterations=1).fit(table, y)
        assert (model._back_end_params(0)["rsm"] or 1) == pytest.approx(share)
    assert model.set_params(colsample=0.7)._back_end_params(0)["rsm"] == 0.7


def test_nothing_to_explain():
    flat = np.ones((20, 2))
    model = small().fit(flat, np.arange(20.0))
    assert_array_equal(model.feature_importances_, [0, 0])
    assert list(shap_values(model, flat)) == [0, 1, "base"]


@pytest.mark.gpu
def test_gpu_agrees_with_cpu_roughly_and_loads_without(posts):
    table, y = posts
    noise = np.random.RandomState(0).normal(size=(N, 32)).astype(np.float32)
    noise = pd.DataFrame(noise, columns=[f"text__clip__{i}" for i in range(32)])
    numbers = pd.concat([table, noise], axis=1)  # with weighted columns
    cpu = small(iterations=100).fit(numbers, y)
    gpu = small(iterations=100, device="cuda").fit(numbers, y)
    assert_allclose(gpu.predict(numbers), cpu.predict(numbers), atol=np.std(y))
    copy = pickle.loads(pickle.dumps(gpu)).set_params(device="cpu")
    assert_allclose(copy.predict(numbers), gpu.predict(numbers), rtol=1e-5)
