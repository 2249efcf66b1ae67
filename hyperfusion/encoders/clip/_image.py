"""CLIP features of images (equation 2 of the paper)."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import joblib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from PIL import Image

from hyperfusion._base import with_parameters
from hyperfusion._progress import Progress
from hyperfusion._validation import N_JOBS
from hyperfusion.cells._images import (
    convert,
    identify,
    is_too_large,
    mean_by_cell,
    open_image,
    split_lists,
)
from hyperfusion.encoders.cache._cache import (
    EmbeddingCache,
    MemoryCache,
    item_key,
    open_cache,
)
from hyperfusion.encoders.clip._base import ClipEncoder, Session
from hyperfusion.encoders.clip._models import BatchRunner, ClipModel
from hyperfusion.exceptions import BadCellError

BATCH_ON_CPU = 32
BATCH_ON_GPU = 256
MAX_ASPECT = 100


@with_parameters
class ClipImageEncoder(ClipEncoder):
    """Features of images from the image tower of a CLIP model.

    The features, ``clip__0``, ``clip__1``, ..., can be compared with those of
    `ClipTextEncoder` for the same model. A missing cell is NaN in all of them.

    Parameters
    ----------
    %(model)s
    %(vectors)s
    batch_size : int or "auto", default="auto"
        Images per batch; "auto" is 32 on a CPU and 256 on a GPU. Batches are halved if
        memory runs out.
    %(cache)s
    %(on_error)s
    %(verbose)s
    n_jobs : int, optional
        Number of threads that read, decode and resize images while the model runs. None
        means one per CPU core, at most eight; -1 one per core, -2 one fewer, and so on.
    jpeg_draft : bool, default=False
        Whether to decode JPEG files at a half, a quarter or an eighth of their size, if
        that is large enough for the model. Photos then take a third to a half of the
        time, and features change a little (a cosine of 0.9997 or more).

    Attributes
    ----------
    %(attributes)s

    Notes
    -----
    Cells are paths, contents of image files (bytes), PIL images or uint8 arrays of
    shape (height, width), (height, width, 3) or (height, width, 4). The EXIF
    orientation is applied. Equal images are encoded once per call. HEIC files need the
    package pillow-heif. Pictures of more than ``PIL.Image.MAX_IMAGE_PIXELS`` are bad
    cells and are not decoded. Images are prepared as the tag of the weights says, or
    ``open_clip_config.json`` next to the checkpoint.

    The vector of a list of pictures in one cell (a carousel, frames of a video, or an
    array of frames) is the mean of their vectors, each normalized first if `normalize`
    is set. Missing pictures in it are ignored, and so are bad ones, with one warning,
    if `on_error="missing"`.

    This is equation 2 of the paper. ViT-B-32 encodes about 20 images per second on two
    CPU cores. Inside ``joblib.parallel_config`` with several jobs (such as a Dask
    cluster) each job encodes some of the batches.

    %(loading)s

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion.encoders import ClipImageEncoder
    >>> black, white = np.zeros((60, 80, 3), np.uint8), np.full((50, 50), 255, np.uint8)
    >>> encoder = ClipImageEncoder("hyperfusion-tiny")
    >>> features = encoder.fit_transform([black, white, None])
    >>> features.shape == (3, encoder.n_embedding_), bool(np.isnan(features[2]).all())
    (True, True)
    """

    _tower: ClassVar[str] = "image"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ClipEncoder._parameter_constraints,
        "n_jobs": N_JOBS,
        "jpeg_draft": ["boolean"],
    }

    n_jobs: int | None = None
    jpeg_draft: bool = False

    def _embed(self, cells: pd.Series) -> np.ndarray:
        pictures, rows = split_lists(cells)
        with (
            open_cache(self.cache) as cache,
            self._progress(len(pictures), "image") as bar,
        ):
            run = _Run(self, Session(self), cache, bar)
            vectors, errors = run.embed(pictures, rows, cells.name)
        if not np.array_equal(rows, np.arange(len(cells))):
            vectors = self._normalized(vectors)
        return mean_by_cell(vectors, rows, errors, cells)


Waiting = tuple[int, bytes | None, np.ndarray]
"""A picture to be encoded: its place, the key of its vector, and its pixels."""


@dataclass
class _Run:
    """One pass over a column of images.

    Threads read, hash, look up, decode and resize a bounded number of cells ahead of
    the model, so that memory does not grow with the column and a file is read once.
    """

    encoder: ClipImageEncoder
    session: Session
    cache: EmbeddingCache | MemoryCache
    bar: Progress

    def __post_init__(self) -> None:
        # a key of its own, as the features differ from the exact ones
        more = {"jpeg_draft": True} if self.encoder.jpeg_draft else {}
        self._fingerprint = self.session.fingerprint(**more)
        size = self.encoder.batch_size
        if size == "auto":
            size = BATCH_ON_GPU if self.session.on_gpu else BATCH_ON_CPU
        self._runner = BatchRunner(int(size))
        self._n_processes = int(effective_n_jobs(None))
        self._resize = _geometry(self.session.source.preprocess)
        self._first: dict[bytes, int] = {}
        self._copies: list[tuple[int, int]] = []

    def embed(
        self, pictures: Sequence[Any], rows: np.ndarray, column: Any
    ) -> tuple[np.ndarray, list[tuple[int, str]]]:
        """Return vectors, and the rows with their errors where pictures are bad."""
        shape = len(pictures), self.session.source.width
        self._vectors = np.full(shape, np.nan, dtype=np.float32)
        errors: dict[int, str] = {}
        waiting: list[Waiting] = []
        # closed at once when a cell or the user stops the run
        with contextlib.closing(self._ahead(pictures)) as under_way:
            for place, future in under_way:
                try:
                    prepared = future.result()
                except (ValueError, TypeError, OSError) as error:
                    if self.encoder.on_error == "raise":
                        row = int(rows[place])
                        raise BadCellError(str(error), row, column) from error
                    errors[place] = str(error)
                    prepared = None
                self.bar.step()
                if prepared is not None:
                    waiting.append(prepared)
                if len(waiting) >= self._runner.size * self._n_processes:
                    self._encode(waiting)
                    waiting = []
        if waiting:
            self._encode(waiting)
        for place, first in self._copies:
            self._vectors[place] = self._vectors[first]
            if first in errors:
                errors[place] = errors[first]
        found = [(int(rows[place]), errors[place]) for place in sorted(errors)]
        return self._vectors, found

    def _ahead(
        self, pictures: Sequence[Any]
    ) -> Generator[tuple[int, Future[Waiting | None]], None, None]:
        """Yield the pictures' futures in order, with a bounded number under way."""
        workers = self.encoder.n_jobs or min(8, joblib.cpu_count())
        if workers < 0:
            workers = max(1, joblib.cpu_count() + 1 + workers)
        bound = 2 * self._runner.size * self._n_processes + workers
        under_way: deque[tuple[int, Future[Waiting | None]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="hyperfusion-images")
        try:
            for place, picture in enumerate(pictures):
                under_way.append((place, pool.submit(self._prepare, place, picture)))
                if len(under_way) >= bound:
                    yield under_way.popleft()
            while under_way:
                yield under_way.popleft()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepare(self, place: int, cell: Any) -> Waiting | None:
        """Return what the model has to encode, if anything. This runs in threads."""
        content, cell = identify(cell)
        key = None
        if content is not None:
            first = self._first.setdefault(content, place)  # an atomic operation
            if first != place:
                self._copies.append((place, first))
                return None
            key = item_key(self._fingerprint, content)
            found = self.cache.get([key]).get(key)
            if found is not None and len(found) == self.session.source.width:
                self._vectors[place] = found
                return None
        image = None
        if self.encoder.jpeg_draft and isinstance(cell, bytes):
            side = np.max(self.session.source.preprocess["size"])
            image = _open_draft(cell, int(side))
        if image is None:
            image = open_image(cell)
        return None if image is None else (place, key, np.asarray(self._resize(image)))

    def _encode(self, waiting: list[Waiting]) -> None:
        places, keys, pixels = zip(*waiting, strict=True)
        size = self._runner.size
        parts = Parallel()(
            delayed(_encode_batch)(self.session, self._runner, np.stack(batch))
            for batch in (pixels[i : i + size] for i in range(0, len(pixels), size))
        )
        values = np.concatenate(parts)
        self._vectors[list(places)] = values
        pairs = zip(keys, values, strict=True)
        self.cache.put({key: vector for key, vector in pairs if key is not None})


def _encode_batch(
    session: Session, runner: BatchRunner, pixels: Sequence[Any]
) -> np.ndarray:
    model, settings = session.model(), session.source.preprocess
    return runner.run(lambda some: encode_pixels(model, some, settings), pixels)


def encode_pixels(
    model: ClipModel, images: Sequence[np.ndarray], settings: Mapping[str, Any]
) -> np.ndarray:
    """Return the raw embeddings of images (RGB bytes) of the model's size."""
    import torch

    from hyperfusion.encoders.clip._towers import encode_images

    batch = torch.from_numpy(np.stack(images)).to(model.device)
    mean, std = (
        torch.tensor(settings[name], device=model.device)[:, None, None]
        for name in ("mean", "std")
    )
    # the arithmetic of torchvision's ToTensor and Normalize, on the whole batch
    batch = batch.permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
    return encode_images(model, batch.contiguous())


def _geometry(preprocess: Mapping[str, Any]) -> Any:
    """Return open_clip's own preprocessing, up to where pixels become numbers."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose

    whole = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
    steps = whole.transforms[:-3]  # without: to RGB, to a tensor, normalize
    if preprocess["resize_mode"] == "shortest":
        steps = [_not_too_long, *steps]
    return Compose(steps)


def _open_draft(data: bytes, side: int) -> Image.Image | None:
    """Return the picture of a JPEG file, reduced while it is decoded; else None."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "JPEG" or is_too_large(image):
                return None
            image.draft("RGB", (side, side))
            return convert(image, None).image
    except Exception:  # Pillow raises almost anything; decoding in full says what it is
        return None


def _not_too_long(image: Image.Image) -> Image.Image:
    """Crop an extremely long image to its middle: the model sees no more of it."""
    short, long = sorted(image.size)
    spare = (long - MAX_ASPECT * short) // 2
    if spare <= 0:
        return image
    width, height = image.size
    if width > height:
        return image.crop((spare, 0, width - spare, height))
    return image.crop((0, spare, width, height - spare))
