"""Reading times and time zones in all their forms."""

import datetime as dt
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hyperfusion import NeighborTargets, TemporalEncoder, UserHistory
from hyperfusion.cells._times import Times, as_times, read_times
from hyperfusion.cells._zones import parse_zone, read_zones, to_utc_and_local
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError

# numbers far from our time are read all the same
pytestmark = pytest.mark.filterwarnings("ignore:.*outside of 1995 to 2032")

# 2015-03-01 00:00 UTC, the first moment of the SMP data set
SECONDS = 1_425_168_000


# 201810102019 in Arabic, Persian and full-width digits
OTHER_DIGITS = [
    "".join(chr(zero + int(digit)) for digit in "201810102019")
    for zero in (0x660, 0x6F0, 0xFF10)
]


def read(*cells):
    return read_times(pd.Series(cells, dtype=object, name="t")).settle("raise")


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
    "2015-02-28T24:00Z",
    "2015-03-01T00:00:00,5z",
    "2015-02-28 19:00:00\u221205:00",
    "2015-02-28 16:00:00 -0800 PST",
    "2015-02-28T19:00:00-05:00",
    "2015-03-01 05:30:00.000+0530",
    "2015-03-01T01+01",
    "2015-03-01 00:00:00 +0000",
    "Sun Mar 01 00:00:00 +0000 2015",
    "Sun Mar 01 01:00:00 +0100 2015",
    "Sun, 01 Mar 2015 00:00:00 +0000",
    "1 Mar 2015 05:30 +0530",
    "Sun, 01 Mar 2015 00:00:00 GMT",
    SECONDS + 0.5,
    f"{SECONDS}.75",
    f"{SECONDS / 1e9}e9",
    SECONDS * 1_000 + 7.5,
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
    pd.Period("2015-03"),
    20150301,
    "2015/03/01",
    "2015-W09-7",
    "2015W097",
    "2015-060",
    "2015-02-28T24:00",
    "2015-02-28 24:00:00.0",
    "2015-03-01 12:00 AM",
    "Sun Mar 01 00:00:00 2015",
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
    assert read_times(cells.astype(dtype)).settle("raise").seconds.tolist() == [2**30]


def test_columns_of_texts_and_categories():
    for dtype in ("string", "category"):
        cells = pd.Series(["2015-03-01T00:00Z", None], dtype=dtype)
        seconds = read_times(cells).settle("raise").seconds
        np.testing.assert_array_equal(seconds, [SECONDS, np.nan])


def test_missing_cells_are_not_bad():
    assert np.isnan(read(None, np.nan, pd.NaT, pd.NA, "", "  ").seconds).all()
    numbers = pd.Series([np.nan, SECONDS])
    np.testing.assert_array_equal(
        read_times(numbers).settle("raise").seconds, [np.nan, SECONDS]
    )


