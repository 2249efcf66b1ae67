"""Small, fast arguments for the common tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from hyperfusion.encoders import (
    CategoryEncoder,
    ClipImageEncoder,
    ClipTextEncoder,
    GeoEncoder,
    GloveTextVectorizer,
    ImageStatistics,
    NumberEncoder,
    PostEncoder,
    SVDUserEmbedder,
    TemporalEncoder,
    TextStatistics,
    TfidfComponents,
    UserHistory,
    UserProfileEncoder,
    VectorEncoder,
)
from tests.common import Case

SMALL_CLIP = str(Path(__file__).parent / "small_clip")
SMALL_GLOVE = str(Path(__file__).parent / "small_glove.txt")
PICTURES = [
    np.random.RandomState(i).randint(0, 256, (30 + i, 40, 3)).astype(np.uint8)
    for i in range(12)
]
CAPTIONS = pd.Series(
    ["a dog", "a cat at the sea", None, "sunset", "a dog", "red bicycle in the rain"]
    * 2,
    index=range(100, 112),
    name="title",
)

POSTS = pd.DataFrame(
    {
        "posted": ["2024-05-06T01:30:00Z", 1_714_950_000, None, "2023-12-31 23:59"] * 4,
        "zone": ["America/New_York", "+0530", None, -3] * 4,
        "joined": pd.to_datetime(["2020-01-01", "2025-01-01", None, "2022-02-03"] * 4),
        "latitude": [48.9, 0, None, -33.5] * 4,
        "longitude": [2.4, 0, None, 151.25] * 4,
        "place": ["Paris", "", None, "Sydney"] * 4,
        "user": ["ann", "bob", None, "ann"] * 4,
        "fans": [0, 12, None, 9_000] * 4,
        "photos": ["1", 3, 40, 500] * 4,
        "pro": [True, False, False, True] * 4,
    },
    index=range(50, 66),
)

CASES: list[Case] = [
    Case(
        ClipImageEncoder(SMALL_CLIP, pretrained="random"),
        X=pd.Series([*PICTURES[:10], None, PICTURES[0]], name="photo"),
    ),
    Case(
        ClipTextEncoder(SMALL_CLIP, pretrained="random"),
        X=CAPTIONS,
    ),
    Case(GloveTextVectorizer(SMALL_GLOVE), X=CAPTIONS),
    Case(
        ImageStatistics(),
        X=pd.Series([*PICTURES[:10], None, PICTURES[0]], name="photo"),
    ),
    Case(TextStatistics(), X=CAPTIONS),
    Case(TfidfComponents(n_components=3, min_df=1, random_state=0), X=CAPTIONS),
    Case(
        TemporalEncoder(time="posted", timezone="zone", created="joined"),
        X=POSTS[["posted", "zone", "joined"]],
    ),
    Case(
        GeoEncoder(
            latitude="latitude", longitude="longitude", place="place", min_frequency=2
        ),
        X=POSTS[["latitude", "longitude", "place"]],
    ),
    Case(
        UserProfileEncoder(user="user", numeric=["fans", "photos", "pro"]),
        X=POSTS[["user", "fans", "photos", "pro"]],
    ),
    Case(NumberEncoder(), X=POSTS[["fans", "photos", "pro"]]),
    Case(
        SVDUserEmbedder(user="user", n_components=3, random_state=0),
        X=POSTS[["user", "place"]].assign(tags=["sea, sun", ["snow"], None, "sun"] * 4),
    ),
    Case(CategoryEncoder(), X=POSTS[["user", "place"]]),
    Case(VectorEncoder()),
    Case(VectorEncoder(), X=pd.DataFrame({"e": [[1.0, 2.0], None] * 8})),
    Case(
        PostEncoder(
            text="place",
            user="user",
            user_numeric=["fans", "photos"],
            time="posted",
            timezone="zone",
            user_created="joined",
            latitude="latitude",
            longitude="longitude",
            numeric="fans",
            categorical="place",
            text_encoder=False,
            random_state=0,
        ),
        X=POSTS,
    ),
    Case(
        UserHistory(user="user", time="posted", place="place"),
        X=POSTS[["user", "posted", "place"]],
        y=np.where(np.arange(16) % 5, np.arange(16.0), np.nan),
    ),
]
