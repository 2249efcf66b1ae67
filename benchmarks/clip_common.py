"""What the benchmarks of the encoders need: a CLIP, data, plain loops, a clock."""

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
from safetensors.torch import save_file

from hyperfusion.encoders.clip._models import _build
from hyperfusion.encoders.clip._weights import find_source

MODEL = {"model_name": "ViT-B-32", "pretrained": "random"}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PREPARE = image_transform_v2(PreprocessCfg(), is_train=False)
IMAGE_BATCH, TEXT_BATCH = 32, 64


def plain_network() -> Any:
    """Return open_clip's own ViT-B-32, with the weights of `MODEL`."""
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
    """Return a line about the machine, which should have nothing else to do."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def draw_photo(seed: int, width: int, height: int) -> Image.Image:
    rng = np.random.RandomState(seed)
    noise = rng.randint(0, 256, (height // 40, width // 40, 3)).astype(np.uint8)
    coarse = Image.fromarray(noise)
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    pixels = smooth + rng.normal(0, 6, (height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make_photos(n: int, folder: Path) -> list[Path]:
    """Write JPEG files of 1600 x 1200 pixels, smooth with a grain as photos are."""
    paths = [folder / f"{i}.jpg" for i in range(n)]
    for i, path in enumerate(paths):
        draw_photo(i, 1600, 1200).save(path, quality=85)
    return paths


def make_small_images(n: int, folder: Path, n_pictures: int = 10) -> list[Path]:
    """Write images of 16 x 16 pixels: few pictures, but no two files are equal.

    Bytes after the end of a PNG file are not part of the picture, but of the content
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
    """Open, preprocess and encode in batches: as one would without this package."""
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


def save_clip(folder: Path, *, small: bool = False) -> Any:
    """Save a CLIP with random weights in the form of a downloaded repository."""
    config = open_clip.get_model_config("ViT-B-32")
    if small:
        config["vision_cfg"] |= {"layers": 2, "width": 128}
        config["text_cfg"] |= {"layers": 2, "width": 128, "heads": 2}
    torch.manual_seed(0)
    network = open_clip.CLIP(**config)
    settings = vars(PreprocessCfg(size=config["vision_cfg"]["image_size"]))
    folder.mkdir()
    description = json.dumps({"model_cfg": config, "preprocess_cfg": settings})
    (folder / "open_clip_config.json").write_text(description)
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return network.eval()


def make_jpegs(n: int) -> list[bytes]:
    """Make JPEG files of 640 x 480: smooth with a grain, as photos are.

    Pictures repeat, but no two files are equal, because each has other bytes after
    the end of its picture.
    """
    files = []
    for seed in range(min(n, 100)):
        file = io.BytesIO()
        draw_photo(seed, 640, 480).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return [files[i % len(files)] + i.to_bytes(4, "big") for i in range(n)]


def decode(content: bytes) -> np.ndarray:
    """Decode a file to what the tower sees: 224 x 224 from the middle."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image = image.resize((299, 224), Image.Resampling.BICUBIC)
    return np.array(image.crop((37, 0, 261, 224)))


def make_texts(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    words = "sun sea beach holiday portrait street night city dog red blue with my the"
    pool = np.array(words.split())
    lengths = rng.integers(3, 30, n)
    return [f"{i} " + " ".join(rng.choice(pool, k)) for i, k in enumerate(lengths)]


def tower_speed(encode: Any, batches: Sequence[Any], device: str, half: bool) -> float:
    """Return items a second of a tower whose inputs are on the device already."""

    def run_all() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.float16, half):
            for batch in batches:
                last = encode(batch)
            last.cpu()  # waits for the device

    run_all()
    repeats = 1 if device == "cpu" else 5
    seconds, _ = seconds_of(lambda: [run_all() for _ in range(repeats)])
    return repeats * sum(map(len, batches)) / seconds


def seconds_of(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def lowest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / norms).min())


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    print(f"\n.. list-table:: {title}\n   :header-rows: 1\n")
    for row in [header, *rows]:
        lines = [f"   {'  ' if i else '* '}- {cell}" for i, cell in enumerate(row)]
        print("\n".join(line.rstrip() for line in lines))
    print(flush=True)