BAD = [
    *[
        "soon",
        "now",
        "today",
        "May, 2015",
        "2015-13-01",
        "2015-W54",
        "2015-366",
        "12:30",
    ],
    *["2015-03-01 13:00 PM", "2015-03-01 24:01", "2015-03-01 10:00[Europe/Berlin]"],
    *[
        2015.5,
        20151301,
        "20151301",
        np.inf,
        10**400,
        1e30,
        True,
        1j,
        [SECONDS],
        b"2015-03-01",
    ],
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
        seconds = read_times(cells).settle("missing").seconds
    assert len(seen) == 1
    assert np.isnan(seconds[:-1]).all()
    assert seconds[-1] == SECONDS


@pytest.mark.parametrize("cell", [2015, 2015.0, "2015", np.int32(2015), Decimal(2015)])
def test_bare_years_are_their_first_moment(cell):
    times = read(SECONDS, cell)
    assert times.seconds[1] == pd.Timestamp("2015-01-01").timestamp()
    assert times.naive.tolist() == [False, True]


def test_a_number_is_read_by_itself_whatever_stands_beside_it():
    column = [2015, 0, "2016", 86400, 1.5e9, 2015.5]
    whole = read_times(column).clean.seconds
    alone = [read_times([cell]).clean.seconds[0] for cell in column]
    assert_array_equal(whole, alone)
    assert list(read_times(column).bad) == [5]


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("6/13/2016", "month first: .*dayfirst=False"),
        ("13/6/2016 10:00", "day first: .*dayfirst=True"),
        ("13.06.16", "day first or year first"),
        ("2016-06-13 10:00 EST", "names of time zones.*offsets"),
        ("Mon Jun 13 10:00:00 CST 2016", "names of time zones.*offsets"),
        ("2016-06-13 10:00 Europe/Berlin", "names of time zones.*offsets"),
        ("6/7/2016", "can't be told apart"),
        ("1 V 2015", r"format=\.\.\."),
        (20151301, "years from 1900 to 2100"),
    ],
)
def test_advice_suits_the_cell(cell, advice):
    with pytest.raises(BadCellError, match=advice) as error:
        read(cell)
    if cell == "6/13/2016":
        assert "dayfirst=True" not in str(error.value)


def test_offsets_that_cells_name():
    tokyo = pd.Timestamp("2024-05-01 10:00", tz="Asia/Tokyo")
    cells = ["2024-05-01T22:14+02:00", "2024-05-01 22:14Z", "2024-05-01 22:14", tokyo]
    cells += ["Wed May 01 22:14:00 -0330 2024", SECONDS, None]
    offset = read(*cells).offset
    expected = [7200, 0, np.nan, 32_400, -12_600, np.nan, np.nan]
    np.testing.assert_array_equal(offset, expected)
    column = pd.Series([tokyo, pd.NaT])
    assert isinstance(column.dtype, pd.DatetimeTZDtype)
    np.testing.assert_array_equal(read_times(column).clean.offset, [32_400, np.nan])


def test_times_to_order_by():
    assert as_times([2013, 2011]).tolist() == [2013, 2011]
    assert as_times([0, Decimal(2), None]).tolist()[:2] == [0, 2]
    assert as_times(np.array([2**60 + 1, 2**60])).tolist() == [2**60 + 1, 2**60]
    mixed = as_times(["2015-03-01 00:00 UTC", SECONDS + 1, 2015, pd.Period("2015-02")])
    assert mixed.rank().tolist() == [3, 4, 1, 2]
    with pytest.raises(InvalidInputError, match="times is NaN or missing in row 1"):
        as_times([1, None], "times", required=True)
    with pytest.raises(BadCellError, match="row 1, column 'times': can't read 'soon'"):
        as_times(["2015", "soon"], "times")


@settings(max_examples=40, deadline=None)
@given(st.integers(-9_000_000_000, 9_000_000_000))
def test_a_moment_is_the_same_in_all_forms(second):
    naive = np.datetime64(second, "s")
    forms = [naive, f"{naive}Z", pd.Timestamp(naive), str(naive)]
    forms += [pd.Timestamp(naive, tz="UTC").tz_convert("UTC+09:00").isoformat()]
    assert read(*forms).seconds.tolist() == [second] * 5
    # years and dates of eight digits are not seconds
    if not 1900 <= second <= 2100 and not 19_000_101 <= second < 21_010_000:
        assert read(second, float(second), str(second)).seconds.tolist() == [second] * 3


