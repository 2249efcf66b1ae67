"""Labeled and unlabeled rows, taken apart before pseudo-labeling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import check_consistent_length

from hyperfusion._sklearn_compat import (
    _check_sample_weight,
    _num_samples,
    with_callbacks,
)
from hyperfusion._validation import check_target
from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.ensemble._members import check_features
from hyperfusion.ensemble._out_of_fold import rows_of_param, stack_rows, take_rows
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame

_fit_with = with_callbacks(HyperFusionRegressor._fit)


@dataclass(frozen=True)
class Rows:
    """Labeled and unlabeled rows; those of the table stand before the further ones.

    `unlabeled_weight` and `places` (in the target) are those of the unlabeled rows;
    `target` is that of all rows, NaN for unlabeled ones.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    groups: Any
    fit_params: dict[str, Any]
    unlabeled: Any
    unlabeled_weight: np.ndarray
    places: np.ndarray
    target: np.ndarray
    n_further: int

    def fit(self, ensemble: HyperFusionRegressor, extra: Any) -> HyperFusionRegressor:
        """Fit an ensemble on the labeled rows and, fold by fold, on the extra ones."""
        labeled = self.X, self.y, self.weight, self.groups, self.fit_params
        return _fit_with(ensemble, *labeled, extra)


def read_rows(
    ensemble: HyperFusionRegressor,
    X: Any,
    y: Any,
    X_unlabeled: Any,
    sample_weight: Any,
    groups: Any,
    fit_params: dict[str, Any],
) -> Rows:
    """Check the inputs of ``fit`` and take them apart."""
    X = as_frame(X)
    y = check_target(y, X, allow_nan=True)
    X = check_features(ensemble, X, reset=True)
    known = np.flatnonzero(~np.isnan(y))
    if len(known) == 0:
        raise InvalidInputError(
            f"Input y contains NaN in all {len(y)} rows: there is no label to learn "
            "from."
        )
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(
            sample_weight, y, dtype=np.float64, ensure_non_negative=True
        )
    check_consistent_length(y, groups)
    labeled = (
        X if len(known) == len(y) else take_rows(X, known),
        y[known],
        None if weight is None else weight[known],
        None if groups is None else take_rows(groups, known),
        {k: rows_of_param(v, known, len(y)) for k, v in fit_params.items()},
    )
    places = np.flatnonzero(np.isnan(y))
    unlabeled, n_further = take_rows(X, places), 0
    own_weight = np.ones(len(places)) if weight is None else weight[places]
    if X_unlabeled is not None and _num_samples(X_unlabeled) > 0:
        further = _like(ensemble, X, as_frame(X_unlabeled))
        unlabeled = stack_rows([unlabeled, further]) if len(places) else further
        n_further = further.shape[0]
        usual = 1.0 if weight is None else float(weight[known].mean())
        own_weight = np.append(own_weight, np.full(n_further, usual))
        places = np.append(places, len(y) + np.arange(n_further))
    target = np.append(y, np.full(n_further, np.nan))
    return Rows(*labeled, unlabeled, own_weight, places, target, n_further)


def _like(ensemble: HyperFusionRegressor, X: Any, more: Any) -> Any:
    """Return further rows in which levels that `X` lacks are missing."""
    kinds = [(isinstance(t, pd.DataFrame), sp.issparse(t)) for t in (X, more)]
    if kinds[0] != kinds[1]:
        raise InvalidInputError(
            "X_unlabeled must be of the same kind as X. Got "
            f"{type(more).__name__} and {type(X).__name__}."
        )
    more = check_features(ensemble, more, reset=False)
    if not isinstance(X, pd.DataFrame):
        return more
    more = more.copy()
    for column, dtype in X.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype):
            cells = more[column].astype(object)
            more[column] = cells.where(cells.isin(dtype.categories)).astype(dtype)
    return more
