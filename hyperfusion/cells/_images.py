"""Images in cells, read the same way by all encoders."""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import Cells, is_missing, shown
from hyperfusion.exceptions import BadCellWarning

_URL = re.compile(r"\s*[a-z][a-z0-9+.-]+:/{2,}", re.IGNORECASE)
# long, or beginning as PNG, JPEG, GIF and WebP do
_BASE64 = re.compile(
    r"\s*(?:data:|(?:(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR)[A-Za-z0-9+/_\r\n-]*"
    r"|[A-Za-z0-9+/_\r\n-]{256,})=*\s*$)"
)
_PICTURE = re.compile(
    r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|heic|avif)(?:[?#].*)?\s*$", re.IGNORECASE
)
_FOLDER = "image_folder= of make_hyperfusion and PostEncoder says where they are"
_HEIC = re.compile(rb".{4}ftyp(?:hei[cmsx]|hev[cx]|mif1|msf1)", re.DOTALL)
# Pillow's objects are not for several threads, and a column may hold one twice
_PIL_LOCK = threading.Lock()


@dataclass(frozen=True)
class ReadImage:
    """A picture in RGB, and what is known of its file (`n_bytes` None: no file)."""

    image: Image.Image
    mode: str
    has_transparency: bool
    n_bytes: int | None


def open_image(cell: Any) -> Image.Image | None:
    """Return the picture in a cell, in RGB and upright; None for blank text."""
    read = read_image(cell)
    return None if read is None else read.image


def read_image(cell: Any) -> ReadImage | None:
    """Return the picture in a cell, with the original mode and the file's size."""
    cell = _content(cell)
    if cell is None:
        return None
    if isinstance(cell, (str, os.PathLike)):
        cell = _read_file(cell)
    if isinstance(cell, bytes):
        return _decode(cell)
    if isinstance(cell, np.ndarray):
        return convert(_from_array(cell), None)
    if isinstance(cell, Image.Image):
        with _PIL_LOCK:
            return convert(cell, None)
    raise TypeError(
        "expected an image (a path, bytes, a BytesIO, a PIL image, a uint8 array, a "
        f"dict with 'bytes' or 'path', or a list of these), got {type(cell).__name__}"
    )


def _is_program(image: Image.Image) -> bool:
    """Whether decoding a picture would have Ghostscript run its file."""
    return image.format == "EPS"


def is_too_large(image: Image.Image) -> bool:
    """Whether a picture has more pixels than Pillow decodes without a warning."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and image.width * image.height > limit


def is_encoded(cell: Any) -> bool:
    """Whether a cell is a path or the content of a file, so that its size is known."""
    return isinstance(_content(cell), (str, os.PathLike, bytes))


def identify(cell: Any) -> tuple[bytes | None, Any]:
    """Return a hash of a picture's content (None if unreadable), and the cell."""
    cell = _content(cell)
    try:
        if isinstance(cell, (str, os.PathLike)):
            cell = _read_file(cell)
    except (ValueError, OSError):
        return None, cell
    if isinstance(cell, bytes):
        head, data = b"file", cell
    elif isinstance(cell, np.ndarray) and cell.dtype == np.uint8:
        head, data = f"pixels {cell.shape}".encode(), cell.tobytes()
    elif isinstance(cell, Image.Image) and not (
        is_too_large(cell) or _is_program(cell)
    ):
        try:
            with _PIL_LOCK:
                data, exif = cell.tobytes(), cell.getexif().tobytes()
        except Exception:  # a damaged file, read only now
            return None, cell
        transparency = cell.info.get("transparency")
        head = repr(
            (cell.mode, cell.size, cell.getpalette(), transparency, exif)
        ).encode()
    else:
        return None, cell
    found = hashlib.sha256(head)
    found.update(data)
    return found.digest(), cell


def split_lists(cells: Iterable[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the pictures in cells, which may hold several each, and their rows."""
    lists = [list(cell) if _holds_several(cell) else [cell] for cell in cells]
    rows = np.repeat(np.arange(len(lists)), [len(some) for some in lists])
    return [picture for some in lists for picture in some], rows


def _holds_several(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        return cell.ndim == 4 or cell.dtype.kind in "OU"
    return isinstance(cell, (list, tuple))


def mean_by_cell(
    vectors: np.ndarray,
    rows: np.ndarray,
    errors: list[tuple[int, str]],
    cells: pd.Series,
) -> np.ndarray:
    """Return the mean vector of each cell's pictures, ignoring NaN.

    Warn of bad cells, and of bad pictures in cells that also have good ones.
    """
    if not np.array_equal(rows, np.arange(len(cells))):
        sums, counts = np.zeros((2, len(cells), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, rows, np.nan_to_num(vectors))
        np.add.at(counts, rows, ~np.isnan(vectors))
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a missing cell
            vectors = sums / counts
    first, missing = dict(reversed(errors)), np.isnan(vectors[:, 0])
    bad = {row: first[row] for row in sorted(first) if missing[row]}
    Cells(vectors, bad, cells).settle("missing")
    left_out = [row for row, _ in errors if not missing[row]]
    if left_out:
        row = left_out[0]
        warn_user(
            f"{len(left_out)} picture(s) in lists can't be used and are left out of "
            f"the means, first row {row}: {first[row]}.",
            BadCellWarning,
        )
    return vectors


def in_folder(cell: Any, folder: str | os.PathLike[str]) -> Any:
    """Return a cell whose relative paths start at a folder."""
    if isinstance(cell, (str, os.PathLike)):
        text = os.fspath(cell).strip()
        relative = text and not (_URL.match(text) or _BASE64.match(text))
        return os.path.join(folder, text) if relative else cell
    if isinstance(cell, dict) and "path" in cell and is_missing(cell.get("bytes")):
        return {**cell, "path": in_folder(cell["path"], folder)}
    if _holds_several(cell):
        return [in_folder(picture, folder) for picture in cell]
    return cell


def _content(cell: Any) -> Any:
    """Return what a dict holds, and buffers as bytes; None for an empty cell."""
    if isinstance(cell, dict) and not cell.keys().isdisjoint(("bytes", "path")):
        cell = cell.get("path") if is_missing(cell.get("bytes")) else cell["bytes"]
    if isinstance(cell, io.BytesIO):
        return cell.getvalue()
    if isinstance(cell, (bytearray, memoryview)):
        return bytes(cell)
    blank = isinstance(cell, str) and not cell.strip()
    return None if blank or is_missing(cell) else cell


def _read_file(cell: str | os.PathLike) -> bytes:
    text = str(cell)
    if _URL.match(text):
        raise ValueError(
            f"{shown(text)} is a URL: download the picture first and give its path"
        )
    path = Path(cell)
    try:
        is_file, exists = path.is_file(), path.exists()
    except OSError:  # too long for a file name
        is_file = exists = False
    if is_file:
        return path.read_bytes()
    if _BASE64.match(text):
        raise ValueError(
            f"{shown(text)} is a picture as base64 text: give its content, "
            "base64.b64decode(text), without any prefix that ends in a comma"
        )
    hint = "" if path.is_absolute() else f" in {shown(os.getcwd(), 300)} ({_FOLDER})"
    problem = "not a file" if exists else "no such file"
    raise FileNotFoundError(f"{problem}: {shown(text, 300)}{hint}")


def _decode(content: bytes) -> ReadImage:
    # Pillow's decoders raise almost anything on a damaged file (SyntaxError,
    # struct.error, IndexError, ...), and DecompressionBombError is not a ValueError
    try:
        with _open(content) as image:
            return convert(image, len(content))
    except UnidentifiedImageError as error:
        raise ValueError("not a picture in any format that Pillow reads") from error
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(
            f"can't be decoded as a picture ({type(error).__name__}: {error})"
        ) from error


def convert(image: Image.Image, n_bytes: int | None) -> ReadImage:
    """Return an opened picture in RGB and upright, or refuse it."""
    width, height = image.size
    if width * height == 0:
        raise ValueError(f"a picture of {width} x {height} pixels is empty")
    if is_too_large(image):
        raise ValueError(
            f"a picture of {width} x {height} pixels is larger than "
            f"PIL.Image.MAX_IMAGE_PIXELS ({Image.MAX_IMAGE_PIXELS}): reduce it, or "
            "raise the limit"
        )
    if _is_program(image):
        raise ValueError("EPS files are programs, not pictures: convert them first")
    image.load()
    try:
        picture = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data: only the orientation stays unknown
        picture = image
    mode, has_transparency = image.mode, image.has_transparency_data
    if picture.mode == "F":
        raise ValueError("floating-point pixels: convert the picture to 8 bits")
    if picture.mode.startswith("I"):
        # convert("RGB") would clip 16-bit pixels at 255, which whitens them
        values = np.asarray(picture, dtype=np.float64) / 257
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    elif isinstance(picture.info.get("transparency"), bytes):
        # by way of RGBA, so that Pillow doesn't warn of a palette's transparency
        picture = picture.convert("RGBA")
    return ReadImage(picture.convert("RGB"), mode, has_transparency, n_bytes)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8:
        raise TypeError(
            f"an array of pixels must be uint8, got {array.dtype}: scale it to 0..255 "
            "and use .astype('uint8')"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    channels = array.shape[2] if array.ndim == 3 else 3
    if array.ndim not in (2, 3) or channels not in (3, 4) or array.size == 0:
        raise ValueError(
            "an array of pixels must have the shape (height, width) or (height, width, "
            f"1, 3 or 4), got {array.shape}"
        )
    return Image.fromarray(array)


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        if _HEIC.match(content[:12]) is None:
            raise
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ValueError(
            "a HEIC picture needs the package pillow-heif: python -m pip install "
            "pillow-heif"
        ) from error
    register_heif_opener()
    return Image.open(io.BytesIO(content))


def signs_of_images(cells: pd.Series) -> str | None:
    """Describe a column of pictures, without decoding; None for any other."""
    some = (next(iter(c), None) if _holds_several(c) else c for c in cells)
    firsts: list[Any] = [c for c in map(_content, some) if c is not None]
    if not firsts:
        return None
    if all(isinstance(c, (str, os.PathLike)) for c in firsts):
        names = [str(c) for c in firsts]
        if sum(_PICTURE.search(name) is not None for name in names) < 0.9 * len(names):
            return None
        if _URL.match(names[0]):
            raise ValueError("URLs of pictures: download them and use their paths")
        tried = names[:20]
        found = sum(Path(name).is_file() for name in tried)
        hint = "" if found else f" ({_FOLDER})"
        return f"names of picture files; {found} of the first {len(tried)} exist{hint}"
    if all(isinstance(c, bytes) for c in firsts):
        with suppress(ValueError, OSError), _open(firsts[0]):
            return "contents of picture files"
        return None
    if all(isinstance(c, Image.Image) for c in firsts):
        return "pictures in memory"
    arrays = all(isinstance(c, np.ndarray) and c.ndim in (2, 3) for c in firsts)
    return "arrays of pixels" if arrays else None
