"""Posts and feature tables that no one wants to meet, for the property tests."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from hyperfusion.table._schema import declare

MISSING = [None, math.nan, pd.NaT, pd.NA]

TEXTS = [
    *(
        "",
        " ",
        "\n\t",
        "#",
        "🙂",
        "🏳️‍🌈🇫🇷👩‍👩‍👧",
        "naïve café",
        "e\u0301",
        "日本語のタグ",
    ),
    *("مرحبا", "#sea #sun", "a,b;c|d", "nan", "None", "0", "\x00", "\ufeffbom"),
    *("\u202eright to left", "see www.x.org!!", "A" * 300, "red bicycle", "'); --"),
]
USERS = ["ann", "Ann ", "bob", "7", 7, 7.0, -1, 2**63, "🙂", "", True, *MISSING]
ZONES = ["Europe/Paris", "UTC", "+0530", "-03:00", 3600, -18000, "Mars/Base", ""]
PARIS = dt.timezone(dt.timedelta(hours=1))
TIMES = [
    *("2024-02-29T23:59:59Z", "2024-05-06 01:30", "1969-07-20T20:17:40+00:00"),
    *("1901-01-01", "not a date", "2024-13-45", "", "0000-00-00", "1714950000"),
    *(1_714_950_000, 1_714_950_000_123, -1, 0, -2_000_000_000, 1.5e9, 1e300),
    *(dt.datetime(2024, 5, 6, 1, 30), dt.datetime(1950, 1, 1, tzinfo=PARIS)),
    *(pd.Timestamp("2262-01-01"), pd.Timestamp("1677-12-31"), dt.date(2020, 2, 29)),
    *(pd.Timestamp("2024-10-27 02:30", tz="UTC"), dt.datetime(9999, 12, 31)),
    *(math.inf, True, [2024], *MISSING),
]
DEGREES = [0, 48.86, -33.5, 90, -90, 90.5, 180, -180, 181, 400, 1e308, -0.0]
DEGREES += ["51.5", "51,5", "north", "", math.inf, *MISSING]
NUMBERS = [0, 1, 12, -5, 2.5, 1e-300, 3.4e38, 1e39, -1e308, 2**70, "12", "1e3"]
NUMBERS += ["many", "", " ", True, False, math.inf, -math.inf, *MISSING]

words = st.sampled_from(TEXTS) | st.text(max_size=12)
odd = st.sampled_from([3, 2.5, b"bytes", {"a": 1}, [1, None], np.array(["a"]), 1j])
texts = words | st.sampled_from(MISSING) | st.lists(words, max_size=4) | odd
tags = texts | st.frozensets(words, max_size=3) | st.tuples(words, words)


def _cells(curated: list, more: st.SearchStrategy) -> st.SearchStrategy:
    return st.sampled_from(curated) | more


def _no_dates(number: float) -> bool:
    # Whole numbers that look like years or dates are refused by name, on purpose.
    return not 1000 <= number <= 99_999_999


CELLS: dict[str, st.SearchStrategy] = {
    "caption": texts,
    "tags": tags,
    "user": _cells(USERS, st.integers(0, 3) | words),
    "posted": _cells(TIMES, st.datetimes() | st.integers().filter(_no_dates)),
    "joined": _cells(TIMES, st.dates()),
    "zone": _cells([*ZONES, *MISSING], st.integers(-50_000, 50_000)),
    "latitude": _cells(DEGREES, st.floats(-90, 90)),
    "longitude": _cells(DEGREES, st.floats(-180, 180)),
    "accuracy": _cells([16, 0, -1, "11", "bad", *MISSING], st.integers(0, 16)),
    "place": texts,
    "fans": _cells(NUMBERS, st.integers()),
    "photos": _cells(NUMBERS, st.floats()),
    "kind": _cells(USERS, words),
}
"""What the cells of each column of odd posts are drawn from."""

TYPED: dict[str, list[st.SearchStrategy]] = {
    "user": [st.integers(0, 3), st.sampled_from(["ann", "bob", "🙂"])],
    "posted": [
        st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
        st.datetimes(
            dt.datetime(1900, 1, 1),
            dt.datetime(2100, 1, 1),
            timezones=st.just(dt.UTC),
        ),
        st.integers(100_000_000, 4_000_000_000),
        st.sampled_from(["2024-02-29T23:59:59Z", "1969-07-20 20:17"]),
        st.just(pd.NaT),
    ],
    "latitude": [st.floats(-90, 90), st.floats(-1000, 1000)],
    "longitude": [st.floats(-180, 180), st.floats(-1000, 1000)],
    "fans": [st.integers(0, 10**9), st.floats(0, 1e6)],
    "photos": [st.booleans(), st.integers(-(2**31), 2**31)],
    "kind": [st.just("photo"), st.integers(0, 2)],
    "zone": [st.just("Asia/Tokyo"), st.just(None)],
}
"""Kinds of one type that a whole column may be made of instead."""


@st.composite
def posts(draw, names=tuple(CELLS), min_rows=1, max_rows=6):
    """Draw columns of posts: each of one type, or of cells of all kinds."""
    n = draw(st.integers(min_rows, max_rows))
    columns = {}
    for name in names:
        odd = CELLS[name]
        kind = draw(st.sampled_from([odd, *TYPED.get(name, [])]))
        values = draw(st.lists(kind, min_size=n, max_size=n))
        column = pd.Series(values, dtype=object)
        if kind is not odd:
            column = column.infer_objects()
        columns[name] = column
    labels = draw(st.permutations(range(n)))
    return pd.DataFrame(columns).set_axis([10 * i for i in labels], axis=0)


FEATURES = (
    "image__clip__0",
    "image__clip__1",
    "image__clip__2",
    "text__title_clip__0",
    "text__title_clip__1",
    "text__title_clip__2",
    "text__words",
    "user__followers",
    "time__account_age",
    "geo__latitude",
    "meta__price",
    "no_block",
)

numbers = st.one_of(
    st.floats(width=32, allow_subnormal=False),
    st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 3e38, -3e38]),
)
levels = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "__missing__", "🙂🇫🇷", "é", "e\u0301", "1", "nan"]),
    st.text(max_size=3),
)


@st.composite
def feature_tables(draw, cell=numbers, min_rows=1, max_rows=6):
    """Draw what tier 1 could have made of odd posts at its worst."""
    n = draw(st.integers(min_rows, max_rows))

    def column(cells):
        return draw(st.lists(cells, min_size=n, max_size=n))

    table = pd.DataFrame({c: column(cell) for c in FEATURES}, dtype=np.float32)
    whole = st.one_of(st.none(), st.integers(-5, 5))
    table["user__user"] = pd.Categorical(column(whole))
    table["meta__kind"] = pd.Categorical(column(levels))
    return declare(table, {"image__clip": "clip", "text__title_clip": "clip"})
