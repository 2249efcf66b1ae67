"""Solvers of the members' weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hyperfusion import spearman_score
from hyperfusion.ensemble._weights import OBJECTIVES, SOLVERS, make_loss, solve_weights


def problem(seed=0, n=300):
    rng = np.random.RandomState(seed)
    y = rng.normal(5, 2, n)
    noise = rng.normal(size=(n, 3)) * [1.0, 1.0, 3.0]
    return y, y[:, None] + noise, np.ones(n)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_weights_are_a_convex_combination_and_no_worse_than_the_best(solver, objective):
    y, predictions, weight = problem()
    w = solve_weights(solver, objective, y, predictions, weight, delta=1.0)
    assert_allclose(w.sum(), 1)
    assert w.min() >= 0
    if solver in ("greedy", "simplex"):
        loss = make_loss(objective, y, predictions, weight, 1.0)
        assert loss(predictions @ w) <= min(loss(p) for p in predictions.T) + 1e-9


@pytest.mark.parametrize("objective", ["both", "mae", "spearman"])
@pytest.mark.parametrize("seed", range(3))
def test_simplex_finds_the_best_of_a_grid(objective, seed):
    rng = np.random.RandomState(seed)
    y = rng.normal(size=1000)
    predictions = y[:, None] + rng.normal(size=(1000, 3)) * [1.0, 1.3, 2.0]
    w = solve_weights("simplex", objective, y, predictions, np.ones(1000), 1.0)
    loss = make_loss(objective, y, predictions, np.ones(1000), 1.0)
    steps = np.arange(21) / 20
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1]
    best = min(loss(predictions @ np.array(g)) for g in grid)
    assert loss(predictions @ w) <= best + 1e-4


def test_independent_errors_weigh_inversely_to_their_variance():
    y, predictions, weight = problem(n=20_000)
    expected = np.array([1, 1, 1 / 9]) / (2 + 1 / 9)
    for solver in ("simplex", "nnls"):
        w = solve_weights(solver, "mae", y, predictions, weight, delta=1.0)
        assert_allclose(w, expected, atol=0.03)


def test_loss_values_by_hand():
    y = np.array([0.0, 0.0, 0.0, 0.0])
    p = np.array([0.0, 0.5, -1.0, 3.0])
    ones, P = np.ones(4), p[:, None]
    assert make_loss("mae", y, P, ones, 1.0)(p) == pytest.approx(4.5 / 4)
    # equation 7 with delta 1: 0, 0.125, 0.5, 3 - 0.5
    assert make_loss("huber", y, P, ones, 1.0)(p) == pytest.approx(3.125 / 4)


def test_spearman_loss_is_the_score():
    y, predictions, _ = problem()
    y, predictions = y.round(), predictions.round()  # ties
    weight = np.random.RandomState(0).uniform(size=len(y))
    loss = make_loss("spearman", y, predictions, weight, 1.0)
    for p in predictions.T:
        assert_allclose(loss(p), 1 - spearman_score(y, p, sample_weight=weight))
    assert loss(np.ones(len(y))) == 1
    assert make_loss("spearman", np.ones(len(y)), predictions, weight, 1.0)(y) == 1


def test_weightless_rows_do_not_count():
    y, predictions, weight = problem()
    junk = np.concatenate([predictions, 100 * np.ones((50, 3))])
    longer = np.concatenate([y, -100 * np.ones(50)])
    for solver in ("nnls", "simplex"):
        a = solve_weights(solver, "mae", y, predictions, weight, 1.0)
        b = solve_weights(
            solver, "mae", longer, junk, np.concatenate([weight, np.zeros(50)]), 1.0
        )
        assert_allclose(a, b, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(SOLVERS),
    st.sampled_from(OBJECTIVES),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_weights_do_not_depend_on_the_unit(seed, solver, objective, unit):
    y, predictions, weight = problem(seed, n=60)
    w = solve_weights(solver, objective, y, predictions, weight, 1.0)
    scaled = solve_weights(
        solver, objective, y * unit, predictions * unit, weight, unit
    )
    loss = make_loss(objective, y, predictions, weight, 1.0)
    assert loss(predictions @ scaled) <= loss(predictions @ w) * 1.01 + 1e-9


def test_all_members_alike_or_constant():
    y = np.arange(10.0)
    same = np.ones((10, 3))
    for solver in SOLVERS:
        for objective in OBJECTIVES:
            w = solve_weights(solver, objective, y, same, np.ones(10), 1.0)
            assert_allclose(w.sum(), 1)
