"""PCA of each vector in a feature table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._workers import thread_limit
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.preprocessing._base import BlockTransformer
from hyperfusion.table._features import Features, take_columns
from hyperfusion.table._names import vector_columns
from hyperfusion.table._schema import block_of_vector, check_parts

_ROWS = 4096

_SIZE = (
    Interval(Integral, 1, None, closed="left"),
    Interval(Real, 0, 1, closed="neither"),
)


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
    n_components : int, float or dict, default=64
        Number of components of each vector, or (between 0 and 1) the share of its
        variance to keep. A dict maps vectors or blocks, and vectors have precedence;
        other vectors stay unchanged. So does a vector that has no more columns than
        components.
    blocks : list of str or "declared", default=None
        Blocks or vectors to reduce. "declared" means the vectors with a declared space,
        such as those of the CLIP encoders. None means all.
    whiten : bool, default=False
        Whether to scale the components to unit variance.

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

    See Also
    --------
    BlockScaler : Scale numbers.

    Notes
    -----
    The PCA is exact and not random: it takes the eigenvectors of the covariance if
    there are at least as many complete rows as columns, otherwise a full SVD. It runs
    in one thread, because the last digits depend on the number of threads. With n rows
    and p columns it costs ``O(n p**2 + p**3)``, about three seconds on one core for
    486,000 posts and 512 columns, and one float32 copy of the vector. A vector that is
    constant or has fewer than two complete rows stays unchanged. There are never more
    components than complete rows.

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
        "n_components": [*_SIZE, dict],
        "blocks": [list, tuple, StrOptions({"declared"}), None],
        "whiten": ["boolean"],
    }

    n_components: float | Mapping[str, float] = 64
    blocks: Sequence[str] | str | None = None
    whiten: bool = False

    def _fit_features(self, features: Features, y: Any) -> None:
        numbers = features.numbers
        vectors = features.schema.vectors
        if not features.is_frame:
            vectors = {"": np.arange(numbers.shape[1])}
        self._check_names(features)
        self.pcas_: dict[str, PCA] = {}
        self.columns_: dict[str, np.ndarray] = {}
        passed = np.ones(numbers.shape[1], dtype=bool)
        declared = isinstance(self.blocks, str)
        blocks = list(features.schema.spaces) if declared else self.blocks
        for vector, columns in vectors.items():
            size = self._size_of(vector, blocks)
            if size is None or size >= len(columns):
                continue
            pca = self._fit_vector(take_columns(numbers, columns), size)
            if pca is not None:
                self.pcas_[vector], self.columns_[vector] = pca, columns
                passed[columns] = False
        self.passed_ = np.flatnonzero(passed)

    def _check_names(self, features: Features) -> None:
        sizes = self.n_components if isinstance(self.n_components, Mapping) else {}
        if not isinstance(self.blocks, str):
            check_parts(self.blocks or (), features.schema, "blocks")
        check_parts(list(sizes), features.schema, "n_components")
        for name, size in sizes.items():
            if not any(interval.is_satisfied_by(size) for interval in _SIZE):
                raise InvalidInputError(
                    f"n_components[{name!r}] must be a positive whole number or a "
                    f"share between 0 and 1. Got {size!r} instead."
                )

    def _size_of(self, vector: str, blocks: Sequence[str] | None) -> float | None:
        block = block_of_vector(vector)
        if blocks is not None and not {vector, block} & set(blocks):
            return None
        if isinstance(self.n_components, Mapping):
            return self.n_components.get(vector, self.n_components.get(block))
        return self.n_components

    def _fit_vector(self, values: np.ndarray, size: float) -> PCA | None:
        values = values[~np.isnan(values).any(axis=1)]
        n, p = values.shape
        if n < 2:
            return None
        # centered first, since a large mean would cost digits of the covariance
        center = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        values -= center
        if not values.any():
            return None
        solver = "covariance_eigh" if n >= p else "full"
        size = min(size, n, p)
        pca = PCA(size, whiten=self.whiten, svd_solver=solver, copy=False)
        with thread_limit(1, user_api="blas"):
            pca.fit(values)
        pca.mean_ += center
        return pca

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
