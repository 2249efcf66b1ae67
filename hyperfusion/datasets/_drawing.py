"""Pictures of scenes: simple shapes on a background with a texture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from hyperfusion.datasets._scenes import (
    BACKGROUNDS,
    COLORS,
    SHAPES,
    TEXTURES,
    draw_scenes,
)

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

    scenes: pd.DataFrame
    """Codes of the attributes, one row for each post."""
    exposure: np.ndarray
    """Factor on all colors; 1 is neutral."""
    blurred: np.ndarray
    """Pictures that are out of focus."""
    jitter: np.ndarray
    """Small shift of the shapes, in shares of the picture's side."""
    angle: np.ndarray
    """Small turn of the shapes, in radians."""
    phase: np.ndarray
    """Which of several patterns a texture has."""


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


def _outline(shape: str) -> np.ndarray:
    """Return the corners of a shape that fits into the unit circle."""
    if shape == "circle":
        return _circle()
    if shape == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.85
    if shape == "triangle":
        return np.array([(0, -1), (1, 0.8), (-1, 0.8)])
    if shape == "star":
        radii = np.tile([1.1, 0.42], 5)[:, None]
        points = _circle(11, start=-0.25, stop=0.75)[:-1]
        return points * radii
    if shape == "cross":
        a, b = 1.0, 0.32
        corners = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b)]
        return np.array(corners + [(-x, -y) for x, y in corners])
    if shape == "ring":
        # Outer and inner circle in one path: the seam between them has no width.
        return np.concatenate([_circle(), 0.5 * _circle()[::-1]])
    if shape == "heart":
        t = 2 * np.pi * np.linspace(0, 1, 30, endpoint=False)
        x = 16 * np.sin(t) ** 3
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.column_stack([x, -y]) / 16
    outer = _circle(start=0.14, stop=0.86)
    inner = outer[::-1] * (0.62, 0.8) + (0.3, 0)
    return np.concatenate([outer, inner])


_OUTLINES = [_outline(shape) for shape in SHAPES]
