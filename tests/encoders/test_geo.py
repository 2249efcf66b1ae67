"""Known answers of GeoEncoder."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfusion import GeoEncoder
from hyperfusion.exceptions import BadCellError, BadCellWarning

COORDINATES = ["latitude", "longitude", "x", "y", "z"]


def encoder(**params):
    params = {"latitude": "a", "longitude": "b", "min_frequency": 1} | params
    return GeoEncoder(**params)


def table(latitudes, longitudes, **columns):
    coordinates = {"a": list(latitudes), "b": list(longitudes)}
    return pd.DataFrame(coordinates | columns)


def test_points_on_the_unit_sphere():
    X = table([0, 0, 90, 0, -30], [0.0001, 90, 12, -180, 60])
    out = encoder().fit_transform(X)
    expected = [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [-1, 0, 0],
        [3**0.5 / 4, 0.75, -0.5],
    ]
    np.testing.assert_allclose(out[["x", "y", "z"]], expected, atol=1e-5)
    np.testing.assert_allclose(out[["latitude", "longitude"]], X, atol=1e-6)


def test_output():
    X = table([48.9], [2.4], c=[5], p=["Paris"]).set_axis(["row"])
    out = encoder(accuracy="c", place="p").fit_transform(X)
    assert list(out) == [*COORDINATES, "cell", "accuracy", "place", "has_place"]
    assert out.index.equals(X.index)
    for name, dtype in out.dtypes.items():
        category = name in ("cell", "place")
        assert isinstance(dtype, pd.CategoricalDtype) if category else dtype == "f4"


def test_cells_of_the_grid():
    X = table([48.9, 48.1, -0.5, 48.9, 90, 48.9], [2.4, 2.9, -0.5, 3.0, -180, 180])
    out = encoder().fit_transform(X)
    assert list(out["cell"]) == ["48,2", "48,2", "-1,-1", "48,3", "90,-180", "48,-180"]
    fine = encoder(cell_size=0.25).fit_transform(X)
    assert list(fine["cell"][:2]) == ["48.75,2.25", "48,2.75"]
    coarse = encoder(cell_size=10).fit_transform(X)
    assert list(coarse["cell"][:3]) == ["40,0", "40,0", "-10,-10"]


def test_finest_cells_are_told_apart():
    longitudes = np.arange(-180, 180, 0.001)[::97] + 0.0004
    out = encoder(cell_size=0.001).fit_transform(
        table([12.0] * len(longitudes), longitudes)
    )
    assert out["cell"].nunique() == len(longitudes)
    assert out["cell"].iloc[0] == "12,-180"


def test_rare_and_unseen_cells_are_missing():
    fitted = encoder(min_frequency=2).fit(table([10, 10.5, 20], [10, 10.5, 20]))
    assert fitted.cells_ == ["10,10"]
    out = fitted.transform(table([10.9, 20, 30], [10.1, 20, 30]))
    assert out["cell"].isna().tolist() == [False, True, True]
    assert out["has_place"].tolist() == [1, 1, 1]


def test_null_island_and_missing_cells_are_missing_without_a_warning():
    blank = [None, np.nan, "", " ", 0, "0", 0, ""]
    X = table([0, 0.0, -0.0, *blank], [0, -0.0, "0.0", *blank[:5], "0", "", 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = encoder(on_error="raise").fit_transform(X)
    assert out[[*COORDINATES, "cell"]].isna().all(axis=None)
    assert (out["has_place"] == 0).all()
    # the equator and the meridian of Greenwich are places
    out = encoder().fit_transform(table([0, 5], [5, 0]))
    assert out["has_place"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("latitude", "longitude", "column", "message"),
    [
        (400, 5, "a", "400 is not between -90 and 90"),
        (-90.001, 5, "a", "not between"),
        (5, 180.5, "b", "not between -180 and 180"),
        ("north", 5, "a", "expected a finite number, got 'north'"),
        (5, np.inf, "b", "finite"),
        (5, None, "b", "the other coordinate is there"),
        ("", 5, "a", "the other coordinate is there"),
        ([1], 5, "a", "finite"),
        (pd.Timestamp("2024"), 5, "a", "finite"),
    ],
)
def test_bad_coordinates(latitude, longitude, column, message):
    X = table([10, latitude], [10, longitude])
    with pytest.raises(BadCellError, match=f"row 1, column '{column}': .*{message}"):
        encoder(on_error="raise").fit(X)
    with pytest.warns(BadCellWarning, match=f"column '{column}'") as seen:
        out = encoder().fit_transform(X)
    assert len(seen) == 1
    assert out.iloc[1].drop("has_place").isna().all()
    assert out["has_place"].tolist() == [1, 0]


def test_one_warning_counts_all_bad_cells_of_a_column():
    X = table([91, "x", None, 10], [5, 5, 5, 10])
    with pytest.warns(
        BadCellWarning, match=r"3 cell\(s\) of column 'a'.*row 0"
    ) as seen:
        encoder().fit_transform(X)
    assert len(seen) == 1


def test_accuracy_goes_with_the_coordinates():
    X = table([10, 0, 10], [10, 0, 10], c=[16, 16, None])
    out = encoder(accuracy="c").fit_transform(X)
    np.testing.assert_array_equal(out["accuracy"], [16, np.nan, np.nan])
    alone = GeoEncoder(accuracy="c").fit_transform(X)
    assert list(alone) == ["accuracy"]
    np.testing.assert_array_equal(alone["accuracy"], [16, 16, np.nan])


def test_places():
    fitted = GeoEncoder(place="p").fit(pd.DataFrame({"p": ["b", " a ", None, "", "b"]}))
    assert fitted.places_ == ["a", "b"]
    out = fitted.transform(pd.DataFrame({"p": ["a", "c", None]}))
    assert list(out) == ["place", "has_place"]
    assert list(out["place"].cat.categories) == ["a", "b"]
    assert out["place"].isna().tolist() == [False, True, True]
    # a place that was not seen at fit is still a place
    assert out["has_place"].tolist() == [1, 1, 0]


def test_two_columns_need_no_names():
    X = np.array([[48.9, 2.4], [0, 0]])
    out = GeoEncoder(min_frequency=1).fit_transform(X)
    assert out["has_place"].tolist() == [1, 0]
    by_position = GeoEncoder(latitude=0, longitude=1, min_frequency=1)
    pd.testing.assert_frame_equal(by_position.fit_transform(X), out)


def test_all_missing_column():
    out = encoder().fit_transform(table([None, None], [None, None]))
    assert out["cell"].isna().all()
    assert out["has_place"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"latitude": "a"}, "go together"),
        ({"longitude": "b"}, "go together"),
        ({}, "needs at least one"),
        ({"place": "q"}, "place='q' is not a column"),
        ({"place": "p", "cell_size": 0}, "cell_size"),
        ({"place": "p", "min_frequency": 0}, "min_frequency"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        GeoEncoder(**params).fit(table([1], [2], p=["x"]))


def test_durations_and_dates_are_no_coordinates():
    X = pd.DataFrame({"a": pd.to_datetime(["2024-01-01"]), "b": [1.0]})
    with pytest.raises(BadCellError, match=r"column 'a': .*give dates as time"):
        encoder(on_error="raise").fit(X)


cells = st.floats() | st.floats(-180, 180) | st.none() | st.text(max_size=5)


@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_any_coordinates(rows):
    X = table(*zip(*rows, strict=True))
    fitted = encoder().fit(X)
    out = fitted.transform(X)
    there = out["has_place"] == 1
    assert (out[[*COORDINATES, "cell"]].notna().all(axis=1) == there).all()
    assert (out[[*COORDINATES, "cell"]].isna().all(axis=1) == ~there).all()
    np.testing.assert_allclose((out[["x", "y", "z"]][there] ** 2).sum(axis=1), 1, 1e-5)
    alone = pd.concat([fitted.transform(X.iloc[[row]]) for row in range(len(X))])
    pd.testing.assert_frame_equal(alone, out)
