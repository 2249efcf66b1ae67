"""The base class of the two CLIP encoders."""

from __future__ import annotations

import os
from dataclasses import field
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from hyperfusion._base import with_parameters
from hyperfusion._device import device_to_predict, resolve_device
from hyperfusion._progress import VERBOSE, Progress
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.encoders._base import SLOTS, ColumnEncoder
from hyperfusion.encoders.cache._cache import EmbeddingCache
from hyperfusion.encoders.clip._models import (
    PRECISIONS,
    ClipModel,
    fingerprint,
    load_model,
    space_of,
)
from hyperfusion.encoders.clip._weights import ClipSource, find_source
from hyperfusion.exceptions import InvalidInputError

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
    n_components : int or float, optional
        Reduce the embeddings by PCA to this many components, or to as many as explain
        this share of their variance. It is learned at fit, on the cells that are not
        missing. The components of images and of texts can't be compared.
    add_indicator : bool, default=False
        Whether to add a column that shows which cells are missing.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" and so on, or "mps". "auto" uses a GPU if there is one.
        A missing device is an error at fit; a fitted encoder warns and uses the CPU.
    precision : {"auto", "fp32", "fp16", "bf16"}, default="auto"
        Precision of the model. "auto" is "fp16" on an NVIDIA GPU and "fp32" elsewhere.
        The output is float32. A cache stores each precision separately.""",
    "cache": """
    cache : str, path or EmbeddingCache, optional
        Folder in which to keep embeddings between calls, see `EmbeddingCache`. They are
        stored as they are computed, so that a stopped run can continue. Without a
        cache, the latest are kept in memory (64 MB in the whole process, about 30,000
        vectors of 512 numbers).""",
    "verbose": """
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows it in a terminal or a notebook.""",
    "attributes": """
    n_embedding_ : int
        Length of the model's embeddings (512 for ViT-B-32).
    spaces_ : dict of {str: str}
        The space of the vector ``clip``: vectors of the same space can be compared. It
        is the same for images and texts of one model. Empty after PCA.
    pca_ : PCA or None
        The fitted reduction.
    n_features_in_ : int
        Always 1.

    Raises
    ------
    WeightsNotFoundError
        If the weights are not on this machine and can't be downloaded; the message
        says which file to get and where to put it.
    BadFileError
        If the weights or their description are damaged, or belong to another model.
    BadCellError
        If a cell can't be used and `on_error="raise"`.""",
    "loading": """
    A model is loaded when it is first needed, once per process for all encoders
    (`clear_model_cache` releases it). It is never pickled. Its weights are looked for
    in ``~/.cache/hyperfusion/weights`` (or the folder in the environment variable
    ``HYPERFUSION_WEIGHTS``), then among open_clip's downloads, then online.""",
    "references": """
    References
    ----------
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021.""",
}


@with_parameters
class ClipEncoder(ColumnEncoder):
    """Base of `ClipImageEncoder` and `ClipTextEncoder`.

    Subclasses implement ``_embed(cells)``, which returns a raw float32 embedding for
    each cell, NaN if it is missing.
    """

    _slots = _SLOTS
    _tower: ClassVar[str]
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "model_name": [str, os.PathLike],
        "pretrained": [str, os.PathLike, None],
        "normalize": ["boolean"],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
            None,
        ],
        "add_indicator": ["boolean"],
        "device": [str],
        "precision": [StrOptions(set(PRECISIONS))],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "cache": [str, os.PathLike, EmbeddingCache, None],
        "verbose": VERBOSE,
    }

    model_name: str | os.PathLike[str] = field(default="ViT-B-32", kw_only=False)
    pretrained: str | os.PathLike[str] | None = None
    normalize: bool = True
    n_components: int | float | None = None
    add_indicator: bool = False
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | str = "auto"
    cache: str | os.PathLike[str] | EmbeddingCache | None = None
    on_error: str = "missing"
    verbose: int | str = "auto"

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        if self.n_components is None:
            self._fit_source()
        else:
            self._fit_transform_cells(cells, y)

    def _fit_transform_cells(self, cells: pd.Series, y: Any) -> np.ndarray:
        source = self._fit_source()
        self._check_components(len(cells), source.width)
        vectors = self._normalized(self._embed(cells))
        if self.n_components is not None:
            known = vectors[~np.isnan(vectors[:, 0])]
            self._check_components(*known.shape)
            # exact and not random
            pca = PCA(n_components=self.n_components, svd_solver="covariance_eigh")
            self.pca_: PCA | None = pca.fit(known)
        return self._features(vectors)

    def _check_components(self, n_cells: int, width: int) -> None:
        size = self.n_components
        if size is not None and min(n_cells, width) < max(size, 1):
            raise InvalidInputError(
                f"n_components={self.n_components} needs at least as many cells that "
                f"are not missing, and at most {width} components. Got {n_cells} cells."
            )

    def _fit_source(self) -> ClipSource:
        resolve_device(self.device)
        source = self._source()
        self.n_embedding_ = source.width
        self.pca_ = None
        reduced = self.n_components is not None
        self.spaces_ = {} if reduced else {"clip": space_of(source)}
        return source

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        return self._features(self._normalized(self._embed(cells)))

    def _feature_names(self, names: Any = None) -> list[str]:
        stem, size = "clip", self.n_embedding_
        if self.pca_ is not None:
            stem, size = "clip_pca", self.pca_.n_components_
        names = [f"{stem}__{i}" for i in range(size)]
        return [*names, "clip_is_missing"] if self.add_indicator else names

    def _embed(self, cells: pd.Series) -> np.ndarray:
        raise NotImplementedError

    def _source(self) -> ClipSource:
        pretrained = None if self.pretrained is None else os.fspath(self.pretrained)
        preprocess = getattr(self, "preprocess", None)
        return find_source(
            os.fspath(self.model_name), pretrained, preprocess, tower=self._tower
        )

    def _normalized(self, vectors: np.ndarray) -> np.ndarray:
        if self.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.maximum(norms, 1e-12)
        return vectors

    def _features(self, vectors: np.ndarray) -> np.ndarray:
        missing = np.isnan(vectors[:, 0])
        if self.pca_ is not None:
            known, size = vectors[~missing], self.pca_.n_components_
            vectors = np.full((len(vectors), size), np.nan, dtype=np.float32)
            if len(known):
                # in float32 the last digits depend on the other rows
                vectors[~missing] = self.pca_.transform(known.astype(np.float64))
        if self.add_indicator:
            vectors = np.column_stack([vectors, missing.astype(np.float32)])
        return vectors


class Session:
    """One call's use of a model, which is loaded when the first cell needs it."""

    def __init__(self, encoder: ClipEncoder, **parts: Any):
        self.source = encoder._source()
        self._automatic = encoder.device == "auto"
        self._device = device_to_predict(encoder.device)
        self._precision = encoder.precision
        if self._precision == "auto":
            self._precision = "fp16" if self._device.startswith("cuda") else "fp32"
        self._tower = encoder._tower
        self._parts = parts

    @property
    def on_gpu(self) -> bool:
        return self._device != "cpu"

    def model(self) -> ClipModel:
        """Return the model; on another machine, "auto" means a device there."""
        device = resolve_device("auto") if self._automatic else self._device
        return load_model(self.source, device, self._precision)

    def fingerprint(self) -> str:
        """Return a hash of all that an embedding depends on besides its item."""
        return fingerprint(self.source, self._tower, self._precision, **self._parts)


def progress_bar(total: int, encoder: ClipEncoder, unit: str) -> Progress:
    name = type(encoder).__name__
    return Progress(name, total, encoder.verbose, unit=unit, always=True)
