"""Reading the image of a cell: one way for all encoders of images."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import is_missing, shown, warn_of_bad_cells
from hyperfusion.exceptions import BadCellWarning

MAX_PIXELS = 89_478_485
"""Largest picture that is decoded by default (Pillow's own limit for a warning)."""

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
_BYTES = (bytes, bytearray, memoryview)


@dataclass(frozen=True)
class ReadImage:
    """A decoded picture, its mode before the conversion to RGB, and its file's size.

    The size in bytes is None for pictures that are decoded already.
    """

    image: Image.Image
    mode: str
    has_transparency: bool
    n_bytes: int | None


def open_image(cell: Any, max_pixels: int = MAX_PIXELS) -> Image.Image | None:
    """Return the picture of a cell in RGB, upright; None where the cell is blank text.

    A cell is a path, a file's content, a decoded picture, or a dict that has the
    content as ``bytes`` or a ``path``. Arrays are uint8 of shape (height, width), or
    (height, width, channels) with 1, 3 or 4 channels. Pictures of more than
    `max_pixels` are refused before they are decoded. The first frame of an animation
    is read. Transparency is dropped, as by ``convert("RGB")``.

    Raises ValueError, TypeError or OSError, which `read_cells` takes for a bad cell.
    """
    read = read_image(cell, max_pixels)
    return None if read is None else read.image


def read_image(cell: Any, max_pixels: int = MAX_PIXELS) -> ReadImage | None:
    """Return what `open_image` returns, with the original mode and the file's size."""
    cell = _content(cell)
    if cell is None:
        return None
    if isinstance(cell, (str, os.PathLike)):
        return _decode(*_find_file(cell), max_pixels)
    if isinstance(cell, _BYTES):
        content = bytes(cell)
        return _decode(io.BytesIO(content), len(content), max_pixels)
    if isinstance(cell, np.ndarray):
        return _convert(_from_array(cell), None, max_pixels)
    if isinstance(cell, Image.Image):
        return _convert(cell, None, max_pixels)
    raise TypeError(
        "expected an image (a path, bytes, a BytesIO, a PIL image, a uint8 array, a "
        f"dict with 'bytes' or 'path', or a list of these), got {type(cell).__name__}"
    )


def is_encoded(cell: Any) -> bool:
    """Whether a cell holds the content or the path of a file, whose size is known."""
    return isinstance(_content(cell), (str, os.PathLike, *_BYTES))


def content_of(cell: Any) -> bytes | None:
    """Return the bytes that tell a picture from others; None where there are none."""
    cell = _content(cell)
    if isinstance(cell, (str, os.PathLike)):
        try:
            return b"file" + _find_file(cell)[0].read_bytes()
        except (ValueError, OSError):  # who decodes it says why
            return None
    if isinstance(cell, _BYTES):
        return b"file" + bytes(cell)
    if isinstance(cell, np.ndarray) and cell.dtype == np.uint8:
        return f"pixels {cell.shape}".encode() + cell.tobytes()
    if isinstance(cell, Image.Image) and cell.width * cell.height <= MAX_PIXELS:
        try:
            pixels, exif = cell.tobytes(), cell.getexif().tobytes()
        except Exception:  # a damaged file that is read only now
            return None
        transparency = cell.info.get("transparency")
        head = cell.mode, cell.size, cell.getpalette(), transparency, exif
        return repr(head).encode() + pixels
    return None


def split_lists(cells: Iterable[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the pictures of cells, some of which hold several, and their rows."""
    lists = [list(cell) if _holds_several(cell) else [cell] for cell in cells]
    rows = np.repeat(np.arange(len(lists)), [len(some) for some in lists])
    return [picture for some in lists for picture in some], rows


def _holds_several(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        return cell.ndim == 4 or cell.dtype == object
    return isinstance(cell, (list, tuple))


def mean_by_row(vectors: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Return the means of the pictures' vectors in each row, of what is not NaN."""
    if np.array_equal(rows, np.arange(n_rows)):
        return vectors
    sums, counts = np.zeros((2, n_rows, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, rows, np.nan_to_num(vectors))
    np.add.at(counts, rows, ~np.isnan(vectors))
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a missing cell
        return sums / counts


def warn_of_bad_pictures(
    errors: list[tuple[int, str]], missing: np.ndarray, cells: pd.Series
) -> None:
    """Warn of bad cells, and of bad pictures beside good ones of the same cell.

    `errors` are rows and reasons, ascending; `missing` says which rows have no picture.
    """
    first = dict(reversed(errors))
    warn_of_bad_cells({row: first[row] for row in sorted(first) if missing[row]}, cells)
    left_out = [row for row, _ in errors if not missing[row]]
    if left_out:
        row = left_out[0]
        warn_user(
            f"{len(left_out)} picture(s) in lists can't be used and are left out of "
            f"the means, first row {row}: {first[row]}.",
            BadCellWarning,
        )


def in_folder(cell: Any, folder: str | os.PathLike[str]) -> Any:
    """Return a cell whose relative paths begin in a folder."""
    if isinstance(cell, (str, os.PathLike)):
        text = os.fspath(cell).strip()
        relative = text and not (_URL.match(text) or _BASE64.match(text))
        return os.path.join(folder, text) if relative else cell
    if isinstance(cell, dict) and "path" in cell and cell.get("bytes") is None:
        return {**cell, "path": in_folder(cell["path"], folder)}
    if _holds_several(cell):
        return [in_folder(picture, folder) for picture in cell]
    return cell


def _content(cell: Any) -> Any:
    """Return what a dict or a buffer holds; None where a cell holds nothing."""
    if isinstance(cell, dict) and not cell.keys().isdisjoint(("bytes", "path")):
        cell = cell.get("path") if cell.get("bytes") is None else cell["bytes"]
    if isinstance(cell, io.BytesIO):
        return cell.getvalue()
    blank = isinstance(cell, str) and not cell.strip()
    return None if blank or is_missing(cell) else cell


def _find_file(cell: str | os.PathLike) -> tuple[Path, int]:
    text = str(cell)
    if _URL.match(text):
        raise ValueError(
            f"{shown(text)} is an address: download the picture first and give its path"
        )
    path = Path(cell)
    try:
        if path.is_file():
            return path, path.stat().st_size
        problem = "not a file" if path.exists() else "no such file"
    except OSError:  # the name is too long for a file's
        problem = "no such file"
    if _BASE64.match(text):
        raise ValueError(
            f"{shown(text)} is a picture as base64 text: give its content, "
            "base64.b64decode(text), without what ends in a comma before it"
        )
    hint = "" if path.is_absolute() else f" in {shown(os.getcwd(), 300)} ({_FOLDER})"
    raise FileNotFoundError(f"{problem}: {shown(text, 300)}{hint}")


def _decode(source: Path | io.BytesIO, n_bytes: int, max_pixels: int) -> ReadImage:
    # Pillow's decoders raise almost anything on a damaged file (SyntaxError,
    # struct.error, IndexError, ...), and its decompression bombs are no ValueError
    try:
        with _open(source) as image:
            return _convert(image, n_bytes, max_pixels)
    except UnidentifiedImageError as error:
        raise ValueError("not a picture of any format that Pillow reads") from error
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(
            f"can't be decoded as a picture ({type(error).__name__}: {error})"
        ) from error


def _convert(image: Image.Image, n_bytes: int | None, max_pixels: int) -> ReadImage:
    width, height = image.size
    if width * height == 0:
        raise ValueError(f"a picture of {width} x {height} pixels shows nothing")
    if width * height > max_pixels:
        raise ValueError(
            f"a picture of {width} x {height} pixels is larger than "
            f"max_pixels={max_pixels}: reduce it, or raise the limit"
        )
    if image.format == "EPS":
        raise ValueError("EPS files are programs, not pictures: convert them first")
    image.load()
    try:
        picture = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data: only the orientation stays unknown
        picture = image
    return ReadImage(_to_rgb(picture), image.mode, image.has_transparency_data, n_bytes)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("pixels of floating point: convert the picture to 8 bits")
    if image.mode.startswith("I"):
        # convert("RGB") would clip 16-bit pixels at 255, which whitens them
        values = np.asarray(image, dtype=np.float64) / 257
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    if isinstance(image.info.get("transparency"), bytes):
        # the way to RGB on which Pillow doesn't warn of a palette's transparency
        image = image.convert("RGBA")
    return image.convert("RGB")


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
            f"an array of pixels must have the shape (height, width) or (height, "
            f"width, 1, 3 or 4), got {array.shape}"
        )
    return Image.fromarray(array)


def _open(source: Path | io.BytesIO) -> Image.Image:
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        if isinstance(source, Path):
            with source.open("rb") as file:
                head = file.read(12)
        else:
            head = source.getvalue()[:12]
        if _HEIC.match(head) is None:
            raise
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ValueError(
            "a HEIC picture, which takes the package pillow-heif: "
            "python -m pip install pillow-heif"
        ) from error
    register_heif_opener()
    return Image.open(source)


def signs_of_images(cells: pd.Series) -> str | None:
    """Return why a column's cells are pictures, None where they are not.

    Nothing is decoded. Addresses of pictures raise ValueError: they can't be read.
    """
    firsts = [c[0] if isinstance(c, list) and c else _content(c) for c in cells]
    if all(isinstance(c, (str, os.PathLike)) for c in firsts):
        names = [str(c) for c in firsts]
        if sum(_PICTURE.search(name) is not None for name in names) < 0.9 * len(names):
            return None
        if _URL.match(names[0]):
            raise ValueError("URLs of pictures: download them and use their paths")
        tried = names[:20]
        found = sum(Path(name).is_file() for name in tried)
        return f"names of picture files, of which {found} of {len(tried)} are found"
    if all(isinstance(c, _BYTES) for c in firsts):
        opened = _is_picture(bytes(firsts[0]))
        return "contents of picture files" if opened else None
    if all(isinstance(c, Image.Image) for c in firsts):
        return "pictures in memory"
    arrays = all(isinstance(c, np.ndarray) and c.ndim in (2, 3) for c in firsts)
    return "arrays of pixels" if arrays else None


def _is_picture(content: bytes) -> bool:
    try:
        with _open(io.BytesIO(content)):
            return True
    except (ValueError, OSError):
        return False
