"""`predict_batches`: all kinds of input, the same numbers, bounded memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from hyperfusion import (
    CatBoostHuberRegressor,
    _progress,
    make_hyperfusion,
    make_posts,
    predict_batches,
)
from hyperfusion.exceptions import BadFileError, InvalidInputError


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(25, 3)), columns=list("abc"))
    return X, CatBoostHuberRegressor(iterations=5, random_state=0).fit(X, X["a"])


def assert_same(table, given, **settings):
    X, model = table
    found = predict_batches(model, given, batch_size=4, **settings)
    assert_array_equal(found, model.predict(X))


def test_progress_is_shown_where_a_person_watches(table, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "is_watched", lambda: True)
    monkeypatch.setitem(_progress._TQDM, "delay", 0)
    assert_same(table, table[0])
    assert "25/25" in capsys.readouterr().err
    assert_same(table, (table[0].iloc[i : i + 5] for i in range(0, 25, 5)))
    assert "25row" in capsys.readouterr().err
    assert_same(table, table[0], verbose=0)
    assert capsys.readouterr().err == ""


def test_tables_and_iterators(table, capsys):
    X = table[0]
    assert_same(table, X)
    assert_same(table, (X.iloc[i : i + 3] for i in range(0, 25, 3)))
    assert_same(table, [X.iloc[:5], X.iloc[5:5], X.iloc[5:]])
    assert capsys.readouterr().err == ""
    assert predict_batches(table[1], X.iloc[:0]).shape == (0,)


def test_arrow_parquet_and_polars(table, tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    polars = pytest.importorskip("polars")
    arrow = pa.Table.from_pandas(table[0])
    parquet.write_table(arrow, tmp_path / "rows.parquet")
    for given in (
        arrow,
        arrow.to_reader(7),
        polars.from_pandas(table[0]),
        tmp_path / "rows.parquet",
        str(tmp_path / "rows.parquet"),
        parquet.ParquetFile(tmp_path / "rows.parquet").iter_batches(4),
    ):
        assert_same(table, given)
    for content in (b"", b"PAR1junkPAR1"):
        (tmp_path / "rows.parquet").write_bytes(content)
        with pytest.raises(BadFileError, match=r"rows\.parquet can't be read"):
            predict_batches(table[1], tmp_path / "rows.parquet")


def test_posts_have_the_same_predictions_in_parts(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    posts = make_posts(120, random_state=0)
    roles = {role: c for role, c in posts.roles.items() if role != "image"}
    model = make_hyperfusion(
        **roles,
        text_encoder=False,
        members=[CatBoostHuberRegressor(iterations=20), Ridge(solver="lsqr")],
        cv=2,
        random_state=0,
    ).fit(posts.data, posts.target)
    expected = model.predict(posts.data)
    # linear algebra rounds by the number of rows
    found = predict_batches(model, posts.data, batch_size=50)
    assert_allclose(found, expected, rtol=1e-6)
    used = [c for c in posts.data if c != "image"]
    posts.data[used].to_parquet(tmp_path / "posts.parquet")
    assert parquet.ParquetFile(tmp_path / "posts.parquet").metadata.num_rows == 120
    found = predict_batches(model, tmp_path / "posts.parquet", batch_size=50)
    assert_allclose(found, expected, rtol=1e-6)


class Wide:
    """Predicts by way of a table of a thousand features."""

    def predict(self, X):
        return np.repeat(X, 1000, axis=1).mean(axis=1)


def peak_of(work):
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_rows():
    def parts(n):
        return (np.ones((100, 1)) for _ in range(n))

    few, many = (
        peak_of(lambda n=n: predict_batches(Wide(), parts(n))) for n in (5, 50)
    )
    assert many < 1.2 * few  # 45 more parts of 800 kB each


@pytest.mark.parametrize(
    ("given", "settings"), [(3, {}), (np.ones((2, 1)), {"batch_size": 0})]
)
def test_wrong_arguments(given, settings):
    with pytest.raises((InvalidInputError, ValueError), match="predict_batches"):
        predict_batches(Wide(), given, **settings)
