"""A fitted CatBoost model: how it is read, and its importances and SHAP values."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from hyperfusion._validation import check_target
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._common import Member, TargetScaler
from hyperfusion.table._features import Features
from hyperfusion.table._frames import as_frame

MISSING = "__missing__"
"""The level that missing categories become."""

TYPES = ("PredictionValuesChange", "LossFunctionChange", "ShapValues", "Interaction")


class CatBoostExplanations(Member):
    """The explanations of `CatBoostHuberRegressor`."""

    n_threads: int | None
    model_: bytes
    target_scaler_: TargetScaler

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much each feature changes the predictions: shares that add up to 1."""
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
            "PredictionValuesChange" is how much predictions change with a feature, in
            percent of all change. "LossFunctionChange" is how much the loss grows (in
            units of the scaled target) without a feature's effect; if it is negative,
            the model is better without it. "ShapValues" calls `shap_values`.
            "Interaction" is the strength of each pair of features, in percent of all.
        by : {"feature", "vector", "block", "family"}, default="feature"
            Whether to add up the columns of each vector, block or family of blocks.
            Columns of no block are in ``"other"``.

        Returns
        -------
        Series or DataFrame
            A Series with one entry per column (or group). For "ShapValues" what
            `shap_values` returns; for "Interaction" a DataFrame with the columns
            ``first``, ``second`` and ``strength``, the strongest pair first.

        Raises
        ------
        InvalidInputError
            If `type` or `by` is unknown, or needed rows are missing.
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
            X = as_frame(_needed("X", X, type))
            y = check_target(_needed("y", y, type), X)
            y = self.target_scaler_.transform(y)
            weight = None if sample_weight is None else np.asarray(sample_weight)
            pool = make_pool(self._read(X), y, weight)
        values = self._by_column(pool, type)
        return _add_up(values[None, : len(names)], names).iloc[0].rename(None)

    def shap_values(self, X: Any, *, by: str = "feature") -> pd.DataFrame:
        """Explain predictions: what each feature adds to each of them.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Rows to explain.
        by : {"feature", "vector", "block", "family"}, default="feature"
            Whether to add up the columns of each vector, block or family of blocks.
            Columns of no block are in ``"other"``.

        Returns
        -------
        DataFrame of shape (n_samples, n_features + 1) or (n_samples, n_groups + 1)
            In the target's units: one column per feature in the order of fit (or per
            group), and ``base``, the expected prediction. Each row adds up to its
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
        values = self._by_column(make_pool(self._read(X)), "ShapValues")
        frame = _add_up(values[:, :-1] * scaler.spread, names)
        frame["base"] = scaler.inverse_transform(values[:, -1])
        return frame.set_axis(X.index) if isinstance(X, pd.DataFrame) else frame

    def _by_column(self, pool: Any, type: str) -> np.ndarray:
        """Return importances in the order of the columns at fit."""
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

    def _threads(self) -> int:
        return int(self.n_threads or effective_n_jobs(-1))

    def _load_model(self) -> Any:
        if getattr(self, "_back_end", None) is None:
            from catboost import CatBoost

            self._back_end = CatBoost().load_model(blob=self.model_)
        return self._back_end

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        state.pop("_back_end", None)
        return state


def make_pool(
    features: Features,
    y: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    threads: int = -1,
) -> Any:
    """Return rows in CatBoost's most compact form, numbers first."""
    from catboost import FeaturesData, Pool

    numbers = np.ascontiguousarray(features.numbers)
    levels = [_level_bytes(column) for _, column in features.categories.items()]
    data = FeaturesData(
        num_feature_data=numbers if numbers.shape[1] else None,
        cat_feature_data=np.column_stack(levels) if levels else None,
    )
    return Pool(data, label=y, weight=weight, thread_count=threads)


def _level_bytes(column: pd.Series) -> np.ndarray:
    # only the levels that occur, of maybe thousands of users
    codes, where = np.unique(column.cat.codes, return_inverse=True)
    named = column.cat.categories
    levels = [MISSING if code < 0 else str(named[code]) for code in codes]
    coded = [level.encode("utf-8", "surrogatepass") for level in levels]
    return np.array(coded, dtype=object)[where]


def _add_up(values: np.ndarray, names: Sequence[Hashable]) -> pd.DataFrame:
    """Return the sums of the columns of each name, in order of appearance."""
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    sums = np.zeros((len(values), len(place)))
    for column, name in enumerate(names):
        sums[:, place[name]] += values[:, column]
    return pd.DataFrame(sums, columns=pd.Index([*place]))


def _needed(name: str, value: Any, type_: str) -> Any:
    if value is None:
        raise InvalidInputError(f"type={type_!r} is measured on rows: give {name}.")
    return value