@settings(max_examples=40, deadline=None)
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
def test_any_cells(cells):
    seconds = read_times(pd.Series(cells, dtype=object)).clean.seconds
    alone = [read_times(pd.Series([c], dtype=object)).clean.seconds[0] for c in cells]
    # small numbers beside years are bad, alone they count from 1970
    differ = ~((seconds == alone) | (np.isnan(seconds) & np.isnan(alone)))
    assert (np.abs(np.array(alone)[differ]) < 10_000_000).all()
    assert not differ.any() or (np.array(alone) % 86400 == 0).any()


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
        read_zones(cells).settle("raise")
    with pytest.warns(BadCellWarning):
        assert read_zones(cells).settle("missing") == [0, None]


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
    times = Times(
        np.array([SECONDS, np.nan, SECONDS]),
        np.zeros(3, dtype=bool),
        np.full(3, np.nan),
    )
    utc, clock = to_utc_and_local(times, [None, 3600, 3600], True)
    np.testing.assert_array_equal(utc, times.seconds)
    np.testing.assert_array_equal(clock, [SECONDS, np.nan, SECONDS + 3600])


@pytest.mark.parametrize(
    "text",
    [
        "Wed Oct 10 20:19:00 +0000 2018",
        "Wed, 10 Oct 2018 20:19 GMT",
        "Oct 10, 2018, 8:19 PM",
        "Oct 10, 2018 · 8:19 PM UTC",
        "2018-10-10 8:19:00 PM",
        "October 10th, 2018 at 8:19 pm",
        "Wednesday, 10 October 2018 20:19:00",
        "10-Oct-2018 20:19",
        "Oct 10 2018 22:19 +0200",
        "Wed Oct 10 2018 22:19:00 GMT+0200 (Central European Summer Time)",
        "2018-10-10T22:19:00+02:00[Europe/Berlin]",
        "2018-10-10 22:19 UTC+02:00",
        "2018:10:10 20:19:00",
        "2018年10月10日 20:19",
        "2018년 10월 10일 20:19",
        *(f"{s[:4]}-{s[4:6]}-{s[6:8]} {s[8:10]}:{s[10:]}" for s in OTHER_DIGITS),
        "Oct 10, 2018, 8:19:00\u202fPM",
        "1539202740.123",
        1539202740123.0,
    ],
)
def test_forms_that_cannot_be_misread(text):
    assert read_times([text]).clean.seconds.tolist() == [1_539_202_740]


def test_leap_seconds_are_the_second_before():
    times = read("2016-12-31 23:59:60Z", "31 Dec 2016 23:59:60 GMT")
    assert times.seconds.tolist() == [1_483_228_799] * 2


@pytest.mark.parametrize(
    "text", ["Oct 99, 2018", "31 Feb 2018", "Oct 10, 2018 13:19 PM", "may 2018", "PM"]
)
def test_dates_that_are_none(text):
    assert list(read_times([text]).bad) == [0]


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        (["6/7/2016", "6/13/2016"], "month first: .*dayfirst=False"),
        (["6.7.2016", "x", "13.6.2016"], "day first: .*dayfirst=True"),
        (["6/7/16", "7/8/16 3 PM"], "can't be told apart: .*True.*False"),
        (["6/13/2016", "13/6/2016"], "some cells have the day first, others the month"),
    ],
)
def test_advice_suits_the_cells_of_the_column(cells, advice):
    assert re.search(advice, read_times(cells).bad[0])


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([43383, 43390], r"spreadsheets count them it would be 2018-10-10.*1899-12-30"),
        (["43383.5"], r"spreadsheets.*2018-10-10.*pd\.to_numeric\(column\)"),
        ([Decimal(43383), "2018-10-11"], r"1 cell.*43383.*spreadsheets"),
        ([18262.0, None], r"days since 1970 it would be 2020-01-01.*unit='D'"),
        ([438288], r"hours since 1970 it would be 2020-01-01.*unit='h'"),
        ([26297280], r"minutes since 1970 it would be 2020-01-01.*unit='m'"),
        ([SECONDS, 0], r"1 cell.*row 1: 0 is 1970-01-01.*leave the cells empty"),
        ([SECONDS, -1], r"row 1: -1 is 1969-12-31.*leave the cells empty"),
        ([1, 2, 3], r"3 cell.*If they are right, pass pd\.to_datetime.*unit='s'"),
        (
            [132223104000000000],
            r"is 1974-03-11.*ticks since 1601 .*2020-01-01.*10\*\*7",
        ),
        ([637134336000000000], r"is 1990-03-11.*the year 1 .*2020-01-01"),
        ([599529600.5], r"is 1988-12-31.*seconds since 2001 .*2020-01-01"),
        (["200131"], r"is 1970-01-03.*form %y%m%d .*2020-01-31"),
        ([2020013115], r"is 2034-01-04.*form %Y%m%d%H .*2020-01-31"),
        ([202001], r"is 1970-01-03.*form %Y%m .*2020-01-01"),
        ([2_600_000_000_000], r"is 2052-05-22.*If they are right.*unit='ms'"),
    ],
)
def test_numbers_that_are_no_times_of_posts(cells, said):
    found = read_times(pd.Series(cells, name="t"))
    assert not found.bad
    with pytest.warns(BadCellWarning, match=r"of column 't' are numbers") as caught:
        found.settle("missing")
    assert len(caught) == 1
    assert re.search(said, str(caught[0].message))
    assert not np.isnan(found.clean.seconds).all()


