"""PCA of each vector in a feature table."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion._validation import COUNT
from hyperfusion._workers import thread_limit
from hyperfusion.preprocessing._base import BlockTransformer
from hyperfusion.table._features import Features, take_columns
from hyperfusion.table._names import vector_columns

_ROWS = 4096


@with_parameters
class BlockPCA(BlockTransformer):
    """Reduce each vector of a feature table by its own PCA.

    The paper's "Principal Component Analysis for dimensionality optimization when
    necessary" (section 3.3). Each vector (such as ``text__clip`` with the columns
    ``text__clip__0`` to ``text__clip__511``) becomes ``text__clip_pca__0`` and so on;
    all other columns pass through. A plain array is one vector. Rows where a number of
    a vector is missing don't count for its PCA, and have no components.

    Parameters
    ----------
    n_components : int, default=64
        Number of components of each vector. A vector with no more columns stays
        unchanged.
    blocks : {"declared", None}, default=None
        Which vectors to reduce: "declared" those with a declared space, such as those
        of the CLIP encoders, None all.

    Attributes
    ----------
    pcas_ : dict of {str: PCA}
        The fitted `sklearn.decomposition.PCA` of each reduced vector ("" for an array).
    columns_ : dict of {str: ndarray}
        The positions of each reduced vector's columns among the numbers.
    passed_ : ndarray of int
        The positions of the numbers that pass through; they come first in the output.
    %(is_category)s
    %(columns_seen)s

    Notes
    -----
    The PCA is exact and not random. It runs in one thread, because the last digits
    depend on the number of threads. With n rows and p columns it costs ``O(n p**2 +
    p**3)``, about three seconds on one core for 486,000 posts and 512 columns, and one
    float32 copy of the vector. A vector that is constant or has fewer than two complete
    rows stays unchanged. There are never more components than complete rows.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion import BlockPCA
    >>> vectors = np.random.RandomState(0).normal(size=(20, 4)).astype("float32")
    >>> X = pd.DataFrame(vectors, columns=[f"image__clip__{i}" for i in range(4)])
    >>> X["time__hour"] = np.float32(12)
    >>> BlockPCA(n_components=2).fit_transform(X).columns.tolist()
    ['time__hour', 'image__clip_pca__0', 'image__clip_pca__1']
    """

    _parameter_constraints = {
        "n_components": [COUNT],
        "blocks": [StrOptions({"declared"}), None],
    }

    n_components: int = 64
    blocks: str | None = None

    def _fit_features(self, features: Features, y: Any) -> None:
        numbers, schema = features.numbers, features.schema
        vectors = schema.vectors
        if not features.is_frame:
            vectors = {"": np.arange(numbers.shape[1])}
        chosen = vectors if self.blocks is None else schema.spaces
        self.pcas_: dict[str, PCA] = {}
        self.columns_: dict[str, np.ndarray] = {}
        passed = np.ones(numbers.shape[1], dtype=bool)
        for vector, columns in vectors.items():
            if vector not in chosen or self.n_components >= len(columns):
                continue
            pca = _fit_pca(take_columns(numbers, columns), self.n_components)
            if pca is not None:
                self.pcas_[vector], self.columns_[vector] = pca, columns
                passed[columns] = False
        self.passed_ = np.flatnonzero(passed)

    def _transform_features(self, features: Features) -> np.ndarray:
        numbers = features.numbers
        widths = [pca.n_components_ for pca in self.pcas_.values()]
        n, start = len(numbers), len(self.passed_)
        out = np.empty((n, start + sum(widths)), dtype=np.float32)
        out[:, :start] = take_columns(numbers, self.passed_)
        for (vector, pca), width in zip(self.pcas_.items(), widths, strict=True):
            for rows in gen_batches(n, _ROWS):
                values = take_columns(numbers[rows], self.columns_[vector])
                there = ~np.isnan(values).any(axis=1)
                part = out[rows, start : start + width]
                part[~there] = np.nan
                if there.any():
                    # in float32 the last digits depend on the other rows
                    with thread_limit(1, user_api="blas"):
                        part[there] = pca.transform(values[there].astype(np.float64))
            start += width
        return out

    def _outputs(self, numbers: list[str]) -> list[tuple[str, Any]]:
        return [(numbers[c], [c]) for c in self.passed_] + [
            (name, self.columns_[vector])
            for vector, pca in self.pcas_.items()
            for name in vector_columns(f"{vector}_pca".lstrip("_"), pca.n_components_)
        ]


def _fit_pca(values: np.ndarray, size: int) -> PCA | None:
    values = values[~np.isnan(values).any(axis=1)]
    n, p = values.shape
    if n < 2 or not values.any():
        return None
    # squares of huge numbers would overflow; a power of two changes no digit
    scale = np.exp2(np.floor(np.log2(max(values.max(), -values.min()))))
    values /= scale
    # centered first, since a large mean would cost digits of the covariance
    center = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    values -= center
    if not values.any():
        return None
    solver = "covariance_eigh" if n >= p else "full"
    # the variances of tiny differences can underflow: their shares are 0 / 0
    with thread_limit(1, user_api="blas"), np.errstate(invalid="ignore"):
        pca = PCA(min(size, n, p), svd_solver=solver, copy=False).fit(values)
    pca.mean_ = (pca.mean_ + center) * scale
    pca.explained_variance_ = pca.explained_variance_ * np.float64(scale) ** 2
    return pca
