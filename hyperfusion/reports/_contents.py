"""Contents of the report: pictures, tables, and single posts."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from hyperfusion._anatomy import Anatomy
from hyperfusion._validation import needing
from hyperfusion.cells._columns import is_missing
from hyperfusion.cells._images import in_folder, open_image, split_lists
from hyperfusion.encoders import PostEncoder
from hyperfusion.metrics import spearman_score

_THUMBNAIL = (220, 220)  # pixels
_SHOWN = ("text", "tags", "user", "time", "place")
_MAX_CHARACTERS = 160
_MAX_COLUMNS = 6
_FEWEST_TOLD_APART = 5


def picture(display: Any, **labels: str) -> str:
    """Return the drawing of a Display as a PNG in a data URL, with labels of its axes.

    The figure belongs to no window, and matplotlib's state does not change.
    """
    with needing("matplotlib", "make_report", "report"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    display.plot(figure.add_subplot()).ax_.set(**labels)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return _address("png", buffer)


def _address(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def score_table(
    parts: Anatomy, predicted: np.ndarray, target: np.ndarray
) -> pd.DataFrame:
    """Return SRC and MAE on these posts, and those out of fold of an ensemble."""
    rows = [("the model on these posts", predicted, target)]
    ensemble = parts.ensemble
    if ensemble is not None:
        seen = np.isfinite(ensemble.oof_residuals_)
        held = ensemble.oof_predictions_[seen]
        true = parts.to_target(held + ensemble.oof_residuals_[seen])
        rows.append(("the model out of fold", parts.to_target(held), true))
    median = np.full(len(target), np.median(target))
    rows.append(("the median of these posts", median, target))
    scores = [
        (name, len(y), spearman_score(y, p), mean_absolute_error(y, p))
        for name, p, y in rows
    ]
    return pd.DataFrame(scores, columns=["predictions", "posts", "SRC", "MAE"])


def calibration_table(predicted: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Return the mean prediction and target of ten groups sorted by prediction."""
    order = np.argsort(predicted, kind="stable")
    table = pd.DataFrame({"mean prediction": predicted, "mean target": target})
    table["MAE"] = np.abs(predicted - target)
    groups = [g for g in np.array_split(order, 10) if len(g)]
    means = pd.DataFrame([table.iloc[g].mean() for g in groups])
    means.insert(0, "group", range(1, len(groups) + 1))
    means.insert(1, "posts", [len(g) for g in groups])
    return means


def member_table(ensemble: Any) -> pd.DataFrame:
    """Return the scores, seconds and weight of each member of an ensemble."""
    table = ensemble.fold_scores_.groupby("member", sort=False).agg(
        SRC=("src", "mean"), MAE=("mae", "mean"), seconds=("seconds", "sum")
    )
    names = [name for name, _ in ensemble.members_]
    table["weight"] = pd.Series(ensemble.weights_.mean(axis=0), index=names)
    return table.reset_index()


def was_fitted_on(parts: Anatomy, target: np.ndarray) -> bool:
    """Whether an ensemble seems to have learned from the posts with these targets.

    Either its training targets contain them in the same order, or they contain nearly
    all of them and hardly repeat.
    """
    ensemble = parts.ensemble
    if ensemble is None or len(target) < _FEWEST_TOLD_APART:
        return False
    own = parts.to_target(ensemble.oof_predictions_ + ensemble.oof_residuals_)
    own = own[np.isfinite(own)].round(4)
    first = target[:20].round(4)
    runs = np.lib.stride_tricks.sliding_window_view(own, min(len(first), len(own)))
    same = len(own) >= len(first) and (runs == first).all(axis=1).any()
    hardly_repeat = len(np.unique(own)) > 0.9 * len(own)
    known = np.isin(target.round(4), own).mean() > 0.9
    return bool((same and np.ptp(first) > 0) or (hardly_repeat and known))


def feature_terms(parts: Anatomy) -> dict[str, str]:
    """Return the terms behind the numbered features of TF-IDF."""
    found: dict[str, str] = {}
    encoder = parts.find(PostEncoder)
    for component in getattr(encoder, "components_", ()):
        inner = component.encoder
        if hasattr(inner, "component_terms"):
            names = component.full_names(inner.get_feature_names_out())
            found |= dict(zip(names, inner.component_terms(), strict=True))
    return found


def worst_posts(
    parts: Anatomy,
    posts: pd.DataFrame,
    predicted: pd.DataFrame,
    target: np.ndarray,
    n: int,
) -> Iterator[dict[str, Any]]:
    """Yield what to show of the posts with the largest errors, the largest first."""
    encoder = parts.find(PostEncoder)
    roles = {} if encoder is None else encoder.roles_
    named = [c for role in _SHOWN for c in roles.get(role, [])]
    columns = list(dict.fromkeys(named)) or list(posts.columns[:_MAX_COLUMNS])
    error = predicted["prediction"].to_numpy() - target
    for row in np.argsort(-np.abs(error), kind="stable")[:n]:
        bounds = predicted[["lower", "upper"]].iloc[row]
        yield {
            "row": int(row),
            "image": _first_image(
                [posts[c].iloc[row] for c in roles.get("image", [])],
                getattr(encoder, "image_folder", None),
            ),
            "cells": [(str(c), _text(posts[c].iloc[row])) for c in columns],
            "target": float(target[row]),
            "prediction": float(predicted["prediction"].iloc[row]),
            "interval": None if bounds.isna().any() else tuple(map(float, bounds)),
        }


def _first_image(cells: list[Any], folder: Any) -> str | None:
    for picture in split_lists(cells)[0]:
        try:
            image = open_image(in_folder(picture, folder or ""))
        except (ValueError, TypeError, OSError):  # the encoders have warned about it
            continue
        if image is not None:
            small, buffer = image.copy(), io.BytesIO()
            small.thumbnail(_THUMBNAIL)
            small.save(buffer, format="JPEG", quality=80)
            return _address("jpeg", buffer)
    return None


def _text(cell: Any) -> str:
    if is_missing(cell):
        return "—"
    parts = cell if isinstance(cell, (list, tuple)) else [cell]
    text = " ".join(map(str, parts))
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
