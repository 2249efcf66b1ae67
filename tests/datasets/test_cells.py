"""Dirty cells: nothing raises, nothing turns into a wrong number."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion.datasets._files import (
    clean_dates,
    clean_numbers,
    clean_seconds,
    clean_texts,
    clean_vectors,
)
from hyperfusion.exceptions import BadCellWarning

# numbers far from our time are read all the same
pytestmark = pytest.mark.filterwarnings("ignore:.*outside of 1995 to 2032")

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["None", "", " 1904010100", "2015-02-30", "0x10", "1e400", "12:30"]
    ),
)
FRACTIONS = st.floats(-1e6, 1e6, width=32)
MOMENTS = st.datetimes(datetime(1800, 1, 1), datetime(2100, 12, 31))


def column(cells):
    return pd.Series(cells, dtype=object, name="c")


def quietly(clean, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BadCellWarning)
        return clean(*args)


@given(st.lists(ANYTHING, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_nothing_raises_and_rows_do_not_depend_on_each_other(cells):
    for clean in (clean_numbers, clean_seconds, clean_dates):
        whole = quietly(clean, column(cells))
        assert len(whole) == len(cells)
        each = [quietly(clean, column([cell]))[0] for cell in cells]
        assert_array_equal(whole, np.array(each, dtype=whole.dtype))
    assert not np.isinf(quietly(clean_numbers, column(cells))).any()
    vectors = quietly(clean_vectors, column(cells), 1)
    assert len(vectors) == len(cells)
    there = vectors.dropna()
    assert all(v.shape == (1,) and v.dtype == np.float32 for v in there)


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(-(2**53), 2**53),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=40, deadline=None)
def test_numbers_and_their_texts_are_read_alike(numbers):
    expected = np.array(numbers, dtype=float)
    # pandas' reading of texts is exact but for the last bit.
    for cells in (numbers, [f" {n!r} " for n in numbers]):
        assert_allclose(clean_numbers(column(cells)), expected, rtol=1e-15)


@given(MOMENTS)
@settings(max_examples=50, deadline=None)
def test_dates_are_read_in_every_form(moment):
    moment = moment.replace(microsecond=0)
    expected = np.datetime64(moment, "s")
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    assert clean_dates(column([text]))[0] == expected
    hour = moment.replace(minute=0, second=0)
    assert clean_dates(column([hour.strftime("%Y%m%d%H")]))[0] == np.datetime64(hour)
    seconds = int(moment.replace(tzinfo=UTC).timestamp())
    # years and dates of eight digits are not seconds
    if not 1900 <= seconds <= 2100 and not 19_000_000 < seconds < 21_010_000:
        assert clean_seconds(column([seconds]))[0] == expected
        assert clean_seconds(column([str(seconds)]))[0] == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (1_425_168_000, "2015-03-01"),
        ("949363200", "2000-02-01"),
        (1_425_168_000.0, "2015-03-01"),
        ("-86400", "1969-12-31"),
        ("1904010100", "1904-01-01"),
        (2006, "2006-01-01"),
        ("2014-12-31T23:00:00Z", "2014-12-31T23:00:00"),
        ("2014-12-31T23:00:00+02:00", "2014-12-31T21:00:00"),
    ],
)
def test_known_dates(cell, expected):
    assert clean_dates(column([cell]))[0] == np.datetime64(expected)


@pytest.mark.parametrize("cell", [None, math.nan, "", " ", "None", "0", "null", 0])
def test_missing_dates_are_silent(cell):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnat(clean_dates(column([cell, cell]))).all()


@pytest.mark.parametrize(
    ("clean", "good", "bad"),
    [
        (clean_numbers, "1", "one"),
        (clean_numbers, "1", "inf"),
        (clean_seconds, "1425168000", 10**30),
        (clean_dates, "2015-01-01", "2015-13-01"),
        (clean_dates, "1904010100", "1904990100"),
    ],
)
def test_bad_cells_are_counted_in_one_warning(clean, good, bad):
    with pytest.warns(BadCellWarning, match=r"2 cell.*'c'.*first row 1") as caught:
        values = clean(column([good, bad, None, bad]))
    assert len(caught) == 1
    assert_array_equal(pd.isna(values), [False, True, True, True])


@given(
    st.lists(FRACTIONS, min_size=3, max_size=3), st.sampled_from([",", ";", " ", ", "])
)
@settings(max_examples=40, deadline=None)
def test_vectors_are_read_with_every_separator(numbers, separator):
    expected = np.array(numbers, dtype=np.float32)
    text = separator.join(map(repr, numbers))
    for cell in (text, text + separator, f"[{text}]", numbers):
        assert_array_equal(clean_vectors(column([cell]), 3)[0], expected)


def test_equal_vectors_share_one_reading():
    vectors = clean_vectors(column(["1 2", None, "1 2", "3 4"]), 2)
    assert vectors[0] is vectors[2]
    assert vectors[1] is None
    assert_array_equal(np.stack(vectors.dropna()), [[1, 2], [1, 2], [3, 4]])


def test_texts():
    cells = column([" a ", "", None, "None", 5, math.nan])
    assert clean_texts(cells).tolist() == ["a", None, None, "None", "5", None]
    assert clean_texts(cells, placeholders=True).tolist()[3] is None
