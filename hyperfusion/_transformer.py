"""The base class of all transformers: methods, tags, docstrings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator, plain_output
from hyperfusion._progress import note_seconds, now, take_seconds
from hyperfusion._sklearn_compat import _fit_context, _get_output_config
from hyperfusion._validation import warn_of_order

SLOTS = HyperFusionEstimator._slots | {
    "is_category": """
        is_category_ : ndarray of shape (`n_features_in_`,), bool
            Which columns hold categories.
        """,
}
"""Paragraphs for lines such as ``%(columns_seen)s`` in the docstrings of subclasses."""


class TableTransformer(TransformerMixin, HyperFusionEstimator):
    """Base of transformers that take tables with missing cells and categories.

    Subclasses implement ``_fit(X, y)``, ``_transform(X)``, ``_feature_names(names)``
    and, if it isn't just the two in turn, ``_fit_transform(X, y)``.
    """

    _slots = SLOTS
    _fit: Callable[..., Any]
    _transform: Callable[..., Any]
    _feature_names: Callable[..., Any]

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a table or a column.

        Parameters
        ----------
        X : DataFrame, array, Series or list, of n_samples rows
            Any columns, or the one column, that the class takes.
        y : array-like of shape (n_samples,), default=None
            Targets, if the transformer learns from them.

        Returns
        -------
        self
            The fitted transformer.
        """
        warn_of_order(X, y)
        with plain_output():
            self._fit(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn from a table or a column, and transform it.

        Parameters
        ----------
        X : DataFrame, array, Series or list, of n_samples rows
            As for `fit`.
        y : array-like of shape (n_samples,), default=None
            Targets, as for `fit`. A row's means of the target come from folds that
            don't contain the row.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features_out)
            As `transform` returns it.
        """
        start, before = now(), take_seconds(X)[1]
        warn_of_order(X, y)
        with plain_output():
            table = self._fit_transform(X, y)
        return note_seconds(self._indexed(X, table), before + now() - start)

    def transform(self, X: Any) -> Any:
        """Transform a table or a column.

        Parameters
        ----------
        X : DataFrame, array, Series or list, of n_samples rows
            Columns as at fit.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features_out)
            A DataFrame with the index of `X`, or float32 numbers.
        """
        check_is_fitted(self)
        with plain_output():
            table = self._transform(X)
        return self._indexed(X, table)

    def _indexed(self, X: Any, table: Any) -> Any:
        form = _get_output_config("transform", self)["dense"]
        # older versions of scikit-learn keep the index of a frame, but not of a Series
        if isinstance(table, np.ndarray):
            lost = form == "pandas" and isinstance(X, pd.Series)
            return pd.DataFrame(table, index=X.index) if lost else table
        if form == "polars":  # which makes other types of categories without levels
            empty = pd.CategoricalDtype(pd.Index([], dtype="string"))
            kinds = table.dtypes[table.dtypes == "category"]
            bare = [c for c, kind in kinds.items() if len(kind.categories) == 0]
            table = table.astype(dict.fromkeys(bare, empty))
        return table

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of the output.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the input's columns, if it had none at fit.

        Returns
        -------
        ndarray of str
            Names of the numbers, then of the categories.
        """
        check_is_fitted(self)
        return np.asarray(self._feature_names(input_features), dtype=object)

    def _fit_transform(self, X: Any, y: Any) -> Any:
        self._fit(X, y)
        return self._transform(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags
