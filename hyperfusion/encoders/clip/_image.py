"""CLIP features of images (equation 2 of the paper)."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import joblib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from PIL import Image

from hyperfusion._sklearn_compat import Interval
from hyperfusion.cells._columns import is_missing, warn_of_bad_cells
from hyperfusion.cells._images import MAX_PIXELS, open_image
from hyperfusion.encoders._parallel import count_jobs
from hyperfusion.encoders.cache._cache import EmbeddingCache, item_key, open_cache
from hyperfusion.encoders.clip._base import ClipEncoder, Session, progress_bar
from hyperfusion.encoders.clip._models import BatchRunner
from hyperfusion.encoders.clip._pixels import (
    CELL_ERRORS,
    encode_pixels,
    geometry,
    open_draft,
    read_content,
)
from hyperfusion.encoders.clip._tokens import grid_side
from hyperfusion.encoders.clip._weights import ClipSource
from hyperfusion.exceptions import BadCellError, InvalidInputError

BATCH_ON_CPU = 32
BATCH_ON_GPU = 256


class ClipImageEncoder(ClipEncoder):
    """Features of images from the image tower of a CLIP model.

    The features are named ``clip__0``, ``clip__1``, ... and can be compared with those of
    `ClipTextEncoder` for the same model; after PCA they are ``clip_pca__0``, ... and
    can't. A missing cell is NaN in all of them (``clip_is_missing`` is 1).

    Parameters
    ----------
    model_name : str or path, default="ViT-B-32"
        An architecture of open_clip, ``"hyperfusion-tiny"`` (a small model that comes
        with the package and was trained on synthetic posts), or a folder with
        ``open_clip_config.json`` and weights.
    pretrained : str or path, optional
        The weights: a tag of open_clip, the path of a checkpoint file (safetensors, or
        a torch file that holds tensors only; no code in it is run), or ``"random"``.
        None means ``"laion2b_s34b_b79k"`` for ViT-B-32 and the weights that belong to
        ``"hyperfusion-tiny"`` or to a folder; other architectures need a tag.
    preprocess : dict, optional
        Changes to what happens to an image before the model sees it: ``mean``, ``std``
        (three numbers each), ``interpolation`` ("bicubic" or "bilinear"),
        ``resize_mode`` ("shortest", "longest" or "squash"), ``fill_color``. What is not
        named stays as the weights' tag or the ``open_clip_config.json`` beside the
        checkpoint says; ``preprocess_`` shows the whole.
    normalize : bool, default=True
        Whether embeddings get length 1, as cosine similarities want it.
    tokens : int, optional
        Emit patch tokens beside the embedding: this many rows and columns of them, each
        the mean of the patches there, as ``clip_token__0_0``, ... (after PCA, one for
        all tokens, ``clip_token__0_pca__0``, ...). At most the model's own grid (7 for
        ViT-B-32), exact there. For `CoAttentionRegressor`; not cheap, see below.
    n_components : int or float, optional
        Reduce the embeddings by PCA to this many components, or to as many as explain
        this share of their variance. It is learned at fit, on the cells that are not
        missing. The components of images and of texts can't be compared.
    add_indicator : bool, default=False
        Whether a last column says which cells are missing.
    device : str, default="auto"
        A device of torch. "auto" takes a GPU where there is one. A device that is not
        there (after loading on another machine) gives a warning and the CPU is used.
    precision : {"auto", "fp32", "fp16", "bf16"}, default="auto"
        What the model computes in; "auto" is "fp16" on an NVIDIA GPU and "fp32"
        elsewhere. The output is float32 always. In a cache each precision has entries
        of its own, which a CPU and a GPU share.
    batch_size : int or "auto", default="auto"
        Images at once; "auto" is 32 on a CPU and 256 on a GPU. When the memory does
        not suffice, batches are halved.
    n_jobs : int, optional
        Threads that read, decode and resize images while the model runs. None means
        one a CPU core, at most eight.
    cache : str, path or EmbeddingCache, optional
        Where to keep embeddings between calls, see `EmbeddingCache`. They are kept
        as they are made, so that a run that was stopped goes on where it was.
    jpeg_draft : bool, default=False
        Whether JPEG files are decoded at a half, a quarter or an eighth of their size,
        the smallest that is no smaller than what the model sees. Photos take a third to
        a half of the time to decode and to resize; the features change a little: on
        pictures of 1600 x 1200 pixels made of noise at all scales the cosine with the
        exact features was 0.9997 or more (tiny CLIP; ViT-B-32 with random weights).
    max_pixels : int, default=89478485
        Pictures with more pixels are refused before they are decoded. Pillow has a
        limit of its own, ``PIL.Image.MAX_IMAGE_PIXELS``, which stays in force: it
        refuses pictures with more than twice as many pixels.
    on_error : {"raise", "missing"}, default="missing"
        What to do with a cell that can't be used: raise a `BadCellError` that names
        the row, or count it as missing and warn once.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    n_embedding_ : int
        Length of the model's embeddings (512 for ViT-B-32).
    preprocess_ : dict
        What happens to an image before the model sees it.
    n_tokens_, token_size_ : int
        Number of tokens beside the embedding, and how many numbers each has.
    pca_, token_pca_ : PCA or None
        The fitted reductions of embeddings and of tokens.
    n_features_in_ : int
        Always 1.

    Raises
    ------
    WeightsNotFoundError
        If the weights are not on this machine and can't be downloaded; the message
        says which file to bring and where to put it.
    BadCellError
        If a cell can't be used and `on_error="raise"`.

    See Also
    --------
    ClipTextEncoder : The same for texts.
    EmbeddingCache : Where embeddings are kept.

    Notes
    -----
    Cells are paths, contents of image files (bytes), PIL images or uint8 arrays of
    shape (height, width), (height, width, 3) or (height, width, 4). Images are turned
    upright as their EXIF data say. Equal images are encoded once a call.

    This is equation 2 of the paper, section 3.3. ViT-B-32 encodes some 20 images a
    second on two CPU cores. Within ``joblib.parallel_config`` with several jobs (a Dask
    cluster, say) each encodes some of the batches; files and cache are read here.

    Tokens are the tower's last normalized states before it pools and projects them:
    they can't be compared with texts. In ViT-B-32 each has 768 numbers: ``tokens=2`` is
    12 kB a post (6 GB for 486,000), ``tokens=7`` 150 kB. A cache keeps them whole.

    A model is loaded when the first image needs it, once in a process, and is shared by
    all encoders (`clear_model_cache` lets go of it). It is never pickled. Weights are
    looked for in ``~/.cache/hyperfusion/weights`` (or the folder that the environment
    variable ``HYPERFUSION_WEIGHTS`` names), then among those that open_clip downloaded
    before; only then is the network asked.

    The weights of some architectures are published for several ways of preprocessing:
    for a checkpoint file of such a one the way must be told.

    References
    ----------
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion.encoders import ClipImageEncoder
    >>> black, white = np.zeros((60, 80, 3), np.uint8), np.full((50, 50), 255, np.uint8)
    >>> encoder = ClipImageEncoder("hyperfusion-tiny")
    >>> features = encoder.fit_transform([black, white, None])
    >>> features.shape == (3, encoder.n_embedding_)
    True
    >>> bool(np.isnan(features[2]).all())
    True
    """

    _tower: ClassVar[str] = "image"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ClipEncoder._parameter_constraints,
        "preprocess": [dict, None],
        "n_jobs": [Interval(Integral, 1, None, closed="left"), None],
        "jpeg_draft": ["boolean"],
        "max_pixels": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        model_name: str | os.PathLike[str] = "ViT-B-32",
        *,
        pretrained: str | os.PathLike[str] | None = None,
        preprocess: Mapping[str, Any] | None = None,
        normalize: bool = True,
        tokens: int | None = None,
        n_components: int | float | None = None,
        add_indicator: bool = False,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | str = "auto",
        n_jobs: int | None = None,
        cache: str | os.PathLike[str] | EmbeddingCache | None = None,
        jpeg_draft: bool = False,
        max_pixels: int = MAX_PIXELS,
        on_error: str = "missing",
        verbose: int = 0,
    ):
        self.model_name = model_name
        self.pretrained = pretrained
        self.preprocess = preprocess
        self.normalize = normalize
        self.tokens = tokens
        self.n_components = n_components
        self.add_indicator = add_indicator
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.cache = cache
        self.jpeg_draft = jpeg_draft
        self.max_pixels = max_pixels
        self.on_error = on_error
        self.verbose = verbose

    def _fit_source(self) -> ClipSource:
        source = super()._fit_source()
        self.preprocess_ = dict(source.preprocess)
        return source

    def _count_tokens(self, source: ClipSource) -> int:
        side = int(self.tokens or 0)
        if side > grid_side(source):
            raise InvalidInputError(
                f"tokens must be at most {grid_side(source)}, the side of the grid of "
                f"patches of {source.name}. Got {side}."
            )
        return side**2

    def _embed(self, cells: pd.Series) -> np.ndarray:
        with (
            open_cache(self.cache) as cache,
            progress_bar(len(cells), self, "image") as bar,
        ):
            # a key of its own, as the features differ from the exact ones
            parts: dict[str, Any] = {"jpeg_draft": True} if self.jpeg_draft else {}
            if self.tokens is not None:
                parts["tokens"] = int(self.tokens)
            return _Run(self, Session(self, **parts), cache, bar).embed(cells)


@dataclass
class _Prepared:
    """What the threads make of a cell: one of these, or nothing for a missing cell."""

    key: bytes | None = None
    vector: np.ndarray | None = None  # it was in the cache
    pixels: np.ndarray | None = None  # it is to be encoded
    same_as: int | None = None  # another row has the same content


_Futures = Generator[tuple[int, "Future[_Prepared]"], None, None]


class _Run:
    """One pass over a column of images.

    Threads read, hash, look up, decode and resize a bounded number of cells ahead of
    the model, so that memory does not grow with the column and a file is read once.
    """

    def __init__(
        self,
        encoder: ClipImageEncoder,
        session: Session,
        cache: EmbeddingCache | None,
        bar: Any,
    ):
        self._encoder = encoder
        self._session = session
        self._cache = cache
        self._fingerprint = session.fingerprint() if cache is not None else ""
        self._bar = bar
        self._width = encoder._raw_width(session.source)
        size = encoder.batch_size
        if size == "auto":
            size = BATCH_ON_GPU if session.on_gpu else BATCH_ON_CPU
        self._runner = BatchRunner(int(size))
        self._n_jobs = count_jobs()
        self._resize = geometry(session.source.preprocess)
        self._first: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def embed(self, cells: pd.Series) -> np.ndarray:
        vectors = np.full((len(cells), self._width), np.nan, dtype=np.float32)
        errors: dict[int, str] = {}
        copies: list[tuple[int, int]] = []
        waiting: list[tuple[int, _Prepared]] = []
        # closed at once when a cell or the user stops the run
        with contextlib.closing(self._ahead(cells)) as prepared_cells:
            for row, future in prepared_cells:
                try:
                    prepared = future.result()
                except CELL_ERRORS as error:
                    if self._encoder.on_error == "raise":
                        raise BadCellError(str(error), row, cells.name) from error
                    errors[row] = str(error)
                    prepared = _Prepared()
                self._bar.update()
                if prepared.same_as is not None:
                    copies.append((row, prepared.same_as))
                elif prepared.vector is not None:
                    vectors[row] = prepared.vector
                elif prepared.pixels is not None:
                    waiting.append((row, prepared))
                if len(waiting) >= self._runner.size * self._n_jobs:
                    self._encode(waiting, vectors)
                    waiting = []
        if waiting:
            self._encode(waiting, vectors)
        for row, first in copies:
            vectors[row] = vectors[first]
            if first in errors:
                errors[row] = errors[first]
        warn_of_bad_cells(dict(sorted(errors.items())), cells)
        return vectors

    def _ahead(self, cells: pd.Series) -> _Futures:
        """Yield the cells' futures in order, with a bounded number under way."""
        workers = self._encoder.n_jobs or min(8, joblib.cpu_count())
        bound = 2 * self._runner.size * self._n_jobs + workers
        under_way: deque[tuple[int, Future[_Prepared]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="hyperfusion-images")
        try:
            for row, cell in enumerate(cells):
                under_way.append((row, pool.submit(self._prepare, row, cell)))
                if len(under_way) >= bound:
                    yield under_way.popleft()
            while under_way:
                yield under_way.popleft()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepare(self, row: int, cell: Any) -> _Prepared:
        if is_missing(cell):
            return _Prepared()
        content, cell = read_content(cell, self._encoder.max_pixels)
        key = None
        if content is not None:
            with self._lock:
                first = self._first.setdefault(content, row)
            if first != row:
                return _Prepared(same_as=first)
            if self._cache is not None:
                key = item_key(self._fingerprint, content)
                found = self._cache.get([key]).get(key)
                if found is not None and len(found) == self._width:
                    return _Prepared(vector=found)
        image = self._open(cell)
        if image is None:
            return _Prepared()
        return _Prepared(key, pixels=np.asarray(self._resize(image)))

    def _open(self, cell: Any) -> Image.Image | None:
        image = None
        if self._encoder.jpeg_draft and isinstance(cell, bytes):
            side = np.max(self._session.source.preprocess["size"])
            image = open_draft(cell, int(side), self._encoder.max_pixels)
        return open_image(cell, self._encoder.max_pixels) if image is None else image

    def _encode(
        self, waiting: Sequence[tuple[int, _Prepared]], vectors: np.ndarray
    ) -> None:
        values = self._values([prepared.pixels for _, prepared in waiting])
        kept = {}
        for (row, prepared), vector in zip(waiting, values, strict=True):
            vectors[row] = vector
            if prepared.key is not None:
                kept[prepared.key] = vector
        if self._cache is not None:
            self._cache.put(kept)

    def _values(self, pixels: Sequence[Any]) -> np.ndarray:
        """Return the embeddings of images, batch by batch, each by one of the jobs."""
        tokens = self._encoder.tokens
        if self._n_jobs == 1:
            return _encode_batches(self._session, self._runner, pixels, tokens)
        # the same batches as without jobs, so that the numbers are the same
        size = self._runner.size
        batches = [np.stack(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        parts = Parallel()(
            delayed(_encode_batches)(self._session, BatchRunner(size), batch, tokens)
            for batch in batches
        )
        return np.concatenate(parts)


def _encode_batches(
    session: Session, runner: BatchRunner, pixels: Sequence[Any], tokens: int | None
) -> np.ndarray:
    model, settings = session.model(), session.source.preprocess
    return runner.run(lambda some: encode_pixels(model, some, settings, tokens), pixels)
