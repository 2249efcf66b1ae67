"""What the pictures of synthetic posts show: a few attributes, drawn at random."""

from __future__ import annotations

import numpy as np
import pandas as pd

CATEGORIES = ("art", "fashion", "food", "nature", "sport", "travel")

COLORS = {
    "red": (215, 30, 35),
    "orange": (245, 135, 20),
    "yellow": (250, 220, 30),
    "green": (35, 150, 55),
    "cyan": (0, 185, 195),
    "blue": (35, 70, 215),
    "purple": (125, 45, 165),
    "pink": (250, 90, 175),
}
BACKGROUNDS = {
    "white": (245, 245, 245),
    "gray": (135, 135, 135),
    "black": (25, 25, 25),
    "brown": (110, 70, 45),
    "sand": (225, 200, 150),
    "mint": (180, 230, 195),
    "sky": (165, 205, 250),
    "rose": (250, 200, 205),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent")
NUMBERS = ("one", "two", "three", "four")
SIZES = ("small", "medium", "large")
POSITIONS = ("middle", "left", "right", "top", "bottom")
TEXTURES = ("plain", "striped", "dotted", "checked", "grainy")

ATTRIBUTES = {
    "number": NUMBERS,
    "size": SIZES,
    "color": tuple(COLORS),
    "shape": SHAPES,
    "position": POSITIONS,
    "background": tuple(BACKGROUNDS),
    "texture": TEXTURES,
}
"""Attributes of a scene with their levels; a scene holds codes into these."""

_WEIGHTS = {"number": (4, 3, 2, 2), "texture": (4, 2, 2, 2, 2)}
_TILTED = ("color", "shape", "background")
_TILT = 3.0


def draw_scenes(category: np.ndarray, rng: np.random.RandomState) -> pd.DataFrame:
    """Draw a scene for every post, as codes into the levels of `ATTRIBUTES`.

    Categories prefer some colors, shapes and backgrounds.
    """
    scenes = {}
    for attribute, levels in ATTRIBUTES.items():
        weights = np.ones((len(CATEGORIES), len(levels)))
        weights *= _WEIGHTS.get(attribute, 1)
        if attribute in _TILTED:
            for code in range(len(CATEGORIES)):
                weights[code, [code, code + 1]] = _TILT
        scenes[attribute] = draw_codes(weights[category], rng)
    return pd.DataFrame(scenes)


def draw_codes(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw one code for each row of weights, in proportion to them."""
    edges = np.cumsum(weights, axis=1)
    points = rng.uniform(size=(len(weights), 1)) * edges[:, -1:]
    return (points >= edges).sum(axis=1)
