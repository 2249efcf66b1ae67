"""Known answers of TemporalEncoder."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfusion import TemporalEncoder
from hyperfusion.exceptions import BadCellError, BadCellWarning

DAY = 86_400


def measure(times, X=None, **params):
    """Features of some times, one row each."""
    encoder = TemporalEncoder(**params).set_output(transform="pandas")
    table = pd.DataFrame({"t": pd.Series(times, dtype=object)}) if X is None else X
    return encoder.fit_transform(table)


def test_names():
    X = pd.DataFrame({"t": ["2024-01-01"], "z": ["Z"], "c": ["2020-01-01"]})
    plain = TemporalEncoder().fit(X[["t"]]).get_feature_names_out()
    assert list(plain) == [
        *["hour", "weekday", "hour_of_week", "month", "week", "day_of_year"],
        *["year_fraction", "is_weekend", "hour_sin", "hour_cos", "weekday_sin"],
        *["weekday_cos", "day_of_year_sin", "day_of_year_cos", "days", "is_missing"],
    ]
    full = TemporalEncoder(timezone="z", created="c").fit(X).get_feature_names_out()
    added = ["timezone_missing", "account_age", "account_age_missing"]
    assert list(full) == [*plain[:-1], *added, "is_missing"]
    out = TemporalEncoder(timezone="z", created="c").fit_transform(X)
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32


def test_hour_of_week_across_time_zones():
    # Monday 6 May 2024, half past one in the morning in UTC
    zones = ["Z", "America/New_York", "Asia/Kathmandu", "+14:00", "-12", None]
    X = pd.DataFrame({"t": ["2024-05-06T01:30Z"] * 6, "z": zones})
    table = measure(None, X, timezone="z")
    assert table["hour"].tolist() == [1, 21, 7, 15, 13, 1]
    assert table["weekday"].tolist() == [0, 6, 0, 0, 6, 0]
    assert table["hour_of_week"].tolist() == [1, 165, 7, 15, 157, 1]
    assert table["is_weekend"].tolist() == [0, 1, 0, 0, 1, 0]
    assert table["timezone_missing"].tolist() == [0, 0, 0, 0, 0, 1]


def test_hour_of_week_around_a_change_to_summer_time():
    # Sunday 31 March 2024: clocks in Berlin go from 2 to 3
    table = measure(
        ["2024-03-31T00:30Z", "2024-03-31T01:30Z"], timezone="Europe/Berlin"
    )
    assert table["hour_of_week"].tolist() == [6 * 24 + 1, 6 * 24 + 3]
    assert "timezone_missing" not in table


def test_every_hour_of_the_week_has_its_number():
    hours = pd.date_range("2024-01-01", periods=168, freq="h")
    assert measure(hours)["hour_of_week"].tolist() == list(range(168))


def test_iso_weeks_at_the_turn_of_the_year():
    days = ["2016-01-01", "2018-12-31", "2020-12-31", "2021-01-03", "2021-01-04"]
    assert measure(days)["week"].tolist() == [53, 1, 53, 53, 1]


def test_calendar():
    table = measure(
        ["2024-12-31", "2023-12-31", "2024-02-29 18:00", "2023-07-02 12:00"]
    )
    assert table["day_of_year"].tolist() == [366, 365, 60, 183]
    assert table["month"].tolist() == [12, 12, 2, 7]
    fractions = [365 / 366, 364 / 365, 59.75 / 366, 0.5]
    np.testing.assert_allclose(table["year_fraction"], fractions, rtol=1e-6)


def test_cycles():
    table = measure(["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-01 15:00"])
    np.testing.assert_allclose(table["hour_sin"], [0, 1, -(0.5**0.5)], atol=1e-6)
    np.testing.assert_allclose(table["hour_cos"], [1, 0, -(0.5**0.5)], atol=1e-6)
    assert table["weekday_cos"].tolist() == [1, 1, 1]
    assert table["day_of_year_cos"].tolist() == [1, 1, 1]
    # minutes count: 23:59 is near 00:00
    late = measure(["2024-01-01 23:59"])
    assert late["hour_cos"].iloc[0] == pytest.approx(1, abs=1e-4)


def test_days_since_the_earliest_post_at_fit():
    encoder = TemporalEncoder().set_output(transform="pandas")
    encoder.fit(pd.DataFrame({"t": ["2024-01-03", None, "2024-01-01"]}))
    assert encoder.origin_ == pd.Timestamp("2024-01-01").timestamp()
    days = encoder.transform(pd.DataFrame({"t": ["2023-12-31 12:00", "2025-01-01"]}))
    assert days["days"].tolist() == [-0.5, 366]


def test_days_count_from_utc_wherever_the_clock_hangs():
    X = pd.DataFrame({"t": ["2024-01-01T00:00Z"] * 2, "z": ["+09:00", "-09:00"]})
    assert measure(None, X, timezone="z")["days"].tolist() == [0, 0]


def test_age_of_the_account():
    X = pd.DataFrame(
        {
            "t": ["2024-01-11 12:00", "2024-01-11", "2024-01-11", None, "2024-01-11"],
            "c": ["2024-01-01", "2024-01-12", None, "2024-01-01", "2024-01-11"],
        }
    )
    table = measure(None, X, created="c")
    np.testing.assert_array_equal(
        table["account_age"], [10.5, np.nan, np.nan, np.nan, 0]
    )
    assert table["account_age_missing"].tolist() == [0, 1, 1, 1, 0]


def test_naive_times_are_utc_or_local():
    day = ["2024-07-01 23:30"]
    utc = measure(day, timezone="Europe/Berlin").iloc[0]
    local = measure(day, timezone="Europe/Berlin", naive="local").iloc[0]
    assert (utc["hour"], utc["weekday"]) == (1, 1)
    assert (local["hour"], local["weekday"]) == (23, 0)


def test_missing_and_bad_times():
    cells = ["2024-01-01", None, "soon"]
    with pytest.warns(BadCellWarning, match=r"1 cell\(s\) of column 't'") as seen:
        table = measure(cells)
    assert len(seen) == 1
    assert table["is_missing"].tolist() == [0, 1, 1]
    assert table.drop(columns="is_missing").iloc[1:].isna().all(axis=None)
    assert not table.iloc[0].isna().any()
    with pytest.raises(BadCellError, match="row 2, column 't': can't read 'soon'"):
        measure(cells, on_error="raise")


def test_bad_zones_and_creations_are_reported_by_column():
    X = pd.DataFrame({"t": ["2024-01-01"] * 2, "z": ["Mars", "Z"], "c": ["x", None]})
    with pytest.warns(BadCellWarning) as seen:
        table = measure(None, X, timezone="z", created="c")
    assert sorted(str(w.message).split("'")[1] for w in seen) == ["c", "z"]
    assert table["timezone_missing"].tolist() == [1, 0]
    assert table["account_age_missing"].tolist() == [1, 1]


def test_a_column_without_any_time():
    with pytest.raises(BadCellError, match="row 0, column 't': can't read 'never'"):
        TemporalEncoder().fit(pd.DataFrame({"t": ["never", "ever"]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = measure([None, None])
    assert table["is_missing"].tolist() == [1, 1]
    assert table["days"].isna().all()


def test_bare_years_are_first_of_january():
    table = measure([2014, 2015, "2016"])
    assert table["day_of_year"].tolist() == [1, 1, 1]
    assert table["days"].tolist() == [0, 365, 730]


@pytest.mark.parametrize("naive", ["utc", "local"])
def test_own_offsets_give_the_local_clock_where_no_zone_is_named(naive):
    texts = ["2024-05-01T22:14+02:00", "2024-05-01T22:14-05:00", "2024-05-01 22:14"]
    table = measure(texts, naive=naive)
    assert table["hour"].tolist() == [22, 22, 22]
    assert (table["days"] * 24).round(3).tolist() == [0, 7, 2]
    stamps = [pd.Timestamp(text) for text in texts]
    pd.testing.assert_frame_equal(measure(stamps, naive=naive), table)
    # a zone of the row comes first, and one for all too
    X = pd.DataFrame({"t": texts, "z": [None, "Asia/Tokyo", None]})
    assert measure(None, X, timezone="z", naive=naive)["hour"].tolist() == [22, 12, 22]
    assert measure(texts[:2], timezone="Z")["hour"].tolist() == [20, 3]
    berlin = pd.DataFrame({"t": pd.to_datetime(texts[:2], utc=True)})
    berlin["t"] = berlin["t"].dt.tz_convert("Europe/Berlin")
    assert measure(None, berlin)["hour"].tolist() == [22, 5]


def test_milliseconds_are_recognized():
    seconds = 1_425_168_000 + np.arange(3) * DAY
    expected = measure(seconds)
    for factor in (1_000, 1_000_000, 1_000_000_000):
        pd.testing.assert_frame_equal(measure(seconds * factor), expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"time": "tt"}, "time='tt' is not a column .*Did you mean"),
        ({"created": "d"}, "created='d' is not a column"),
        ({"timezone": "Mars"}, "neither a column of the table nor a time zone"),
        ({"timezone": 7}, "timezone=7 is not a column"),
        ({"naive": "maybe"}, "naive"),
        ({"on_error": "ignore"}, "on_error"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        TemporalEncoder(**params).fit(pd.DataFrame({"t": ["2024-01-01"]}))


def test_forms_of_a_table():
    frame = pd.DataFrame({"x": [5, 6], "t": pd.to_datetime(["2024-01-01", None])})
    expected = TemporalEncoder(time="t").fit_transform(frame)
    for column in (frame["t"], frame[["t"]], list(frame["t"]), frame["t"].to_numpy()):
        np.testing.assert_array_equal(TemporalEncoder().fit_transform(column), expected)
    named = TemporalEncoder().set_output(transform="pandas")
    rows = frame["t"].set_axis(["a", "b"])
    assert list(named.fit_transform(rows).index) == ["a", "b"]
    by_position = TemporalEncoder(time=1).fit_transform(frame.to_numpy(dtype=object))
    np.testing.assert_array_equal(by_position, expected)


@settings(deadline=None)
@given(st.lists(st.integers(10**9, 19 * 10**8), min_size=1), st.integers(-48, 56))
def test_clock_is_arithmetic(seconds, quarters):
    X = pd.DataFrame({"t": seconds, "z": quarters / 4})
    table = measure(None, X, timezone="z")
    local = np.array(seconds) + quarters * 900
    np.testing.assert_array_equal(table["hour"], local // 3600 % 24)
    # 1 January 1970 was a Thursday
    np.testing.assert_array_equal(table["weekday"], (local // DAY + 3) % 7)
    np.testing.assert_array_equal(
        table["hour_of_week"], table["weekday"] * 24 + table["hour"]
    )
    days = (np.array(seconds) - min(seconds)) / DAY
    np.testing.assert_allclose(table["days"], days, rtol=1e-6)


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("HYPERFUSION_DATA"), reason="no real posts")
def test_real_times_are_all_read():
    folder = Path(os.environ["HYPERFUSION_DATA"]) / "smp_video" / "train"
    path = folder / "SMP-Video_anonymized_posts_train.jsonl"
    posts = [json.loads(line) for line in path.read_text().splitlines()]
    times = pd.Series([post["post_time"] for post in posts])
    table = measure(times, on_error="raise")
    assert table["is_missing"].sum() == 0
    expected = pd.to_datetime(times)
    np.testing.assert_array_equal(table["hour"], expected.dt.hour)
    np.testing.assert_array_equal(table["week"], expected.dt.isocalendar().week)
    assert table["days"].min() == 0


def cycles_seen(times):
    encoder = TemporalEncoder(cycles="seen").fit(pd.DataFrame({"t": times}))
    names = set(encoder.get_feature_names_out())
    told = {"day": "hour", "week": "weekday", "year": "month"}
    assert encoder.cycles_ == tuple(c for c, name in told.items() if name in names)
    assert names >= {"days", "is_missing"}
    return encoder.cycles_


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (1.9, ()),
        (2, ("day",)),
        (13.9, ("day",)),
        (14, ("day", "week")),
        (729.9, ("day", "week")),
        (730, ("day", "week", "year")),
    ],
)
def test_cycles_must_be_seen_twice(days, expected):
    share = np.linspace(0, 1, 50)
    times = pd.Timestamp("2021-03-04 05:06") + pd.to_timedelta(share * days, unit="D")
    assert cycles_seen(times) == expected


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("D", ("week", "year")),  # midnight tells no hour
        ("MS", ("year",)),  # the first of each month tells no weekday
        ("YS-JUL", ()),  # and the first of July no season
        ("7h", ("day", "week", "year")),
    ],
)
def test_times_must_be_fine_enough_for_a_cycle(frequency, expected):
    assert cycles_seen(pd.date_range("2012", "2020", freq=frequency)) == expected


def test_without_any_time_no_cycle_is_seen():
    assert cycles_seen([None, None]) == ()


def test_cycles_seen_have_the_features_of_all():
    times = pd.date_range("2020", "2020-03-01", freq="5h")
    seen, every = measure(times, cycles="seen"), measure(times)
    assert set(every) - set(seen) == {
        *["month", "week", "day_of_year", "year_fraction"],
        *["day_of_year_sin", "day_of_year_cos"],
    }
    pd.testing.assert_frame_equal(seen, every[list(seen)])
