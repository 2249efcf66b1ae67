"""The variants of an ablation: which part is removed, and how each is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit, check_cv

from hyperfusion._anatomy import Anatomy, folds_parameter, parameter_path
from hyperfusion._progress import now
from hyperfusion.model_selection._inputs import learns_from_unlabeled, take
from hyperfusion.table import Schema

FULL = "full model"
TRAINING_PARTS = ("ensemble", "pseudo_labels", "filter", "folds")


@dataclass
class Variant:
    """A model without one of its parts. If `model` is None it does not apply."""

    part: str
    model: Any = None
    note: str = ""
    without_columns: list[Any] = field(default_factory=list)
    labeled_only: bool = False

    @property
    def name(self) -> str:
        """The name of its row."""
        return FULL if self.part == FULL else f"without {self.part}"


@dataclass
class Fitted:
    """A variant's predictions for the test rows; None if it does not apply."""

    name: str
    prediction: np.ndarray | None = None
    n_features: float = np.nan
    seconds: float = np.nan
    note: str = ""


def plan_variants(
    model: Any, features: Any, y: np.ndarray, parts: Sequence[str], seed: int
) -> list[Variant]:
    """Return the full model and its variants, in order."""
    path = parameter_path(model)
    variants = [Variant(FULL, model)]
    for part in parts:
        if part == "ensemble":
            # made from the fitted full model, see `fit_variant`
            one = "the ensemble has only one member"
            note = "the model is not an ensemble" if path is None else one
            variants.append(Variant(part, note=note))
        elif part == "pseudo_labels" and not learns_from_unlabeled(model):
            variants.append(Variant(part, note="the model uses no pseudo-labels"))
        elif part == "pseudo_labels" and not np.isnan(y).any():
            variants.append(Variant(part, note="all posts have labels"))
        elif part == "pseudo_labels":
            # the wrapper, not the model inside: this keeps its folds and its seed
            variants.append(Variant(part, model, labeled_only=True))
        elif part == "filter":
            if path is None or model.get_params()[f"{path}row_filter"] is None:
                variants.append(Variant(part, note="the model has no row filter"))
            else:
                changed = clone(model).set_params(**{f"{path}row_filter": None})
                variants.append(Variant(part, changed))
        elif part == "folds":
            variants.append(_without_folds(model, seed))
        else:
            variants.append(_without_columns(model, features, part))
    return variants


def fit_variant(
    variant: Variant, features: Any, y: np.ndarray, left_out: Any
) -> list[Fitted]:
    """Fit a variant and predict. The full model also returns its best member."""
    start = now()
    if variant.labeled_only:
        rows = np.flatnonzero(~np.isnan(y))
        features, y = take(features, rows), y[rows]
    if variant.without_columns:
        features = features.drop(columns=variant.without_columns)
        left_out = left_out.drop(columns=variant.without_columns)
    model = clone(variant.model).fit(features, y)
    done = [_predicted(variant.name, model, features, left_out, start)]
    ensemble = Anatomy.of(model).ensemble
    if variant.part == FULL and ensemble is not None and len(ensemble.members_) > 1:
        start = now()
        note = f"{_keep_best_member(ensemble, y)} alone"
        name = Variant("ensemble").name
        done.append(_predicted(name, model, features, left_out, start, note))
    return done


def _predicted(
    name: str, model: Any, features: Any, left_out: Any, start: float, note: str = ""
) -> Fitted:
    prediction = np.asarray(model.predict(left_out), dtype=np.float64).reshape(-1)
    seconds = now() - start
    return Fitted(name, prediction, features.shape[1], seconds, note)


def _without_columns(model: Any, features: Any, part: str) -> Variant:
    if not isinstance(features, pd.DataFrame):
        return Variant(part, note="the features have no names, so no blocks")
    columns = Schema.of(features).leaving_with(part)
    if not columns:
        return Variant(part, note="the feature table has no such column")
    if len(columns) == features.shape[1]:
        return Variant(part, note="the feature table has no other column")
    return Variant(part, model, without_columns=columns)


def _without_folds(model: Any, seed: int) -> Variant:
    name = folds_parameter(model)
    if name is None:
        return Variant("folds", note="the model is not an ensemble over folds")
    cv = model.get_params()[name]
    try:
        n_folds = int(cv) if isinstance(cv, Integral) else check_cv(cv).get_n_splits()
    except (TypeError, ValueError):  # it depends on the groups
        n_folds = 5
    if n_folds < 2:
        return Variant("folds", note="the model has only one fold")
    single = ShuffleSplit(1, test_size=1 / n_folds, random_state=seed)
    return Variant("folds", clone(model).set_params(**{name: single}))


def _keep_best_member(ensemble: Any, y: np.ndarray) -> str:
    """Give all weight to the member with the lowest out-of-fold MAE, and name it."""
    labeled = y[~np.isnan(y)]
    errors = np.abs(ensemble.oof_member_predictions_ - labeled[:, None])
    best = int(np.nanmean(errors, axis=0).argmin())
    ensemble.weights_ = np.zeros_like(ensemble.weights_)
    ensemble.weights_[:, best] = 1.0
    return str(ensemble.members_[best][0])
