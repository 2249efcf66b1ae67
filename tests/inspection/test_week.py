"""The hours of a post's week, on whatever clock and in whatever form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from hyperfusion import CatBoostHuberRegressor, PostEncoder
from hyperfusion._anatomy import Anatomy
from hyperfusion.inspection._posting_time import hours_of_week, local_clock

MOMENT = pd.Timestamp("2024-05-03 23:30", tz="UTC")  # a Friday
SECONDS = int(MOMENT.timestamp())


def hours(cell, zone=None, *, is_local=False):
    return hours_of_week(pd.Series([cell]), zone, is_local)


@pytest.mark.parametrize(
    ("cell", "first"),
    [
        (MOMENT, pd.Timestamp("2024-04-29", tz="UTC")),
        (MOMENT.tz_localize(None), pd.Timestamp("2024-04-29")),
        (SECONDS, pd.Timestamp("2024-04-29", tz="UTC")),
        (SECONDS * 1000, pd.Timestamp("2024-04-29", tz="UTC")),
        (str(SECONDS), pd.Timestamp("2024-04-29", tz="UTC")),
        ("2024-05-03T23:30:00Z", pd.Timestamp("2024-04-29", tz="UTC")),
        ("2024-05-03 23:30", pd.Timestamp("2024-04-29")),
    ],
)
def test_hours_of_any_form_of_time(cell, first):
    slots, clock = hours(cell)
    assert len(slots) == 168
    assert slots[0] == first
    assert clock == "UTC"


def test_the_week_is_that_of_the_local_clock():
    slots, clock = hours(MOMENT.tz_localize(None), "Asia/Tokyo")  # Saturday there
    assert clock == "Asia/Tokyo"
    assert slots[0] == pd.Timestamp("2024-04-28 15:00")  # UTC, as the post's time
    sunday = pd.Timestamp("2024-05-05 20:00", tz="UTC")  # Monday in Tokyo
    assert hours(sunday, "Asia/Tokyo")[0][0] == pd.Timestamp(
        "2024-05-05 15:00", tz="UTC"
    )


def test_naive_times_of_a_local_clock_stay_as_they_are():
    slots, clock = hours(MOMENT.tz_localize(None), "Asia/Tokyo", is_local=True)
    assert slots[0] == pd.Timestamp("2024-04-29")
    assert clock == "local"


@pytest.mark.parametrize("day", ["2024-03-30", "2024-10-26"])
def test_weeks_in_which_clocks_change(day):
    slots, _ = hours(pd.Timestamp(day, tz="Europe/Berlin"))
    assert len(slots) == 168
    assert [s.hour for s in slots[:24]] == list(range(24))


def test_the_model_knows_the_posts_zone():
    posts = pd.DataFrame(
        {
            "when": pd.date_range("2024-05-01", periods=30, freq="7h"),
            "zone": ["+09:00", "Europe/Berlin"] * 15,
        }
    )
    y = np.arange(30.0)

    def fitted(timezone):
        encoder = PostEncoder(time="when", timezone=timezone)
        member = CatBoostHuberRegressor(iterations=2, early_stopping=False)
        return Anatomy.of(make_pipeline(encoder, member).fit(posts, y))

    by_column = fitted("zone")
    zone, is_local = local_clock(by_column, posts.iloc[[0]])
    assert str(zone) == "UTC+09:00"
    assert not is_local
    assert local_clock(by_column, posts.iloc[[1]])[0] == "Europe/Berlin"
    assert local_clock(fitted("Asia/Tokyo"), posts.iloc[[0]])[0] == "Asia/Tokyo"
    assert local_clock(fitted(None), posts.iloc[[0]])[0] is None
