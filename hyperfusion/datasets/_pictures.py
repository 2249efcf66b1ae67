"""Pictures of synthetic posts: a few shapes on a background with a texture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

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


@dataclass
class Pictures:
    """What the pictures of all posts show, and how they were taken."""

    scenes: pd.DataFrame  # codes of the attributes
    exposure: np.ndarray  # factor on all colors
    blurred: np.ndarray
    jitter: np.ndarray  # shift of the shapes, in shares of the picture's side
    angle: np.ndarray  # turn of the shapes, in radians
    phase: np.ndarray  # which of several patterns a texture has


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


def draw_pictures(category: np.ndarray, rng: np.random.RandomState) -> Pictures:
    """Decide what the pictures of posts of these categories show."""
    n_posts = len(category)
    return Pictures(
        scenes=draw_scenes(category, rng),
        exposure=rng.uniform(0.78, 1.12, size=n_posts),
        blurred=rng.uniform(size=n_posts) < 0.2,
        jitter=rng.uniform(-0.03, 0.03, size=(n_posts, 2)),
        angle=rng.uniform(-0.25, 0.25, size=n_posts),
        phase=rng.randint(_N_PHASES, size=n_posts),
    )


def render(pictures: Pictures, image_size: int) -> Iterator[Image.Image]:
    """Yield the pictures one after the other, in RGB."""
    masks = _texture_masks(image_size)
    scenes = pictures.scenes
    colors = _shaded(COLORS, scenes["color"], pictures.exposure)
    grounds = _shaded(BACKGROUNDS, scenes["background"], pictures.exposure)
    # Textures are darker than light grounds and lighter than dark ones.
    shades = grounds + np.where(grounds.mean(axis=1, keepdims=True) > 90, -35, 45)
    shades = np.clip(shades, 0, 255)
    for row, scene in enumerate(scenes.itertuples(index=False)):
        picture = Image.new("RGB", (image_size, image_size), tuple(grounds[row]))
        if TEXTURES[scene.texture] != "plain":
            mask = masks[scene.texture][pictures.phase[row]]
            picture.paste(tuple(shades[row]), mask=mask)
        draw = ImageDraw.Draw(picture)
        cos, sin = np.cos(pictures.angle[row]), np.sin(pictures.angle[row])
        outline = _OUTLINES[scene.shape] @ np.array([[cos, sin], [-sin, cos]])
        center = _CENTERS[scene.position] + pictures.jitter[row]
        for place in _PLACES[scene.number]:
            corners = center + _RADII[scene.size] * (outline + place * _PITCH)
            draw.polygon((corners * image_size).ravel().tolist(), tuple(colors[row]))
        if pictures.blurred[row]:
            picture = picture.filter(ImageFilter.GaussianBlur(image_size / 40))
        yield picture


def _shaded(palette: dict, codes: pd.Series, exposure: np.ndarray) -> np.ndarray:
    colors = np.array(list(palette.values()))[codes] * exposure[:, None]
    return np.clip(colors, 0, 255).astype(int)


def _texture_masks(size: int) -> list[list[Image.Image]]:
    """Return masks of every texture in several phases, the same in every call."""
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
    """Return the corners of each shape, which fits into the unit circle."""
    cross = [
        (-0.32, -1),
        (0.32, -1),
        (0.32, -0.32),
        (1, -0.32),
        (1, 0.32),
        (0.32, 0.32),
    ]
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
