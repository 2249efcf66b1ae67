"""What the two CLIP encoders share: parameters, PCA, missing cells, the cache."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from hyperfusion._device import resolve_device
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.cells._columns import ON_ERROR
from hyperfusion.encoders._base import ColumnEncoder, read_column
from hyperfusion.encoders.cache._cache import EmbeddingCache
from hyperfusion.encoders.clip._models import (
    PRECISIONS,
    ClipModel,
    fingerprint,
    load_model,
    resolve_precision,
)
from hyperfusion.encoders.clip._tokens import token_width
from hyperfusion.encoders.clip._weights import ClipSource, find_source
from hyperfusion.exceptions import InvalidInputError

STEM = "clip"
TOKEN_STEM = "clip_token"
INDICATOR = "clip_is_missing"


class ClipEncoder(ColumnEncoder):
    """Base of `ClipImageEncoder` and `ClipTextEncoder`.

    Subclasses implement ``_embed(cells) -> float32 array`` with one raw embedding a
    cell, followed by its tokens if any; NaN where the cell is missing. It warns of
    cells with the user's own line: seven frames up, by whichever method it was reached.
    """

    _tower: ClassVar[str]
    pca_: PCA | None
    token_pca_: PCA | None
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "model_name": [str, os.PathLike],
        "pretrained": [str, os.PathLike, None],
        "normalize": ["boolean"],
        "tokens": [Interval(Integral, 1, None, closed="left"), None],
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
        "on_error": [StrOptions(set(ON_ERROR))],
        "verbose": ["verbose"],
    }

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> np.ndarray:
        """Learn from a column and return its features; each cell is encoded once.

        Parameters
        ----------
        X : Series, list, array of shape (n_samples,) or table of shape (n_samples, 1)
            The cells.
        y : ignored
            Present for scikit-learn's conventions.
        **fit_params : dict
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            One row for each cell.
        """
        self._validate_params()
        cells = read_column(X, type(self).__name__)
        vectors = self._learn(cells)
        self.n_features_in_ = 1
        return self._features(vectors)

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        if self.n_components is None:
            self._fit_source()
            self.pca_ = self.token_pca_ = None
        else:
            self._learn(cells)

    def _learn(self, cells: pd.Series) -> np.ndarray:
        self._fit_source()
        vectors = self._normalized(self._embed(cells))
        self.pca_ = self.token_pca_ = None
        if self.n_components is not None:
            known = vectors[~np.isnan(vectors[:, 0])]
            pooled, tokens = self._split(known)
            self.pca_ = self._fit_pca(pooled)
            if self.n_tokens_:
                flat = tokens.reshape(-1, tokens.shape[-1])
                self.token_pca_ = self._fit_pca(flat)
        return vectors

    def _fit_source(self) -> ClipSource:
        source = self._source()
        self.n_embedding_ = source.width
        self.n_tokens_ = self._count_tokens(source)
        self.token_size_ = token_width(source, self._tower) if self.n_tokens_ else 0
        return source

    def _count_tokens(self, source: ClipSource) -> int:
        """Return how many tokens a cell has beside its embedding."""
        return int(self.tokens or 0)

    def _raw_width(self, source: ClipSource) -> int:
        """Return how many numbers ``_embed`` gives a cell."""
        n_tokens = self._count_tokens(source)
        size = token_width(source, self._tower) if n_tokens else 0
        return source.width + n_tokens * size

    def _split(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return views: embeddings, and tokens of shape (n_cells, n_tokens, size)."""
        pooled, rest = np.split(vectors, [self.n_embedding_], axis=1)
        return pooled, rest.reshape(len(rest), self.n_tokens_, self.token_size_)

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        return self._features(self._normalized(self._embed(cells)))

    def _feature_names(self) -> list[str]:
        names = _numbered(STEM, self.n_embedding_, self.pca_)
        for token in range(self.n_tokens_):
            stem = f"{TOKEN_STEM}_{token}"
            names += _numbered(stem, self.token_size_, self.token_pca_)
        return [*names, INDICATOR] if self.add_indicator else names

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
            for part in self._split(vectors):
                norms = np.linalg.norm(part, axis=-1, keepdims=True)
                part /= np.maximum(norms, 1e-12)
        return vectors

    def _fit_pca(self, known: np.ndarray) -> PCA:
        most = min(known.shape)
        if most == 0 or (self.n_components >= 1 and self.n_components > most):
            raise InvalidInputError(
                f"n_components={self.n_components} needs at least as many cells that "
                f"are not missing, and at most {known.shape[1]} components. "
                f"Got {len(known)} cells."
            )
        # exact and without random numbers; its cost grows with the number of features
        pca = PCA(n_components=self.n_components, svd_solver="covariance_eigh")
        return pca.fit(known)

    def _features(self, vectors: np.ndarray) -> np.ndarray:
        missing = np.isnan(vectors[:, 0])
        if self.pca_ is not None:
            pooled, tokens = self._split(vectors)
            vectors = _project(self.pca_, pooled, ~missing)
            if self.token_pca_ is not None:
                each = [
                    _project(self.token_pca_, t, ~missing)
                    for t in tokens.swapaxes(0, 1)
                ]
                vectors = np.concatenate([vectors, *each], axis=1)
        if self.add_indicator:
            vectors = np.column_stack([vectors, missing.astype(np.float32)])
        return vectors


class Session:
    """One call's use of a model, which is loaded when the first cell needs it."""

    def __init__(self, encoder: ClipEncoder, **parts: Any):
        self.source = encoder._source()
        self._automatic = encoder.device == "auto"
        self._device = resolve_device(encoder.device)
        self._precision = resolve_precision(encoder.precision, self._device)
        self._tower = encoder._tower
        self._parts = parts

    @property
    def on_gpu(self) -> bool:
        """Whether the model runs on an accelerator."""
        return self._device != "cpu"

    def model(self) -> ClipModel:
        """Return the model, which is loaded once in a process.

        On another machine "auto" stands for the device that is there.
        """
        device = resolve_device("auto") if self._automatic else self._device
        return load_model(self.source, device, self._precision)

    def fingerprint(self) -> str:
        """Return a hash of all that an embedding depends on besides its item."""
        return fingerprint(self.source, self._tower, self._precision, **self._parts)


def progress_bar(total: int, encoder: ClipEncoder, unit: str) -> Any:
    """Return a progress bar that shows itself where `verbose` asks for it."""
    from tqdm import tqdm

    return tqdm(
        total=total, desc=type(encoder).__name__, unit=unit, disable=not encoder.verbose
    )


def _numbered(stem: str, size: int, pca: PCA | None) -> list[str]:
    """Return the names of a vector's columns, after PCA if there is one."""
    if pca is None:
        return [f"{stem}__{i}" for i in range(size)]
    return [f"{stem}_pca__{i}" for i in range(pca.n_components_)]


def _project(pca: PCA, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    result = np.full((len(vectors), pca.n_components_), np.nan, dtype=np.float32)
    if rows.any():
        result[rows] = pca.transform(vectors[rows])
    return result
