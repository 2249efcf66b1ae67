"""What the report shows: pictures, tables, and single posts."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from hyperfusion._anatomy import Anatomy
from hyperfusion._version import DISTRIBUTION
from hyperfusion.encoders import PostEncoder
from hyperfusion.exceptions import MissingDependencyError
from hyperfusion.metrics import spearman_score

THUMBNAIL = (220, 220)
"""Largest width and height of a post's image, in pixels."""

_SHOWN = ("text", "tags", "user", "time", "place")
_MAX_CHARACTERS = 160
_MAX_COLUMNS = 6


def picture(draw: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return what a Display's method draws on ``ax`` as the address of a PNG.

    The figure belongs to no window and leaves matplotlib's state as it is.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "make_report needs matplotlib, which is not installed. Install it with: "
            f"pip install '{DISTRIBUTION}[report]'"
        ) from error
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    draw(*args, **kwargs, ax=figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return _address("png", buffer.getvalue())


def thumbnail(image: Any) -> str:
    """Return a PIL image, made small, as the address of a JPEG."""
    small = image.copy()
    small.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=80)
    return _address("jpeg", buffer.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def score_table(
    parts: Anatomy, predicted: np.ndarray, target: np.ndarray
) -> pd.DataFrame:
    """Return SRC and MAE on these posts and, of an ensemble, out of fold."""
    rows = [_scores("these posts", predicted, target)]
    ensemble = parts.ensemble
    if ensemble is not None:
        seen = np.isfinite(ensemble.oof_residuals_)
        held = ensemble.oof_predictions_[seen]
        true = parts.to_target(held + ensemble.oof_residuals_[seen])
        rows.append(_scores("out of fold", parts.to_target(held), true))
    median = np.full(len(target), np.median(target))
    rows.append(_scores("these posts, always their median", median, target))
    return pd.DataFrame(rows)


def _scores(name: str, predicted: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    return {
        "posts": name,
        "n": len(target),
        "SRC": spearman_score(target, predicted),
        "MAE": mean_absolute_error(target, predicted),
    }


def split_table(evaluation: Any) -> pd.DataFrame:
    """Return the scores of `evaluate`, one row a split and kind of users."""
    scores = evaluation["scores"]
    values = [
        f"{s:.3f} ({low:.3f} to {high:.3f})"
        for s, low, high in zip(
            scores["score"], scores["low"], scores["high"], strict=True
        )
    ]
    keys = ["split", "model", "users"]
    wide = scores.assign(value=values).pivot_table(
        index=keys, columns="metric", values="value", aggfunc="first", sort=False
    )
    return wide.fillna("").reset_index().rename_axis(columns=None)


def calibration_table(predicted: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Return the mean prediction and target of ten groups sorted by prediction."""
    order = np.argsort(predicted, kind="stable")
    groups = [g for g in np.array_split(order, 10) if len(g)]
    return pd.DataFrame(
        {
            "group": np.arange(1, len(groups) + 1),
            "n": [len(g) for g in groups],
            "mean prediction": [float(predicted[g].mean()) for g in groups],
            "mean target": [float(target[g].mean()) for g in groups],
            "MAE": [float(np.abs(predicted[g] - target[g]).mean()) for g in groups],
        }
    )


def member_table(ensemble: Any) -> pd.DataFrame:
    """Return the scores, seconds and weight of each member of an ensemble."""
    grouped = ensemble.fold_scores_.reset_index().groupby("member", sort=False)
    table = grouped[["src", "mae"]].mean()
    table.columns = pd.Index(["SRC", "MAE"])
    table["seconds"] = grouped["seconds"].sum()
    names = [name for name, _ in ensemble.members_]
    table["weight"] = pd.Series(ensemble.weights_.mean(axis=0), index=names)
    return table.reset_index()


class PostCells:
    """What a report tells of single posts."""

    def __init__(self, parts: Anatomy, posts: pd.DataFrame):
        self.posts = posts
        encoder = parts.find(PostEncoder)
        self.roles = {} if encoder is None else encoder.roles_
        named = [c for role in _SHOWN for c in self.roles.get(role, [])]
        self.columns = list(dict.fromkeys(named)) or list(posts.columns[:_MAX_COLUMNS])

    def worst(
        self, predicted: pd.DataFrame, target: np.ndarray, n: int
    ) -> Iterator[dict[str, Any]]:
        """Yield the posts with the largest errors, the largest first."""
        error = predicted["prediction"].to_numpy() - target
        for row in np.argsort(-np.abs(error), kind="stable")[:n]:
            bounds = predicted[["lower", "upper"]].iloc[row]
            yield {
                "row": int(row),
                "image": self._image(row),
                "cells": [(str(c), self._text(row, c)) for c in self.columns],
                "target": float(target[row]),
                "prediction": float(predicted["prediction"].iloc[row]),
                "interval": None if bounds.isna().any() else tuple(map(float, bounds)),
            }

    def _image(self, row: int) -> str | None:
        from hyperfusion.cells._images import open_image

        for column in self.roles.get("image", []):
            cell = self.posts[column].iloc[row]
            try:
                image = open_image(cell)
            except (ValueError, TypeError, OSError):  # the encoders have told of it
                image = None
            if image is not None:
                return thumbnail(image)
        return None

    def _text(self, row: int, column: Hashable) -> str:
        from hyperfusion.cells._columns import is_missing

        cell = self.posts[column].iloc[row]
        if is_missing(cell):
            return "—"
        parts = cell if isinstance(cell, (list, tuple)) else [cell]
        text = " ".join(map(str, parts))
        if len(text) <= _MAX_CHARACTERS:
            return text
        return f"{text[: _MAX_CHARACTERS - 1]}…"
