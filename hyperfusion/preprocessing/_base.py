"""What the transformers of numbers and categories share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._sklearn_compat import _check_feature_names_in
from hyperfusion._transformer import TableTransformer
from hyperfusion.table._features import (
    Features,
    Infinite,
    level_codes,
    read_features,
    write_features,
)
from hyperfusion.table._names import unique_names


def code_matrix(categories: pd.DataFrame, levels: list[list[Any]]) -> np.ndarray:
    """Return the positions of the cells' levels, -1 for missing and other ones."""
    pairs = zip(categories.items(), levels, strict=True)
    codes = [level_codes(column, known) for (_, column), known in pairs]
    return np.column_stack(codes) if codes else np.empty((len(categories), 0), int)


class BlockTransformer(TableTransformer):
    """Base of transformers that change the numbers of a table, block by block.

    A table with names gives a feature table (numbers first, then categories), an
    array gives an array. Subclasses implement ``_fit_features(features, y)`` and
    ``_transform_features(features)``, which returns the numbers of the output, and
    ``_outputs(numbers)`` and ``_transform_categories(categories)`` where these change.
    """

    _infinite: Infinite = "raise"
    _keeps_categories = True
    _fit_features: Callable[[Features, Any], None]
    _transform_features: Callable[[Features], np.ndarray]

    def _fit(self, X: Any, y: Any) -> Features:
        features = read_features(self, X, reset=True, infinite=self._infinite)
        self.is_category_ = features.table.is_category
        self._fit_features(features, y)
        self._names = self._feature_names(None)
        return features

    def _transform(self, X: Any) -> Any:
        features = read_features(self, X, reset=False, infinite=self._infinite)
        return self._write(features, self._transform_features(features))

    def _write(self, features: Features, numbers: np.ndarray) -> Any:
        if not features.is_frame:
            return numbers
        categories = self._transform_categories(features.categories)
        if not self._keeps_categories:
            categories = categories.iloc[:, :0]
        return write_features(numbers, self._names, categories, features.table)

    def _feature_names(self, names: Any) -> list[str]:
        names = _check_feature_names_in(self, names)
        categories = names[self.is_category_ & self._keeps_categories]
        unique = unique_names([*categories, *(name for name, _ in self._made(names))])
        return unique[len(categories) :] + unique[: len(categories)]

    @property
    def sources_(self) -> list[list[int]]:
        """For each column of the output, the positions of those it was made of."""
        check_is_fitted(self)
        names = _check_feature_names_in(self, None)
        categories = np.flatnonzero(self.is_category_ & self._keeps_categories)
        return [*(s for _, s in self._made(names)), *([int(i)] for i in categories)]

    def _made(self, names: np.ndarray) -> list[tuple[str, list[int]]]:
        """Name the numbers that come out, with the columns that they are made of."""
        numbers = np.flatnonzero(~self.is_category_)
        outputs = self._outputs([str(name) for name in names[numbers]])
        return [(name, numbers[positions].tolist()) for name, positions in outputs]

    def _outputs(self, numbers: list[str]) -> list[tuple[str, Any]]:
        """Do what `_made` does, with positions among the numbers."""
        return [(name, [i]) for i, name in enumerate(numbers)]

    def _transform_categories(self, categories: Any) -> Any:
        return categories

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "is_category_")
