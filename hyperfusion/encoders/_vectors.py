"""Ready-made vectors as features."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion.cells._vectors import (
    holds_vectors,
    vector_size,
    write_columns,
    write_vectors,
)
from hyperfusion.encoders._base import CellEncoder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import check_table
from hyperfusion.table._names import vector_columns


class VectorEncoder(CellEncoder):
    """Vectors that somebody has made already, as float32 columns of one vector.

    For embeddings of images, texts or users from elsewhere. `PostEncoder` uses it for
    what its parameter `vectors` names.

    Parameters
    ----------
    name : str, default="vector"
        What the vector is called; its columns are ``<name>__0``, ``<name>__1``, ...

    Attributes
    ----------
    size_ : int
        How many numbers the vector has.
    n_features_in_ : int
        Number of columns at fit.
    feature_names_in_ : ndarray of str
        Labels of the columns at fit, where these are texts.

    Raises
    ------
    BadCellError
        If a vector has another length than the first one at fit, or a cell is neither a
        vector nor missing.

    Notes
    -----
    The input is one column whose cells are arrays, lists, texts of JSON lists or
    pyarrow lists, or several columns of numbers, which are one vector side by side. A
    missing cell is a missing vector: NaN in all of its columns. The numbers are copied
    once, into the output: 1 GB for 500,000 vectors of 512 numbers.

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

    _parameter_constraints: dict = {"name": [str]}

    def __init__(self, name: str = "vector"):
        self.name = name

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn how many numbers the vector has.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_samples, n_columns)
            One column of vectors, or several columns of numbers.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted encoder.
        """
        self._validate_params()
        table = self._table(X, reset=True)
        self._of_cells = table.shape[1] == 1 and holds_vectors(table.iloc[:, 0])
        self.size_ = vector_size(table.iloc[:, 0]) if self._of_cells else table.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the vectors.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_samples, n_columns)
            Columns as at fit.

        Returns
        -------
        ndarray of shape (n_samples, `size_`), float32
            NaN where a vector is missing.
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        out = np.empty((len(table), self.size_), dtype=np.float32)
        self.write(table, out)
        return out

    def write(self, X: Any, out: np.ndarray) -> None:
        """Write the vectors into an array, without a copy in between.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Columns as at fit.
        out : ndarray of shape (n_samples, `size_`), float32
            Where they go.
        """
        if self._of_cells:
            write_vectors(X.iloc[:, 0], out)
        else:
            write_columns(X, out)

    def _feature_names(self) -> list[str]:
        return vector_columns(self.name, self.size_)

    def _table(self, X: Any, *, reset: bool) -> pd.DataFrame:
        if isinstance(X, pd.Series):
            X = X.to_frame(0 if X.name is None else X.name)
        elif isinstance(X, (list, tuple)):
            X = pd.DataFrame({"vector": pd.Series(list(X), dtype=object)})
        table = check_table(self, X, reset=reset)
        several = [label for label, cells in table.items() if holds_vectors(cells)]
        if several and table.shape[1] > 1:
            raise InvalidInputError(
                "VectorEncoder takes one column of vectors or several of numbers. "
                f"Column {several[0]!r} holds vectors beside {table.shape[1] - 1} "
                "other column(s): encode each column of vectors by itself."
            )
        return table
