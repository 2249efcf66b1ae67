"""A member of the ensemble, to copy into ``hyperfusion/regressors/``."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import Interval, _fit_context


class LogRidge(RegressorMixin, HyperFusionEstimator):
    """Ridge regression on numbers whose long tails are drawn in.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty on the square of the coefficients.

    Attributes
    ----------
    model_ : Ridge
        The fitted regression.
    n_features_in_ : int
        Number of columns at fit.

    Notes
    -----
    It takes numbers alone, so the ensemble puts `NumericTable` in front of it. A member
    that reads categories and missing values says so in its tags.

    Examples
    --------
    >>> from tests.templates.member import LogRidge
    >>> LogRidge().fit([[0.0], [1.0], [9.0]], [0.0, 1.0, 3.0]).predict([[4.0]]).round(1)
    array([1.9])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, alpha: float = 1.0):
        self.alpha = alpha

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None) -> Self:
        """Fit the regression.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, none of them missing.
        y : array-like of shape (n_samples,)
            The target.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        self
            The fitted regressor.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.model_ = Ridge(self.alpha).fit(_draw_in(X), y, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, none of them missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            One number for each row.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.model_.predict(_draw_in(X))


def _draw_in(X: np.ndarray) -> np.ndarray:
    return np.sign(X) * np.log1p(np.abs(X))
