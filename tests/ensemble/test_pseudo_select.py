"""Threshold, guards, strata, and the comparison of two sets of predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import spearman_score
from hyperfusion.ensemble._pseudo_rounds import compare, select

CONFIDENCE = np.array([-5.0, -4.0, -3.0, -2.0, -1.0])  # mean -3, deviation sqrt(2)


@pytest.mark.parametrize(
    ("alpha", "tau", "chosen"),
    [
        (0.0, -3.0, [3, 4]),
        (1.0, -3.0 + np.sqrt(2.0), [4]),
        (-1.0, -3.0 - np.sqrt(2.0), [1, 2, 3, 4]),
    ],
)
def test_threshold_is_equation_10(alpha, tau, chosen):
    rows, found = select(CONFIDENCE, np.zeros(5), alpha)
    assert_array_equal(np.flatnonzero(rows), chosen)
    assert found == pytest.approx(tau)


def test_guards_bound_the_share():
    # a few rows of great disagreement push the threshold above all others
    skewed = np.array([-100.0, *[-1.0] * 8, -0.9])
    rows, tau = select(skewed, np.zeros(10), 1.0, 0.0, 1.0)
    assert tau > skewed.max()
    assert not rows.any()
    rows, _ = select(skewed, np.zeros(10), 1.0, 0.2, 1.0)
    assert_array_equal(np.flatnonzero(rows), [1, 9])
    rows, _ = select(skewed, np.zeros(10), -1.0, 0.0, 0.3)
    assert_array_equal(np.flatnonzero(rows), [1, 2, 9])


def test_strata_keep_the_extremes():
    prediction = np.arange(200.0)
    confidence = -np.abs(prediction - 99.5)  # surest in the middle
    plain, _ = select(confidence, prediction, 1.0, 0.05, 0.5)
    assert np.flatnonzero(plain).min() > 50
    strata, tau = select(confidence, prediction, 1.0, 0.05, 0.5, 4)
    shares = [strata[i : i + 50].mean() for i in (0, 50, 100, 150)]
    assert min(shares) > 0.1
    by_hand = [
        part.mean() + part.std() for part in np.split(confidence, [50, 100, 150])
    ]
    assert tau == pytest.approx(np.mean(by_hand))


def test_strata_share_the_most_to_take():
    rng = np.random.RandomState(0)
    confidence, prediction = rng.rand(100), rng.rand(100)
    for share in (0.01, 0.25, 0.5):
        rows, _ = select(confidence, prediction, -10.0, 0.0, share, 10)
        assert rows.sum() == 100 * share
    # of ten strata with a tenth of a row each, the one with the surest row gets it
    rows, _ = select(confidence, prediction, -10.0, 0.0, 0.01, 10)
    assert_array_equal(np.flatnonzero(rows), [confidence.argmax()])


@given(
    st.lists(st.floats(-1e6, 0), min_size=1, max_size=60),
    st.floats(-3, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 12),
)
def test_selection_takes_the_surest_within_the_guards(values, alpha, a, b, strata):
    confidence = np.array(values)
    low, high = min(a, b), max(a, b)
    predictions = np.arange(float(len(values)))
    rows, _ = select(confidence, predictions, alpha, low, high, strata)
    assert low * len(values) - 1e-6 <= rows.sum() <= high * len(values) + 1
    if strata == 1 and rows.any() and not rows.all():
        assert confidence[rows].min() >= confidence[~rows].max()
    assert rows.dtype == bool
    assert rows.shape == confidence.shape


def test_gain_is_the_mean_of_relative_gains_within_folds():
    rng = np.random.RandomState(0)
    y, before, after = rng.normal(size=(3, 300))
    before, after = y + before, y + 0.7 * after
    folds = np.repeat([0, 1, 2], [50, 100, 150])
    found = compare(y, before, after, folds, np.ones(300))
    src = [
        sum((folds == k).mean() * spearman_score(y[folds == k], p[folds == k])
            for k in range(3))
        for p in (before, after)
    ]  # fmt: skip
    mae = [np.abs(y - p).mean() for p in (before, after)]
    assert_allclose([found["src_before"], found["src_after"]], src)
    assert_allclose([found["mae_before"], found["mae_after"]], mae)
    gain = ((mae[0] - mae[1]) / mae[0] + (src[1] - src[0]) / (1 - src[0])) / 2
    assert found["gain"] == pytest.approx(gain)
    assert found["gain"] > 2 * found["gain_error"] > 0


def test_error_knows_that_the_rows_of_a_fold_gain_together():
    y = np.tile(np.arange(50.0), 4)
    folds = np.repeat(np.arange(4), 50)
    shift = np.array([3.0, 0.0, 3.0, 0.0])[folds]  # two folds gain, two don't
    found = compare(y, y + 3.0, y + 3.0 - shift, folds, np.ones(200))
    # relative gains in MAE 1, 0, 1, 0, halved: their deviation over folds
    assert found["gain"] == pytest.approx(0.25)
    assert found["gain_error"] == pytest.approx(np.std([0.5, 0, 0.5, 0], ddof=1) / 2)


def test_equal_predictions_gain_nothing_and_weights_count():
    y = np.arange(20.0)
    folds = np.repeat([0, 1], 10)
    same = compare(y, y[::-1], y[::-1], folds, np.ones(20))
    assert same["gain"] == same["gain_error"] == 0
    weight = np.r_[np.ones(10), np.zeros(10)]
    after = np.r_[y[:10], -y[10:]]  # right where it counts
    found = compare(y, y + 1.0, after, folds, weight)
    assert (found["mae_before"], found["mae_after"]) == (1.0, 0.0)
    assert found["gain"] > 0


def test_random_changes_are_rarely_kept():
    """Two standard errors refuse nearly all changes that are worth nothing."""
    rng = np.random.RandomState(0)
    folds = np.repeat(np.arange(5), 60)
    kept = 0
    for _ in range(300):
        y = rng.normal(size=300)
        common = y + rng.normal(size=300)
        one, two = (common + 0.3 * rng.normal(size=300) for _ in range(2))
        found = compare(y, one, two, folds, np.ones(300))
        kept += found["gain"] > 2 * found["gain_error"]
    assert kept / 300 < 0.05
