"""The variants of an ablation: which part is removed, and how each is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit, check_cv

from hyperfusion._anatomy import Anatomy, folds_parameter, parameter_path
from hyperfusion._progress import now
from hyperfusion._sklearn_compat import _safe_indexing
from hyperfusion.model_selection._inputs import learns_from_unlabeled
from hyperfusion.table import Schema

FULL = "full model"
TRAINING_PARTS = ("ensemble", "pseudo_labels", "filter", "folds")


@dataclass
class Variant:
    """A row of the ablation: a model without a part, and what came of it.

    If `model` is None it does not apply, or is made of the fitted full model.
    """

    name: str
    model: Any = None
    note: str = ""
    without_columns: Sequence[Any] = ()
    labeled_only: bool = False
    prediction: np.ndarray | None = None
    n_features: float = np.nan
    seconds: float = np.nan


def plan_variants(
    model: Any, features: Any, y: np.ndarray, parts: Sequence[str], seed: int
) -> list[Variant]:
    """Return the full model and its variants, in order."""
    path = parameter_path(model)
    row_filter = f"{path}row_filter"
    variants = [Variant(FULL, model)]
    for part in parts:
        variant = Variant(f"without {part}")
        variants.append(variant)
        if part == "ensemble":
            one = "the ensemble has only one member"
            variant.note = "the model is not an ensemble" if path is None else one
        elif part == "pseudo_labels":
            if not learns_from_unlabeled(model):
                variant.note = "the model uses no pseudo-labels"
            elif not np.isnan(y).any():
                variant.note = "all posts have labels"
            else:
                # the wrapper, not the model inside: this keeps its folds and its seed
                variant.model, variant.labeled_only = model, True
        elif part == "filter":
            if path is None or model.get_params()[row_filter] is None:
                variant.note = "the model has no row filter"
            else:
                variant.model = clone(model).set_params(**{row_filter: None})
        elif part == "folds":
            variant.model, variant.note = _without_folds(model, seed)
        elif not isinstance(features, pd.DataFrame):
            variant.note = "the features have no names, so no blocks"
        else:
            variant.without_columns = Schema.of(features).leaving_with(part)
            if not variant.without_columns:
                variant.note = "the feature table has no such column"
            elif len(variant.without_columns) == features.shape[1]:
                variant.note = "the feature table has no other column"
            else:
                variant.model = model
    return variants


def _without_folds(model: Any, seed: int) -> tuple[Any, str]:
    """Return the model with one random split in place of its folds, or why not."""
    name = folds_parameter(model)
    if name is None:
        return None, "the model is not an ensemble over folds"
    cv = model.get_params()[name]
    try:
        n_folds = int(cv) if isinstance(cv, Integral) else check_cv(cv).get_n_splits()
    except (TypeError, ValueError):  # it depends on the groups
        n_folds = 5
    if n_folds < 2:
        return None, "the model has only one fold"
    single = ShuffleSplit(1, test_size=1 / n_folds, random_state=seed)
    return clone(model).set_params(**{name: single}), ""


def fit_variant(
    variant: Variant, features: Any, y: np.ndarray, left_out: Any
) -> list[Variant]:
    """Fit a variant and predict. The full model also returns its best member."""
    start = now()
    if variant.labeled_only:
        rows = np.flatnonzero(~np.isnan(y))
        features, y = _safe_indexing(features, rows), y[rows]
    if variant.without_columns:
        features = features.drop(columns=variant.without_columns)
        left_out = left_out.drop(columns=variant.without_columns)
    model = clone(variant.model).fit(features, y)
    done = [Variant(variant.name)]
    _predict(done[0], model, features, left_out, start)
    ensemble = Anatomy.of(model).ensemble
    if variant.name == FULL and ensemble is not None and len(ensemble.members_) > 1:
        start = now()
        # all weight to the member with the lowest out-of-fold MAE
        labeled = y[~np.isnan(y)]
        errors = np.abs(ensemble.oof_member_predictions_ - labeled[:, None])
        best = int(np.nanmean(errors, axis=0).argmin())
        ensemble.weights_ = np.zeros_like(ensemble.weights_)
        ensemble.weights_[:, best] = 1.0
        note = f"{ensemble.members_[best][0]} alone"
        done.append(Variant("without ensemble", note=note))
        _predict(done[1], model, features, left_out, start)
    return done


def _predict(
    row: Variant, model: Any, features: Any, left_out: Any, start: float
) -> None:
    row.prediction = np.asarray(model.predict(left_out), dtype=np.float64).reshape(-1)
    row.n_features, row.seconds = features.shape[1], now() - start
