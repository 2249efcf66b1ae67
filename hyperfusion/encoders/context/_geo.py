"""Places of posts: coordinates, the cell of a grid, accuracy, name."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.cells._columns import ON_ERROR, Cells
from hyperfusion.cells._levels import as_category, frequent_levels, read_levels
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.encoders._base import TableEncoder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import check_columns

# more columns than the finest grid has, so that row * _COLUMNS + column is unique
_COLUMNS = 1e6
_COORDINATES = ("latitude", "longitude", "x", "y", "z", "cell")


class GeoEncoder(TableEncoder):
    """Coordinates, grid cell, accuracy and name of the place of each post.

    Parameters
    ----------
    latitude, longitude : column label or None, default=None
        The columns of the coordinates in degrees: both or none. Where no column at
        all is named, these are the first and the second of a table of two.
    accuracy : column label or None, default=None
        The column of the coordinates' accuracy, a number of any unit.
    place : column label or None, default=None
        The column of the place's name.
    cell_size : float, default=1.0
        Side of the grid's cells in degrees.
    min_frequency : int, default=5
        A grid cell with fewer posts at fit than this is missing, as is one that was not
        seen at fit.
    on_error : {"raise", "missing"}, default="missing"
        What to do with coordinates that can't be: text, out of range, or one without
        the other. Raise a :class:`~hyperfusion.exceptions.BadCellError` that names the
        cell, or treat them as missing and warn once for the column.

    Attributes
    ----------
    cells_ : list of str
        The cells that were frequent enough at fit.
    places_ : list of str
        The names of places at fit.
    columns_ : dict of {str: column label}
        The columns that are read, by parameter.
    n_features_in_ : int
        Number of columns at fit.
    feature_names_in_ : ndarray of str
        Labels of the columns at fit, where these are texts.

    Raises
    ------
    InvalidInputError
        If no column is named, a column is not there, or one of `latitude` and
        `longitude` is given without the other.

    Notes
    -----
    The output is always a DataFrame. The features, in this order:

    - ``latitude`` and ``longitude`` in degrees, and the same place as a point on the
      unit sphere, ``x``, ``y``, ``z``, on which 179 degrees east is near 179 west;
    - ``cell``: a category, the south-western corner of the grid's cell as text;
    - ``accuracy``; missing where the coordinates are, if they are given;
    - ``place``: a category with the names of fit; other names are missing;
    - ``has_place``: 1 where there are coordinates (where only `place` is given: where
      there is a name), otherwise 0.

    Coordinates of exactly 0, 0 are missing: devices write them where they don't know
    better, and no post comes from that point of the sea.

    Paper: section 3.3, "Geographic context is encoded via coordinate information and
    location accuracy measures".

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import GeoEncoder
    >>> posts = pd.DataFrame({"lat": [48.9, 48.1, 0.0], "lon": [2.4, 2.3, 0.0]})
    >>> encoder = GeoEncoder(latitude="lat", longitude="lon", min_frequency=2)
    >>> encoder.fit_transform(posts)[["latitude", "cell", "has_place"]]
       latitude  cell  has_place
    0      48.9  48,2        1.0
    1      48.1  48,2        1.0
    2       NaN   NaN        0.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "latitude": "no_validation",
        "longitude": "no_validation",
        "accuracy": "no_validation",
        "place": "no_validation",
        "cell_size": [Interval(Real, 0.001, 180, closed="both")],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "on_error": [StrOptions(set(ON_ERROR))],
    }

    def __init__(
        self,
        *,
        latitude: Hashable | None = None,
        longitude: Hashable | None = None,
        accuracy: Hashable | None = None,
        place: Hashable | None = None,
        cell_size: float = 1.0,
        min_frequency: int = 5,
        on_error: str = "missing",
    ):
        self.latitude = latitude
        self.longitude = longitude
        self.accuracy = accuracy
        self.place = place
        self.cell_size = cell_size
        self.min_frequency = min_frequency
        self.on_error = on_error

    def _fit_table(self, table: pd.DataFrame) -> None:
        self.columns_ = self._find_columns(table)
        self.cells_: list[str] = []
        self.places_: list[str] = []
        if "latitude" in self.columns_:
            cells = self._cells(table.index, *self._coordinates(table, warn=False))
            self.cells_ = frequent_levels(cells, self.min_frequency)
        if "place" in self.columns_:
            self.places_ = frequent_levels(self._places(table, warn=False), 1)

    def _transform_table(self, table: pd.DataFrame) -> pd.DataFrame:
        features: dict[str, Any] = {}
        there: np.ndarray | None = None
        if "latitude" in self.columns_:
            latitude, longitude = self._coordinates(table)
            there = ~np.isnan(latitude)
            features |= {"latitude": latitude, "longitude": longitude}
            features |= _unit_sphere(np.radians(latitude), np.radians(longitude))
            cells = self._cells(table.index, latitude, longitude)
            features["cell"] = as_category(cells, self.cells_, expect_new=True)
        if "accuracy" in self.columns_:
            accuracy = read_numbers(table[self.columns_["accuracy"]])
            accuracy = accuracy.settle(self.on_error)
            known = True if there is None else there
            features["accuracy"] = np.where(known, accuracy, np.nan)
        if "place" in self.columns_:
            places = self._places(table)
            features["place"] = as_category(places, self.places_)
            there = places.notna().to_numpy() if there is None else there
        if there is not None:
            features["has_place"] = there
        columns = {k: _as_feature(v) for k, v in features.items()}
        return pd.DataFrame(columns, index=table.index)

    def _feature_names(self) -> list[str]:
        names = list(_COORDINATES) if "latitude" in self.columns_ else []
        names += [name for name in ("accuracy", "place") if name in self.columns_]
        return (
            [*names, "has_place"] if {"latitude", "place"} & {*self.columns_} else names
        )

    def _find_columns(self, table: pd.DataFrame) -> dict[str, Hashable]:
        roles = ("latitude", "longitude", "accuracy", "place")
        given = {role: getattr(self, role) for role in roles}
        if all(value is None for value in given.values()) and table.shape[1] == 2:
            given["latitude"], given["longitude"] = table.columns
        columns = {
            role: check_columns(table, value, role, max_columns=1)[0]
            for role, value in given.items()
            if value is not None
        }
        if not columns:
            raise InvalidInputError(
                "GeoEncoder needs at least one of the parameters latitude and "
                "longitude, accuracy, or place: the labels of their columns."
            )
        if ("latitude" in columns) != ("longitude" in columns):
            raise InvalidInputError(
                "latitude and longitude go together. Got "
                f"latitude={self.latitude!r}, longitude={self.longitude!r}."
            )
        return columns

    def _coordinates(
        self, table: pd.DataFrame, *, warn: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return latitude and longitude; both are NaN where one can't be used."""
        north, east = (
            read_numbers(table[self.columns_[c]]) for c in ("latitude", "longitude")
        )
        latitude, longitude = (
            _degrees(*args).settle(self.on_error, warn=warn)
            for args in ((north, 90, east.clean), (east, 180, north.clean))
        )
        missing = np.isnan(latitude) | np.isnan(longitude)
        missing |= (latitude == 0) & (longitude == 0)
        return np.where(missing, np.nan, latitude), np.where(missing, np.nan, longitude)

    def _cells(
        self, index: pd.Index, latitude: np.ndarray, longitude: np.ndarray
    ) -> pd.Series:
        known = ~np.isnan(latitude)
        south = np.floor(latitude[known] / self.cell_size)
        # 180 degrees east and west are the same meridian
        east = np.where(longitude == 180, -180, longitude)[known]
        west = np.floor(east / self.cell_size)
        # one number for both is faster to sort than pairs
        codes, where = np.unique(south * _COLUMNS + west, return_inverse=True)
        rows = np.round(codes / _COLUMNS)
        corners = np.column_stack([rows, codes - rows * _COLUMNS]) * self.cell_size
        # adding 0 turns -0 into 0
        names = [f"{s:.6g},{w:.6g}" for s, w in corners + 0.0]
        cells = np.full(len(latitude), None, dtype=object)
        cells[known] = np.array(names, dtype=object)[where]
        return pd.Series(cells, index=index)

    def _places(self, table: pd.DataFrame, *, warn: bool = True) -> pd.Series:
        places = read_levels(table[self.columns_["place"]])
        return places.settle(self.on_error, warn=warn)


def _degrees(cells: Cells, limit: int, other: np.ndarray) -> Cells:
    """Return one coordinate without what can't be, given the other."""
    degrees = cells.clean
    beyond = np.abs(degrees) > limit
    # a lone 0 is half of 0, 0: as missing as the pair
    half = np.isnan(degrees) & ~np.isnan(other) & (other != 0)
    return cells.reject(
        beyond | half,
        lambda row: (
            f"{degrees[row]:g} is not between -{limit} and {limit} degrees"
            if beyond[row]
            else "missing, although the other coordinate is there"
        ),
    )


def _unit_sphere(latitude: np.ndarray, longitude: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "x": np.cos(latitude) * np.cos(longitude),
        "y": np.cos(latitude) * np.sin(longitude),
        "z": np.sin(latitude),
    }


def _as_feature(values: Any) -> Any:
    return values if isinstance(values, pd.Series) else values.astype(np.float32)
