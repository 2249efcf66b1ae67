"""Users as categories, and the numbers of their profiles."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion._validation import COUNT
from hyperfusion.cells._levels import KnownLevels, as_category, common_levels
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.encoders._base import TableEncoder, column_features, one_column
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import check_columns

# counts that overflowed are negative; more than a few are another kind of number
_NEGATIVE_SHARE = 0.01
_MOST_RATIO_COLUMNS = 8


@with_parameters
class UserProfileEncoder(TableEncoder):
    """The user as a category, and the numbers of the user's profile.

    Parameters
    ----------
    user : column label or None, default=None
        The column of the users.
    numeric : column label, list of labels or None, default=None
        The columns of the profile's numbers and flags (followers, photos, is a
        professional), as of the time of the post.
    min_frequency : int, default=1
        Users with fewer posts at fit are missing, and so are those not seen at fit.
    %(on_error)s

    Attributes
    ----------
    users_ : list of str
        The users that were frequent enough at fit.
    log_ : dict of {column label: bool}
        Whether a column is on a log scale: all but flags are.
    ratios_ : list of tuple (column label, column label)
        The pairs of counts whose ratio is a feature.
    %(columns)s

    Raises
    ------
    InvalidInputError
        If neither `user` nor `numeric` is given, or a column is missing.

    Notes
    -----
    The output is always a DataFrame. The features, in this order:

    - for each column of numbers, ``<column>``: sign(x) * log(1 + abs(x)). A column of
      booleans, or of 0 and 1 only at fit, is a flag and stays unchanged;
    - ``<column>_missing``, for the columns with missing values at fit;
    - ``<a>_per_<b>``, the logarithm of (a + 1) / (b + 1), for the pairs of up to 8
      counts: no flags, and at most one negative value in a hundred at fit. A negative
      count (usually an overflow) is a bad cell;
    - ``user``: a category with the users seen at fit.

    Profile numbers that were collected long after the posts leak. Paper: section 3.3.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import UserProfileEncoder
    >>> posts = pd.DataFrame(
    ...     {"who": ["ann", "bob", "ann"], "fans": [0, 99, 9], "pro": [1, 0, 1]}
    ... )
    >>> encoder = UserProfileEncoder(user="who", numeric=["fans", "pro"])
    >>> encoder.fit_transform(posts).round(2)
       fans  pro user
    0   0.0  1.0  ann
    1   4.6  0.0  bob
    2   2.3  1.0  ann
    """

    _parameter_constraints = {"min_frequency": [COUNT]}

    user: Hashable | None = None
    numeric: Hashable | Sequence[Hashable] | None = None
    min_frequency: int = 1
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        self._user = one_column(cells, self.user, "user")
        self._numeric = check_columns(cells, self.numeric, "numeric")
        if self._user is None and not self._numeric:
            raise InvalidInputError(
                "UserProfileEncoder needs user, numeric, or both: labels of columns."
            )
        self.users_: list[str] = []
        if self._user is not None:
            users = self._levels(cells[self._user])
            self.users_ = common_levels(users, self.min_frequency)
            self._known = KnownLevels(self.users_)
        self.log_: dict[Hashable, bool] = {}
        self._with_missing: list[Hashable] = []
        self._counts: list[Hashable] = []
        for label in self._numeric:
            column = cells[label]
            numbers = read_numbers(column).clean
            there = numbers[~np.isnan(numbers)]
            is_flag = column.dtype.kind == "b" or {*np.unique(there)} == {0, 1}
            self.log_[label] = not is_flag
            if not is_flag and len(there) and np.mean(there < 0) <= _NEGATIVE_SHARE:
                self._counts.append(label)
            if np.isnan(self._numbers(column)).any():
                self._with_missing.append(label)
        few = len(self._counts) <= _MOST_RATIO_COLUMNS
        self.ratios_ = list(combinations(self._counts, 2)) if few else []

    def _numbers(self, column: pd.Series) -> np.ndarray:
        """Return a column on its scale, NaN where it is missing or bad."""
        cells = read_numbers(column)
        if column.name in self._counts:
            numbers = cells.clean
            cells = cells.reject(
                numbers < 0,
                lambda row: f"a count can't be negative, got {numbers[row]:g}",
            )
        return self._scaled(cells, self.log_[column.name])

    def _transform_cells(self, cells: pd.DataFrame) -> pd.DataFrame:
        numbers = {column: self._numbers(cells[column]) for column in self._numeric}
        features = list(numbers.values())
        features += [np.isnan(numbers[c]) for c in self._with_missing]
        features += [numbers[a] - numbers[b] for a, b in self.ratios_]
        columns: list[Any] = [values.astype(np.float32) for values in features]
        if self._user is not None:
            users = self._levels(cells[self._user])
            columns.append(as_category(users, self._known, expect_new=True))
        named = dict(zip(self._feature_names(), columns, strict=True))
        return pd.DataFrame(named, index=cells.index)

    def _feature_names(self, names: Any = None) -> list[str]:
        names = [str(column) for column in self._numeric]
        names += [f"{c}_missing" for c in self._with_missing]
        names += [f"{a}_per_{b}" for a, b in self.ratios_]
        if self._user is None:
            return column_features(names)
        # the user's name has precedence, since members and intervals look for it
        user, *rest = column_features(["user", *names])
        return [*rest, user]
