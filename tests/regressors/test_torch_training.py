"""The training loop, through the members that use it."""

from __future__ import annotations

import pickle
import pickletools

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import huber
from sklearn.base import clone

from hyperfusion import (
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    TabNetHuberRegressor,
)
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._common import held_out_rows
from hyperfusion.regressors.networks._training import RunningAverage
from tests.regressors.tables import feature_table, target_of

SMALL = [
    TabNetHuberRegressor(n_d=4, n_steps=2, max_iter=4, random_state=0),
    CoAttentionRegressor(hidden_size=16, token_size=8, max_iter=4, random_state=0),
    ClipHierarchicalRegressor(
        hidden_size=8, final_sizes=(16,), max_iter=4, random_state=0
    ),
]
each_member = pytest.mark.parametrize("member", SMALL, ids=lambda m: type(m).__name__)

X = feature_table()
Y = target_of(X)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@each_member
def test_learns_a_table_with_categories_and_missing_values(member, device):
    table = feature_table(250)
    y = target_of(table)
    model = clone(member).set_params(max_iter=30, learning_rate=0.02, device=device)
    if isinstance(member, TabNetHuberRegressor):
        model.set_params(weight_decay=0.01, learning_rate=0.04)
    assert model.fit(table, y).score(table, y) > 0.6
    copy = pickle.loads(pickle.dumps(model)).set_params(device="cpu")
    assert_allclose(copy.predict(table), model.predict(table), rtol=1e-4)


@each_member
def test_rows_of_weight_zero_are_as_if_absent(member):
    weight = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1.0)
    poisoned = np.where(weight == 0, 1e6, Y)
    with_zeros = clone(member).fit(X, poisoned, weight)
    without = clone(member).fit(X[weight > 0], Y[weight > 0])
    assert_array_equal(with_zeros.predict(X), without.predict(X))


@each_member
def test_only_ratios_of_weights_matter(member):
    weight = np.random.RandomState(0).uniform(0.5, 2, size=len(X))
    one = clone(member).fit(X, Y, weight).predict(X)
    many = clone(member).fit(X, Y, 1024 * weight).predict(X)
    assert_array_equal(one, many)


def test_weights_pull_the_prediction():
    rng = np.random.RandomState(0)
    features = rng.normal(size=(400, 2))
    y = np.where(np.arange(400) % 2 == 0, 0.0, 10.0)
    model = ClipHierarchicalRegressor(
        max_iter=30, early_stopping=False, delta=0.05, random_state=0
    )
    low = model.fit(features, y, np.where(y == 0, 5.0, 1.0)).predict(features)
    high = model.fit(features, y, np.where(y == 0, 1.0, 5.0)).predict(features)
    assert low.mean() < 3
    assert high.mean() > 7


@each_member
def test_kept_weights_are_those_of_the_best_epoch(member):
    model = clone(member).set_params(
        max_iter=25, n_iter_no_change=3, learning_rate=0.05
    )
    weight = np.random.RandomState(0).uniform(0.5, 2, size=len(X))
    model.fit(X, Y, weight)
    assert model.n_iter_ < 25
    assert model.n_iter_ == model.best_iter_ + 3
    assert len(model.loss_curve_) == len(model.validation_curve_) == model.n_iter_
    assert model.best_score_ == min(model.validation_curve_)
    held = held_out_rows(len(X), True, np.random.RandomState(0))
    scaler = model.target_scaler_
    assert_allclose(scaler.center, np.average(Y[~held], weights=weight[~held]))
    error = (model.predict(X[held]) - Y[held]) / scaler.spread
    loss = np.average(huber(0.5, error), weights=weight[held])
    assert_allclose(model.best_score_, loss, rtol=1e-5)


@each_member
def test_verbose_prints_every_so_many_epochs(member, capsys):
    clone(member).set_params(verbose=2).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"{type(member).__name__}: epoch 2",
        f"{type(member).__name__}: epoch 4",
    ]
    clone(member).fit(X, Y)
    assert capsys.readouterr().out == ""


def test_a_diverging_training_says_what_to_do():
    model = ClipHierarchicalRegressor(learning_rate=1e30, random_state=0)
    with pytest.raises(InvalidInputError, match="lower learning_rate=1e"):
        model.fit(X, Y)


@each_member
def test_threads_are_put_back(member):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        clone(member).fit(X, Y).predict(X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_same_bits_in_other_processes():
    def bits():
        return [clone(member).fit(X, Y).predict(X) for member in SMALL]

    here = bits()
    [there] = Parallel(n_jobs=2)([delayed(bits)()])  # one process, which loads torch
    for one, other in zip(here, there, strict=True):
        assert_array_equal(one, other)


@each_member
def test_seeds_make_a_difference_and_repeat(member):
    zero = clone(member).fit(X, Y).predict(X)
    assert_array_equal(zero, clone(member).fit(X, Y).predict(X))
    assert (zero != clone(member).set_params(random_state=1).fit(X, Y).predict(X)).any()


@each_member
def test_state_is_plain_and_needs_no_torch_classes(member):
    model = clone(member).fit(X, Y)
    assert isinstance(model._state, bytes)
    data = pickle.dumps(model)
    named = [arg for op, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
    assert not [arg for arg in named if arg == "torch" or arg.startswith("torch.")]


@each_member
def test_parameters_set_after_fit_leave_the_network(member):
    model = clone(member).fit(X, Y)
    before = model.predict(X)
    copy = pickle.loads(pickle.dumps(model))
    for name in ("token_size", "hidden_size", "n_d"):
        if name in copy.get_params():
            copy.set_params(**{name: 64})
    assert_array_equal(copy.predict(X), before)


@each_member
@pytest.mark.parametrize("n", [2, 3, 33, 65])
def test_any_number_of_rows_and_one_feature(member, n):
    features = np.random.RandomState(n).normal(size=(n, 1))
    model = clone(member).set_params(batch_size=32).fit(features, features[:, 0])
    assert np.isfinite(model.predict(features)).all()


@each_member
def test_one_row(member):
    model = clone(member).fit(X[:1], [7.5])
    assert_array_equal(model.predict(X[:3]), [7.5] * 3)


@each_member
def test_constant_target_is_predicted_exactly(member):
    model = clone(member).fit(X, np.full(len(X), -1e5))
    assert model.n_iter_ == 0
    assert_array_equal(model.predict(X), np.full(len(X), -1e5))


@each_member
def test_constant_and_empty_features(member):
    table = pd.DataFrame({"a": np.ones(60), "b": np.nan, "c": np.arange(60.0)})
    model = clone(member).fit(table, np.arange(60.0))
    assert np.isfinite(model.predict(table)).all()


@each_member
def test_categories_alone(member):
    table = X[["user__user", "meta__kind"]]
    assert np.isfinite(clone(member).fit(table, Y).predict(table)).all()


@each_member
def test_changed_roles_of_columns_are_refused(member):
    model = clone(member).fit(X, Y)
    changed = X.assign(meta__kind=1.0)
    with pytest.raises(InvalidInputError, match="'meta__kind' was a category when"):
        model.predict(changed)


def test_running_average():
    layer = torch.nn.Linear(1, 1, bias=False)
    average = RunningAverage(layer)
    start = float(layer.weight.detach())
    expected = start
    for step in range(1, 1000):
        with torch.no_grad():
            layer.weight.fill_(step)
        average.update()
        share = max(0.01, 9 / (9 + step))
        expected += share * (step - expected)
    assert_allclose(float(average.state["weight"]), expected, rtol=1e-5)
