"""What a CatBoost model says of its features: importances, SHAP values, pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from hyperfusion._validation import check_target
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._schema import Schema

TYPES = ("PredictionValuesChange", "LossFunctionChange", "ShapValues", "Interaction")


class CatBoostExplanations:
    """The explanations of `CatBoostHuberRegressor`."""

    model_: bytes
    schema_: Schema
    target_scaler_: Any

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much each feature moves the predictions: shares that add up to 1.

        In the order of the columns at fit; CatBoost's prediction value change.
        """
        values = self.get_feature_importance().to_numpy()
        return values / max(values.sum(), 1e-300)

    def get_feature_importance(
        self,
        X: Any = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        type: str = "PredictionValuesChange",
        by: str = "feature",
    ) -> pd.Series | pd.DataFrame:
        """Return one of CatBoost's importances, named by the table's columns.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features), optional
            Rows to measure on. "LossFunctionChange" and "ShapValues" need them.
        y : array-like of shape (n_samples,), optional
            Their targets. "LossFunctionChange" needs them.
        sample_weight : array-like of shape (n_samples,), optional
            Their weights in "LossFunctionChange".
        type : str, default="PredictionValuesChange"
            "PredictionValuesChange" is how much predictions move with a feature, in
            per cent of all movement. "LossFunctionChange" is how much the loss grows
            (in units of the scaled target) where a feature's effect is taken out;
            below zero the model is better without. "ShapValues" are those of
            `shap_values`. "Interaction" is the strength of each pair of features, in
            per cent of all.
        by : {"feature", "vector", "block", "family"}, default="feature"
            Whether to add up the columns of each vector, block or family of blocks of
            a feature table. Columns of no block are together in ``"other"``.

        Returns
        -------
        Series or DataFrame
            A Series with an entry a column (or group). For "ShapValues" what
            `shap_values` returns; for "Interaction" a DataFrame with the columns
            ``first``, ``second`` and ``strength``, the strongest pair first.

        Raises
        ------
        InvalidInputError
            If `type` or `by` is unknown, or the rows that it needs are not given.
        """
        check_is_fitted(self)
        if type not in TYPES:
            raise InvalidInputError(f"type must be one of {TYPES}. Got {type!r}.")
        names = self.schema_.group_names(by)
        if type == "ShapValues":
            return self.shap_values(_needed("X", X, type), by=by)
        if type == "Interaction":
            return self._interactions(names)
        pool = None
        if type == "LossFunctionChange":
            y = check_target(_needed("y", y, type), len(_needed("X", X, type)))
            y = self.target_scaler_.transform(y)
            pool = self._pool_of(X, y, sample_weight)
        values = self._by_column(pool, type)
        return _add_up(values[None, : len(names)], names).iloc[0].rename(None)

    def shap_values(self, X: Any, *, by: str = "feature") -> pd.DataFrame:
        """Explain predictions: what each feature adds to each of them.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Rows to explain.
        by : {"feature", "vector", "block", "family"}, default="feature"
            Whether to add up the columns of each vector, block or family of blocks of
            a feature table. Columns of no block are together in ``"other"``.

        Returns
        -------
        DataFrame of shape (n_samples, n_features + 1) or (n_samples, n_groups + 1)
            In the target's units, one column a feature in the order of fit (or a
            group), and ``base``, the expected prediction; each row adds up to its
            prediction.

        Raises
        ------
        InvalidInputError
            If `by` is unknown.

        Notes
        -----
        Costs about ``O(n_samples * n_trees * 2**depth * depth)``.
        """
        check_is_fitted(self)
        names, scaler = self.schema_.group_names(by), self.target_scaler_
        values = self._by_column(self._pool_of(X), "ShapValues")
        frame = _add_up(values[:, :-1] * scaler.spread, names)
        frame["base"] = scaler.inverse_transform(values[:, -1])
        return frame.set_axis(X.index) if isinstance(X, pd.DataFrame) else frame

    def _by_column(self, pool: Any, type: str) -> np.ndarray:
        """Return importances in the columns' order; CatBoost has the numbers first."""
        n = len(self.schema_.columns)
        shape = (n,) if type != "ShapValues" else (pool.num_row(), n + 1)
        if not self.model_:
            return np.zeros(shape)
        values = np.array(self._importance(type, pool), dtype=np.float64)
        columns = np.argsort(self.schema_.is_category, kind="stable")
        values[..., columns] = values[..., :n].copy()
        return values

    def _interactions(self, names: Sequence[Hashable]) -> pd.DataFrame:
        pairs = self._importance("Interaction") if self.model_ else []
        columns = np.argsort(self.schema_.is_category, kind="stable")
        sums: dict[tuple[Hashable, Hashable], float] = {}
        for first, second, strength in pairs:
            pair = sorted((names[columns[int(i)]] for i in (first, second)), key=str)
            sums[pair[0], pair[1]] = sums.get((pair[0], pair[1]), 0.0) + strength
        rows = [(*pair, strength) for pair, strength in sums.items()]
        table = pd.DataFrame(rows, columns=["first", "second", "strength"])
        return table.sort_values(
            "strength", ascending=False, ignore_index=True, kind="stable"
        )

    def _importance(self, type: str, pool: Any = None) -> Any:
        return self._load_model().get_feature_importance(
            pool, type=type, thread_count=self._threads()
        )

    def _pool_of(self, X: Any, y: Any = None, weight: Any = None) -> Any:
        """Return rows in CatBoost's form; the regressor does."""
        raise NotImplementedError

    def _load_model(self) -> Any:
        """Return CatBoost's fitted model; the regressor does."""
        raise NotImplementedError

    def _threads(self) -> int:
        """Return the number of threads; the regressor does."""
        raise NotImplementedError


def _add_up(values: np.ndarray, names: Sequence[Hashable]) -> pd.DataFrame:
    """Return the sums of the columns of each name, in the order of their first."""
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    sums = np.zeros((len(values), len(place)))
    for column, name in enumerate(names):
        sums[:, place[name]] += values[:, column]
    return pd.DataFrame(sums, columns=pd.Index([*place]))


def _needed(name: str, value: Any, type_: str) -> Any:
    if value is None:
        raise InvalidInputError(f"type={type_!r} is measured on rows: give {name}.")
    return value
