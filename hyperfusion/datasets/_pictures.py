"""Pictures of synthetic posts: a few shapes on a textured background."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image, ImageColor, ImageDraw, ImageFilter


def _palette(colors: str) -> dict[str, tuple[int, ...]]:
    pairs = (color.split() for color in colors.split(", "))
    return {name: ImageColor.getrgb(code) for name, code in pairs}


CATEGORIES = ("art", "fashion", "food", "nature", "sport", "travel")

COLORS = _palette(
    "red #d71e23, orange #f58714, yellow #fadc1e, green #239637, cyan #00b9c3, "
    "blue #2346d7, purple #7d2da5, pink #fa5aaf"
)
BACKGROUNDS = _palette(
    "white #f5f5f5, gray #878787, black #191919, brown #6e462d, sand #e1c896, "
    "mint #b4e6c3, sky #a5cdfa, rose #fac8cd"
)
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent")
TEXTURES = ("plain", "striped", "dotted", "checked", "grainy")

ATTRIBUTES = {
    "number": ("one", "two", "three", "four"),
    "size": ("small", "medium", "large"),
    "color": tuple(COLORS),
    "shape": SHAPES,
    "position": ("middle", "left", "right", "top", "bottom"),
    "background": tuple(BACKGROUNDS),
    "texture": TEXTURES,
}
"""Attributes of a picture with their levels."""

_WEIGHTS = {"number": (4, 3, 2, 2), "texture": (4, 2, 2, 2, 2)}

# Of small, medium and large shapes, in shares of the picture's side.
_RADII = (0.085, 0.12, 0.16)
_CENTERS = np.array([(0.5, 0.5), (0.28, 0.5), (0.72, 0.5), (0.5, 0.28), (0.5, 0.72)])
_PLACES = (
    np.array([(0.0, 0.0)]),
    np.array([(-0.5, 0.0), (0.5, 0.0)]),
    np.array([(-0.5, 0.45), (0.5, 0.45), (0.0, -0.45)]),
    np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]),
)
_PITCH = 2.4
_N_PHASES = 8


def draw_codes(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw one code for each row of weights, in proportion to them."""
    edges = np.cumsum(weights, axis=1)
    points = rng.uniform(size=(len(weights), 1)) * edges[:, -1:]
    return (points >= edges).sum(axis=1)


def draw_pictures(category: np.ndarray, rng: np.random.RandomState) -> pd.DataFrame:
    """Draw what pictures show, as codes into `ATTRIBUTES`, and their quality."""
    n_posts, pictures = len(category), pd.DataFrame()
    for attribute, levels in ATTRIBUTES.items():
        weights = np.ones((len(CATEGORIES), len(levels)))
        weights *= _WEIGHTS.get(attribute, 1)
        if attribute in ("color", "shape", "background"):
            for code in range(len(CATEGORIES)):
                weights[code, [code, code + 1]] = 3.0
        pictures[attribute] = draw_codes(weights[category], rng)
    return pictures.assign(
        exposure=rng.uniform(0.78, 1.12, size=n_posts),  # a factor on all colors
        blurred=rng.uniform(size=n_posts) < 0.2,
        jitter=list(rng.uniform(-0.03, 0.03, size=(n_posts, 2))),  # shift of the shapes
        angle=rng.uniform(-0.25, 0.25, size=n_posts),  # in radians
        phase=rng.randint(_N_PHASES, size=n_posts),  # of the texture's patterns
    )


def render(pictures: pd.DataFrame, image_size: int) -> Iterator[Image.Image]:
    masks = _texture_masks(image_size)
    exposure = pictures["exposure"].to_numpy()
    colors = _shaded(COLORS, pictures["color"], exposure)
    grounds = _shaded(BACKGROUNDS, pictures["background"], exposure)
    # Textures are darker than light grounds and lighter than dark ones.
    shades = grounds + np.where(grounds.mean(axis=1, keepdims=True) > 90, -35, 45)
    shades = np.clip(shades, 0, 255)
    for row, scene in enumerate(pictures.itertuples(index=False)):
        picture = Image.new("RGB", (image_size, image_size), tuple(grounds[row]))
        if TEXTURES[scene.texture] != "plain":
            picture.paste(tuple(shades[row]), mask=masks[scene.texture][scene.phase])
        draw = ImageDraw.Draw(picture)
        cos, sin = np.cos(scene.angle), np.sin(scene.angle)
        outline = _OUTLINES[scene.shape] @ np.array([[cos, sin], [-sin, cos]])
        center = _CENTERS[scene.position] + scene.jitter
        for place in _PLACES[scene.number]:
            corners = center + _RADII[scene.size] * (outline + place * _PITCH)
            draw.polygon((corners * image_size).ravel().tolist(), tuple(colors[row]))
        if scene.blurred:
            picture = picture.filter(ImageFilter.GaussianBlur(image_size / 40))
        yield picture


def _shaded(palette: dict, codes: pd.Series, exposure: np.ndarray) -> np.ndarray:
    colors = np.array(list(palette.values()))[codes] * exposure[:, None]
    return np.clip(colors, 0, 255).astype(int)


def _texture_masks(size: int) -> list[list[Image.Image]]:
    """Return masks of each texture in several phases, the same in each call."""
    rng = np.random.RandomState(0)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    period = max(4, size // 8)
    textures: list[list[Image.Image]] = [[] for _ in TEXTURES]
    for phase in range(_N_PHASES):
        shift = phase * period // _N_PHASES
        a, b = (x + shift) % period, (y + shift) % period
        half = period // 2
        masks = {
            "striped": (x + y + shift) % period < half,
            "dotted": np.hypot(a - half, b - half) < period / 3.5,
            "checked": ((x + shift) // half + (y + shift) // half) % 2 == 0,
            "grainy": rng.uniform(size=(size, size)) < 0.5,
        }
        for name, mask in masks.items():
            image = Image.fromarray((mask * 255).astype(np.uint8))
            textures[TEXTURES.index(name)].append(image)
    return textures


def _circle(n_points: int = 24, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    angles = 2 * np.pi * np.linspace(start, stop, n_points)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _outlines() -> list[np.ndarray]:
    """Return the corners of each shape, within the unit circle."""
    w = 0.32
    cross = [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w)]
    t = 2 * np.pi * np.linspace(0, 1, 30, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    moon = _circle(start=0.14, stop=0.86)
    outlines = {
        "circle": _circle(),
        "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.85,
        "triangle": np.array([(0, -1), (1, 0.8), (-1, 0.8)]),
        "star": _circle(11, -0.25, 0.75)[:-1] * np.tile([1.1, 0.42], 5)[:, None],
        "cross": np.array([*cross, *((-x, -y) for x, y in cross)]),
        # Outer and inner circle in one path: the seam between them has no width.
        "ring": np.concatenate([_circle(), 0.5 * _circle()[::-1]]),
        "heart": np.column_stack([16 * np.sin(t) ** 3, -y]) / 16,
        "crescent": np.concatenate([moon, moon[::-1] * (0.62, 0.8) + (0.3, 0)]),
    }
    return [outlines[shape] for shape in SHAPES]


_OUTLINES = _outlines()
