"""From the cell of an image to the pixels for the model."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hyperfusion.cells._images import open_image
from hyperfusion.encoders.clip._models import ClipModel

MAX_ASPECT = 100
CELL_ERRORS = (ValueError, TypeError, OSError)
# Pillow's objects are not for several threads, and a column may hold one twice
_PIL_LOCK = threading.Lock()


def geometry(preprocess: Mapping[str, Any]) -> Any:
    """Return open_clip's own preprocessing, up to where pixels become numbers."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose

    whole = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
    steps = whole.transforms[:-3]  # without: to RGB, to a tensor, normalize
    if preprocess["resize_mode"] == "shortest":
        steps = [_not_too_long, *steps]
    return Compose(steps)


def open_draft(data: bytes, side: int, max_pixels: int) -> Image.Image | None:
    """Return the picture of a JPEG file, reduced while it is decoded.

    None for other files.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "JPEG" or image.width * image.height > max_pixels:
                return None
            image.draft("RGB", (side, side))
            return open_image(image, max_pixels)
    except Exception:  # Pillow raises almost anything; decoding in full says what it is
        return None


def _not_too_long(image: Image.Image) -> Image.Image:
    """Crop an extremely long image to its middle.

    The model sees only the middle square after resizing the short side, and resizing
    all of a picture of 1 x 1,000,000 pixels would take gigabytes.
    """
    short, long = sorted(image.size)
    spare = (long - MAX_ASPECT * short) // 2
    if spare <= 0:
        return image
    width, height = image.size
    if width > height:
        return image.crop((spare, 0, width - spare, height))
    return image.crop((0, spare, width, height - spare))


def read_content(cell: Any, max_pixels: int) -> tuple[bytes | None, Any]:
    """Return a hash of a cell's content, and the cell in a form to decode.

    There is no hash if the cell can't be read; decoding it reports why.
    """
    try:
        if isinstance(cell, (str, os.PathLike)):
            if not Path(cell).is_file():  # a pipe or a device would never end
                return None, cell
            data = Path(cell).read_bytes()
        elif isinstance(cell, (bytes, bytearray, memoryview)):
            data = bytes(cell)
        else:
            with _PIL_LOCK:
                image = open_image(cell, max_pixels)
            if image is None:
                return None, cell
            head = f"pixels {image.size}".encode()
            return hashlib.sha256(head + image.tobytes()).digest(), image
    except CELL_ERRORS:
        return None, cell
    return hashlib.sha256(b"file" + data).digest(), data


def encode_pixels(
    model: ClipModel, images: Sequence[np.ndarray], settings: Mapping[str, Any]
) -> np.ndarray:
    """Return the raw embeddings of images (RGB bytes) of the model's size."""
    import torch

    from hyperfusion.encoders.clip._towers import encode_images

    batch = torch.from_numpy(np.stack(images)).to(model.device)
    mean = torch.tensor(settings["mean"], device=model.device)
    std = torch.tensor(settings["std"], device=model.device)
    # the arithmetic of torchvision's ToTensor and Normalize, on the whole batch
    batch = batch.permute(0, 3, 1, 2).float().div(255)
    batch = batch.sub(mean[:, None, None]).div(std[:, None, None])
    return encode_images(model, batch.contiguous())
