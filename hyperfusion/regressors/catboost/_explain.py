"""What a CatBoost model says of its features: importances, SHAP values, pairs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from hyperfusion._validation import check_target
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._old import split_name

TYPES = ("PredictionValuesChange", "LossFunctionChange", "ShapValues", "Interaction")
PLAIN = "features"
"""Name of the columns that belong to no block."""


class CatBoostExplanations:
    """The explanations of `CatBoostHuberRegressor`."""

    model_: bytes
    n_features_in_: int
    columns_: Any
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
            per cent of all; texts and embeddings don't take part in it.
        by : {"feature", "block"}, default="feature"
            Whether to add up the columns of each block of a feature table. Columns of
            no block are together in ``"features"``.

        Returns
        -------
        Series or DataFrame
            A Series with an entry a column (or block). For "ShapValues" what
            `shap_values` returns; for "Interaction" a DataFrame with the columns
            ``first``, ``second`` and ``strength``, the strongest pair first.

        Raises
        ------
        InvalidInputError
            If `type` or `by` is unknown, or the rows that it needs are not given.

        Notes
        -----
        All columns of an embedding have an equal share of its importance.
        """
        check_is_fitted(self)
        _check_choice("type", type, TYPES)
        if type == "ShapValues":
            return self.shap_values(_needed("X", X, type), by=by)
        _check_choice("by", by, ("feature", "block"))
        if type == "Interaction":
            return self._interactions(by)
        pool = None
        if type == "LossFunctionChange":
            rows = self._rows(_needed("X", X, type))
            y = check_target(_needed("y", y, type), len(rows))
            pool = rows.pool(self.target_scaler_.transform(y), sample_weight)
        names = list(self.columns_.sources)
        values = np.zeros(len(names))
        if self.model_:
            values = self._load_model().get_feature_importance(
                pool, type=type, thread_count=self._threads()
            )
        found = pd.Series(self._by_column(values), index=self._column_index())
        return _by_block(found.to_frame().T).iloc[0] if by == "block" else found

    def shap_values(self, X: Any, *, by: str = "feature") -> pd.DataFrame:
        """Explain predictions: what each feature adds to each of them.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Rows to explain.
        by : {"feature", "block"}, default="feature"
            Whether to add up the columns of each block of a feature table. Columns of
            no block are together in ``"features"``.

        Returns
        -------
        DataFrame of shape (n_samples, n_features + 1) or (n_samples, n_blocks + 1)
            In the target's units, one column a feature in the order of fit (or a
            block), and ``base``, the expected prediction; each row adds up to its
            prediction.

        Raises
        ------
        InvalidInputError
            If `by` is unknown.

        Notes
        -----
        Costs about ``O(n_samples * n_trees * 2**depth * depth)``. All columns of an
        embedding have an equal share of its value.
        """
        check_is_fitted(self)
        _check_choice("by", by, ("feature", "block"))
        rows, scaler = self._rows(X), self.target_scaler_
        values = np.zeros((len(rows), len(self.columns_.sources) + 1))
        if self.model_:
            values = self._load_model().get_feature_importance(
                rows.pool(), type="ShapValues", thread_count=self._threads()
            )
        frame = pd.DataFrame(
            self._by_column(values[:, :-1]) * scaler.spread,
            columns=self._column_index(),
            index=getattr(X, "index", None),
        )
        if by == "block":
            frame = _by_block(frame)
        frame["base"] = scaler.inverse_transform(values[:, -1])
        return frame

    def _interactions(self, by: str) -> pd.DataFrame:
        pairs: Any = []
        if self.model_:
            pairs = self._load_model().get_feature_importance(
                type="Interaction", thread_count=self._threads()
            )
        names = [str(n) if by == "block" else n for n in self.columns_.sources]
        if by == "block":
            names = [split_name(n)[0] or PLAIN for n in names]
        rows = [(names[int(i)], names[int(j)], float(s)) for i, j, s in pairs]
        found = pd.DataFrame(rows, columns=["first", "second", "strength"])
        if by == "block":
            found = _pairs_by_block(found)
        return found

    def _by_column(self, values: np.ndarray) -> np.ndarray:
        """Return values of CatBoost's features as values of the table's columns."""
        out = np.zeros((*values.shape[:-1], self.n_features_in_))
        for i, places in enumerate(self.columns_.sources.values()):
            out[..., places] = values[..., [i]] / len(places)
        return out

    def _column_index(self) -> pd.Index:
        return pd.Index(self.columns_.every)

    def _rows(self, X: Any) -> Any:
        """Return checked rows, which make CatBoost's pool; the regressor does."""
        raise NotImplementedError

    def _load_model(self) -> Any:
        """Return CatBoost's fitted model; the regressor does."""
        raise NotImplementedError

    def _threads(self) -> int:
        """Return the number of threads; the regressor does."""
        raise NotImplementedError


def _by_block(frame: pd.DataFrame) -> pd.DataFrame:
    """Add up the columns of each block, in the order in which the blocks appear."""
    blocks = [split_name(column)[0] or PLAIN for column in frame]
    sums: Mapping[Hashable, np.ndarray] = {
        block: frame.loc[:, [b == block for b in blocks]].to_numpy().sum(axis=1)
        for block in dict.fromkeys(blocks)
    }
    return pd.DataFrame(sums, index=frame.index)


def _pairs_by_block(pairs: pd.DataFrame) -> pd.DataFrame:
    """Add up the strengths of pairs of the same two blocks, the strongest first."""
    ordered = np.sort(pairs[["first", "second"]].to_numpy(dtype=str), axis=1)
    pairs = pairs.assign(first=ordered[:, 0], second=ordered[:, 1])
    sums = pairs.groupby(["first", "second"], as_index=False)["strength"].sum()
    return sums.sort_values("strength", ascending=False, ignore_index=True)


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInputError(f"{name} must be one of {allowed}. Got {value!r}.")


def _needed(name: str, value: Any, type_: str) -> Any:
    if value is None:
        raise InvalidInputError(f"type={type_!r} is measured on rows: give {name}.")
    return value
