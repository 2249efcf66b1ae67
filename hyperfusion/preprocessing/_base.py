"""What the transformers of feature tables share."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import _check_feature_names_in, _fit_context
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import (
    Features,
    Infinite,
    read_features,
    write_features,
)
from hyperfusion.table._names import unique_names


class BlockTransformer(TransformerMixin, HyperFusionEstimator):
    """Base of transformers that change the numbers of a table, block by block.

    A table with names gives a feature table (numbers first, then categories), an
    array gives an array. Subclasses implement ``_fit_features(features, y)`` and
    ``_transform_features(features)``, which returns the numbers of the output, and
    ``_number_names(names)``, ``_number_sources(n)`` and
    ``_transform_categories(categories)`` where these change.
    """

    _infinite: Infinite = "raise"

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a table.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Numbers and categories; missing values are allowed.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted transformer.
        """
        self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> Features:
        features = read_features(self, X, reset=True, infinite=self._infinite)
        self.is_category_ = features.is_category
        self._fit_features(features, y)
        return features

    def transform(self, X: Any) -> Any:
        """Transform a table.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Columns as at fit.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features_out)
            A feature table for a table, float32 numbers for an array.
        """
        check_is_fitted(self)
        features = read_features(self, X, reset=False, infinite=self._infinite)
        self._check_roles(features)
        return self._write(features, self._transform_features(features))

    def _check_roles(self, features: Features) -> None:
        changed = np.flatnonzero(features.is_category != self.is_category_)
        if len(changed):
            column = changed[0]
            roles = {True: "a category", False: "a number"}
            before = roles[bool(self.is_category_[column])]
            now = roles[bool(features.is_category[column])]
            raise InvalidInputError(
                f"Column {_check_feature_names_in(self)[column]!r} was {before} when "
                f"{type(self).__name__} was fitted and is {now} now."
            )

    def _write(self, features: Features, numbers: np.ndarray) -> Any:
        if not features.is_frame:
            return numbers
        categories = self._transform_categories(features.categories)
        names = self.get_feature_names_out()
        return write_features(numbers, names, categories, features.table)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of the output.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the input's columns, where it had none at fit.

        Returns
        -------
        ndarray of str
            Names of the numbers, then of the categories.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        numbers = self._number_names([str(c) for c in names[~self.is_category_]])
        categories = names[self.is_category_]
        unique = unique_names([*categories, *numbers])
        n = len(categories)
        return np.asarray([*unique[n:], *unique[:n]], dtype=object)

    @property
    def sources_(self) -> list[list[int]]:
        """For each column of the output, the positions of those it was made of."""
        check_is_fitted(self)
        numbers = np.flatnonzero(~self.is_category_)
        categories = np.flatnonzero(self.is_category_)
        made = [numbers[s].tolist() for s in self._number_sources(len(numbers))]
        return [*made, *([int(i)] for i in categories)]

    def _fit_features(self, features: Features, y: Any) -> None:
        raise NotImplementedError

    def _transform_features(self, features: Features) -> np.ndarray:
        raise NotImplementedError

    def _number_names(self, names: list[str]) -> list[str]:
        return names

    def _number_sources(self, n_numbers: int) -> list[list[int]]:
        return [[i] for i in range(n_numbers)]

    def _transform_categories(self, categories: Any) -> Any:
        return categories

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "is_category_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags
