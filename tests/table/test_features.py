"""Feature tables taken apart and joined again."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator

from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table._features import read_features, take_columns, write_features
from hyperfusion.table._frames import as_frame


def read(X, **options):
    return read_features(BaseEstimator(), X, reset=True, **options)


def test_numbers_of_all_kinds_become_float32():
    X = pd.DataFrame(
        {
            "flag": [True, False],
            "nullable": pd.array([1, None], dtype="Int64"),
            "objects": pd.Series([None, 2.5], dtype=object),
            "kind": pd.Categorical(["a", None]),
        }
    )
    features = read(X)
    assert features.numbers.dtype == np.float32
    assert_array_equal(features.numbers, [[1, 1, np.nan], [0, np.nan, 2.5]])
    assert list(features.schema.columns) == ["flag", "nullable", "objects"]
    assert features.table.is_category.tolist() == [False, False, False, True]
    assert list(features.categories) == ["kind"]


def test_a_float32_table_is_not_copied():
    numbers = np.arange(12, dtype=np.float32).reshape(4, 3)
    X = pd.DataFrame(numbers, columns=list("abc"), copy=False)
    features = read(X)
    assert np.shares_memory(features.numbers, numbers)
    X["kind"] = pd.Categorical(["a"] * 4)
    if int(pd.__version__.split(".")[0]) >= 3:  # before, pandas copied to leave it out
        assert np.shares_memory(read(X).numbers, numbers)
    assert np.shares_memory(take_columns(features.numbers, np.array([1, 2])), numbers)
    assert not np.shares_memory(take_columns(numbers, np.array([2, 1])), numbers)
    assert take_columns(numbers, np.array([], dtype=int)).shape == (4, 0)
    table = write_features(numbers, ["x", "y", "z", "k"], X[["kind"]])
    assert np.shares_memory(table["x"].to_numpy(), numbers)
    assert list(table.columns) == ["x", "y", "z", "k"]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_infinite_values(value):
    X = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, value]})
    with pytest.raises(BadCellError, match=r"row 1, column 'b'"):
        read(X)
    with pytest.raises(ValueError, match="infinity"):
        read(X.to_numpy())
    for table in (X, X.to_numpy()):
        assert_array_equal(read(table, infinite="missing").numbers[1], [2, np.nan])


@pytest.mark.parametrize(
    "cells", [["a", "b"], pd.to_datetime(["2024-01-01", None]), [b"a", 1]]
)
def test_what_is_no_number_is_named(cells):
    with pytest.raises(InvalidInputError, match="'when' has dtype"):
        read(pd.DataFrame({"when": cells}))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "arrow-backed pandas"])
def test_tables_of_other_libraries(library):
    X = pd.DataFrame({"meta__a": [1.0, 2.0], "meta__b": [3, 4]})
    if library == "polars":
        table = pytest.importorskip("polars", reason="needs polars").from_pandas(X)
    elif library == "pyarrow":
        pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
        table = pa.Table.from_pandas(X)
    else:
        pytest.importorskip("pyarrow", reason="needs pyarrow")
        table = X.convert_dtypes(dtype_backend="pyarrow")
    features = read(table)
    assert_array_equal(features.numbers, X)
    assert features.table.blocks == ("meta", "meta")


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_ids_of_many_digits_stay_whole_beside_missing_ones(library):
    ids = [123456789012345678, None, 123456789012345679]
    module = pytest.importorskip(library, reason=f"needs {library}")
    table = module.DataFrame({"id": ids}) if library == "polars" else None
    table = module.table({"id": ids}) if table is None else table
    frame = as_frame(table)
    assert frame["id"].dropna().astype(str).tolist() == [str(ids[0]), str(ids[2])]


def test_a_lazy_table_is_told_to_collect():
    polars = pytest.importorskip("polars", reason="needs polars")
    with pytest.raises(InvalidInputError, match=r"LazyFrame.*\.collect\(\)"):
        read(polars.LazyFrame({"a": [1.0]}))
