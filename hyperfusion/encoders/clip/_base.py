"""The base class of the two CLIP encoders."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion._device import device_to_predict, resolve_device
from hyperfusion._progress import VERBOSE, Progress
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion._validation import COUNT
from hyperfusion.encoders._base import SLOTS, ColumnEncoder
from hyperfusion.encoders.cache._cache import EmbeddingCache, check_cache
from hyperfusion.encoders.clip._models import (
    ClipModel,
    fingerprint,
    load_model,
    space_of,
)
from hyperfusion.encoders.clip._weights import ClipSource, find_source

_SLOTS = {
    **SLOTS,
    "model": """
    model_name : str or path, default="ViT-B-32"
        An architecture of open_clip, ``"hyperfusion-tiny"`` (a small model that comes
        with the package and was trained on synthetic posts), or a folder with
        ``open_clip_config.json`` and weights.
    pretrained : str or path, optional
        The weights: a tag of open_clip, the path of a checkpoint file (safetensors, or
        a torch file that only holds tensors; code in it is never run), or ``"random"``.
        None means ``"laion2b_s34b_b79k"`` for ViT-B-32, and the model's own weights for
        ``"hyperfusion-tiny"`` or a folder. Other architectures need a tag.""",
    "vectors": """
    normalize : bool, default=True
        Whether to scale embeddings to length 1, as for cosine similarities.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" and so on, or "mps"; "auto" uses a GPU if there is one.
        A missing device is an error at fit; a fitted encoder warns and uses the CPU.
    precision : {"auto", "fp32", "fp16", "bf16"}, default="auto"
        Precision of the model, whose output is float32. "auto" is "fp16" on an NVIDIA
        GPU and "fp32" elsewhere.""",
    "cache": """
    cache : str, path or EmbeddingCache, optional
        Folder in which to keep embeddings, as they are computed, see `EmbeddingCache`.
        Without a cache, the latest are kept in memory (64 MB in the whole process,
        about 30,000 vectors of 512 numbers).""",
    "verbose": """
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows it in a terminal or a notebook.""",
    "attributes": """
    n_embedding_ : int
        Length of the model's embeddings (512 for ViT-B-32).
    spaces_ : dict of {str: str}
        The space of the vector ``clip``, the same for images and texts of one model.
    n_features_in_ : int
        Always 1.

    Raises
    ------
    WeightsNotFoundError
        If the weights can't be found or downloaded; the message says which file to get
        and where to put it.
    BadFileError
        If the weights or their description are damaged, or belong to another model.
    BadCellError
        If a cell can't be used and `on_error="raise"`.""",
    "loading": """
    A model is loaded when it is first needed, once per process for all encoders
    (`clear_model_cache` releases it). It is never pickled. Its weights are looked for
    in ``~/.cache/hyperfusion/weights`` (or the folder in the environment variable
    ``HYPERFUSION_WEIGHTS``), then among open_clip's downloads, then online.

    References
    ----------
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021.""",
}


@with_parameters
class ClipEncoder(ColumnEncoder):
    """Base of `ClipImageEncoder` and `ClipTextEncoder`."""

    _slots = _SLOTS
    _tower: ClassVar[str]
    _embed: ClassVar[Callable[..., np.ndarray]]
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "model_name": [str, os.PathLike],
        "pretrained": [str, os.PathLike, None],
        "normalize": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"auto", "fp32", "fp16", "bf16"})],
        "batch_size": [COUNT, StrOptions({"auto"})],
        "cache": [str, os.PathLike, EmbeddingCache, None],
        "verbose": VERBOSE,
    }

    model_name: str | os.PathLike[str] = field(default="ViT-B-32", kw_only=False)
    pretrained: str | os.PathLike[str] | None = None
    normalize: bool = True
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | str = "auto"
    cache: str | os.PathLike[str] | EmbeddingCache | None = None
    on_error: str = "missing"
    verbose: int | str = "auto"

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        resolve_device(self.device)
        check_cache(self.cache)
        source = self._source()
        self.n_embedding_ = source.width
        self.spaces_ = {"clip": space_of(source)}

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        return self._normalized(self._embed(cells))

    def _feature_names(self, names: Any = None) -> list[str]:
        return [f"clip__{i}" for i in range(self.n_embedding_)]

    def _source(self) -> ClipSource:
        pretrained = None if self.pretrained is None else os.fspath(self.pretrained)
        return find_source(os.fspath(self.model_name), pretrained, tower=self._tower)

    def _progress(self, total: int, unit: str) -> Progress:
        name = type(self).__name__
        return Progress(name, total, self.verbose, unit=unit, always=True)

    def _normalized(self, vectors: np.ndarray) -> np.ndarray:
        if self.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.maximum(norms, 1e-12)
        return vectors


class Session:
    """One call's use of a model, which is loaded when the first cell needs it."""

    def __init__(self, encoder: ClipEncoder):
        self.source = encoder._source()
        self._automatic = encoder.device == "auto"
        self._device = device_to_predict(encoder.device)
        self._precision = encoder.precision
        if self._precision == "auto":
            self._precision = "fp16" if self._device.startswith("cuda") else "fp32"
        self._tower = encoder._tower

    @property
    def on_gpu(self) -> bool:
        return self._device != "cpu"

    def model(self) -> ClipModel:
        """Return the model; on another machine, "auto" means a device there."""
        device = resolve_device("auto") if self._automatic else self._device
        return load_model(self.source, device, self._precision)

    def fingerprint(self, **more: Any) -> str:
        """Return a hash of all that an embedding depends on besides its item."""
        return fingerprint(self.source, self._tower, self._precision, **more)
