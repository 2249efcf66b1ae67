"""Columns of numbers, categories and ready-made vectors as features."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import skew
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion._validation import COUNT
from hyperfusion.cells._levels import KnownLevels, as_category, common_levels
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.cells._vectors import (
    holds_vectors,
    vector_size,
    write_columns,
    write_vectors,
)
from hyperfusion.encoders._base import TableEncoder, column_features
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table._names import vector_columns

_HEAVY_TAIL = 2.0
_ROWS_AT_ONCE = 10_000


@with_parameters
class CategoryEncoder(TableEncoder):
    """Columns as categories with the levels that were seen at fit.

    The output has pandas' ``category`` dtype, unlike that of scikit-learn's
    ``OrdinalEncoder``, so this package's regressors do not take it for numbers.

    Parameters
    ----------
    min_frequency : int, default=1
        Levels with fewer rows at fit are missing, and so are those not seen at fit.
    %(on_error)s

    Attributes
    ----------
    levels_ : dict of {column label: list of str}
        The levels of each column, sorted.
    %(columns)s

    Notes
    -----
    The output is always a DataFrame with the input's columns, their labels as text.
    Levels are texts: 3, 3.0 and "3" are the same level. Blank texts are missing; a
    collection can't be used. If no cell of a column has a level known from fit, a
    warning names the likely cause.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import CategoryEncoder
    >>> encoder = CategoryEncoder().fit(pd.DataFrame({"kind": ["photo", "video"]}))
    >>> encoder.transform(pd.DataFrame({"kind": ["video", "poem"]}))
        kind
    0  video
    1    NaN
    """

    _parameter_constraints = {"min_frequency": [COUNT]}

    min_frequency: int = 1
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        self.levels_ = {
            name: common_levels(self._levels(cells[name]), self.min_frequency)
            for name in cells
        }
        self._known = {name: KnownLevels(own) for name, own in self.levels_.items()}

    def _transform_cells(self, cells: pd.DataFrame) -> pd.DataFrame:
        columns = [
            as_category(self._levels(cells[name]), known)
            for name, known in self._known.items()
        ]
        features = dict(zip(self._feature_names(), columns, strict=True))
        return pd.DataFrame(features, index=cells.index)

    def _feature_names(self, names: Any = None) -> list[str]:
        return column_features(self.levels_)


@with_parameters
class NumberEncoder(TableEncoder):
    """Columns of numbers as float32, those with heavy tails on a log scale.

    Parameters
    ----------
    log : {"auto"} or bool, default="auto"
        Which columns become sign(x) * log(1 + abs(x)): all, none, or (``"auto"``)
        those without negative values at fit whose skewness is above 2.
    %(on_error)s

    Attributes
    ----------
    log_ : dict of {column label: bool}
        Whether a column is on a log scale.
    %(columns)s

    Notes
    -----
    The output is always a DataFrame with the input's columns, their labels as text.
    Missing values stay NaN. Booleans become 0 and 1, and texts of numbers become
    numbers. Infinity can't be used, nor can a number beyond the range of float32
    without the log scale. Give ids as categories and dates as times.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import NumberEncoder
    >>> table = pd.DataFrame({"pages": ["1", "2"], "open": [True, None]})
    >>> NumberEncoder(log=False).fit_transform(table)
       pages  open
    0    1.0   1.0
    1    2.0   NaN
    """

    _parameter_constraints = {"log": ["boolean", StrOptions({"auto"})]}

    log: str | bool = "auto"
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        self.log_: dict[Hashable, bool] = {}
        for name in cells:
            numbers = read_numbers(cells[name])
            auto = self.log == "auto"
            self.log_[name] = _has_heavy_tail(numbers.clean) if auto else bool(self.log)
            self._scaled(numbers, self.log_[name])

    def _transform_cells(self, cells: pd.DataFrame) -> pd.DataFrame:
        columns = [
            self._scaled(read_numbers(cells[name]), log)
            for name, log in self.log_.items()
        ]
        features = dict(zip(self._feature_names(), columns, strict=True))
        return pd.DataFrame(features, index=cells.index, dtype=np.float32)

    def _feature_names(self, names: Any = None) -> list[str]:
        return column_features(self.log_)


def _has_heavy_tail(numbers: np.ndarray) -> bool:
    known = numbers[~np.isnan(numbers)]
    # two values are a flag, for which the scale doesn't matter
    if len(np.unique(known)) < 3 or known.min() < 0:
        return False
    # relative to the largest, so that cubes of huge numbers don't overflow
    return bool(skew(known / known.max()) > _HEAVY_TAIL)


@with_parameters
class VectorEncoder(TableEncoder):
    """Existing vectors, such as embeddings, as float32 columns.

    For embeddings from other models. `PostEncoder` uses it for its `vectors`.

    Parameters
    ----------
    name : str, default="vector"
        Name of the vector; its columns are ``<name>__0``, ``<name>__1``, ...

    Attributes
    ----------
    size_ : int
        Length of the vector.
    %(columns)s

    Raises
    ------
    BadCellError
        If the length of a vector differs from the first one at fit, or a cell is
        neither a vector nor missing.

    Notes
    -----
    The input is one column whose cells are arrays, lists, texts of JSON lists or
    pyarrow lists, or several columns of numbers that form one vector. A missing cell is
    a missing vector. The numbers are copied once, into the output.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion import VectorEncoder
    >>> table = pd.DataFrame({"embedding": [np.array([0.5, 1.5]), None]})
    >>> VectorEncoder().fit_transform(table)
    array([[0.5, 1.5],
           [nan, nan]], dtype=float32)
    """

    _parameter_constraints = {"name": [str]}

    name: str = field(default="vector", kw_only=False)

    def _read(self, X: Any, *, reset: bool) -> pd.DataFrame:
        if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype != object:
            raise InvalidInputError(
                f"Expected vectors, got one number per row (shape {X.shape}). Reshape "
                "your data: X.reshape(-1, 1) is a column of vectors of one number."
            )
        if isinstance(X, (list, tuple)):
            X = pd.DataFrame({"vector": pd.Series(list(X), dtype=object)})
        table = super()._read(X, reset=reset)
        several = [label for label, cells in table.items() if holds_vectors(cells)]
        if several and table.shape[1] > 1:
            raise InvalidInputError(
                "VectorEncoder takes one column of vectors or several of numbers. "
                f"Column {several[0]!r} holds vectors, and there are "
                f"{table.shape[1] - 1} other column(s): encode each column of vectors "
                "separately."
            )
        return table

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        one = cells.iloc[:, 0] if cells.shape[1] == 1 else None
        # if all cells are missing, vector_size raises
        self._of_cells = one is not None and (holds_vectors(one) or one.isna().all())
        self.size_ = vector_size(cells.iloc[:, 0]) if self._of_cells else cells.shape[1]
        # a bad cell shows here, before hours are spent on pictures
        for rows in gen_batches(len(cells), _ROWS_AT_ONCE):
            try:
                self._transform_cells(cells.iloc[rows])
            except BadCellError as error:
                error.row += rows.start
                raise

    def _transform_cells(self, cells: pd.DataFrame) -> np.ndarray:
        out = np.empty((len(cells), self.size_), dtype=np.float32)
        self._write(cells, out)
        return out

    def _write(self, X: Any, out: np.ndarray) -> None:
        """Write the vectors into an array, without an extra copy."""
        if self._of_cells:
            write_vectors(X.iloc[:, 0], out)
        else:
            write_columns(X, out)

    def _feature_names(self, names: Any = None) -> list[str]:
        return vector_columns(self.name, self.size_)
