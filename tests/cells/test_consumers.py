"""Whatever one reader of times or users accepts, all accept, with the same result."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.dummy import DummyRegressor

from hyperfusion import (
    TemporalEncoder,
    UserHistory,
    check_leaks,
    evaluate,
    time_split,
)
from hyperfusion.ensemble import recency_weights

DAYS = [4, 2, 9, 7, 1, 3, 8, 6]
DATES = [dt.datetime(2020, 1, day, 10) for day in DAYS]
STAMPS = pd.Series(DATES)

FORMS = {
    "UTC": [f"2020-01-{day:02} 10:00 UTC" for day in DAYS],
    "ISO": [date.isoformat() for date in DATES],
    "Twitter": [date.strftime("%a %b %d %H:%M:%S +0000 %Y") for date in DATES],
    "RFC 2822": [date.strftime("%a, %d %b %Y %H:%M:%S +0000") for date in DATES],
    "JavaScript": [date.strftime("%a %b %d %Y %T GMT+0000 (UTC)") for date in DATES],
    "EXIF": [date.strftime("%Y:%m:%d %H:%M:%S") for date in DATES],
    "signs": [f"2020年1月{day}日 10:00" for day in DAYS],
    "milliseconds": [f"{stamp.timestamp():.0f}000" for stamp in STAMPS],
    "datetimes": STAMPS,
    "zoned": STAMPS.dt.tz_localize("UTC"),
    "periods": STAMPS.dt.to_period("h"),
    "category": STAMPS.astype("category"),
    "arrow": STAMPS.astype("timestamp[us][pyarrow]"),
    "polars": pl.Series(DATES),
    "mixed": [
        *["2020-01-04T10:00Z", pd.Period("2020-01-02 10:00", "h"), 1_578_564_000],
        *DATES[3:],
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_times_read_alike_everywhere(form):
    times, y, users = FORMS[form], np.array(DAYS, float), ["ann", "bob"] * 4
    _, test = time_split(times, test_size=2)
    assert set(test) == {2, 6}
    cells = list(times)
    posts = pd.DataFrame({"user": users, "time": pd.Series(cells, dtype=object)})
    for table in (posts, posts.infer_objects()):
        hours = TemporalEncoder(time="time").set_output(transform="pandas")
        assert (hours.fit_transform(table)["hour"] == 10).all()
        history = UserHistory().set_output(transform="pandas").fit_transform(table, y)
        since = history["history_days_since_last"]
        np.testing.assert_array_equal(since, [3, np.nan, 1, 1, np.nan, 1, 4, 3])
    X = y[:, None]
    result = evaluate(
        DummyRegressor(), X, y, times=times, splits="time", test_size=0.25
    )
    assert set(result.predictions["row"]) == {2, 6}
    table = pd.DataFrame({"x": y, "read": [dt.datetime(2020, 1, 5)] * 8})
    late = check_leaks(table, y, times=times).set_index("finding")["value"]
    assert late["later than the post"] == 0.5
    weights = recency_weights(times, "1D")
    np.testing.assert_allclose(weights, 0.5 ** (9 - y))


def test_bare_years_and_counters_order_posts():
    for times in (
        [2011, 2012, 2013, 2014],
        [0, 1, 2, 3],
        ["2011", "2012", "2013", 2014],
    ):
        assert time_split(times, test_size=1)[1].tolist() == [3]
        X, y = np.arange(4.0)[:, None], np.arange(4.0)
        result = evaluate(DummyRegressor(), X, y, times=times, splits="time")
        assert result.predictions["row"].tolist() == [3]
