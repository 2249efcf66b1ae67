"""Captions and tags of synthetic posts."""

from __future__ import annotations

from itertools import compress
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.datasets._pictures import (
    ATTRIBUTES,
    BACKGROUNDS,
    CATEGORIES,
    COLORS,
    SHAPES,
)

_WORDS = {
    attribute: [options.split("|") for options in levels.split(", ")]
    for attribute, levels in {
        "number": (
            "a|one|a single, two|a pair of|2, three|a trio of|3, four|4|a group of four"
        ),
        "size": "small|tiny|little, , large|big|huge",
        "color": (
            "red|crimson|scarlet, orange|tangerine, yellow|golden, green|emerald, "
            "cyan|turquoise, blue|cobalt, purple|violet, pink|magenta"
        ),
        "shape": (
            "circle|disc, square|box, triangle, star, cross|plus sign, ring|hoop, "
            "heart, crescent|half moon"
        ),
        "position": (
            "in the middle|in the center, on the left|to the left, on the right|to "
            "the right, at the top|near the top, at the bottom|near the bottom"
        ),
        "background": (
            "white, gray|gray, black, brown|chocolate, beige|sand colored, mint|pale "
            "green, light blue|sky blue, pale pink|rose"
        ),
        "texture": ", striped, dotted|polka dot, checked|chequered, grainy|noisy",
    }.items()
}
"""The ways to say each level of each attribute."""

_STATED = {"size": 0.8, "position": 0.75, "background": 0.85, "texture": 0.75}
_UNSTATED_LEVEL = {"size": 1, "texture": 0}
_GROUNDS = ("on a {} background", "against a {} wall", "over {} paper")

OPENINGS = ("", "", "just ", "today: ", "finally, ", "once more: ", "guess what: ")
MOODS = {"": 0.0, "dreamy": 0.45, "stunning": 0.35, "vintage": 0.2}
MOODS |= {"quiet": -0.1, "messy": -0.3, "boring": -0.45}
"""Adjectives for captions, with their effects on the score."""
_MOOD_SHARES = [0.52] + [0.08] * (len(MOODS) - 1)

ENDINGS = ("", ".", "!", "?", " 😍", " 🌞", "!!")
REMARKS = (
    "Took me all afternoon.",
    "More of these soon.",
    "Part of a longer series.",
    "Tell me what you think.",
    "Nothing was retouched.",
)
LINK = "https://example.org/p"


TAG_EFFECTS = {"photooftheday": 0.25, "inspiration": 0.2, "handmade": 0.15}
TAG_EFFECTS |= {"minimal": 0.1, "daily": 0.0, "share": -0.1}
TAG_EFFECTS |= {"followme": -0.2, "sale": -0.35}
"""Tags that don't describe the picture, with their effects on the score."""


def draw_captions(
    pictures: pd.DataFrame, off_topic: float, rng: np.random.RandomState
) -> pd.DataFrame:
    """Write captions; a share is about other pictures, and as many about both."""
    scenes, n_posts = pictures[list(ATTRIBUTES)], len(pictures)
    kind = rng.uniform(size=n_posts)
    share = np.where(kind < off_topic, 1.0, np.where(kind < 2 * off_topic, 0.5, 0.0))
    swap = rng.uniform(size=scenes.shape) < share[:, None]
    others = scenes.iloc[rng.randint(n_posts, size=n_posts)].reset_index(drop=True)
    described = scenes.where(~swap, others)
    stated = pd.DataFrame(True, index=scenes.index, columns=scenes.columns)
    for attribute, share_stated in _STATED.items():
        stated[attribute] = rng.uniform(size=n_posts) < share_stated
    for attribute, level in _UNSTATED_LEVEL.items():
        stated[attribute] &= described[attribute] != level
    agree = (described == scenes) & stated
    captions = pd.DataFrame(
        {
            "opening": rng.randint(len(OPENINGS), size=n_posts),
            "mood": rng.choice(len(MOODS), p=_MOOD_SHARES, size=n_posts),
            "n_remarks": rng.choice(3, p=(0.6, 0.3, 0.1), size=n_posts),
            "remark": rng.randint(len(REMARKS), size=n_posts),
            "ending": rng.randint(len(ENDINGS), size=n_posts),
            "link": rng.uniform(size=n_posts) < 0.1,
        }
    )
    picks = rng.randint(1 << 16, size=(n_posts, len(ATTRIBUTES)))
    orders = rng.randint(4, size=n_posts)
    styles = captions.itertuples(index=False)
    drawn = described.to_numpy(), stated.to_numpy(), picks, orders, styles
    return captions.assign(
        text=[_caption(*row) for row in zip(*drawn, strict=True)],
        match=agree.sum(axis=1) / stated.sum(axis=1),
    )


def _caption(
    codes: np.ndarray, stated: np.ndarray, picks: np.ndarray, order: int, style: Any
) -> str:
    words = {}
    for column, attribute in enumerate(ATTRIBUTES):
        options = _WORDS[attribute][codes[column]] if stated[column] else ("",)
        words[attribute] = options[picks[column] % len(options)]
    shape = plural_of(words["shape"]) if codes[0] > 0 else words["shape"]
    subject = _joined(list(MOODS)[style.mood], words["size"], words["color"], shape)
    number, position = words["number"], words["position"]
    if number == "a" and subject[0] in "aeiou":
        number = "an"
    subject = f"{number} {subject}"
    ground = _joined(words["texture"], words["background"])
    if ground:
        ground = _GROUNDS[(picks[0] >> 4) % len(_GROUNDS)].format(ground)
    if order == 0 and ground:
        text = f"{ground}, {_joined(subject, position)}"
    elif order == 1:
        text = _joined(subject, ground, position)
    else:
        text = _joined(subject, position, ground)
    parts = [f"{OPENINGS[style.opening]}{text}{ENDINGS[style.ending]}"]
    remarks = (style.remark + np.arange(style.n_remarks)) % len(REMARKS)
    parts += [REMARKS[code] for code in remarks]
    return " ".join([*parts, LINK] if style.link else parts)


def _joined(*words: str) -> str:
    return " ".join(w for w in words if w)


def plural_of(word: str) -> str:
    return word + ("es" if word.endswith(("s", "x")) else "s")


def draw_tags(
    pictures: pd.DataFrame, posts: pd.DataFrame, rng: np.random.RandomState
) -> pd.DataFrame:
    """Choose true hashtags for each post, by the zeal of its user."""
    colors, grounds = list(COLORS), list(BACKGROUNDS)
    tags = [
        [
            colors[scene.color],
            plural_of(SHAPES[scene.shape]),
            colors[scene.color] + SHAPES[scene.shape],
            CATEGORIES[category],
            grounds[scene.background] + "_background",
            *TAG_EFFECTS,
        ]
        for scene, category in zip(
            pictures.itertuples(), posts["category"], strict=True
        )
    ]
    n_effects = len(TAG_EFFECTS)
    zeal = posts["zeal"].to_numpy()
    used = rng.uniform(size=(len(tags), 5 + n_effects)) < zeal[:, None]
    texts = (
        " ".join(f"#{tag}" for tag in compress(row, chosen))
        for row, chosen in zip(tags, used, strict=True)
    )
    effect = used[:, -n_effects:] @ np.array(list(TAG_EFFECTS.values()))
    return pd.DataFrame({"text": texts, "count": used.sum(axis=1), "effect": effect})
