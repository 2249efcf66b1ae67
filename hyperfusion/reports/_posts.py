"""Posts as the report shows them: image, words, user and numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.encoders import PostEncoder
from hyperfusion.inspection._parts import Parts, find_step
from hyperfusion.reports._figures import thumbnail

_SHOWN = ("text", "tags", "user", "time", "place")
_MAX_CHARACTERS = 160
_MAX_COLUMNS = 6


class PostCells:
    """What a report tells of single posts.

    Parameters
    ----------
    parts : Parts
        The model; the roles of its `PostEncoder` say which columns to show.
    posts : DataFrame
        The posts.
    """

    def __init__(self, parts: Parts, posts: pd.DataFrame):
        self.posts = posts
        encoder = find_step(parts, PostEncoder)
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
