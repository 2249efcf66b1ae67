"""Stratified folds of a regression target, and splits by time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hyperfusion import StratifiedRegressionKFold, time_split
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._split import quantile_bins


def test_every_fold_has_its_share_of_every_decile():
    y = np.random.RandomState(0).lognormal(size=1000)
    deciles = np.argsort(np.argsort(y)) // 100
    for _, test in StratifiedRegressionKFold(5, random_state=0).split(y, y):
        assert_array_equal(np.bincount(deciles[test]), 20)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=10, max_size=60), st.integers(2, 5))
def test_folds_are_a_partition_for_any_target(values, n_splits):
    y = np.array(values, dtype=float)
    tests = [
        t for _, t in StratifiedRegressionKFold(n_splits, random_state=0).split(y, y)
    ]
    assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(y)))
    sizes = [len(t) for t in tests]
    assert max(sizes) - min(sizes) <= len(set(values))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=5, max_size=60), st.integers(2, 5))
def test_bins_are_large_enough_and_ordered(values, min_size):
    y = np.array(values, dtype=float)
    bins = quantile_bins(y, 10, min_size)
    assert min(np.bincount(bins)) >= min(min_size, len(y))
    order = np.argsort(y, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()


def test_too_many_folds():
    with pytest.raises(InvalidInputError, match="number of rows, which is 3"):
        list(StratifiedRegressionKFold(5).split(np.ones(3), np.ones(3)))
    folds = StratifiedRegressionKFold(5).split(np.ones(8), np.ones(8), [0, 1] * 4)
    with pytest.raises(InvalidInputError, match="number of groups, which is 2"):
        list(folds)


def test_time_split_is_strict_and_any_order():
    time = pd.Series(pd.to_datetime(["2020-03-01", "2020-01-01", "2020-02-01"] * 2))
    train, test = time_split(time, test_size=1)
    assert set(test) == {0, 3}
    assert set(train) == {1, 2, 4, 5}
    assert time[train].max() < time[test].min()
    assert_array_equal(time[train], np.sort(time[train]))


@pytest.mark.parametrize(
    ("time", "size", "message"),
    [
        ([1, 1, 1], 1, "no rows to learn from"),
        ([1, np.nan, 2], 1, "missing in row 1"),
        ([1, 2], 2, "test_size=2"),
    ],
)
def test_time_split_errors(time, size, message):
    with pytest.raises(InvalidInputError, match=message):
        time_split(time, test_size=size)


def test_time_split_reads_texts_as_dates():
    texts = ["2024-05-01 12:00+02:00", "2024-05-01 10:30", "2024-04-30T23:00:00Z"]
    train, test = time_split(texts, test_size=1)
    assert (train.tolist(), test.tolist()) == ([2, 0], [1])
    seconds = ["900000000", "1700000000", "1000000000"]
    assert time_split(seconds, test_size=1)[1].tolist() == [1]


def test_time_split_never_guesses_at_day_and_month():
    with pytest.raises(InvalidInputError, match=r"row 1.*'24/01/2024'.*dayfirst"):
        time_split(["2024-01-01", "24/01/2024", "2024-03-01"], test_size=1)


def test_time_split_takes_numbers_in_any_form():
    for times in ([3, 1, 2], np.array([3, 1, 2], dtype=object), [3.0, 1.5, 2.0]):
        train, test = time_split(times, test_size=1)
        assert (train.tolist(), test.tolist()) == ([1, 2], [0])


def test_missing_times_of_texts_are_named():
    with pytest.raises(InvalidInputError, match="missing in row 1"):
        time_split(["2024-01-01", None, "2024-03-01"], test_size=1)
