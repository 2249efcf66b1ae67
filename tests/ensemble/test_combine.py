"""The rule that keeps equal weights unless others are clearly better."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion.ensemble._weights import (
    Blend,
    FoldPredictions,
    crossed_bias,
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


def decide(parts):
    blend = Blend("greedy", "pooled", shrink_to_equal=True)
    return blend.weigh(parts, blend.crossed(parts))[0]


def test_equal_members_get_equal_weights_and_junk_gets_none():
    alike = [decide(folds(seed, [1.0, 1.0, 1.0])) for seed in range(20)]
    assert sum(np.ptp(w) < 1e-12 for w in alike) >= 18
    junk = [decide(folds(seed, [1.0, 1.0, 6.0])) for seed in range(20)]
    assert max(w[0, 2] for w in junk) < 0.15


def test_weights_of_a_fold_are_solved_without_it():
    parts = folds(0, [1.0, 1.0])
    blend = Blend("simplex", "pooled", shrink_to_equal=False)
    crossed = blend.crossed(parts)
    parts[2].y[:] = 1000.0  # its own targets don't matter to its weights
    again = blend.crossed(parts)
    assert_array_equal(again[2], crossed[2])
    assert np.abs(again[0] - crossed[0]).max() > 0.01


@pytest.mark.parametrize(("last", "wins"), [(-1.0, True), (-8.0, False)])
def test_gain_is_held_against_its_standard_error_by_hand(last, wins, monkeypatch):
    def mae(y, predictions, weight):
        return lambda p: np.average(np.abs(y - p), weights=weight)

    monkeypatch.setattr("hyperfusion.ensemble._weights.make_loss", mae)
    # one row a fold, y = 0; the first member errs by 0, the second by 2 * gain, so
    # that equal weights lose `gain` against weights (1, 0)
    gains = [3.0, 3.0, 3.0, 3.0]
    parts = [
        FoldPredictions(
            np.array([k]), np.array([[0.0, 2 * g]]), np.zeros(1), np.ones(1)
        )
        for k, g in enumerate(gains)
    ]
    # in the last fold the second member is right, and (1, 0) loses -last against equal
    parts.append(
        FoldPredictions(
            np.array([4]), np.array([[-2 * last, 0.0]]), np.zeros(1), np.ones(1)
        )
    )
    blend = Blend("greedy", "pooled", shrink_to_equal=True)
    crossed = np.tile([1.0, 0.0], (5, 1))
    found = [*gains, last]
    expected = np.mean(found) > np.std(found, ddof=1) / np.sqrt(5)
    assert expected == wins
    assert blend.keeps_equal(parts, crossed) != wins


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
    blend = Blend("simplex", "pooled", shrink_to_equal=False)
    weights, bias = blend.crossed(parts), crossed_bias(parts)
    for part in parts:
        part.y[part.rows == 0] = 1000.0
    moved = (blend.crossed(parts) != weights).any(axis=1)
    assert moved.tolist() == [0 not in part.rows for part in parts]
    moved = np.abs(crossed_bias(parts) - bias).max(axis=1) > 0.01
    assert moved.tolist() == [0 not in part.rows for part in parts]


def test_halves_of_a_single_fold_weigh_each_other():
    (part,) = folds(0, [1.0, 1.0], n_folds=1)
    blend = Blend("simplex", "pooled", shrink_to_equal=True)
    _, (before,) = blend.weigh([part], blend.crossed([part]))
    part.y[6] = 1000.0
    _, (after,) = blend.weigh([part], blend.crossed([part]))
    assert_array_equal(after != before, np.arange(200) % 2 == 1)


def test_equal_weights_where_they_are_preferred_are_those_of_the_predictions():
    parts = folds(0, [1.0, 1.0, 1.0])
    blend = Blend("greedy", "pooled", shrink_to_equal=True)
    crossed = blend.crossed(parts)
    assert blend.keeps_equal(parts, crossed)
    for part, found in zip(parts, blend.weigh(parts, crossed)[1], strict=True):
        assert_allclose(found, part.predictions.mean(axis=1))
