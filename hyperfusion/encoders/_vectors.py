"""Ready-made vectors as features."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion.cells._vectors import (
    holds_vectors,
    vector_size,
    write_columns,
    write_vectors,
)
from hyperfusion.encoders._base import TableEncoder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._names import vector_columns


@with_parameters
class VectorEncoder(TableEncoder):
    """Existing vectors, such as embeddings, as float32 columns.

    For embeddings of images, texts or users from other models. `PostEncoder` uses it
    for the columns named by its parameter `vectors`.

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

    def _transform_cells(self, cells: pd.DataFrame) -> np.ndarray:
        out = np.empty((len(cells), self.size_), dtype=np.float32)
        self.write(cells, out)
        return out

    def write(self, X: Any, out: np.ndarray) -> None:
        """Write the vectors into an array, without an extra copy.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Columns as at fit.
        out : ndarray of shape (n_samples, `size_`), float32
            The array to write into.
        """
        if self._of_cells:
            write_vectors(X.iloc[:, 0], out)
        else:
            write_columns(X, out)

    def _feature_names(self, names: Any = None) -> list[str]:
        return vector_columns(self.name, self.size_)
