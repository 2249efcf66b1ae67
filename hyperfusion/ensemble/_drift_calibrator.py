"""A correction for the trend that a model can't see, learned by rolling backtests."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit
from sklearn.utils import check_array, get_tags
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import (
    HasMethods,
    Interval,
    _fit_context,
    _safe_indexing,
)
from hyperfusion._validation import check_target
from hyperfusion.cells._times import as_times
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame, check_columns, check_table

_DAY = pd.Timedelta(days=1)


class DriftCalibrator(MetaEstimatorMixin, RegressorMixin, HyperFusionEstimator):
    """Add to a model's predictions what they lack more with every day after training.

    Popularity drifts: views per post fall or rise with the platform, and a model that
    learned from the past stays behind. Rolling backtests fit the model on the earlier
    posts, look at the errors on the next ones, and learn their slope over the time
    since training ended. The slope is shrunken towards nothing by as much as the
    backtests disagree, and no post is corrected beyond the ages they have seen.

    It is off unless it wraps a model, and worth a check on a split by time before it
    is used: a trend of the past may turn.

    Parameters
    ----------
    estimator : regressor, default=None
        The model, such as what `make_hyperfusion` returns. None is a ridge
        regression.
    time : column, default=0
        Column of `X` (a position for an array) that holds dates, or numbers.
    n_backtests : int, default=4
        Number of backtests. They share the later half of the rows as test parts.

    Attributes
    ----------
    estimator_ : regressor
        The model, fitted on all rows.
    slope_ : float
        What is added for each day (each unit, for numbers) since training ended.
    slopes_ : ndarray of shape (n_backtests,)
        Slopes found by the backtests.
    end_ : Timestamp or float
        When training ended.
    max_age_ : float
        The largest age, in days or units, that is corrected for.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    drift_report : Whether posts have changed, and how.
    recency_weights : Let recent posts count more.

    Notes
    -----
    Each backtest gives the slope through the origin of its errors over age; the slope
    used is their mean times ``max(0, 1 - (standard error / mean) ** 2)``. The model is
    fitted ``n_backtests + 1`` times.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from hyperfusion import DriftCalibrator
    >>> rng = np.random.default_rng(0)
    >>> posts = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=400)})
    >>> posts["n"] = rng.normal(size=400)
    >>> y = posts["n"] - 0.01 * np.arange(400) + 0.1 * rng.normal(size=400)
    >>> blind = make_pipeline(make_column_transformer(("passthrough", ["n"])), Ridge())
    >>> model = DriftCalibrator(blind, time="when").fit(posts[:300], y[:300])
    >>> bool(model.slope_ < -0.005)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "time": "no_validation",
        "n_backtests": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self, estimator: Any = None, *, time: Hashable = 0, n_backtests: int = 4
    ):
        self.estimator = estimator
        self.time = time
        self.n_backtests = n_backtests

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: ArrayLike, **fit_params: Any) -> Self:
        """Fit the model on all rows and learn the trend from backtests.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Posts with their times.
        y : array-like of shape (n_samples,)
            Targets.
        **fit_params : dict
            Passed to the model's ``fit``; rows are taken from what has one value a
            row.

        Returns
        -------
        self
            The fitted calibrator.

        Raises
        ------
        InvalidInputError
            If a time is missing, or there are fewer rows than twice the backtests.
        """
        X = _as_rows(X)
        table = check_table(self, X, reset=True)
        y = check_target(y, len(table))
        times = self._times(table, required=True)
        size = len(y) // (2 * self.n_backtests)
        if size == 0:
            raise InvalidInputError(
                f"n_backtests={self.n_backtests} needs at least "
                f"{2 * self.n_backtests} rows. Got n_samples={len(y)}."
            )
        order = np.argsort(times.to_numpy(), kind="stable")
        splits = TimeSeriesSplit(self.n_backtests, test_size=size).split(order)
        tests = [
            self._backtest(X, y, times, order[a], order[b], fit_params)
            for a, b in splits
        ]
        self.slopes_ = np.array([slope for slope, _ in tests])
        self.max_age_ = max(age for _, age in tests)
        self.slope_ = _shrunken_mean(self.slopes_)
        self.end_ = times.max()
        self.estimator_ = self._model().fit(X, y, **fit_params)
        return self

    def _model(self) -> Any:
        return Ridge() if self.estimator is None else clone(self.estimator)

    def _times(self, table: pd.DataFrame, *, required: bool = False) -> pd.Series:
        (column,) = check_columns(table, self.time, "time", max_columns=1)
        times = as_times(table[column], required=required)
        is_number = pd.api.types.is_numeric_dtype(times.dtype)
        return times.astype(np.float64) if is_number else times

    def _backtest(
        self,
        X: Any,
        y: np.ndarray,
        times: pd.Series,
        train: np.ndarray,
        test: np.ndarray,
        fit_params: dict[str, Any],
    ) -> tuple[float, float]:
        """Return the slope of the errors over age, and the largest age."""
        params = {
            name: _safe_indexing(value, train)
            if np.shape(value)[:1] == (len(y),)
            else value
            for name, value in fit_params.items()
        }
        model = self._model().fit(_safe_indexing(X, train), y[train], **params)
        error = y[test] - model.predict(_safe_indexing(X, test))
        age = _age(times.iloc[test], times.iloc[train].max())
        square = float(age @ age)
        return (float(age @ error) / square if square else 0.0), float(age.max())

    def drift_shift(self, X: Any) -> np.ndarray:
        """Return what is added to each prediction.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Posts with their times; nothing is added where the time is missing, or
            before training ended.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``slope_`` times the age, from 0 to `max_age_`.
        """
        check_is_fitted(self)
        table = check_table(self, _as_rows(X), reset=False)
        age = _age(self._times(table), self.end_)
        return self.slope_ * np.clip(np.nan_to_num(age), 0, self.max_age_)

    def predict(self, X: Any) -> np.ndarray:
        """Predict, corrected for the trend.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Posts with their times.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        shift = self.drift_shift(X)
        return np.asarray(self.estimator_.predict(_as_rows(X))) + shift

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._model()).input_tags
        tags.input_tags.allow_nan = False  # never in the column of times
        tags.input_tags.categorical = inner.categorical
        tags.input_tags.string = inner.string
        return tags


def _as_rows(X: Any) -> Any:
    """Return lists and the like as an array, so that rows can be taken."""
    X = as_frame(X)
    if hasattr(X, "shape"):
        return X
    return check_array(X, dtype=None, ensure_all_finite=False)


def _age(times: pd.Series, end: Any) -> np.ndarray:
    age = times - end
    if not pd.api.types.is_numeric_dtype(age.dtype):
        age = age / _DAY
    return age.to_numpy(dtype=np.float64)


def _shrunken_mean(slopes: np.ndarray) -> float:
    """Return the mean, nearer to 0 the less the slopes agree (positive-part Stein)."""
    mean = float(np.mean(slopes))
    if mean == 0:
        return 0.0
    error = np.std(slopes, ddof=1) / np.sqrt(len(slopes))
    return mean * max(0.0, 1 - (error / mean) ** 2)
