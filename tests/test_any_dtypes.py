"""Every dtype of pandas, Arrow and Polars: features, or an error of ours."""

from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

from hyperfusion import (
    BlockImputer,
    BlockScaler,
    CategoryEncoder,
    ImageStatistics,
    IQRFilter,
    NumberEncoder,
    NumericTable,
    TemporalEncoder,
    TextStatistics,
    TfidfComponents,
    UserProfileEncoder,
    VectorEncoder,
)
from hyperfusion.exceptions import HyperFusionError
from hyperfusion.table import describe_table

DAY, CLOCK = dt.datetime(2015, 1, 1), [dt.time(1), None, dt.time(2), dt.time(3)]
DAYS, DATES = [DAY, None, DAY, DAY], [DAY.date(), None, DAY.date(), DAY.date()]
SPANS = [dt.timedelta(1), None, dt.timedelta(2), dt.timedelta(3)]
NUMBERS, TEXTS = [1, None, 2, 3], ["a", None, "b", "a"]
FLAGS = [True, None, False, True]
EXACT = [Decimal("1.5"), None, Decimal(2), Decimal(3)]
BYTES = [b"a", None, b"b", b"c"]
LISTS, WORDS = [[1.0], None, [2.0], [3.0]], [["a"], None, ["b"], ["c"]]
ROWS = [{"a": 1}, None, {"a": 2}, {"a": 3}]

PANDAS = [
    *(pd.array(NUMBERS, dtype=t) for t in ("Int8", "UInt64", "Float32", "Float64")),
    *(pd.array(TEXTS, dtype=t) for t in ("string", "string[pyarrow]", "category")),
    pd.array(FLAGS, dtype="boolean"),
    *(pd.Categorical(cells) for cells in (NUMBERS, DAYS)),
    pd.period_range("2015", periods=4, freq="M").array,
    pd.interval_range(0, 4).array,
    pd.date_range("2015", periods=4, tz="Asia/Tokyo").array,
    pd.timedelta_range("1D", periods=4).array,
    *(pd.arrays.SparseArray(cells) for cells in ([0.0, 1, 0, 2], ["a", "b", "a", "a"])),
    *(pd.array(cells, dtype=object) for cells in (BYTES, EXACT, DATES, LISTS, ROWS)),
    *(
        np.array([1, 2, 3, 4], t)
        for t in ["f2", "f4", "i1", "u8", "b1", "M8[D]", "M8[ns]", "m8[h]", "S1"]
    ),
]
ARROW = {
    pa.int8(): NUMBERS,
    pa.uint64(): [1, None, 2, 2**63],
    pa.float32(): NUMBERS,
    pa.decimal128(9, 2): EXACT,
    pa.decimal256(40, 2): EXACT,
    pa.bool_(): FLAGS,
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.binary(): BYTES,
    pa.binary(1): BYTES,
    pa.date32(): DATES,
    pa.date64(): DATES,
    pa.timestamp("s"): DAYS,
    pa.timestamp("ns", "Asia/Tokyo"): DAYS,
    pa.time32("s"): CLOCK,
    pa.time64("us"): CLOCK,
    pa.duration("s"): SPANS,
    pa.list_(pa.float32()): LISTS,
    pa.large_list(pa.float64()): LISTS,
    pa.list_(pa.float32(), 1): LISTS,
    pa.list_(pa.string()): WORDS,
    pa.struct([("a", pa.int8())]): ROWS,
    pa.map_(pa.string(), pa.int8()): [[("a", 1)], None, [("b", 2)], []],
    pa.null(): [None] * 4,
    pa.dictionary(pa.int8(), pa.string()): TEXTS,
    pa.dictionary(pa.int8(), pa.int64()): NUMBERS,
}
POLARS = [
    *((t, NUMBERS) for t in (pl.Int8, pl.UInt64, pl.Int128, pl.Float32)),
    *((t, TEXTS) for t in (pl.String, pl.Categorical, pl.Enum(["a", "b"]))),
    *((t, LISTS) for t in (pl.List(pl.Float32), pl.Array(pl.Float32, 1))),
    *((t, DAYS) for t in (pl.Datetime("ms"), pl.Datetime("us", "Asia/Tokyo"))),
    *((pl.Decimal(9, 2), EXACT), (pl.Boolean, FLAGS)),
    *((pl.Binary, BYTES), (pl.Date, DATES), (pl.Time, CLOCK), (pl.Duration, SPANS)),
    *((pl.Struct({"a": pl.Int8}), ROWS), (pl.Null, [None] * 4)),
    (pl.Object, [{1}, None, {2}, {3}]),
]
COLUMNS = {
    "pandas half an emoji": pd.Series(["\ud83d", None, "b", "b"], dtype=object),
    **{
        f"pandas {i} {values.dtype}": pd.Series(values)
        for i, values in enumerate(PANDAS)
    },
    **{f"arrow {kind}": pa.array(cells, kind) for kind, cells in ARROW.items()},
    **{
        f"pandas on arrow {kind}": pd.Series(
            pd.arrays.ArrowExtensionArray(pa.array(cells, kind))
        )
        for kind, cells in ARROW.items()
    },
    **{
        f"polars {kind}": pl.Series("c", cells, dtype=kind, strict=False)
        for kind, cells in POLARS
    },
}
ENCODERS = [
    *(NumberEncoder(), CategoryEncoder(), TemporalEncoder(), ImageStatistics()),
    *(TextStatistics(), TextStatistics(analyzer="tags"), VectorEncoder()),
    TfidfComponents(n_components=2, min_df=1, random_state=0),
]
LEARNERS = [NumericTable(), BlockImputer(), BlockScaler(), IQRFilter()]
Y = np.arange(4.0)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.filterwarnings("ignore")
def test_a_column_becomes_features_or_an_error_of_ours(name):
    column = COLUMNS[name]
    label = getattr(column, "name", None) or 0
    for encoder in [*ENCODERS, UserProfileEncoder(user=label)]:
        for on_error in ("missing", "raise"):
            encoder = clone(encoder)
            if "on_error" in encoder.get_params():
                encoder.set_params(on_error=on_error)
            may_fail = isinstance(encoder, (VectorEncoder, TemporalEncoder))
            try:
                assert len(encoder.fit_transform(column, Y)) == 4
            except HyperFusionError:
                if on_error == "missing" and not may_fail:
                    raise


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_is_learned_from_or_an_error_of_ours(name):
    cells = {"c": COLUMNS[name], "d": [1.0, 2.0, 3.0, 4.0]}
    kinds = {"arrow": pa.table, "polars": pl.DataFrame, "pandas": pd.DataFrame}
    table = kinds[name.split()[0]](cells)
    for learner in LEARNERS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                clone(learner).fit(table, Y)
                assert len(describe_table(table)) == 2
            except HyperFusionError:
                continue
