"""Weights of folds, solved on rows that the folds do not validate."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion.ensemble._weights import (
    FoldPredictions,
    crossed_bias,
    crossed_weights,
    honest_predictions,
    mean_by_row,
)


def folds(seed, noise, n=200, n_folds=5):
    """Folds of members whose errors are independent, of the given sizes."""
    rng = np.random.RandomState(seed)
    made = []
    for k in range(n_folds):
        y = rng.normal(size=n)
        predictions = y[:, None] + rng.normal(size=(n, len(noise))) * noise
        made.append(FoldPredictions(np.arange(n) + k * n, predictions, y, np.ones(n)))
    return made


def test_weights_of_a_fold_are_solved_without_it():
    parts = folds(0, [1.0, 1.0])
    crossed = crossed_weights("simplex", parts)
    parts[2].y[:] = 1000.0  # its own targets don't matter to its weights
    again = crossed_weights("simplex", parts)
    assert_array_equal(again[2], crossed[2])
    assert np.abs(again[0] - crossed[0]).max() > 0.01


def test_mean_by_row_counts_repeats_and_leaves_gaps():
    rows = [np.array([0, 1]), np.array([1, 2])]
    found = mean_by_row(rows, [np.array([1.0, 2.0]), np.array([4.0, 5.0])], 4)
    assert_allclose(found, [1.0, 3.0, 5.0, np.nan])


def joined(one, two, rows):
    """A fold that validates some rows of two others."""
    names = ("rows", "predictions", "y", "weight")
    return FoldPredictions(
        *[np.concatenate([getattr(f, n)[rows] for f in (one, two)]) for n in names]
    )


def test_rows_that_several_folds_validate_never_weigh_themselves():
    first, second = folds(0, [1.0, 1.0], n_folds=2)
    # a second repeat validates the same rows in other folds
    mixed = [joined(first, second, s) for s in (slice(0, 100), slice(100, 200))]
    parts = [first, second, *mixed]
    weights, bias = crossed_weights("simplex", parts), crossed_bias(parts)
    for part in parts:
        part.y[part.rows == 0] = 1000.0
    moved = (crossed_weights("simplex", parts) != weights).any(axis=1)
    assert moved.tolist() == [0 not in part.rows for part in parts]
    moved = np.abs(crossed_bias(parts) - bias).max(axis=1) > 0.01
    assert moved.tolist() == [0 not in part.rows for part in parts]


def test_halves_of_a_single_fold_weigh_each_other():
    (part,) = folds(0, [1.0, 1.0], n_folds=1)
    crossed = crossed_weights("simplex", [part])
    (before,) = honest_predictions("simplex", [part], crossed)
    part.y[6] = 1000.0
    (after,) = honest_predictions("simplex", [part], crossed)
    assert_array_equal(after != before, np.arange(200) % 2 == 1)
