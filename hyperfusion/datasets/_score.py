"""The formula of the synthetic score: what each block of features adds to it.

It is the same for every ``random_state``, which only draws the posts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hyperfusion.datasets._captions import ENDINGS, MOODS
from hyperfusion.datasets._pictures import ATTRIBUTES
from hyperfusion.datasets._world import PLACE_VECTORS

BASE = 6.4
"""The score of a neutral post; scores resemble those of the SMP Challenge."""

_COLOR = {"red": 0.45, "orange": 0.35, "yellow": 0.3, "pink": 0.2, "green": -0.15}
_COLOR |= {"cyan": -0.25, "blue": -0.4, "purple": -0.3}
_GROUND = {"white": 0.1, "gray": -0.3, "black": 0.25, "brown": -0.2, "sky": 0.15}
_ENDING = {"!": 0.05, "?": 0.2, " 😍": 0.25, " 🌞": 0.15, "!!": -0.1}
_CATEGORY = np.array([0.3, -0.1, 0.35, 0.1, -0.4, -0.2])
_CATEGORY_TREND = np.array([-0.6, 0.5, -0.5, 0.4, 0.7, -0.5])
# one effect for each city of `PLACES`, unrelated to distance
_PLACE = np.array([0.1, 0.4, -0.3, 0.2, -0.4, -0.1, 0.3, -0.2, 0.45, 0.0])
_PLACE = np.concatenate([_PLACE, [-0.35, 0.35, 0.05, -0.15]])
_PLACE_WEIGHTS = np.array([0.14, -0.1, 0.08, 0.06])
_USER_WEIGHTS = np.array([0.3, -0.2, 0.15, 0.1, 0.0, 0.0])
_DRIFT = -0.9
_MATCH = 1.2
_USUAL_MATCH = 0.88


def contributions(
    posts: pd.DataFrame,
    pictures: pd.DataFrame,
    captions: pd.DataFrame,
    tags: pd.DataFrame,
    noise: np.ndarray,
) -> pd.DataFrame:
    """Return what each block adds to the score of each post; the sum is the score."""
    # warm colors, more and larger shapes, good light and focus do better
    image = _effects("color", _COLOR)[pictures["color"]]
    image += _effects("background", _GROUND)[pictures["background"]]
    image += 0.12 * (pictures["number"] - 1) + 0.15 * (pictures["size"] - 1)
    image -= 8.0 * (pictures["exposure"] - 1.0) ** 2
    # moods, questions and emoji help or harm; links and unusual lengths harm
    text = np.array(list(MOODS.values()))[captions["mood"]]
    text += np.array([_ENDING.get(e, 0.0) for e in ENDINGS])[captions["ending"]]
    n_words = captions["text"].str.split().str.len()
    # tags have diminishing returns, and too many harm
    crowd = np.maximum(tags["count"] - 6, 0)
    # users have levels; paid and older accounts do better
    years = (posts["time"] - posts["created"]) / np.timedelta64(365, "D")
    user = posts["level"] + 0.2 * posts["is_pro"] + 0.2 * np.log1p(years)
    user += posts.filter(regex=r"^v\d").to_numpy() @ _USER_WEIGHTS
    # early evenings, weekends and June do better; scores fall over time
    clock = pd.DatetimeIndex(posts["local_time"])
    hour = clock.hour.to_numpy() + clock.minute.to_numpy() / 60
    time = 0.35 * np.cos(2 * np.pi * (hour - 19) / 24)
    time += 0.2 * (clock.day_of_week.to_numpy() >= 5)
    time += 0.2 * np.cos(2 * np.pi * (clock.day_of_year.to_numpy() - 172) / 365)
    # categories have levels and trends; albums beat single pictures
    category = posts["category"]
    trend = _CATEGORY_TREND[category] * (posts["progress"] - 0.5)
    parts = {
        "base": np.full(len(noise), BASE),
        "image": image - 0.45 * pictures["blurred"],
        "text": text - 0.3 * captions["link"] - 0.02 * np.abs(n_words - 12),
        "tags": 0.35 * np.log1p(tags["count"]) - 0.25 * crowd + tags["effect"],
        "user": user,
        "time": time + _DRIFT * posts["progress"] ** 1.5,
        # cities differ, and their centers from their outskirts
        "geo": _PLACE[posts["place"]] - 0.6 * (posts["distance"] - 0.19),
        "meta": _CATEGORY[category] + trend + 0.2 * np.log(posts["n_photos"]),
        "place": PLACE_VECTORS[posts["place"]] @ _PLACE_WEIGHTS,
        "cross": _MATCH * (captions["match"] - _USUAL_MATCH),
        "noise": noise,
    }
    return pd.DataFrame(parts)


def _effects(attribute: str, table: dict[str, float]) -> np.ndarray:
    return np.array([table.get(level, 0.0) for level in ATTRIBUTES[attribute]])
