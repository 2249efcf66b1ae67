"""Synthetic posts whose score is known block by block."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from hyperfusion._base import Result
from hyperfusion._sklearn_compat import Interval, validate_params
from hyperfusion._validation import COUNT
from hyperfusion.datasets._captions import ENDINGS, MOODS, draw_captions, draw_tags
from hyperfusion.datasets._pictures import (
    ATTRIBUTES,
    CATEGORIES,
    draw_codes,
    draw_pictures,
    render,
)

START = np.datetime64("2022-01-01T00:00:00", "s")
DAYS = 480
"""The posts' time: 16 months from `START`."""

PLACES = pd.DataFrame(
    [
        ("Lisbon", 38.72, -9.14, 0),
        ("London", 51.51, -0.13, 0),
        ("Lagos", 6.46, 3.39, 1),
        ("Berlin", 52.52, 13.40, 1),
        ("Cape Town", -33.92, 18.42, 2),
        ("Istanbul", 41.01, 28.98, 3),
        ("Mumbai", 19.08, 72.88, 5.5),
        ("Jakarta", -6.21, 106.85, 7),
        ("Tokyo", 35.68, 139.69, 9),
        ("Sydney", -33.87, 151.21, 10),
        ("São Paulo", -23.55, -46.63, -3),
        ("New York", 40.71, -74.01, -5),
        ("Mexico City", 19.43, -99.13, -6),
        ("Los Angeles", 34.05, -118.24, -8),
    ],
    columns=["place", "latitude", "longitude", "offset"],
)
"""Cities, with their offsets from UTC in hours (the same all year)."""

PLACE_VECTORS = np.random.RandomState(7).normal(size=(len(PLACES), 4))

# How often people post at each local hour.
_NIGHT, _DAY, _EVENING = [2, 1, 1, 1, 1, 2], [4, 6, 7, 6, 6, 7, 8, 7, 6, 6, 7, 8], [10]
_HOURS = np.array([*_NIGHT, *_DAY, *_EVENING, 12, 12, 10, 7, 4], dtype=float)


def draw_world(n_posts: int, n_users: int, rng: np.random.RandomState) -> pd.DataFrame:
    """Draw users, categories, times and places: one row per post, in time order."""
    users = _draw_users(n_users, rng)
    activity = users["activity"].to_numpy()
    user = rng.choice(n_users, p=activity / activity.sum(), size=n_posts)
    start = users["start"].to_numpy()[user]
    day = (start + (1 - start) * rng.uniform(size=n_posts)) * DAYS
    hour = rng.choice(24, p=_HOURS / _HOURS.sum(), size=n_posts)
    seconds = np.floor(day) * 86_400 + hour * 3_600 + rng.randint(3_600, size=n_posts)
    local_time = START + seconds.astype("timedelta64[s]")
    offset = PLACES["offset"].to_numpy()[users["home"].to_numpy()[user]] * 3_600
    time = local_time - offset.astype("timedelta64[s]")
    order = np.argsort(time, kind="stable")
    posts = users.iloc[user[order]].reset_index(names="user")
    away = rng.uniform(size=n_posts) < 0.2
    place = np.where(away, rng.randint(len(PLACES), size=n_posts), posts["home"])
    shift = rng.normal(scale=0.15, size=(n_posts, 2))
    likes = np.ones((n_posts, len(CATEGORIES)))
    likes[np.arange(n_posts), posts["favorite"]] = 2 * len(CATEGORIES)
    passed = (time[order] - START).astype(float) / (DAYS * 86_400)
    return posts.assign(
        time=time[order],
        local_time=local_time[order],  # on the clock of the user's home
        progress=np.clip(passed, 0, 1),  # share of the whole time that has passed
        place=place,
        latitude=PLACES["latitude"].to_numpy()[place] + shift[:, 0],
        longitude=PLACES["longitude"].to_numpy()[place] + shift[:, 1],
        distance=np.hypot(*shift.T),  # from the center of the place, in degrees
        category=draw_codes(likes, rng),
        n_photos=rng.geometric(0.45, size=n_posts),
    )


