"""Simple measures of images: size, light, color, sharpness."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from PIL import Image
from scipy import ndimage

from hyperfusion._base import with_parameters
from hyperfusion.cells._images import (
    identify,
    is_encoded,
    mean_by_cell,
    read_image,
    split_lists,
)
from hyperfusion.encoders._base import ColumnEncoder, stack_rows
from hyperfusion.encoders.cache._cache import MEMORY, item_key
from hyperfusion.exceptions import BadCellError

_SIDE = 512
_COLOR_SIDE = 64
_N_COLORS = 3
_AT_A_TIME = 16  # pictures for a thread

_MEASURES = (
    *("width", "height", "aspect_ratio", "pixels", "mode_gray", "mode_alpha"),
    *("mode_palette", "log_file_size", "brightness", "contrast", "colorfulness"),
    *("sharpness", "saturation"),
)


@with_parameters
class ImageStatistics(ColumnEncoder):
    """Size, light, colors and sharpness of images.

    Parameters
    ----------
    %(on_error)s

    Attributes
    ----------
    has_files_ : bool
        Whether some pictures at fit were files, whose size is a feature.
    %(one_column)s

    Notes
    -----
    The features, in this order:

    - ``width``, ``height``, ``aspect_ratio`` (width by height) and ``pixels``, after
      applying the EXIF orientation;
    - ``mode_gray``, ``mode_alpha``, ``mode_palette``: whether the file stores gray
      values, transparency, or a palette;
    - ``log_file_size``: logarithm of 1 + the number of bytes; NaN for decoded pictures
      (PIL images and arrays), and left out if all are decoded at fit;
    - ``brightness`` and ``contrast``: mean and standard deviation of the luminance
      (ITU-R 601), between 0 and 1;
    - ``colorfulness``: the measure of Hasler and Süsstrunk [1]_;
    - ``sharpness``: variance of the Laplacian of the luminance on the scale 0 to 255;
    - ``saturation``: mean saturation (HSV), between 0 and 1;
    - for each of three main colors, most frequent first, ``color_<i>_red``, ``_green``,
      ``_blue`` and ``_share``, between 0 and 1, by median cut on the picture reduced
      to 64 pixels. A picture of fewer colors has NaN in the rest, with share 0;
    - ``is_missing``. All others are NaN where it is 1.

    A list of pictures in one cell (a carousel, frames of a video; also an array of
    frames) has the means over the pictures that can be used. Brightness and the
    measures after it are computed on a copy of at most 512 pixels on a side. One core
    reads about 100 pictures of 500 x 400 pixels per second, and all cores are used;
    within ``joblib.parallel_config``, each job reads some of the pictures.

    References
    ----------
    .. [1] D. Hasler and S. Süsstrunk, "Measuring colorfulness in natural images",
       Human Vision and Electronic Imaging VIII, SPIE 5007, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import ImageStatistics
    >>> red = np.zeros((2, 4, 3), dtype=np.uint8)
    >>> red[:, :, 0] = 255
    >>> encoder = ImageStatistics().set_output(transform="pandas")
    >>> table = encoder.fit_transform([red, None])
    >>> table[["width", "aspect_ratio", "saturation", "color_1_red", "is_missing"]]
       width  aspect_ratio  saturation  color_1_red  is_missing
    0    4.0           2.0         1.0           1.0         0.0
    1    NaN           NaN         NaN           NaN         1.0
    """

    on_error: str = "missing"

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        self.has_files_ = any(map(is_encoded, split_lists(cells)[0]))

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        pictures, rows = split_lists(cells)
        run = Parallel()
        if effective_n_jobs(None) == 1:
            run = Parallel(
                cpu_count(),
                prefer="threads",
                batch_size=_AT_A_TIME,
                return_as="generator",
            )
        # errors come back as values
        tries = run(delayed(_try_to_measure)(picture) for picture in pictures)
        found, errors = [], []
        for row, outcome in zip(rows.tolist(), tries, strict=True):
            is_bad = isinstance(outcome, Exception)
            if is_bad and self.on_error == "raise":
                raise BadCellError(str(outcome), row, cells.name) from outcome
            errors += [(row, str(outcome))] if is_bad else []
            found.append(None if is_bad else outcome)
        measures = stack_rows(found, len(_MEASURES) + 4 * _N_COLORS)
        features = mean_by_cell(measures, rows, errors, cells)
        features[:, -1] = np.isnan(features[:, 0])
        if self.has_files_:
            return features
        return np.delete(features, _MEASURES.index("log_file_size"), axis=1)

    def _feature_names(self, names: Any = None) -> list[str]:
        parts = ("red", "green", "blue", "share")
        colors = [f"color_{i + 1}_{p}" for i in range(_N_COLORS) for p in parts]
        measures = [m for m in _MEASURES if self.has_files_ or m != "log_file_size"]
        return [*measures, *colors, "is_missing"]


def _try_to_measure(cell: Any) -> Any:
    """Return the measures of a picture, None if there is none, or what is wrong."""
    try:
        content, cell = identify(cell)
        if content is None:
            return _measures(cell)
        key = item_key("statistics", content)
        found: dict[bytes, Any] = MEMORY.get([key])
        if not found:
            found = {key: _measures(cell)}
            MEMORY.put(found)
        return found[key]
    except (ValueError, TypeError, OSError) as error:
        return error


def _measures(cell: Any) -> np.ndarray | None:
    read = read_image(cell)
    if read is None:
        return None
    small = read.image
    if max(small.size) > _SIDE:
        small = small.copy()
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    width, height = read.image.size
    form = [
        *(width, height, width / height, width * height),
        read.mode in ("1", "L", "LA", "La") or read.mode.startswith("I"),
        read.has_transparency,
        read.mode in ("P", "PA"),
        np.nan if read.n_bytes is None else np.log1p(read.n_bytes),
    ]
    return np.concatenate([form, _light(small), _main_colors(small)])


def _light(image: Image.Image) -> list[float]:
    gray = np.asarray(image.convert("L"), dtype=np.float32)
    red, green, blue = (np.asarray(band, dtype=np.float32) for band in image.split())
    opponents = [red - green, (red + green) / 2 - blue]
    deviation = np.hypot(*[o.std(dtype=np.float64) for o in opponents])
    mean = np.hypot(*[o.mean(dtype=np.float64) for o in opponents])
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return [
        gray.mean(dtype=np.float64) / 255,
        gray.std(dtype=np.float64) / 255,
        deviation + 0.3 * mean,
        ndimage.laplace(gray, mode="mirror").var(dtype=np.float64),
        # the saturation of black pixels is 0 / 1
        ((high - low) / np.maximum(high, 1)).mean(dtype=np.float64),
    ]


def _main_colors(image: Image.Image) -> np.ndarray:
    colors = np.full((_N_COLORS, 4), np.nan)
    colors[:, 3] = 0
    factor = -(-max(image.size) // _COLOR_SIDE)
    small = image.reduce(factor)
    quantized = small.quantize(_N_COLORS, method=Image.Quantize.MEDIANCUT)
    palette = np.array(quantized.getpalette()).reshape(-1, 3).tolist()
    counts: Counter[tuple[int, ...]] = Counter()
    for entry, count in zip(palette, quantized.histogram(), strict=False):
        if count:
            counts[tuple(entry)] += count
    total = counts.total()
    # ties go to the darker color, so that the palette's order doesn't matter
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for row, (color, count) in zip(colors, ranked, strict=False):
        row[:] = [*(np.array(color) / 255), count / total]
    return colors.ravel()
