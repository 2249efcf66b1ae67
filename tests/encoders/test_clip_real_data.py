"""CLIP encoders on real thumbnails and real texts, against open_clip."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from hyperfusion.encoders import ClipImageEncoder, ClipTextEncoder
from tests.encoders.clip_reference import (
    open_clip_images,
    open_clip_texts,
)

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not os.environ.get("HYPERFUSION_DATA"), reason="HYPERFUSION_DATA is not set"
    ),
]
DATA = Path(os.environ.get("HYPERFUSION_DATA", "."))


def test_real_thumbnails(folder, network):
    paths = sorted((DATA / "youtube_thumbnails" / "images").glob("*.jpg"))[::20]
    found = ClipImageEncoder(folder).fit_transform(paths)
    images = [Image.open(p).convert("RGB") for p in paths]
    assert_allclose(found, open_clip_images(network, images), atol=1e-5)


def test_real_texts(folder, network):
    path = DATA / "smp_video/train/SMP-Video_anonymized_posts_train.jsonl"
    posts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [post["post_content"] for post in posts][::10]
    there = np.array([bool(text.strip()) for text in texts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some are longer than 77 tokens
        found = ClipTextEncoder(folder).fit_transform(texts)
    assert np.isnan(found[~there]).all()
    expected = open_clip_texts(network, [t for t in texts if t.strip()])
    assert_allclose(found[there], expected, atol=1e-5)
