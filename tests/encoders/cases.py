"""Small, fast arguments for the common tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from hyperfusion.encoders import (
    ClipImageEncoder,
    ClipTextEncoder,
    GloveTextVectorizer,
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

CASES: list[Case] = [
    Case(
        ClipImageEncoder(SMALL_CLIP, pretrained="random", n_components=3),
        X=pd.Series([*PICTURES[:10], None, PICTURES[0]], name="photo"),
    ),
    Case(
        ClipTextEncoder(SMALL_CLIP, pretrained="random", add_indicator=True),
        X=CAPTIONS,
    ),
    Case(GloveTextVectorizer(SMALL_GLOVE, weighting="sif"), X=CAPTIONS),
]
