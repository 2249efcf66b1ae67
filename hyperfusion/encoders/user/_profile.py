"""Users: who they are, and what their profile counts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.encoders._column import ON_ERROR
from hyperfusion.encoders._table import (
    TableEncoder,
    as_category,
    frequent_levels,
    read_levels,
    read_numbers,
    settle_bad_cells,
    signed_log,
)
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import check_columns

# counts that overflowed are negative; more than a few are another kind of number
_NEGATIVE_SHARE = 0.01


class UserProfileEncoder(TableEncoder):
    """The user as a category, and the numbers of the user's profile.

    Parameters
    ----------
    user : column label or None, default=None
        The column of the users.
    numeric : column label, list of labels or None, default=None
        The columns of the profile's numbers and flags (followers, photos, is a
        professional), as they were when the post appeared.
    min_posts : int, default=1
        A user with fewer posts at fit than this is missing, as is one that was not
        seen at fit.
    max_ratio_columns : int, default=8
        The ratios of all pairs of counts are features where there are at most so many
        counts; 0 for none.
    on_error : {"raise", "missing"}, default="raise"
        What to do with a cell that can't be read: raise a
        :class:`~hyperfusion.exceptions.BadCellError` that names it, or treat it as
        missing and warn once for the column.

    Attributes
    ----------
    users_ : list of str
        The users that were frequent enough at fit.
    user_ : column label or None
        The column of the users.
    numeric_ : list of column labels
        The columns of the numbers.
    flags_ : dict of {column label: float}
        The columns that had two values at fit, with the middle between the two.
    with_missing_ : list of column labels
        The columns that had missing values at fit.
    counts_ : list of column labels
        The columns that are counts.
    ratios_ : list of tuple (column label, column label)
        The pairs of counts whose ratio is a feature.
    n_features_in_ : int
        Number of columns at fit.
    feature_names_in_ : ndarray of str
        Labels of the columns at fit, where these are texts.

    Raises
    ------
    InvalidInputError
        If neither `user` nor `numeric` is given, or if a column is not there.

    Notes
    -----
    The output is always a DataFrame. The features, in this order:

    - for each column of numbers, ``<column>_log``: sign(x) * log(1 + abs(x)). A column
      with two values at fit (or of booleans) is a flag instead: ``<column>`` is 1
      where it is above the middle of the two, otherwise 0;
    - ``<column>_missing``, for the columns with missing values at fit;
    - ``<a>_per_<b>``, the logarithm of (a + 1) / (b + 1), for the pairs of counts:
      the columns that are no flags and, but for one value in a hundred, not negative
      at fit. A negative count (an overflow, most often) is a cell that can't be read;
    - ``user``: a category with the users of fit.

    How many posts a user has at fit is no feature: it would count posts that were
    still to come. Profile numbers collected long after the posts leak in the same
    way; whether they were known in time only the user can tell.

    Paper: section 3.3, "User characteristics are modeled through behavioral patterns,
    engagement history, and professional status indicators".

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import UserProfileEncoder
    >>> posts = pd.DataFrame(
    ...     {"who": ["ann", "bob", "ann"], "fans": [0, 99, 9], "pro": [1, 0, 1]}
    ... )
    >>> encoder = UserProfileEncoder(user="who", numeric=["fans", "pro"])
    >>> encoder.fit_transform(posts).round(2)
       fans_log  pro user
    0       0.0  1.0    ann
    1       4.6  0.0    bob
    2       2.3  1.0    ann
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "user": "no_validation",
        "numeric": "no_validation",
        "min_posts": [Interval(Integral, 1, None, closed="left")],
        "max_ratio_columns": [Interval(Integral, 0, None, closed="left")],
        "on_error": [StrOptions(set(ON_ERROR))],
    }

    def __init__(
        self,
        *,
        user: Hashable | None = None,
        numeric: Hashable | Sequence[Hashable] | None = None,
        min_posts: int = 1,
        max_ratio_columns: int = 8,
        on_error: str = "raise",
    ):
        self.user = user
        self.numeric = numeric
        self.min_posts = min_posts
        self.max_ratio_columns = max_ratio_columns
        self.on_error = on_error

    def _fit_table(self, table: pd.DataFrame) -> None:
        column = check_columns(table, self.user, "user", max_columns=1)
        self.user_ = column[0] if column else None
        self.numeric_ = check_columns(table, self.numeric, "numeric")
        if self.user_ is None and not self.numeric_:
            raise InvalidInputError(
                "UserProfileEncoder needs user, numeric, or both: labels of columns."
            )
        self.users_: list[str] = []
        if self.user_ is not None:
            self.users_ = frequent_levels(
                self._users(table, warn=False), self.min_posts
            )
        self.flags_: dict[Hashable, float] = {}
        self.with_missing_: list[Hashable] = []
        self.counts_: list[Hashable] = []
        for label in self.numeric_:
            self._learn_numbers(table[label])
        few = len(self.counts_) <= self.max_ratio_columns
        self.ratios_ = list(combinations(self.counts_, 2)) if few else []

    def _learn_numbers(self, cells: pd.Series) -> None:
        """Learn whether a column holds a flag, counts, or other numbers."""
        numbers = read_numbers(cells, self.on_error, warn=False)
        there = numbers[~np.isnan(numbers)]
        known = np.unique(there)
        if len(known) == 2 or cells.dtype.kind == "b":
            self.flags_[cells.name] = known.mean() if len(known) == 2 else 0.5
        elif len(there) and np.mean(there < 0) <= _NEGATIVE_SHARE:
            self.counts_.append(cells.name)
            numbers = self._without_negatives(numbers, cells.name, warn=False)
        if np.isnan(numbers).any():
            self.with_missing_.append(cells.name)

    def _without_negatives(
        self, numbers: np.ndarray, column: Hashable, *, warn: bool = True
    ) -> np.ndarray:
        negative = np.flatnonzero(numbers < 0)
        settle_bad_cells(
            negative,
            lambda row: f"a count can't be negative, got {numbers[row]:g}",
            column,
            self.on_error,
            n_cells=len(numbers),
            warn=warn,
        )
        return np.where(numbers < 0, np.nan, numbers)

    def _transform_table(self, table: pd.DataFrame) -> pd.DataFrame:
        features: dict[str, Any] = {}
        missing: dict[str, np.ndarray] = {}
        logs: dict[Hashable, np.ndarray] = {}
        for column in self.numeric_:
            numbers = read_numbers(table[column], self.on_error)
            if column in self.counts_:
                numbers = self._without_negatives(numbers, column)
            absent = np.isnan(numbers)
            if column in self.flags_:
                above = numbers > self.flags_[column]
                features[f"{column}"] = np.where(absent, np.nan, above)
            else:
                features[f"{column}_log"] = logs[column] = signed_log(numbers)
            if column in self.with_missing_:
                missing[f"{column}_missing"] = absent
        features |= missing
        for a, b in self.ratios_:
            features[f"{a}_per_{b}"] = logs[a] - logs[b]
        columns = {name: v.astype(np.float32) for name, v in features.items()}
        if self.user_ is not None:
            columns["user"] = as_category(self._users(table), self.users_)
        return pd.DataFrame(columns, index=table.index)

    def _feature_names(self) -> list[str]:
        names = [f"{c}" if c in self.flags_ else f"{c}_log" for c in self.numeric_]
        names += [f"{c}_missing" for c in self.with_missing_]
        names += [f"{a}_per_{b}" for a, b in self.ratios_]
        return names if self.user_ is None else [*names, "user"]

    def _users(self, table: pd.DataFrame, *, warn: bool = True) -> pd.Series:
        return read_levels(table[self.user_], self.on_error, warn=warn)