def _draw_users(n_users: int, rng: np.random.RandomState) -> pd.DataFrame:
    level = rng.normal(scale=0.8, size=n_users)
    late = rng.uniform(size=n_users) < 0.4
    start = np.where(late, rng.uniform(high=0.95, size=n_users), 0.0)
    age_days = rng.exponential(900, size=n_users) + 3
    created = START + ((start * DAYS - age_days) * 86_400).astype("timedelta64[s]")
    popularity = 6 + 1.4 * level + rng.normal(scale=0.8, size=n_users)
    return pd.DataFrame(
        {
            "level": level,
            "start": start,
            "created": created,
            # Zipf's law with a flattened head: no user outweighs all others.
            "activity": (rng.permutation(n_users) + 6.0) ** -1.1,
            "followers": np.round(np.exp(popularity)),
            "following": np.round(np.exp(rng.normal(5, 1, size=n_users))),
            "is_pro": rng.uniform(size=n_users) < 0.15 + 0.2 * (level > 0.5),
            "home": rng.randint(len(PLACES), size=n_users),
            "favorite": rng.randint(len(CATEGORIES), size=n_users),
            "zeal": 0.08 + 0.8 * rng.beta(1.5, 3.0, size=n_users),
            **{f"v{i}": rng.normal(size=n_users) for i in range(6)},
        }
    )


def offset_name(hours: float) -> str:
    """Return an offset from UTC as ``+05:30``."""
    minutes = round(abs(hours) * 60)
    return f"{'-' if hours < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


_OFF_TOPIC = 0.1
_NOISE = 0.65
_MISSING = {"caption": 0.02, "tags": 0.03, "user_created": 0.1}
_MISSING |= {"followers": 0.05, "place": 0.1}
_NO_IMAGE = 0.03
_NO_POSITION = 0.3

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


@validate_params(
    {
        "n_posts": [COUNT],
        "n_users": [COUNT, None],
        "random_state": ["random_state"],
        "image_size": [Interval(Integral, 16, None, closed="left")],
        "folder": [str, os.PathLike, None],
    },
    prefer_skip_nested_validation=True,
)
def make_posts(
    n_posts: int = 1000,
    *,
    n_users: int | None = None,
    random_state: Any = None,
    image_size: int = 64,
    folder: str | os.PathLike | None = None,
) -> Bunch:
    """Make posts with pictures, captions, users, times, places and a known score.

    Each picture shows one to four equal shapes on a background, and its caption says
    what, in varied words. One caption in ten is about another picture, and one in ten
    mixes both. A few users write most of the posts, and new users keep joining. Scores
    fall over the 16 months, and categories rise and fall, so that a split by time is
    harder than a random one.

    Parameters
    ----------
    n_posts : int, default=1000
        Number of posts.
    n_users : int, default=None
        Number of users, some of whom may not post; one for six posts if None.
    random_state : int, RandomState instance or None, default=None
        Seed of the posts. The formula of the score is the same for all seeds, except
        for the effects of users.
    image_size : int, default=64
        Width and height of the pictures in pixels, 16 or more.
    folder : path, default=None
        Where to write the pictures, three in four as JPEG, the others as PNG. The
        folder is created if needed, and files with the same names are replaced. None
        keeps pictures in memory.

    Returns
    -------
    Bunch
        With the entries:

        data : DataFrame of shape (n_posts, 27)
            The posts in time order. ``image`` holds RGB pictures of PIL, or paths;
            ``posted_at`` and ``user_created`` are UTC, ``timezone`` is the home
            of the user; tags are hashtags separated by spaces.
        target : ndarray of shape (n_posts,), float64
            The score, with a mean of 6.4 at the start and a standard deviation of
            about 1.6.
        roles : dict
            Keyword arguments for `make_hyperfusion`.
        contributions : DataFrame of shape (n_posts, 11), float64
            What each block of the feature table adds to the score, with ``base`` and
            ``noise``: ``contributions.sum(axis=1)`` is the target. A missing cell hides
            its contribution but doesn't change it.
        match : ndarray of shape (n_posts,), float64
            Share of the caption's statements that are true of the picture.
        post_hoc : list
            Columns that were measured after the posts: none.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    Cells are missing in ``image``, ``caption``, ``tags``, ``user_created``,
    ``followers``, ``place`` and the coordinates. The noise has a standard deviation of
    0.84; the best possible Spearman correlation is about 0.85. 10,000 posts take about
    two seconds and 200 MB on one core.

    Examples
    --------
    >>> from hyperfusion.datasets import make_posts
    >>> posts = make_posts(50, random_state=0)
    >>> posts.data.shape
    (50, 27)
    >>> posts.data["image"].dropna().iloc[0].size
    (64, 64)
    """
    rng = check_random_state(random_state)
    world = draw_world(n_posts, n_users or max(1, round(n_posts / 6)), rng)
    pictures = draw_pictures(world["category"].to_numpy(), rng)
    captions = draw_captions(pictures, _OFF_TOPIC, rng)
    tags = draw_tags(pictures, world, rng)
    noise = _NOISE * rng.standard_t(5, size=n_posts)
    parts = _contributions(world, pictures, captions, tags, noise)
    data = _table(world, captions["text"], tags["text"], rng)
    for column, share in _MISSING.items():
        data[column] = data[column].mask(rng.uniform(size=n_posts) < share)
    hidden = rng.uniform(size=n_posts) < _NO_POSITION
    data.loc[hidden, ["latitude", "longitude"]] = np.nan
    data.loc[hidden, "geo_accuracy"] = 0
    data.insert(1, "image", _images(pictures, rng, image_size, folder))
    return Result(
        data=data,
        target=parts.sum(axis=1).to_numpy(),
        roles=_roles(data),
        contributions=parts,
        match=captions["match"].to_numpy(),
        post_hoc=[],
    )


