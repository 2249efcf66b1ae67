"""CatBoost behind scikit-learn's contract: agreement, categories, stopping, shares."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostRegressor, Pool
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error

from hyperfusion import CatBoostHuberRegressor
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.inspection import shap_values
from hyperfusion.regressors._common import TargetScaler, held_out_rows


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    n = 300
    X = pd.DataFrame(rng.normal(size=(n, 3)).astype("float32"), columns=list("abc"))
    X["kind"] = pd.Categorical(rng.choice(["x", "y", "z"], n))
    X.loc[::9, "b"] = np.nan
    X.loc[::11, "kind"] = None
    y = 8 + 2 * X["a"] + 3.0 * (X["kind"] == "y") + 0.3 * rng.normal(size=n)
    return X, y.to_numpy()


def small(**parameters):
    settings = {
        "iterations": 60,
        "depth": 4,
        "early_stopping": False,
        "random_state": 0,
    }
    return CatBoostHuberRegressor(**settings | parameters)


def test_agrees_with_catboost_called_directly(table):
    X, y = table
    model = small().fit(X, y)
    plain = X.assign(kind=X["kind"].astype(object).fillna("__missing__"))
    z = (y - y.mean()) / y.std()
    seed = np.random.RandomState(0).randint(2**31 - 1)
    reference = CatBoostRegressor(
        loss_function="Huber:delta=0.5",
        leaf_estimation_method="Gradient",
        leaf_estimation_iterations=1,
        iterations=60,
        depth=4,
        learning_rate=0.08,
        max_ctr_complexity=1,
        l2_leaf_reg=3.0,
        random_strength=1.0,
        random_seed=seed,
        verbose=0,
        allow_writing_files=False,
    ).fit(Pool(plain, z, cat_features=["kind"]))
    expected = reference.predict(plain) * y.std() + y.mean()
    assert_allclose(model.predict(X), expected, rtol=1e-6)


def test_a_target_far_from_zero_is_no_trap(table):
    X, y = table
    near, far = small().fit(X, y), small().fit(X, y + 1e4)
    assert_allclose(far.predict(X) - 1e4, near.predict(X), atol=1e-3)
    assert mean_absolute_error(y, near.predict(X)) < 0.6


def test_predictions_scale_with_the_target(table):
    X, y = table
    one, thousand = small().fit(X, y), small().fit(X, 1000 * y)
    assert_allclose(thousand.predict(X), 1000 * one.predict(X), rtol=1e-4)


def test_huber_resists_outliers(table):
    X, y = table
    odd = y.copy()
    odd[::15] += 500
    errors = {
        delta: np.median(np.abs(y - small(delta=delta).fit(X, odd).predict(X)))
        for delta in (0.01, 100.0)  # the latter is squared error
    }
    assert errors[0.01] < errors[100.0] / 3


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_learns_two_groups_all_of_whose_errors_are_large(share):
    X = np.random.RandomState(0).normal(size=(3000, 5))
    y = (X[:, 0] > np.quantile(X[:, 0], 1 - share)).astype(float)
    model = CatBoostHuberRegressor(iterations=200, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.98


def test_unseen_and_missing_categories_and_other_levels(table):
    X, y = table
    model = small().fit(X, y)
    new = X.iloc[:4].copy()
    new["kind"] = pd.Categorical(["new", None, "y", "x"], categories=["x", "new", "y"])
    known = X.iloc[:4].copy()
    known["kind"] = pd.Categorical([None, None, "y", "x"], categories=["x", "y", "z"])
    assert np.isfinite(model.predict(new)).all()
    assert_allclose(model.predict(new)[1:], model.predict(known)[1:])


def test_column_order_of_categories_does_not_matter_for_explanations(table):
    X, y = table
    X = X[["kind", "c", "a", "b"]]
    model = small().fit(X, y)
    order = np.argsort(-model.feature_importances_)
    assert set(X.columns[order[:2]]) == {"a", "kind"}
    assert_allclose(model.feature_importances_.sum(), 1)
    shap = shap_values(model, X)
    assert list(shap.columns) == ["kind", "c", "a", "b", "base"]
    assert_allclose(shap.sum(axis=1), model.predict(X), rtol=1e-6)


def test_weights_act(table):
    X, y = table
    shifted = np.concatenate([y, y + 10])
    twice = pd.concat([X, X], ignore_index=True)
    light = np.repeat([1.0, 1e-3], len(y))
    model = small(iterations=120).fit(twice, shifted, sample_weight=light)
    assert abs(np.mean(model.predict(X) - y)) < 0.3
    zero = small().fit(twice, shifted, sample_weight=np.repeat([1.0, 0.0], len(y)))
    alone = small().fit(X, y, sample_weight=np.ones(len(y)))
    assert_array_equal(zero.predict(X), alone.predict(X))
    with pytest.raises(ValueError, match="zero"):
        small().fit(X, y, sample_weight=np.zeros(len(y)))


def test_early_stopping_keeps_the_best_number_of_trees(table):
    X, y = table
    noise = np.random.RandomState(1).normal(size=len(y))
    model = small(early_stopping=True, iterations=500, n_iter_no_change=20).fit(
        X, noise
    )
    assert model.n_iter_ < 200
    assert model.best_score_ > 0
    assert small().fit(X, y).n_iter_ == 60


@pytest.mark.parametrize(("n", "size"), [(100, 10), (14, 1), (3, 1), (2, 0), (1, 0)])
def test_rows_held_out(n, size):
    rng = np.random.RandomState(0)
    assert held_out_rows(n, True, rng).sum() == size
    assert held_out_rows(n, False, rng).sum() == 0


def test_verbose_prints_every_so_many_trees(table, capsys):
    X, y = table
    small(verbose=20).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["0", "20", "40", "59"]
    small().fit(X, y)
    assert capsys.readouterr().out == ""


def test_what_a_gpu_can_not_do_is_said(table, monkeypatch):
    monkeypatch.setattr("hyperfusion._device._is_there", lambda device: True)
    X, y = table
    with pytest.raises(InvalidInputError, match="CatBoost can't use device='mps'"):
        small(device="mps").fit(X, y)
    with pytest.warns(UserWarning, match=r"colsample=0\.5 has no effect"):
        small(colsample=0.5, device="cuda")._where_to_train()
    for device, number in (("cuda", "0"), ("cuda:1", "1")):
        where = small(device=device)._where_to_train()
        assert where == {"task_type": "GPU", "devices": number, "rsm": None}
    assert small()._where_to_train() == {"task_type": "CPU"}


def test_nothing_to_learn(table):
    X, _ = table
    assert_allclose(small().fit(X, np.full(len(X), 3.0)).predict(X), 3)
    flat = np.ones((20, 2))
    model = small().fit(flat, np.arange(20.0))
    assert_allclose(model.predict(flat), 9.5)
    assert_array_equal(model.feature_importances_, 0)
    assert_allclose(shap_values(model, flat)["base"], 9.5)


def test_number_of_threads_changes_nothing(table):
    X, y = table
    one, two = (small(n_threads=t).fit(X, y).predict(X) for t in (1, 2))
    assert_array_equal(one, two)


def test_pickle_holds_bytes_and_refit_forgets(table):
    X, y = table
    model = small().fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert isinstance(copy.model_, bytes)
    assert_array_equal(copy.predict(X), model.predict(X))
    copy.fit(X, -y)
    assert np.mean(copy.predict(X)) < 0
    assert clone(copy).get_params() == model.get_params()


def test_bad_columns_are_named(table):
    X, y = table
    with pytest.raises(InvalidInputError, match="Column 'text' has dtype"):
        small().fit(X.assign(text="words"), y)
    infinite = X.copy()
    infinite.loc[7, "c"] = np.inf
    with pytest.raises(BadCellError, match=r"row 7, column 'c'.*infinity"):
        small().fit(infinite, y)


def test_target_scaler_by_hand():
    scaler = TargetScaler.fit(np.array([0.0, 4.0]), np.array([3.0, 1.0]))
    assert (scaler.center, scaler.spread) == (1.0, pytest.approx(3**0.5))
    assert TargetScaler.fit(np.array([5.0, 5.0])).spread == 1.0


def test_targets_that_single_precision_can_not_tell_apart():
    y = np.array([0.0, 1e-249, 0.0, 2e-249])
    model = small(iterations=3).fit(np.arange(4.0)[:, None], y)
    assert_allclose(model.predict([[0.0], [9.0]]), 0, atol=1e-200)
