"""Places of posts: coordinates, grid cells, accuracy, names."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval
from hyperfusion._validation import COUNT
from hyperfusion.cells._columns import Cells
from hyperfusion.cells._levels import KnownLevels, as_category, common_levels
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.encoders._base import TableEncoder, one_column
from hyperfusion.exceptions import InvalidInputError

# more columns than the finest grid has, so that row * _COLUMNS + column is unique
_COLUMNS = 1e6
_ROLES = ("latitude", "longitude", "accuracy", "place")


@with_parameters
class GeoEncoder(TableEncoder):
    """Coordinates, grid cell, accuracy and name of the place of each post.

    Parameters
    ----------
    latitude, longitude : column label or None, default=None
        The columns of the coordinates in degrees: both or none. If no column is
        named, these are the two columns of a table of two.
    accuracy, place : column label or None, default=None
        The columns of the accuracy of the coordinates (a number in any unit) and of the
        names of places.
    cell_size : float, default=1.0
        Side of the grid's cells in degrees.
    min_frequency : int, default=5
        Grid cells with fewer posts at fit are missing, and so are those not seen at
        fit.
    %(on_error)s

    Attributes
    ----------
    cells_, places_ : list of str
        The cells that were frequent enough at fit, and the names of places.
    %(columns)s

    Raises
    ------
    InvalidInputError
        If no column is named, one is missing, or only one coordinate is given.

    Notes
    -----
    The output is always a DataFrame. The features, in this order:

    - ``latitude`` and ``longitude`` in degrees, and the same place as a point on the
      unit sphere, ``x``, ``y``, ``z``, on which 179 degrees east is near 179 west;
    - ``cell``: a category, the south-western corner of the grid's cell as text;
    - ``accuracy``; missing if the coordinates are given and missing;
    - ``place``: a category with the names seen at fit; other names are missing;
    - ``has_place``: 1 if there are coordinates (or a name, if only `place` is given).

    Coordinates out of range, or one without the other, can't be used. 0, 0 counts as
    missing. Paper: section 3.3.

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

    _parameter_constraints = {
        "cell_size": [Interval(Real, 0.001, 180, closed="both")],
        "min_frequency": [COUNT],
    }

    latitude: Hashable | None = None
    longitude: Hashable | None = None
    accuracy: Hashable | None = None
    place: Hashable | None = None
    cell_size: float = 1.0
    min_frequency: int = 5
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        self._columns = self._find_columns(cells)
        self.cells_: list[str] = []
        self.places_: list[str] = []
        if "latitude" in self._columns:
            squares = self._squares(cells.index, *self._coordinates(cells))
            self.cells_ = common_levels(squares, self.min_frequency)
            self._known_cells = KnownLevels(self.cells_)
        if "place" in self._columns:
            places = self._levels(cells[self._columns["place"]])
            self.places_ = common_levels(places, 1)
            self._known_places = KnownLevels(self.places_)

    def _transform_cells(self, cells: pd.DataFrame) -> pd.DataFrame:
        features: dict[str, Any] = {}
        there: Any = None
        if "latitude" in self._columns:
            latitude, longitude = self._coordinates(cells)
            there = ~np.isnan(latitude)
            north, east = np.radians(latitude), np.radians(longitude)
            squares = self._squares(cells.index, latitude, longitude)
            features = {
                "latitude": latitude,
                "longitude": longitude,
                "x": np.cos(north) * np.cos(east),
                "y": np.cos(north) * np.sin(east),
                "z": np.sin(north),
                "cell": as_category(squares, self._known_cells, expect_new=True),
            }
        if "accuracy" in self._columns:
            numbers = read_numbers(cells[self._columns["accuracy"]])
            accuracy = numbers.settle(self.on_error)
            known = True if there is None else there
            features["accuracy"] = np.where(known, accuracy, np.nan)
        if "place" in self._columns:
            places = self._levels(cells[self._columns["place"]])
            features["place"] = as_category(places, self._known_places)
            there = places.notna().to_numpy() if there is None else there
        if there is not None:
            features["has_place"] = there
        for name in features.keys() - {"cell", "place"}:
            features[name] = features[name].astype(np.float32)
        return pd.DataFrame(features, index=cells.index)

    def _feature_names(self, names: Any = None) -> list[str]:
        point = ["latitude", "longitude", "x", "y", "z", "cell"]
        names = point if "latitude" in self._columns else []
        names += [name for name in ("accuracy", "place") if name in self._columns]
        has_place = bool({"latitude", "place"} & {*self._columns})
        return [*names, "has_place"] if has_place else names

    def _find_columns(self, table: pd.DataFrame) -> dict[str, Hashable]:
        given = {role: getattr(self, role) for role in _ROLES}
        if all(v is None for v in given.values()) and table.shape[1] == 2:
            given["latitude"], given["longitude"] = table.columns
        found = {role: one_column(table, value, role) for role, value in given.items()}
        columns = {role: label for role, label in found.items() if label is not None}
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

    def _coordinates(self, table: pd.DataFrame) -> np.ndarray:
        """Return latitudes and longitudes; both are NaN where one can't be used."""
        latitude = read_numbers(table[self._columns["latitude"]])
        longitude = read_numbers(table[self._columns["longitude"]])
        pair = _usable(latitude, longitude, 90), _usable(longitude, latitude, 180)
        found = np.stack([cells.settle(self.on_error) for cells in pair])
        missing = np.isnan(found).any(axis=0) | (found == 0).all(axis=0)
        return np.where(missing, np.nan, found)

    def _squares(
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


def _usable(cells: Cells, other: Cells, limit: int) -> Cells:
    """Reject coordinates out of range, and one without the other."""
    found, theirs = cells.clean, other.clean
    # a lone 0 is half of 0, 0: as missing as the pair
    half = np.isnan(found) & ~np.isnan(theirs) & (theirs != 0)

    def why(row: int) -> str:
        if half[row]:
            return "missing, although the other coordinate is there"
        return f"{found[row]:g} is not between -{limit} and {limit} degrees"

    return cells.reject(half | (np.abs(found) > limit), why)