def _table(
    world: pd.DataFrame, captions: pd.Series, tags: pd.Series, rng: Any
) -> pd.DataFrame:
    columns = {
        "post_id": np.arange(len(world)) + 1,
        "caption": captions,
        "tags": tags.mask(tags == ""),
        "user": [f"user{i:05d}" for i in world["user"]],
        "user_created": world["created"].astype("datetime64[s]"),
        **world[["followers", "following"]],
        "is_pro": world["is_pro"].astype(int),
        "posted_at": world["time"],
        "timezone": PLACES["offset"].map(offset_name).to_numpy()[world["home"]],
        **world[["latitude", "longitude"]],
        "geo_accuracy": rng.randint(8, 17, size=len(world)),
        "place": PLACES["place"].to_numpy()[world["place"]],
        "category": np.array(CATEGORIES, dtype=object)[world["category"]],
        "n_photos": world["n_photos"],
    }
    user_vectors = world.filter(regex=r"^v\d").to_numpy()
    vectors = {"user": user_vectors, "place": PLACE_VECTORS[world["place"]]}
    for name, values in vectors.items():
        columns |= {f"{name}_v{i}": v for i, v in enumerate(values.T.astype("float32"))}
    return pd.DataFrame(columns)


def _images(
    pictures: pd.DataFrame,
    rng: np.random.RandomState,
    image_size: int,
    folder: str | os.PathLike | None,
) -> pd.Series:
    missing = rng.uniform(size=len(pictures)) < _NO_IMAGE
    cells: list[Any] = []
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
    cell: Any
    for row, cell in enumerate(render(pictures, image_size)):
        if folder is not None and not missing[row]:
            path = Path(folder) / f"{row + 1:06d}{'.png' if row % 4 == 3 else '.jpg'}"
            cell.save(path, quality=92)
            cell = str(path)
        cells.append(None if missing[row] else cell)
    return pd.Series(cells, dtype=object)


def _roles(data: pd.DataFrame) -> dict[str, Any]:
    same = ["image", "tags", "user", "user_created", "timezone", "latitude"]
    same += ["longitude", "geo_accuracy", "place"]
    vectors = {
        kind: [c for c in data if c.startswith(f"{kind}_v")]
        for kind in ("user", "place")
    }
    return {
        **{role: role for role in same},
        "text": ["caption"],
        "user_numeric": ["followers", "following", "is_pro"],
        "time": "posted_at",
        "numeric": ["n_photos"],
        "categorical": ["category"],
        "vectors": vectors,
    }


def _contributions(
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