@pytest.mark.parametrize("days", [18_262, 18_262 * 24.0, 18_262 * 24 * 60])
@pytest.mark.parametrize("as_text", [False, True])
def test_the_call_that_a_doubt_names_reads_the_column(days, as_text):
    column = pd.Series([days, days + 1])
    column = column.astype(str) if as_text else column
    call = re.search(r"pass (.*)\.$", read_times(column).doubt)[1]
    read = eval(call, {"pd": pd, "column": column})
    assert read[0] == pd.Timestamp("2020-01-01")


@pytest.mark.parametrize(
    "number",
    [637134336000000000, 132223104000000000, 13222310400000000, 599529600, 202001],
)
def test_calls_for_other_epochs(number):
    column = pd.Series([number])
    found = read_times(column)
    call = re.search(r"pass (pd.*\))", found.doubt or found.bad[0])[1]
    assert eval(call, {"pd": pd, "column": column})[0] == pd.Timestamp("2020-01-01")


def test_numbers_that_a_spreadsheet_has_shortened():
    assert "have lost their last digits" in read_times(["1.42517E+09"]).doubt
    assert read_times(["1.425168e9"]).doubt is None


@pytest.mark.parametrize("cell", ["1970-01-01T00:00Z", pd.Timestamp(0, tz="UTC"), 1970])
def test_dates_that_are_written_as_such_are_in_no_doubt(cell):
    assert read_times([cell, None]).doubt is None


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        (202001311530, "2020-01-31T15:30"),
        ("202001311530", "2020-01-31T15:30"),
        (20200131153059, "2020-01-31T15:30:59"),
        (20200131153059.0, "2020-01-31T15:30:59"),
    ],
)
def test_digits_of_a_date_and_a_clock(cell, moment):
    times = read(cell)
    assert times.seconds[0] == np.datetime64(moment, "s").astype(int)
    assert times.naive[0]
    assert read_times(["202013311530"]).bad


def test_a_duration_is_no_time():
    found = read_times([0, np.timedelta64(5, "D"), pd.Timedelta(days=5)])
    assert list(found.bad) == [1, 2]


@pytest.mark.parametrize("cell", ["13.01.2020", pd.Timedelta(days=3), True])
@pytest.mark.parametrize(
    "encoder",
    [
        TemporalEncoder(time="when"),
        UserHistory(user="user", time="when"),
        NeighborTargets(text="user", time="when", n_components=2),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_no_encoder_learns_from_a_column_without_a_time(encoder, cell):
    posts = pd.DataFrame({"user": ["ann", "bob"] * 3, "when": cell})
    with pytest.raises(BadCellError, match="row 0, column 'when': can't read"):
        encoder.fit(posts, np.arange(6.0))
