"""Solvers of the members' weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hyperfusion import spearman_score
from hyperfusion.ensemble._weights import SOLVERS, make_loss, solve_weights


def problem(seed=0, n=300):
    rng = np.random.RandomState(seed)
    y = rng.normal(5, 2, n)
    noise = rng.normal(size=(n, 3)) * [1.0, 1.0, 3.0]
    return y, y[:, None] + noise, np.ones(n)


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_are_a_convex_combination_and_no_worse_than_the_best(solver):
    y, predictions, weight = problem()
    w = solve_weights(solver, y, predictions, weight)
    assert_allclose(w.sum(), 1)
    assert w.min() >= 0
    if solver != "equal":
        loss = make_loss(y, predictions, weight)
        assert loss(predictions @ w) <= min(loss(p) for p in predictions.T) + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_simplex_finds_the_best_of_a_grid(seed):
    rng = np.random.RandomState(seed)
    y = rng.normal(size=1000)
    predictions = y[:, None] + rng.normal(size=(1000, 3)) * [1.0, 1.3, 2.0]
    w = solve_weights("simplex", y, predictions, np.ones(1000))
    loss = make_loss(y, predictions, np.ones(1000))
    steps = np.arange(21) / 20
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1]
    best = min(loss(predictions @ np.array(g)) for g in grid)
    assert loss(predictions @ w) <= best + 1e-4


def test_independent_errors_weigh_inversely_to_their_variance():
    y, predictions, weight = problem(n=20_000)
    expected = np.array([1, 1, 1 / 9]) / (2 + 1 / 9)
    w = solve_weights("simplex", y, predictions, weight)
    assert_allclose(w, expected, atol=0.03)


def test_the_loss_is_the_mean_of_both_scores_relative_to_the_best():
    y, predictions, _ = problem()
    y, predictions = y.round(), predictions.round()  # ties
    weight = np.random.RandomState(0).uniform(size=len(y))
    loss = make_loss(y, predictions, weight)
    scores = [
        (1 - spearman_score(y, p, sample_weight=weight),
         np.average(np.abs(y - p), weights=weight))
        for p in predictions.T
    ]  # fmt: skip
    best = np.min(scores, axis=0)
    for p, found in zip(predictions.T, scores, strict=True):
        assert_allclose(loss(p), np.mean(found / best))
    constant = np.ones(len(y))
    error = np.average(np.abs(y - constant), weights=weight)
    assert_allclose(loss(constant), (1 / best[0] + error / best[1]) / 2)


def test_weightless_rows_do_not_count():
    y, predictions, weight = problem()
    junk = np.concatenate([predictions, predictions[:50]])
    longer = np.concatenate([y, y[:50]])
    a = make_loss(y, predictions, weight)
    b = make_loss(longer, junk, np.concatenate([weight, np.zeros(50)]))
    w = solve_weights("simplex", y, predictions, weight)
    assert_allclose(a(predictions @ w), b(junk @ w), rtol=0.01)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([solver for solver in SOLVERS if solver != "equal"]),
    st.sampled_from([1e-6, 1e6]),
)
def test_weights_do_not_depend_on_the_unit(seed, solver, unit):
    y, predictions, weight = problem(seed, n=60)
    w = solve_weights(solver, y, predictions, weight)
    scaled = solve_weights(solver, y * unit, predictions * unit, weight)
    loss = make_loss(y, predictions, weight)
    assert loss(predictions @ scaled) <= loss(predictions @ w) * 1.01 + 1e-9


def test_all_members_alike_or_constant():
    y = np.arange(10.0)
    same = np.ones((10, 3))
    for solver in SOLVERS:
        w = solve_weights(solver, y, same, np.ones(10))
        assert_allclose(w.sum(), 1)
