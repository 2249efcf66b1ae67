"""Captions of synthetic posts, in varied words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.datasets._scenes import ATTRIBUTES

_WORDS: dict[str, list[tuple[str, ...]]] = {
    "number": [
        ("a", "one", "a single"),
        ("two", "a pair of", "2"),
        ("three", "a trio of", "3"),
        ("four", "4", "a group of four"),
    ],
    "size": [("small", "tiny", "little"), ("",), ("large", "big", "huge")],
    "color": [
        ("red", "crimson", "scarlet"),
        ("orange", "tangerine"),
        ("yellow", "golden"),
        ("green", "emerald"),
        ("cyan", "turquoise"),
        ("blue", "cobalt"),
        ("purple", "violet"),
        ("pink", "magenta"),
    ],
    "shape": [
        ("circle", "disc"),
        ("square", "box"),
        ("triangle",),
        ("star",),
        ("cross", "plus sign"),
        ("ring", "hoop"),
        ("heart",),
        ("crescent", "half moon"),
    ],
    "position": [
        ("in the middle", "in the center"),
        ("on the left", "to the left"),
        ("on the right", "to the right"),
        ("at the top", "near the top"),
        ("at the bottom", "near the bottom"),
    ],
    "background": [
        ("white",),
        ("gray", "gray"),
        ("black",),
        ("brown", "chocolate"),
        ("beige", "sand colored"),
        ("mint", "pale green"),
        ("light blue", "sky blue"),
        ("pale pink", "rose"),
    ],
    "texture": [
        ("",),
        ("striped",),
        ("dotted", "polka dot"),
        ("checked", "chequered"),
        ("grainy", "noisy"),
    ],
}
_STATED = {"size": 0.8, "position": 0.75, "background": 0.85, "texture": 0.75}
_UNSTATED_LEVEL = {"size": 1, "texture": 0}
_GROUNDS = ("on a {} background", "against a {} wall", "over {} paper")

OPENINGS = ("", "", "just ", "today: ", "finally, ", "once more: ", "guess what: ")
MOODS = {
    "": 0.0,
    "dreamy": 0.45,
    "stunning": 0.35,
    "vintage": 0.2,
    "quiet": -0.1,
    "messy": -0.3,
    "boring": -0.45,
}
"""Adjectives that a caption may hold, with what they do to the score."""
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


@dataclass
class Captions:
    """The captions of all posts, with what the score depends on."""

    text: list[str]
    style: pd.DataFrame
    """Codes of opening, mood and ending, number of remarks, whether there is a link."""
    match: np.ndarray
    """Share of a caption's statements that are true of the picture."""

    @property
    def n_words(self) -> np.ndarray:
        """Number of words of each caption."""
        return np.array([len(text.split()) for text in self.text])


def draw_captions(
    scenes: pd.DataFrame, off_topic: float, rng: np.random.RandomState
) -> Captions:
    """Write a caption for every picture.

    Parameters
    ----------
    scenes : DataFrame of shape (n_posts, 7), int
        What the pictures show.
    off_topic : float
        Share of captions about another picture; as many again mix both.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    Captions
        One for each post.
    """
    described = _described(scenes, off_topic, rng)
    stated = _stated(described, rng)
    agree = (described == scenes) & stated
    style = _draw_style(len(scenes), rng)
    return Captions(
        text=_write(described, stated, style, rng),
        style=style,
        match=(agree.sum(axis=1) / stated.sum(axis=1)).to_numpy(),
    )


def _described(
    scenes: pd.DataFrame, off_topic: float, rng: np.random.RandomState
) -> pd.DataFrame:
    """Return the scenes that the captions are about."""
    n_posts = len(scenes)
    kind = rng.uniform(size=n_posts)
    share = np.where(kind < off_topic, 1.0, np.where(kind < 2 * off_topic, 0.5, 0.0))
    swap = rng.uniform(size=scenes.shape) < share[:, None]
    others = scenes.iloc[rng.randint(n_posts, size=n_posts)].reset_index(drop=True)
    return scenes.where(~swap, others)


def _stated(described: pd.DataFrame, rng: np.random.RandomState) -> pd.DataFrame:
    """Return which attributes each caption mentions."""
    stated = pd.DataFrame(True, index=described.index, columns=described.columns)
    for attribute, share in _STATED.items():
        stated[attribute] = rng.uniform(size=len(described)) < share
    for attribute, level in _UNSTATED_LEVEL.items():
        stated[attribute] &= described[attribute] != level
    return stated


def _draw_style(n_posts: int, rng: np.random.RandomState) -> pd.DataFrame:
    """Draw how captions are written: mood, remarks, ending, link."""
    return pd.DataFrame(
        {
            "opening": rng.randint(len(OPENINGS), size=n_posts),
            "mood": rng.choice(len(MOODS), p=_MOOD_SHARES, size=n_posts),
            "n_remarks": rng.choice(3, p=(0.6, 0.3, 0.1), size=n_posts),
            "remark": rng.randint(len(REMARKS), size=n_posts),
            "ending": rng.randint(len(ENDINGS), size=n_posts),
            "link": rng.uniform(size=n_posts) < 0.1,
        }
    )


def _write(
    described: pd.DataFrame,
    stated: pd.DataFrame,
    style: pd.DataFrame,
    rng: np.random.RandomState,
) -> list[str]:
    """Write one caption for each described scene."""
    picks = rng.randint(1 << 16, size=(len(described), len(ATTRIBUTES)))
    orders = rng.randint(4, size=len(described))
    codes, used = described.to_numpy(), stated.to_numpy()
    return [
        _caption(codes[row], used[row], picks[row], orders[row], manner)
        for row, manner in enumerate(style.itertuples(index=False))
    ]


def _caption(
    codes: np.ndarray, stated: np.ndarray, picks: np.ndarray, order: int, style: Any
) -> str:
    words = {}
    for column, attribute in enumerate(ATTRIBUTES):
        options = _WORDS[attribute][codes[column]] if stated[column] else ("",)
        words[attribute] = options[picks[column] % len(options)]
    mood = list(MOODS)[style.mood]
    subject = _subject(words, mood, plural=codes[0] > 0)
    position = words["position"]
    ground = _ground(words, picks[0] >> 4)
    if order == 0 and ground:
        text = f"{ground}, {_joined(subject, position)}"
    elif order == 1:
        text = _joined(subject, ground, position)
    else:
        text = _joined(subject, position, ground)
    parts = [f"{OPENINGS[style.opening]}{text}{ENDINGS[style.ending]}"]
    remarks = (style.remark + np.arange(style.n_remarks)) % len(REMARKS)
    parts += [REMARKS[code] for code in remarks]
    if style.link:
        parts.append(LINK)
    return " ".join(parts)


def _subject(words: dict[str, str], mood: str, *, plural: bool) -> str:
    shape = plural_of(words["shape"]) if plural else words["shape"]
    phrase = _joined(mood, words["size"], words["color"], shape)
    number = words["number"]
    if number == "a" and phrase[0] in "aeiou":
        number = "an"
    return f"{number} {phrase}"


def _ground(words: dict[str, str], pick: int) -> str:
    description = _joined(words["texture"], words["background"])
    return _GROUNDS[pick % len(_GROUNDS)].format(description) if description else ""


def _joined(*words: str) -> str:
    return " ".join(w for w in words if w)


def plural_of(word: str) -> str:
    """Return the plural of a shape's word."""
    return word + ("es" if word.endswith(("s", "x")) else "s")
