"""Every reader on columns of every sort: one result, and no errors but ours."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hyperfusion.cells
from hyperfusion.cells._columns import Cells, as_column, learning, read_each
from hyperfusion.cells._images import open_image
from hyperfusion.cells._levels import read_levels
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.cells._texts import read_tags, read_text
from hyperfusion.cells._times import as_times, read_times
from hyperfusion.cells._vectors import write_columns, write_vectors
from hyperfusion.cells._zones import read_zones
from hyperfusion.encoders import TextStatistics
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError

READERS = {
    "times": read_times,
    "numbers": read_numbers,
    "levels": read_levels,
    "zones": read_zones,
    "texts": lambda column: read_each(column, read_text),
    "tags": lambda column: read_each(column, read_tags),
    "images": lambda column: read_each(column, open_image),
}

MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
KINDS = {
    "integers": st.integers(-(2**53), 2**53),
    "years": st.integers(1890, 2110),
    "floats": st.floats(width=64),
    "booleans": st.booleans(),
    "texts": st.text(st.characters(codec="utf-8"), max_size=12),
    "dates": st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    "datetimes": MOMENTS,
    "lists": st.lists(st.text("ab #,", max_size=3), max_size=3),
}
ANYTHING = st.one_of(
    *KINDS.values(),
    st.none(),
    st.text(st.characters(categories=["Cs", "L", "N", "P"]), max_size=8),
    st.binary(max_size=8),
    st.complex_numbers(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=st.timezones()),
    st.integers(-(10**400), 10**400),
    st.floats(width=32).map(np.float32),
    st.dictionaries(st.sampled_from(["a", "bytes", "path"]), st.binary(), max_size=2),
    st.frozensets(st.text(max_size=3)),
    st.just(object()),
    st.sampled_from(
        [
            *(pd.NA, pd.NaT, np.nan, np.datetime64("NaT", "s"), np.timedelta64(5, "D")),
            *(pd.Period("2015"), pd.Period("9999-12"), pd.Interval(0, 1)),
            *(pd.Timestamp("1677-12-31"), np.datetime64(10**17, "s"), np.str_("x")),
            *(np.array([1, 2]), np.array([]), np.zeros((2, 2, 3), np.uint8)),
            *("2015-02-30", "Wed Oct 99 20:19:24 +0000 2018", "31/12/2018", "['a' 'b"),
            *("Wed, 10 Oct 2018 25:19:24 -9999", "1e999", "0x10", "1,000", "x" * 9000),
            *(io.BytesIO(b"x"), Image.new("RGB", (0, 3)), Image.new("L", (2, 2))),
            *("[" + "'a' " * 300, "\ud83d", "\x00", "1_000", "١٢", "nan", "inf"),
        ]
    ),
)

quick = settings(max_examples=30, deadline=None)


def containers(values):
    """The same cells in every sort of column that can hold them."""
    yield values
    plain = pd.Series(values, dtype=object, name="c")
    yield plain
    yield plain.to_numpy()
    yield plain.infer_objects()
    yield plain.convert_dtypes()
    yield pl.Series("c", values, strict=True)
    arrow = pa.array(values)
    yield arrow
    yield pa.chunked_array([arrow])
    yield pd.Series(pd.arrays.ArrowExtensionArray(arrow), name="c")
    if not any(isinstance(value, list) for value in values):
        yield plain.astype("category")
        yield plain.infer_objects().astype("category")
    yield pd.DataFrame({"c": plain})


def same(a, b):
    if isinstance(a, Image.Image):
        return a.tobytes() == b.tobytes()
    if hasattr(a, "seconds"):
        return all(map(same, vars(a).values(), vars(b).values()))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return list(a) == list(b)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_every_sort_of_column_reads_alike(kind, data):
    values = data.draw(st.lists(KINDS[kind], min_size=1, max_size=5))
    if kind != "floats":  # a missing float is NaN in some columns, and null in others
        values[1:2] = [None]
    columns = list(containers(values))
    for reader, read in READERS.items():
        expected = read(values)
        for column in columns:
            found = read(column)
            assert same(found.clean, expected.clean), (reader, type(column))
            assert list(found.bad) == list(expected.bad), (reader, type(column))


@pytest.mark.parametrize("reader", READERS)
@quick
@given(st.lists(ANYTHING, min_size=1, max_size=5))
def test_any_cells_are_read_or_bad(reader, values):
    found = READERS[reader](values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", BadCellWarning)
        assert isinstance(found, Cells)
        assert len(found.source) == len(values)
        assert list(found.bad) == sorted(found.bad)
        assert all(len(reason) < 700 for reason in found.bad.values())
        found.settle("missing")
    if found.bad:
        with pytest.raises(BadCellError) as error:
            found.settle("raise")
        assert error.value.row == min(found.bad)


@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
@quick
@given(st.lists(ANYTHING, min_size=1, max_size=5))
def test_times_to_order_are_dates_numbers_or_our_error(values):
    try:
        times = as_times(values)
    except InvalidInputError:
        return
    assert times.dtype.kind in "Mfi"
    assert len(times) == len(values)


def test_dtypes_of_their_own():
    for column, expected in [
        (pd.Series(pd.arrays.SparseArray([0, 1, 0])), [0, 1, 0]),
        (pd.Index([1.5, 2]), [1.5, 2]),
        (np.array([[1], [2]]), [1, 2]),
        (np.array(["1", "2"]), [1, 2]),
        (np.array([1, 2], dtype=np.float16), [1, 2]),
        (pl.Series([1, None], dtype=pl.Int8), [1, np.nan]),
        (pl.Series([Decimal("1.5")]), [1.5]),
        (pl.Series(["1"], dtype=pl.Categorical), [1]),
        (pa.array(["1", None]).dictionary_encode(), [1, np.nan]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pd.array([True, None], dtype="boolean"), [1, np.nan]),
        (pd.Series(["1"], dtype="string[pyarrow]"), [1]),
        ((n for n in (1, 2)), [1, 2]),
    ]:
        cells = read_numbers(column)
        np.testing.assert_array_equal(cells.clean, expected)
        assert not cells.bad
    periods = pd.Series(pd.period_range("2015-01", periods=2, freq="M"))
    assert (read_times(periods).clean.seconds == [1_420_070_400, 1_422_748_800]).all()
    zoned = pl.Series([dt.datetime(2015, 1, 1)]).dt.replace_time_zone("Asia/Tokyo")
    assert read_times(zoned).clean.offset.tolist() == [32_400]
    assert as_column(pl.Series("who", [1])).name == "who"


def test_ids_beyond_floats_keep_their_digits():
    ids = [2**60 + 1, None]
    arrow = pd.array(ids, dtype=pd.ArrowDtype(pa.int64()))
    for column in (ids, pl.Series(ids), pa.array(ids), pd.array(ids, "Int64"), arrow):
        assert read_levels(column).clean.tolist() == [str(2**60 + 1), None]


def test_columns_of_encoders():
    for column in (
        pl.DataFrame({"a": ["x"]}),
        pa.table({"a": ["x"]}),
        pl.Series(["x"]),
    ):
        assert TextStatistics().fit(column).transform(column)[0, 0] == 1
    for table in (pl.DataFrame({"a": ["x"], "b": [1]}), pa.table({"a": [1], "b": [1]})):
        with pytest.raises(InvalidInputError, match="Statistics takes one column, got"):
            TextStatistics().fit(table)


def test_one_warning_counts_shows_the_first_and_asks_for_the_role():
    cells = read_numbers(pd.Series([None, "many", "", "more"], name="n"))
    message = r"2 cell\(s\) of column 'n'.*row 1: .*'many'.*all 2 non-empty cells.*role"
    with pytest.warns(BadCellWarning, match=message) as seen:
        cells.settle("missing")
    assert len(seen) == 1
    assert seen[0].filename == __file__
    with pytest.warns(BadCellWarning) as seen:
        read_numbers(["many", "more", 1]).settle("missing")
    assert "role" not in str(seen[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with learning():
            cells.settle("missing")


def test_cells_know_nothing_of_the_package_but_exceptions():
    folder = Path(hyperfusion.cells.__file__).parent
    known = re.compile(r"hyperfusion\.(cells|exceptions|_validation|_warnings)\b")
    for path in folder.glob("*.py"):
        lines = re.findall(
            r"^\s*(?:from|import) (hyperfusion\S*)", path.read_text(), re.M
        )
        assert all(known.match(name) for name in lines), path


def test_vectors_of_no_rows_are_written():
    out = np.empty((0, 2), dtype=np.float32)
    write_vectors(pd.Series([], dtype=object), out)
    write_columns(pd.DataFrame({"a": [], "b": []}), out)
