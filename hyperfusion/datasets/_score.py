"""The law of the synthetic score: what each block of features adds to it.

The law is the same for every ``random_state``, which draws the posts alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hyperfusion.datasets._captions import ENDINGS, MOODS, Captions, Tags
from hyperfusion.datasets._pictures import ATTRIBUTES, Pictures
from hyperfusion.datasets._world import World

BASE = 6.4
"""What a neutral post gets; the scores resemble those of the SMP Challenge."""

_COLOR = {"red": 0.45, "orange": 0.35, "yellow": 0.3, "pink": 0.2, "green": -0.15}
_COLOR |= {"cyan": -0.25, "blue": -0.4, "purple": -0.3}
_GROUND = {"white": 0.1, "gray": -0.3, "black": 0.25, "brown": -0.2, "sky": 0.15}
_ENDING = {"!": 0.05, "?": 0.2, " 😍": 0.25, " 🌞": 0.15, "!!": -0.1}
_CATEGORY = np.array([0.3, -0.1, 0.35, 0.1, -0.4, -0.2])
_CATEGORY_TREND = np.array([-0.6, 0.5, -0.5, 0.4, 0.7, -0.5])
# One effect for each city of `PLACES`: near cities differ as much as distant ones.
_PLACE = np.array([0.1, 0.4, -0.3, 0.2, -0.4, -0.1, 0.3, -0.2, 0.45, 0.0])
_PLACE = np.concatenate([_PLACE, [-0.35, 0.35, 0.05, -0.15]])
_PLACE_WEIGHTS = np.array([0.14, -0.1, 0.08, 0.06])
_USER_WEIGHTS = np.array([0.3, -0.2, 0.15, 0.1, 0.0, 0.0])
_DRIFT = -0.9
_MATCH = 1.2
_USUAL_MATCH = 0.88


def contributions(
    world: World, pictures: Pictures, captions: Captions, tags: Tags, noise: np.ndarray
) -> pd.DataFrame:
    """Return what each block adds to the score of each post; the sum is the score."""
    return pd.DataFrame(
        {
            "base": np.full(len(noise), BASE),
            "image": _image(pictures),
            "text": _text(captions),
            "tags": _tags(tags),
            "user": _user(world) + world.user_vectors @ _USER_WEIGHTS,
            "time": _time(world),
            # cities differ, and their centers from their outskirts
            "geo": _PLACE[world.place] - 0.6 * (world.distance - 0.19),
            "meta": _meta(world),
            "place": world.place_vectors @ _PLACE_WEIGHTS,
            "cross": _MATCH * (captions.match - _USUAL_MATCH),
            "noise": noise,
        }
    )


def _image(pictures: Pictures) -> np.ndarray:
    """Favor warm colors, more and larger shapes, good light and focus."""
    scenes = pictures.scenes
    effect = _effects("color", _COLOR)[scenes["color"]]
    effect += _effects("background", _GROUND)[scenes["background"]]
    effect += 0.12 * (scenes["number"] - 1) + 0.15 * (scenes["size"] - 1)
    effect -= 8.0 * (pictures.exposure - 1.0) ** 2
    return effect - 0.45 * pictures.blurred


def _effects(attribute: str, table: dict[str, float]) -> np.ndarray:
    return np.array([table.get(level, 0.0) for level in ATTRIBUTES[attribute]])


def _text(captions: Captions) -> np.ndarray:
    """Let moods, questions and emoji help or harm; links and odd lengths harm."""
    style = captions.style
    effect = np.array(list(MOODS.values()))[style["mood"]]
    effect += np.array([_ENDING.get(e, 0.0) for e in ENDINGS])[style["ending"]]
    return effect - 0.3 * style["link"] - 0.02 * np.abs(captions.n_words - 12)


def _tags(tags: Tags) -> np.ndarray:
    """Draw readers by tags: by more of them less and less, by too many not at all."""
    crowd = np.maximum(tags.count - 6, 0)
    return 0.35 * np.log1p(tags.count) - 0.25 * crowd + tags.effect


def _user(world: World) -> np.ndarray:
    """Tell users apart; paid accounts and long-standing ones do better."""
    users = world.users.iloc[world.user]
    years = (world.time - users["created"].to_numpy()) / np.timedelta64(365, "D")
    pro = 0.2 * users["is_pro"].to_numpy()
    return users["level"].to_numpy() + pro + 0.2 * np.log1p(years)


def _time(world: World) -> np.ndarray:
    """Favor early evenings, weekends and June; all falls as time goes by."""
    clock = pd.DatetimeIndex(world.local_time)
    hour = clock.hour.to_numpy() + clock.minute.to_numpy() / 60
    effect = 0.35 * np.cos(2 * np.pi * (hour - 19) / 24)
    effect += 0.2 * (clock.day_of_week.to_numpy() >= 5)
    effect += 0.2 * np.cos(2 * np.pi * (clock.day_of_year.to_numpy() - 172) / 365)
    return effect + _DRIFT * world.progress**1.5


def _meta(world: World) -> np.ndarray:
    """Tell categories apart, which rise or fall; albums beat single pictures."""
    trend = _CATEGORY_TREND[world.category] * (world.progress - 0.5)
    return _CATEGORY[world.category] + trend + 0.2 * np.log(world.n_photos)
