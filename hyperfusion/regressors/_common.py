"""What all members share: features, the target's scale, rows for early stopping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import _fit_context
from hyperfusion._validation import check_target, check_weights
from hyperfusion.table._features import Features, read_features
from hyperfusion.table._frames import as_frame
from hyperfusion.table._schema import Schema

VALIDATION_SHARE = 0.1  # of the rows, which early stopping holds out


class Member(RegressorMixin, HyperFusionEstimator):
    """Base of the regressors that read feature tables.

    Subclasses implement ``_fit(X, y, sample_weight)``, which starts with
    ``_read_training``, and ``_predict(features)``.
    """

    schema_: Schema
    _fit: Callable[[Any, Any, Any], None]
    _predict: Callable[[Features], np.ndarray]

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn to predict the target.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Numbers and categories; missing values are allowed.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss, also of held-out rows. Rows of weight zero
            are left out.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        InvalidInputError
            If a column is neither a number nor a category, `y` is not finite, the
            device is not available, or the training of a network diverges.
        """
        self._fit(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Columns as at fit. Categories not seen at fit count as unknown.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Predictions in the target's units.
        """
        check_is_fitted(self)
        return self._predict(read_features(self, X, reset=False))

    def _read_training(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Features, np.ndarray, np.ndarray]:
        """Return features, target and weights, without rows of weight zero."""
        X = as_frame(X)
        features = read_features(self, X, reset=True)
        self.schema_ = features.table
        y = check_target(y, X)
        weight = check_weights(
            sample_weight, features.numbers, dtype=np.float64, ensure_non_negative=True
        )
        kept = weight > 0
        if kept.all():
            return features, y, weight
        return take_rows(features, kept), y[kept], weight[kept]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def take_rows(features: Features, rows: np.ndarray) -> Features:
    """Return the features of some rows, by a mask or by positions."""
    categories = features.categories.iloc[rows]
    return replace(features, numbers=features.numbers[rows], categories=categories)


@dataclass(frozen=True)
class TargetScaler:
    """Center and spread of a target.

    Every member learns the standardized target: some back-ends start a Huber loss from
    zero and, as its gradient is bounded, never reach a target far from it.
    """

    center: float
    spread: float

    @classmethod
    def fit(cls, y: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """Measure the weighted mean and standard deviation (1 if it is zero)."""
        center = float(np.average(y, weights=weight))
        spread = float(np.sqrt(np.average((y - center) ** 2, weights=weight)))
        negligible = spread <= 1e-12 * max(1.0, abs(center))
        return cls(center, 1.0 if negligible else spread)

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Return the centered and scaled target."""
        return (y - self.center) / self.spread

    def inverse_transform(self, z: np.ndarray) -> np.ndarray:
        """Return predictions of the scaled target in the target's own units."""
        return z * self.spread + self.center


def held_out_rows(
    n_samples: int, early_stopping: bool, rng: np.random.RandomState
) -> np.ndarray:
    """Draw the mask of rows that early stopping holds out.

    At least one row; none if fewer than two would be left to learn from.
    """
    held = np.zeros(n_samples, dtype=bool)
    size = max(1, round(VALIDATION_SHARE * n_samples))
    if early_stopping and n_samples - size >= 2:
        held[rng.permutation(n_samples)[:size]] = True
    return held
