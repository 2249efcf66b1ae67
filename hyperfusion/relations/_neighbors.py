"""What the most similar earlier rows came to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._validation import check_target
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._neighbor_search import fingerprints, search
from hyperfusion.relations._neighbor_spaces import (
    find_spaces,
    read_marks,
    read_seconds,
)
from hyperfusion.table._frames import Columns, check_columns, check_table


class NeighborTargets(TransformerMixin, HyperFusionEstimator):
    def __init__(
        self,
        *,
        text: Columns | Mapping[str, Columns] = None,
        vectors: Columns | Mapping[str, Columns] = None,
        user: Hashable | None = None,
        time: Hashable | None = None,
        n_neighbors: Sequence[int] = (5, 20, 60),
        sharpness: float = 10.0,
        trend: int | None = 300,
        n_components: int = 256,
        random_state: Any = None,
        on_error: str = "missing",
    ):
        self.text = text
        self.vectors = vectors
        self.user = user
        self.time = time
        self.n_neighbors = n_neighbors
        self.sharpness = sharpness
        self.trend = trend
        self.n_components = n_components
        self.random_state = random_state
        self.on_error = on_error

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **dict.fromkeys(("text", "vectors", "user", "time"), "no_validation"),
        "n_neighbors": ["array-like"],
        "sharpness": [Interval(Real, 0, None, closed="left")],
        "trend": [Interval(Integral, 1, None, closed="left"), None],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "on_error": [StrOptions({"raise", "missing"})],
    }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Store rows and their targets.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Rows.
        y : array-like of shape (n_samples,)
            Targets; a row whose target is NaN is nobody's neighbor.

        Returns
        -------
        self
            The fitted transformer.

        Raises
        ------
        InvalidInputError
            If a column is not there, or `y` does not fit to `X`.
        """
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Store rows and their targets, and return what their own neighbors came to.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Rows.
        y : array-like of shape (n_samples,)
            Targets; a row whose target is NaN is nobody's neighbor.
        **fit_params : dict
            Ignored; present for scikit-learn's conventions.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            What `transform` returns for the same rows.
        """
        return self._features(self._fit(X, y))

    def transform(self, X: Any) -> np.ndarray:
        """Return what the neighbors of rows came to.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Rows, with the columns of the fit.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            NaN where a row has no vector, no time, or no earlier row.
        """
        check_is_fitted(self)
        return self._features(self._read(check_table(self, X, reset=False)))

    def update(self, X: Any, y: Any) -> Self:
        """Add rows whose targets have become known.

        Rows with the time, user and vectors of a stored row take its place, unless
        their target is NaN. Terms and components of texts stay those of the fit.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Rows, with the columns of the fit.
        y : array-like of shape (n_samples,)
            Targets; rows with NaN are left out.

        Returns
        -------
        self
            The transformer with more rows.
        """
        check_is_fitted(self)
        table = check_table(self, X, reset=False)
        new = _known(self._read(table), check_target(y, len(table), allow_nan=True))
        old = self.rows_
        stays = ~_identities(old).isin(_identities(new))
        self._store({name: [old[name][stays], new[name]] for name in old})
        return self

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str
            ``<space>_<feature>``.
        """
        check_is_fitted(self)
        names = [f"{space}_{name}" for space in self.spaces_ for name in self._names()]
        return np.asarray(names, dtype=object)

    def _names(self) -> list[str]:
        means = [f"{kind}_{k}" for k in self.n_neighbors for kind in ("mean", "spread")]
        return [*means, "similarity", "similarity_mean"]

    def _fit(self, X: Any, y: Any) -> dict[str, np.ndarray]:
        self._validate_params()
        self._check_n_neighbors()
        table = check_table(self, X, reset=True)
        targets = check_target(y, len(table), allow_nan=True)
        self.columns_ = {
            role: check_columns(table, getattr(self, role), role, max_columns=1)
            for role in ("user", "time")
        }
        self.spaces_ = find_spaces(
            table,
            self.text,
            self.vectors,
            self.columns_["user"] + self.columns_["time"],
            self.n_components,
            self.random_state,
        )
        for space in self.spaces_.values():
            space.fit(table)
        rows = self._read(table)
        self._store({name: [cells] for name, cells in _known(rows, targets).items()})
        return rows

    def _check_n_neighbors(self) -> None:
        whole = all(isinstance(k, Integral) and k >= 1 for k in self.n_neighbors)
        ascending = whole and sorted(set(self.n_neighbors)) == list(self.n_neighbors)
        if not ascending or len(self.n_neighbors) == 0:
            raise InvalidInputError(
                "n_neighbors takes ascending whole numbers from 1, such as "
                f"(5, 20, 60). Got {self.n_neighbors!r}."
            )

    def _read(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return vectors, seconds and marks of the rows."""
        vectors = [s.read(table, self.on_error) for s in self.spaces_.values()]
        rows = {_key(name): v for name, v in zip(self.spaces_, vectors, strict=True)}
        rows["content"] = fingerprints(vectors)
        for role, read in (("time", read_seconds), ("user", read_marks)):
            if self.columns_[role]:
                rows[role] = read(table[self.columns_[role][0]], self.on_error)
        return rows

    def _store(self, parts: dict[str, list[np.ndarray]]) -> None:
        rows = {name: np.concatenate(cells) for name, cells in parts.items()}
        times = rows.get("time", np.zeros(len(rows["target"])))
        # by target as well: the order of rows at fit then never matters
        order = np.lexsort((rows["target"], times))
        self.rows_ = {name: cells[order] for name, cells in rows.items()}
        self.levels_ = self._levels(times[order], self.rows_["target"])

    def _levels(self, times: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the mean target of the latest rows up to each row's moment."""
        if self.trend is None or not self.columns_["time"]:
            return np.zeros(len(targets))
        stop = np.searchsorted(times, times, side="right")
        start = np.searchsorted(times, times[np.maximum(stop - self.trend, 0)])
        base = targets[0] if len(targets) else 0.0
        sums = np.concatenate([[0.0], np.cumsum(targets - base)])
        return base + (sums[stop] - sums[start]) / (stop - start)

    def _features(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        names = self._names()
        out = np.empty((len(rows["content"]), len(names) * len(self.spaces_)), "f4")
        for i, name in enumerate(self.spaces_):
            block = out[:, i * len(names) : (i + 1) * len(names)]
            self._write_space(block, _key(name), rows)
        return out

    def _write_space(
        self, out: np.ndarray, key: str, rows: dict[str, np.ndarray]
    ) -> None:
        there = np.flatnonzero(self.rows_[key].any(axis=1))
        stored = {name: cells[there] for name, cells in self.rows_.items()}
        residuals = stored["target"] - self.levels_[there]
        n_earlier = np.full(len(out), len(there))
        strangers = []
        if "time" in rows:
            n_earlier = np.searchsorted(stored["time"], rows["time"])
            n_earlier[np.isnan(rows["time"])] = 0
        else:
            strangers.append((rows["content"], stored["content"]))
        if "user" in rows:
            strangers.append((np.maximum(rows["user"], 1), stored["user"]))
        n_earlier[~rows[key].any(axis=1)] = 0
        found = search(
            rows[key], stored[key], n_earlier, strangers, self.n_neighbors[-1]
        )
        for which, cosines, positions in found:
            values = residuals[positions] if len(there) else np.zeros(cosines.shape)
            out[which] = self._describe(cosines, values)

    def _describe(self, cosines: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the features of some rows from their neighbors, nearest first."""
        there = ~np.isnan(cosines)
        any_there = there[:, 0]
        weights = np.exp(self.sharpness * (cosines - cosines[:, :1]))
        weights = np.where(there, weights, 0.0)
        columns = []
        for k in self.n_neighbors:
            w, v = weights[:, :k], values[:, :k]
            total = np.where(any_there, w.sum(axis=1), np.nan)
            mean = (w * v).sum(axis=1) / total
            square = (w * (v - mean[:, None]) ** 2).sum(axis=1) / total
            columns += [mean, np.sqrt(square)]
        counts = np.where(any_there, there.sum(axis=1), np.nan)
        columns += [cosines[:, 0], np.where(there, cosines, 0).sum(axis=1) / counts]
        return np.column_stack(columns)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "rows_")


def _key(space: str) -> str:
    return f"vectors of {space}"


def _known(rows: dict[str, np.ndarray], targets: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows that can be neighbors, with their targets."""
    known = ~np.isnan(targets)
    if "time" in rows:
        known &= ~np.isnan(rows["time"])
    return {name: cells[known] for name, cells in (rows | {"target": targets}).items()}


def _identities(rows: dict[str, np.ndarray]) -> pd.MultiIndex:
    names = [name for name in ("time", "user", "content") if name in rows]
    return pd.MultiIndex.from_arrays([rows[name] for name in names])
