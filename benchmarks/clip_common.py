"""What the benchmark of the encoders needs: data, plain loops, a clock."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from hyperfusion.encoders.clip._models import _build
from hyperfusion.encoders.clip._weights import find_source

MODEL = {"model_name": "ViT-B-32", "pretrained": "random"}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PREPARE = image_transform_v2(PreprocessCfg(), is_train=False)
IMAGE_BATCH, TEXT_BATCH = 32, 64


def plain_network() -> Any:
    """ViT-B-32 as open_clip makes it, with the weights that `MODEL` stands for."""
    return _build(find_source("ViT-B-32", "random")).to(DEVICE)


def best(*actions: Callable[[], Any], runs: int = 3) -> list[float]:
    """Seconds of each action, the best of some runs in turn."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for action, seconds in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in times]


def describe_machine() -> str:
    """Return a line on what the benchmark runs on; give it a free machine."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def make_photos(n: int, folder: Path) -> list[Path]:
    """Write JPEG files of 1600 x 1200 pixels, smooth with a grain as photos are."""
    paths = []
    for i in range(n):
        rng = np.random.RandomState(i)
        coarse = Image.fromarray(rng.randint(0, 256, (30, 40, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((1600, 1200), Image.Resampling.BICUBIC))
        grain = rng.normal(0, 6, (1200, 1600, 1))
        paths.append(folder / f"{i}.jpg")
        pixels = (smooth + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(paths[-1], quality=85)
    return paths


def make_small_images(n: int, folder: Path, n_pictures: int = 10) -> list[Path]:
    """Write images of 16 x 16 pixels: few pictures, but no two files are equal.

    What follows the end of a PNG file is no part of the picture, but of the content
    by which the encoder tells files apart.
    """
    contents = []
    for i in range(n_pictures):
        pixels = np.random.RandomState(i).randint(0, 256, (16, 16, 3)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=0)
        contents.append(file.getvalue())
    paths = [folder / f"{i}.png" for i in range(n)]
    for i, path in enumerate(paths):
        path.write_bytes(contents[i % n_pictures] + i.to_bytes(4, "big"))
    return paths


def find_thumbnails(n: int) -> list[Path]:
    """Return thumbnails of the folder of real posts; none where it is not named."""
    folder = os.environ.get("HYPERFUSION_DATA")
    if folder is None:
        return []
    images = sorted(Path(folder, "youtube_thumbnails", "images").glob("*.jpg"))
    return images[: n or None]


def read_texts(n: int) -> tuple[str, list[str]]:
    """Return the texts of smp_video in a mixed order, or else words that are made up.

    The first result says which.
    """
    rng = np.random.RandomState(0)
    folder = os.environ.get("HYPERFUSION_DATA")
    if folder is None:
        words = [f"{a}{b}" for a in ("sun", "sea", "red") for b in ("set", "side", "s")]
        size = n or 4_000
        texts = [" ".join(rng.choice(words, rng.randint(3, 60))) for _ in range(size)]
        return "made-up words (HYPERFUSION_DATA is not set)", texts
    lines = []
    for path in sorted(Path(folder, "smp_video", "train").glob("*posts*")):
        lines += path.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["post_content"] for line in lines]
    texts = [text for text in texts if text.strip()]
    return "smp_video", [texts[i] for i in rng.permutation(len(texts))[: n or None]]


def open_and_prepare(path: Path) -> torch.Tensor:
    """Return the pixels of an image as open_clip's own preprocessing makes them."""
    return PREPARE(Image.open(path).convert("RGB"))


def plain_images(network: Any, paths: Sequence[Path]) -> np.ndarray:
    """Open, preprocess and encode in batches: what one writes without this package."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(paths), IMAGE_BATCH):
            some = paths[start : start + IMAGE_BATCH]
            batch = torch.stack([open_and_prepare(path) for path in some])
            parts.append(network.encode_image(batch.to(DEVICE), normalize=True).cpu())
    return torch.cat(parts).numpy()


def plain_texts(network: Any, texts: Sequence[str]) -> np.ndarray:
    """Tokenize at full context and encode in batches."""
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), TEXT_BATCH):
            tokens = tokenizer(texts[start : start + TEXT_BATCH]).to(DEVICE)
            parts.append(network.encode_text(tokens, normalize=True).cpu())
    return torch.cat(parts).numpy()
