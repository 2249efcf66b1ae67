"""Known answers of NumberEncoder and CategoryEncoder."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfusion import CategoryEncoder, NumberEncoder
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError


def test_numbers():
    X = pd.DataFrame(
        {
            "a": ["1", " 2.5 ", "-1e3"],
            "b": [True, None, False],
            "c": pd.array([1, None, 3], dtype="Int64"),
            "d": [None, "", 7],
            "e": pd.Categorical(["4", "5", "6"]),
        },
        index=list("xyz"),
    )
    out = NumberEncoder(log=False).fit_transform(X)
    expected = [
        [1, 1, 1, np.nan, 4],
        [2.5, np.nan, np.nan, np.nan, 5],
        [-1000, 0, 3, 7, 6],
    ]
    np.testing.assert_array_equal(out, np.array(expected, dtype=np.float32))
    assert (out.dtypes == np.float32).all()
    assert list(out) == list("abcde")
    assert out.index.equals(X.index)


def test_heavy_tails_are_put_on_a_log_scale():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {
            "views": np.exp(rng.normal(5, 2, 500)).round(),
            "height": rng.normal(170, 10, 500),
            "profit": rng.standard_t(1, 500),
            "rare": np.arange(500) == 3,
            "empty": np.nan,
            "huge": 10.0 ** np.linspace(0, 300, 500),
        }
    )
    fitted = NumberEncoder().fit(X)
    assert list(fitted.get_feature_names_out()) == list(X)
    assert [c for c, on_log in fitted.log_.items() if on_log] == ["views", "huge"]
    views = fitted.transform(X)["views"]
    np.testing.assert_allclose(views, np.log1p(X["views"]), rtol=1e-6)
    # what was learned at fit holds for other rows
    low = X.iloc[:2].assign(views=[-9, 0], huge=0)
    np.testing.assert_allclose(fitted.transform(low)["views"], [-np.log(10), 0])


def test_log_for_all_or_none():
    X = pd.DataFrame({"a": [-1, 0, 9], "b": [0, 1, 1]})
    out = NumberEncoder(log=True).fit_transform(X)
    assert list(out) == ["a", "b"]
    np.testing.assert_allclose(out["a"], [-np.log(2), 0, np.log(10)], rtol=1e-6)
    np.testing.assert_array_equal(NumberEncoder(log=False).fit_transform(X), X)


@pytest.mark.parametrize(
    "cell",
    [*["many", "1,000", "0x1", "-inf", "1e999"], np.inf, 10**400, [1], dt.date.min],
    ids=str,
)
def test_bad_numbers(cell):
    X = pd.DataFrame({"n": pd.Series([1, cell, 3], dtype=object)})
    with pytest.raises(BadCellError, match="row 1, column 'n': expected a finite"):
        NumberEncoder(on_error="raise").fit(X)
    with pytest.warns(BadCellWarning, match=r"1 cell\(s\) of column 'n'") as seen:
        out = NumberEncoder().fit_transform(X)
    assert len(seen) == 1
    np.testing.assert_array_equal(out["n"], [1, np.nan, 3])


def test_numbers_beyond_float32():
    X = pd.DataFrame({"n": [1.0, -1e39, 3.0]})
    with pytest.raises(BadCellError, match=r"row 1, column 'n': -1e\+39 is beyond"):
        NumberEncoder(on_error="raise").fit(X)
    with pytest.warns(BadCellWarning, match="float32"):
        out = NumberEncoder().fit_transform(X)
    np.testing.assert_array_equal(out["n"], [1, np.nan, 3])
    assert np.isfinite(NumberEncoder(log=True).fit_transform(X)).all(axis=None)


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2024-01-01"]),
        pd.to_datetime(["2024-01-01"]).tz_localize("UTC"),
        pd.to_timedelta(["1h"]),
    ],
)
def test_dates_and_durations_are_no_numbers(values):
    X = pd.DataFrame({"when": values})
    with pytest.raises(BadCellError, match=r"'when': .*give (dates|durations) as"):
        NumberEncoder(on_error="raise").fit(X)
    with pytest.warns(BadCellWarning, match=r"give (dates|durations) as"):
        assert NumberEncoder().fit_transform(X)["when"].isna().all()


def test_complex_numbers_are_refused():
    with pytest.raises(ValueError, match="Complex data not supported"):
        NumberEncoder().fit(pd.DataFrame({"n": [1 + 2j]}))
    with pytest.raises(BadCellError, match="finite number, got "):
        NumberEncoder(on_error="raise").fit(
            pd.DataFrame({"n": pd.Series([1 + 2j], dtype=object)})
        )


def test_categories_are_the_levels_of_fit():
    X = pd.DataFrame({"kind": ["photo", "video", "photo", None, " ", "poem"]})
    fitted = CategoryEncoder(min_frequency=2).fit(X)
    assert fitted.levels_ == {"kind": ["photo"]}
    out = fitted.transform(pd.DataFrame({"kind": [" photo", "video", None]}))
    assert isinstance(out["kind"].dtype, pd.CategoricalDtype)
    assert list(out["kind"].cat.categories) == ["photo"]
    assert out["kind"].isna().tolist() == [False, True, True]


def test_numbers_and_texts_are_categories_alike():
    X = pd.DataFrame({0: [1, 2, 1], 1: [1.0, np.nan, 2.5], 2: ["1", 1, True]})
    fitted = CategoryEncoder().fit(X)
    assert fitted.levels_ == {0: ["1", "2"], 1: ["1", "2.5"], 2: ["1", "True"]}
    assert list(fitted.get_feature_names_out()) == ["0", "1", "2"]
    floats = pd.DataFrame({0: [2.0, np.nan], 1: ["1", "2.5"], 2: [1.0, "True"]})
    out = fitted.transform(floats)
    assert out["0"].isna().tolist() == [False, True]
    assert list(out["1"]) == ["1", "2.5"]
    assert list(out["2"]) == ["1", "True"]


def test_every_table_has_the_same_dtype():
    fitted = CategoryEncoder().fit(pd.DataFrame({"k": ["a", "b"]}))
    one = fitted.transform(pd.DataFrame({"k": ["a"]}))
    other = fitted.transform(pd.DataFrame({"k": ["b", None]}))
    assert one["k"].dtype == other["k"].dtype
    empty = CategoryEncoder().fit(pd.DataFrame({"k": [None, None]}))
    assert empty.transform(pd.DataFrame({"k": ["a"]}))["k"].isna().all()


def test_collections_are_no_categories():
    X = pd.DataFrame({"k": ["a", ["b", "c"]]})
    with pytest.raises(BadCellError, match=r"row 1, column 'k': .*got a list"):
        CategoryEncoder(on_error="raise").fit(X)
    with pytest.warns(BadCellWarning):
        out = CategoryEncoder().fit_transform(X)
    assert out["k"].isna().tolist() == [False, True]


def test_other_columns_at_predict():
    fitted = NumberEncoder().fit(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(pd.DataFrame({"a": [1], "c": [2]}))
    with pytest.raises(InvalidInputError, match="duplicate column names"):
        fitted.fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))


odd = st.floats() | st.integers() | st.text(max_size=6) | st.none() | st.booleans()


@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
@settings(deadline=None, max_examples=25)
@given(st.lists(odd, min_size=1, max_size=6))
def test_any_columns(cells):
    X = pd.DataFrame({"c": pd.Series(cells, dtype=object)})
    for encoder in (NumberEncoder(), CategoryEncoder()):
        out = encoder.fit(X).transform(X)
        alone = pd.concat([encoder.transform(X.iloc[[row]]) for row in range(len(X))])
        pd.testing.assert_frame_equal(alone, out)
        missing = [c is None or c != c or not str(c).strip() for c in cells]
        assert out.isna().to_numpy()[missing].all()
        if isinstance(encoder, NumberEncoder):
            assert not np.isinf(out).any(axis=None)
        else:
            assert not out.isna().to_numpy()[~np.array(missing)].any()
