"""What all encoders of cells share: columns and tables in, named features out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import _get_output_config
from hyperfusion.cells._columns import as_column
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame, check_table
from hyperfusion.table._names import single_name, unique_names


class CellEncoder(TransformerMixin, HyperFusionEstimator):
    """What encoders of one column and of several have in common."""

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str
            One name for each column of the output.
        """
        check_is_fitted(self)
        return np.asarray(self._feature_names(), dtype=object)

    def _feature_names(self) -> list[str]:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


class ColumnEncoder(CellEncoder):
    """Base of encoders that turn one column into a float32 array.

    Subclasses implement ``_fit_cells(cells, y)`` (optional),
    ``_transform_cells(cells) -> float32 array`` and ``_feature_names() -> list``,
    where `cells` is what `read_column` returns.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a column.

        Parameters
        ----------
        X : Series, list, array of shape (n_samples,) or table of shape (n_samples, 1)
            The cells.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted encoder.
        """
        self._validate_params()
        cells = read_column(X, type(self).__name__)
        self._fit_cells(cells, y)
        self.n_features_in_ = 1
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Turn a column into features.

        Parameters
        ----------
        X : Series, list, array of shape (n_samples,) or table of shape (n_samples, 1)
            The cells.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            One row for each cell.
        """
        check_is_fitted(self)
        features = self._transform_cells(read_column(X, type(self).__name__))
        return keep_index(self, X, features)

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        """Learn from the cells; most encoders have nothing to learn."""

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


class TableEncoder(CellEncoder):
    """Base of encoders that turn columns of a table into features.

    Subclasses implement ``_fit_table(table)``, ``_transform_table(table)``, which
    returns a DataFrame or a float32 array, and ``_feature_names()``.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the columns of a table.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            The table; the labels of an array's columns are their positions. A
            Series, or a list or an array of one dimension, is one column.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted encoder.
        """
        self._validate_params()
        self._fit_table(self._table(X, reset=True))
        _check_unique(self._feature_names(), type(self).__name__)
        return self

    def transform(self, X: Any) -> Any:
        """Turn the columns of a table into features.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            A table with the columns that were there at fit.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features)
            One row for each row of `X`, as the class describes it.
        """
        check_is_fitted(self)
        features = self._transform_table(self._table(X, reset=False))
        return keep_index(self, X, features)

    def _table(self, X: Any, *, reset: bool) -> pd.DataFrame:
        is_column = hasattr(X, "to_list") or hasattr(X, "to_pylist")
        if is_column and not hasattr(X, "columns"):
            X = as_column(X)
        X = as_frame(X)
        if isinstance(X, pd.Series):
            X = X.to_frame(0 if X.name is None else X.name)
        elif isinstance(X, (list, tuple)):
            X = np.asarray(X, dtype=object)
        if isinstance(X, np.ndarray) and X.ndim == 1:
            X = X.reshape(-1, 1)
        return check_table(self, X, reset=reset)

    def _fit_table(self, table: pd.DataFrame) -> None:
        raise NotImplementedError

    def _transform_table(self, table: pd.DataFrame) -> Any:
        raise NotImplementedError


def keep_index(encoder: Any, X: Any, features: Any) -> Any:
    """Return features with the index of a Series where pandas output is wanted.

    scikit-learn keeps the index of a frame; its older versions forget a Series'.
    """
    if not isinstance(X, pd.Series) or isinstance(features, pd.DataFrame):
        return features
    if _get_output_config("transform", encoder)["dense"] != "pandas":
        return features
    return pd.DataFrame(features, index=X.index)


def read_column(X: Any, who: str) -> pd.Series:
    """Return the cells of one column as an object Series; its name is the column's.

    Raises
    ------
    InvalidInputError
        If there are several columns, or no rows, or if `X` is a single text.
    """
    if hasattr(X, "columns"):
        X = as_frame(X)
    if isinstance(X, (str, bytes)) or not isinstance(X, Iterable):
        raise InvalidInputError(
            f"{who} expects a column of cells, got one {type(X).__name__}: "
            "put it into a list."
        )
    if isinstance(X, (pd.DataFrame, np.ndarray)) and np.ndim(X) == 2:
        if X.shape[1] != 1:
            raise InvalidInputError(
                f"{who} takes one column, got {X.shape[1]}. Select one, or use "
                "PostEncoder or a ColumnTransformer for several."
            )
        X = X.iloc[:, 0] if isinstance(X, pd.DataFrame) else X[:, 0]
    cells = as_column(X).astype(object)
    if cells.empty:
        raise InvalidInputError(
            f"Found array with 0 sample(s) while a minimum of 1 is required by {who}."
        )
    return cells


def stack_rows(rows: list[Any], n_features: int) -> np.ndarray:
    """Return rows of features as float32, followed by a column ``is_missing``.

    A row that is None becomes NaN, and 1 in the last column.
    """
    out = np.full((len(rows), n_features + 1), np.nan, dtype=np.float32)
    for row, values in zip(out, rows, strict=True):
        row[-1] = values is None
        if values is not None:
            row[:-1] = values
    return out


def _check_unique(names: list[str], who: str) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidInputError(
            f"{who} would give two features the same name: {twice}. "
            "Rename the columns they come from."
        )


def column_features(columns: Iterable[Any]) -> list[str]:
    """Return the names of features that are a column each: the columns' own.

    A name that would read as a number of a vector is changed so that it doesn't.
    """
    return unique_names(map(single_name, columns))
