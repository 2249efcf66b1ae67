"""Reading times and time zones in all their forms."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from hyperfusion.cells._times import (
    Times,
    parse_zone,
    read_times,
    read_zones,
    to_utc_and_local,
)
from hyperfusion.exceptions import BadCellError, BadCellWarning

# 2015-03-01 00:00 UTC, the first moment of the SMP data set
SECONDS = 1_425_168_000


def read(*cells, **params):
    return read_times(pd.Series(cells, dtype=object, name="t"), "raise", **params)


AWARE = [
    SECONDS,
    float(SECONDS),
    SECONDS * 1_000,
    SECONDS * 1_000_000,
    SECONDS * 1_000_000_000,
    str(SECONDS),
    f" {SECONDS}.0 ",
    Decimal(SECONDS),
    np.int64(SECONDS),
    "2015-03-01T00:00:00Z",
    "2015-03-01 00:00 UTC",
    "2015-02-28T19:00:00-05:00",
    "2015-03-01 05:30:00.000+0530",
    "2015-03-01T01+01",
    pd.Timestamp("2015-03-01", tz="UTC"),
    dt.datetime(2015, 3, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
]
NAIVE = [
    "2015-03-01",
    "2015-03",
    "20150301",
    "2015-03-01 00:00",
    "2015-03-01T00:00:00.999",
    dt.date(2015, 3, 1),
    dt.datetime(2015, 3, 1),
    np.datetime64("2015-03-01"),
    pd.Timestamp("2015-03-01"),
]


@pytest.mark.parametrize("cell", AWARE, ids=repr)
def test_forms_that_fix_the_moment(cell):
    times = read(cell)
    assert times.seconds.tolist() == [SECONDS]
    assert not times.naive[0]


@pytest.mark.parametrize("cell", NAIVE, ids=repr)
def test_forms_without_a_time_zone(cell):
    times = read(cell)
    assert times.seconds.tolist() == [SECONDS]
    assert times.naive[0]


def test_all_forms_in_one_column():
    times = read(*AWARE, *NAIVE)
    assert (times.seconds == SECONDS).all()
    assert times.naive.sum() == len(NAIVE)


@pytest.mark.parametrize(
    "dtype",
    ["int64", "Int64", "float32", "float64", "datetime64[s]", "datetime64[ns]"],
)
def test_columns_of_one_dtype(dtype):
    # float32 can't hold every second: 2**30 it can
    cells = pd.Series([2**30]).astype("datetime64[s]" if "date" in dtype else dtype)
    assert read_times(cells.astype(dtype), "raise").seconds.tolist() == [2**30]


def test_columns_of_texts_and_categories():
    for dtype in ("string", "category"):
        cells = pd.Series(["2015-03-01T00:00Z", None], dtype=dtype)
        seconds = read_times(cells, "raise").seconds
        np.testing.assert_array_equal(seconds, [SECONDS, np.nan])


def test_missing_cells_are_not_bad():
    assert np.isnan(read(None, np.nan, pd.NaT, pd.NA, "", "  ").seconds).all()
    numbers = pd.Series([np.nan, SECONDS])
    np.testing.assert_array_equal(
        read_times(numbers, "raise").seconds, [np.nan, SECONDS]
    )


BAD = [
    *["soon", "now", "today", "May 1, 2015", "2015-13-01", "2015-W10", "12:30"],
    *[SECONDS + 0.5, np.inf, 10**400, 1e30, True, 1j, [SECONDS], b"2015-03-01"],
    *["9999-01-01", "0001-01-01", dt.date(1600, 1, 1)],
]


@pytest.mark.parametrize("cell", BAD, ids=repr)
def test_bad_cells(cell):
    with pytest.raises(BadCellError, match=r"row 1, column 't'.*as a time") as error:
        read(SECONDS, cell)
    assert (error.value.row, error.value.column) == (1, "t")


def test_bad_cells_count_in_one_warning():
    cells = pd.Series([*BAD, SECONDS], dtype=object, name="t")
    message = rf"{len(BAD)} cell\(s\) of column 't'.*row 0: can't read 'soon'"
    with pytest.warns(BadCellWarning, match=message) as seen:
        seconds = read_times(cells, "missing").seconds
    assert len(seen) == 1
    assert np.isnan(seconds[:-1]).all()
    assert seconds[-1] == SECONDS


@pytest.mark.parametrize("cell", [1900, 2015, 2100, 2015.0, "2015", np.int32(2015)])
@pytest.mark.parametrize("on_error", ["raise", "missing"])
def test_bare_years_are_refused(cell, on_error):
    cells = pd.Series([SECONDS, cell], dtype=object, name="year")
    with pytest.raises(BadCellError, match=r"row 1.*'year'.*give a date"):
        read_times(cells, on_error)
    with pytest.raises(BadCellError, match="like a year"):
        read_times(pd.Series([2015, 2016]), on_error)


def test_dates_as_numbers_are_refused():
    with pytest.raises(BadCellError, match="20150301 looks like a date"):
        read(20150301)


@settings(deadline=None)
@given(st.integers(-9_000_000_000, 9_000_000_000))
def test_a_moment_is_the_same_in_all_forms(second):
    naive = np.datetime64(second, "s")
    forms = [naive, f"{naive}Z", pd.Timestamp(naive), str(naive)]
    forms += [pd.Timestamp(naive, tz="UTC").tz_convert("UTC+09:00").isoformat()]
    assert read(*forms).seconds.tolist() == [second] * 5
    if not 1900 <= second <= 2100 and not 10_000_000 <= second < 100_000_000:
        assert read(second, float(second), str(second)).seconds.tolist() == [second] * 3


@settings(deadline=None)
@given(
    st.lists(
        st.none()
        | st.text(max_size=20)
        | st.from_regex(r"\A(19|20)\d\d-\d\d-\d\d[T ]\d\d:\d\d(Z|[+-]\d\d:?\d\d)?\Z")
        | st.floats()
        | st.integers()
        | st.datetimes()
        | st.dates()
        | st.booleans(),
        min_size=1,
        max_size=5,
    )
)
@example(["2015-01-01 00:00+9999"])
@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
def test_wild_cells(cells):
    try:
        seconds = read_times(pd.Series(cells, dtype=object), "missing").seconds
    except BadCellError:
        reject()  # a year among the cells, which is an error at all times
    for cell, second in zip(cells, seconds, strict=True):
        alone = read_times(pd.Series([cell], dtype=object), "missing").seconds[0]
        np.testing.assert_equal(alone, second)


@pytest.mark.parametrize(
    ("cell", "hours"),
    [
        ("-05:00", -5),
        ("+0530", 5.5),
        ("+05:45", 5.75),
        ("-5", -5),
        ("9", 9),
        ("UTC+2", 2),
        ("gmt-3", -3),
        ("Z", 0),
        ("5.5", 5.5),
        (-3, -3),
        (np.float32(5.5), 5.5),
        (14, 14),
    ],
)
def test_offsets(cell, hours):
    assert parse_zone(cell) == hours * 3600


def test_names_of_zones():
    assert parse_zone(" Europe/Berlin ") == "Europe/Berlin"
    assert parse_zone(" ") is None


@pytest.mark.parametrize(
    "cell",
    [*["Mars/Olympus", "../etc", "America", "+0575", "+15:00", "nan", "inf", "\ud800"],
     *[-500, -18_000, np.inf, True, ["UTC"]]],
    ids=repr,
)  # fmt: skip
def test_bad_zones(cell):
    cells = pd.Series([0, cell], dtype=object, name="zone")
    with pytest.raises(BadCellError, match="row 1, column 'zone'"):
        read_zones(cells, "raise")
    with pytest.warns(BadCellWarning):
        assert read_zones(cells, "missing") == [0, None]


def local(moment, zone, naive_is_local=False):
    times = read(moment)
    utc, clock = to_utc_and_local(times, [zone], naive_is_local)
    return tuple(str(np.datetime64(int(s[0]), "s")) for s in (utc, clock))


def test_clocks_around_a_change_to_summer_time():
    assert local("2024-03-31T00:59:59Z", "Europe/Berlin")[1] == "2024-03-31T01:59:59"
    assert local("2024-03-31T01:00:00Z", "Europe/Berlin")[1] == "2024-03-31T03:00:00"
    # both are half past one in New York
    for moment in ("2024-11-03T05:30Z", "2024-11-03T06:30Z"):
        assert local(moment, "America/New_York")[1] == "2024-11-03T01:30:00"


def test_naive_times_are_utc_or_local():
    assert local("2024-07-01 12:00", "Europe/Berlin") == (
        "2024-07-01T12:00:00",
        "2024-07-01T14:00:00",
    )
    assert local("2024-07-01 12:00", "Europe/Berlin", True) == (
        "2024-07-01T10:00:00",
        "2024-07-01T12:00:00",
    )
    assert local("2024-07-01 12:00", -18_000, True)[0] == "2024-07-01T17:00:00"
    # a time that names its zone is not read from another clock
    aware = "2024-07-01T12:00Z"
    assert local(aware, -18_000, True) == local(aware, -18_000)


def test_clocks_that_show_an_hour_twice_or_leave_it_out():
    assert local("2024-11-03 01:30", "America/New_York", True)[0] == (
        "2024-11-03T05:30:00"
    )
    assert local("2024-03-31 02:30", "Europe/Berlin", True)[0] == "2024-03-31T01:00:00"


def test_rows_without_a_zone_stay_in_utc():
    times = Times(np.array([SECONDS, np.nan, SECONDS]), np.zeros(3, dtype=bool))
    utc, clock = to_utc_and_local(times, [None, 3600, 3600], True)
    np.testing.assert_array_equal(utc, times.seconds)
    np.testing.assert_array_equal(clock, [SECONDS, np.nan, SECONDS + 3600])
