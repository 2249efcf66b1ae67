"""Users, times and places of synthetic posts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hyperfusion.datasets._pictures import CATEGORIES, draw_codes

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
