"""Tags of synthetic posts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hyperfusion.datasets._captions import plural_of
from hyperfusion.datasets._scenes import BACKGROUNDS, CATEGORIES, COLORS, SHAPES

EFFECTS = {
    "photooftheday": 0.25,
    "inspiration": 0.2,
    "handmade": 0.15,
    "minimal": 0.1,
    "daily": 0.0,
    "share": -0.1,
    "followme": -0.2,
    "sale": -0.35,
}
"""Tags that say nothing about the picture, with what they do to the score."""


@dataclass
class Tags:
    """The tags of all posts, with what the score depends on."""

    text: list[str]
    """Hashtags separated by spaces; an empty text where there are none."""
    count: np.ndarray
    effect: np.ndarray
    """Sum of the effects of the general tags."""


def draw_tags(
    scenes: pd.DataFrame,
    category: np.ndarray,
    zeal: np.ndarray,
    rng: np.random.RandomState,
) -> Tags:
    """Write the tags of every post; they always tell the truth.

    Parameters
    ----------
    scenes : DataFrame of shape (n_posts, 7), int
        What the pictures show.
    category : ndarray of shape (n_posts,), int
        Codes of the posts' categories.
    zeal : ndarray of shape (n_posts,)
        Probability with which a user adds each possible tag.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    Tags
        Those of every post.
    """
    columns = [*_own_tags(scenes, category), *([tag] * len(scenes) for tag in EFFECTS)]
    used = rng.uniform(size=(len(scenes), len(columns))) < zeal[:, None]
    rows = zip(zip(*columns, strict=True), used, strict=True)
    return Tags(
        text=[
            " ".join(f"#{t}" for t, use in zip(*row, strict=True) if use)
            for row in rows
        ],
        count=used.sum(axis=1),
        effect=used[:, -len(EFFECTS) :] @ np.array(list(EFFECTS.values())),
    )


def _own_tags(scenes: pd.DataFrame, category: np.ndarray) -> list[np.ndarray]:
    """Return the tags that tell of the picture; some are run together."""
    color = np.array(list(COLORS), dtype=object)[scenes["color"]]
    shape = np.array(SHAPES, dtype=object)[scenes["shape"]]
    shapes = np.array([plural_of(s) for s in SHAPES], dtype=object)[scenes["shape"]]
    ground = np.array(list(BACKGROUNDS), dtype=object)[scenes["background"]]
    topic = np.array(CATEGORIES, dtype=object)[category]
    return [color, shapes, color + shape, topic, ground + "_background"]
