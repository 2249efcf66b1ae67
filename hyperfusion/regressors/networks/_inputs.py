"""What the networks see of a table: one float32 matrix and one of category codes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from hyperfusion._base import HyperFusionEstimator
from hyperfusion.preprocessing import BlockImputer, BlockPCA, BlockScaler
from hyperfusion.table._features import vector_groups
from hyperfusion.table._old import split_name

PLAIN = "features"
"""Name of the group of columns that belong to no block."""


class NetworkInputs(HyperFusionEstimator):
    """Turn numbers and categories into matrices that a network can take.

    Missing numbers are filled and flagged, vectors reduced by a PCA each, single
    columns turned into normal scores and vectors put to one scale. Categories become
    codes; 0 is the unknown level: missing, rare, or new.

    Only columns of blocks can be vectors. Numbered columns of no block may be
    anything, so each of them counts for itself.

    Parameters
    ----------
    n_components : int
        Largest number of components of a vector.
    min_frequency : int
        Rows that a level needs at fit to get a code of its own.
    align : bool
        Whether the CLIP vectors of images and texts are reduced in one common basis,
        so that they can still be compared element by element.

    Attributes
    ----------
    layout_ : dict
        Where each group of features lies. ``"groups"`` maps a block to the range of
        its ``"scalars"`` and the ranges of its ``"vectors"`` (by stem) among the
        numbers that come out, and the positions of its ``"categories"`` among the
        codes. The first ``"n_scalars"`` of the ``"n_numbers"`` are single columns;
        ``"sizes"`` holds the number of codes of each category, ``"aligned"`` the stems
        of the vectors that have a common basis.
    sources_ : list of list
        For each number that comes out, the positions of the numbers it comes from.
    levels_ : list of list
        For each category the levels with the codes 1, 2 and so on.
    category_names_ : list
        Labels of the categories.
    """

    def __init__(
        self, *, n_components: int = 16, min_frequency: int = 4, align: bool = False
    ):
        self.n_components = n_components
        self.min_frequency = min_frequency
        self.align = align

    def fit(
        self,
        numbers: np.ndarray,
        names: Sequence[Hashable],
        categories: pd.DataFrame,
    ) -> Self:
        """Learn from the rows that the network is trained on.

        Parameters
        ----------
        numbers : ndarray of shape (n_samples, n_numbers), float32
            Numbers, NaN where missing.
        names : list
            Their labels.
        categories : DataFrame of shape (n_samples, n_categories)
            Categories.

        Returns
        -------
        self
            The fitted preparation.
        """
        self.category_names_ = list(categories.columns)
        self.levels_ = [
            frequent_levels(categories[c], self.min_frequency) for c in categories
        ]
        self.names_ = [
            str(i) if split_name(name)[0] is None else str(name)
            for i, name in enumerate(names)
        ]
        self.aligned_: dict[str, list[str]] = {}
        outputs: list[str] = []
        self.sources_: list[list[int]] = []
        if self.names_:
            outputs = self._fit_numbers(numbers)
        self.layout_ = self._describe(outputs)
        return self

    def _fit_numbers(self, numbers: np.ndarray) -> list[str]:
        self.imputer_ = BlockImputer()
        table = self.imputer_.fit_transform(self._table(numbers))
        sources = {name: [i] for i, name in enumerate(self.names_)}
        flags = list(table.columns)[len(sources) :]
        sources |= dict(zip(flags, self.imputer_.flagged_, strict=True))
        if self.align:
            self._fit_basis(table)
        for stem, columns in self.aligned_.items():
            together = [sources[c][0] for c in columns]
            sources |= {f"{stem}__{i}": together for i in range(len(columns))}
        table = self._project(table)
        self.pca_ = BlockPCA(n_components=self.n_components)
        names = list(table.columns)
        table = self.pca_.fit_transform(table)
        for stem, positions in self.pca_.columns_.items():
            together = [sources[names[c]][0] for c in positions]
            size = self.pca_.pcas_[stem].n_components_
            sources |= {f"{stem}_pca__{i}": together for i in range(size)}
        self.scaler_ = BlockScaler().fit(table)
        outputs = list(table.columns)
        self.sources_ = [[int(i) for i in sources[name]] for name in outputs]
        return outputs

    def _table(self, numbers: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(numbers, columns=self.names_, copy=False)

    def _fit_basis(self, table: pd.DataFrame) -> None:
        self.aligned_ = aligned_vectors(list(table.columns))
        self.basis_: np.ndarray | None = None
        if not self.aligned_:
            return
        values = {s: table[c].to_numpy() for s, c in self.aligned_.items()}
        self.means_ = {
            s: v.mean(axis=0, dtype=np.float64).astype(np.float32)
            for s, v in values.items()
        }
        stacked = np.concatenate([v - self.means_[s] for s, v in values.items()])
        size = min(self.n_components, *stacked.shape)
        if size < stacked.shape[1] and stacked.any():
            tall = stacked.shape[0] >= stacked.shape[1]
            solver = "covariance_eigh" if tall else "full"
            pca = PCA(size, svd_solver=solver, copy=False)
            self.basis_ = pca.fit(stacked).components_

    def _project(self, table: pd.DataFrame) -> pd.DataFrame:
        basis = getattr(self, "basis_", None)
        if basis is None:
            return table
        parts = [table.drop(columns=[c for v in self.aligned_.values() for c in v])]
        for stem, columns in self.aligned_.items():
            values = (table[columns].to_numpy() - self.means_[stem]) @ basis.T
            names = [f"{stem}__{i}" for i in range(values.shape[1])]
            parts.append(pd.DataFrame(values.astype(np.float32), columns=names))
        return pd.concat(parts, axis=1)

    def _describe(self, outputs: list[str]) -> dict[str, Any]:
        """Put the outputs in order: single columns by group, then vectors by group."""
        vectors = vector_groups(outputs)
        in_vector = {int(i) for columns in vectors.values() for i in columns}
        blocks = [split_name(c)[0] for c in outputs]
        levels = [split_name(c)[0] for c in self.category_names_]
        every = list(dict.fromkeys([*blocks, *levels]))
        groups: dict[str, dict[str, Any]] = {}
        order: list[int] = []
        for block in every:
            inside = [i for i, b in enumerate(blocks) if b == block]
            scalars = [i for i in inside if i not in in_vector]
            groups[block or PLAIN] = {
                "scalars": (len(order), len(order) + len(scalars)),
                "vectors": {},
                "categories": [i for i, b in enumerate(levels) if b == block],
            }
            order += scalars
        n_scalars = len(order)
        for block in every:
            for stem, columns in vectors.items():
                if split_name(stem)[0] == block:
                    place = (len(order), len(order) + len(columns))
                    groups[block or PLAIN]["vectors"][stem] = place
                    order += [int(i) for i in columns]
        self.order_ = np.array(order, dtype=np.int64)
        self.sources_ = [self.sources_[i] for i in order]
        return {
            "groups": groups,
            "n_scalars": n_scalars,
            "n_numbers": len(order),
            "sizes": [len(levels) + 1 for levels in self.levels_],
            "aligned": [stem for stem in self.aligned_ if stem in vectors],
        }

    def transform(
        self, numbers: np.ndarray, categories: pd.DataFrame
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prepare rows.

        Parameters
        ----------
        numbers : ndarray of shape (n_samples, n_numbers), float32
            Numbers in the order of fit.
        categories : DataFrame of shape (n_samples, n_categories)
            Categories with the labels of fit.

        Returns
        -------
        numbers : ndarray of shape (n_samples, n_outputs), float32
            Finite numbers of one scale.
        codes : ndarray of shape (n_samples, n_categories), int64
            Codes of the levels, 0 where unknown.
        """
        codes = np.empty((len(numbers), len(self.levels_)), dtype=np.int64)
        for i, name in enumerate(self.category_names_):
            codes[:, i] = level_codes(categories[name], self.levels_[i])
        if not self.names_:
            return np.empty((len(numbers), 0), dtype=np.float32), codes
        table = self._project(self.imputer_.transform(self._table(numbers)))
        table = self.scaler_.transform(self.pca_.transform(table))
        return table.to_numpy(dtype=np.float32)[:, self.order_], codes


def frequent_levels(column: pd.Series, min_frequency: int) -> list[Any]:
    """Return the levels that occur often enough, the most frequent first."""
    counts = column.value_counts(sort=False)
    order = np.argsort(-counts.to_numpy(), kind="stable")
    return [counts.index[i] for i in order if counts.iloc[i] >= min_frequency]


def level_codes(column: pd.Series, levels: list[Any]) -> np.ndarray:
    """Return codes of a category column: 1, 2, ... for the levels, 0 for others."""
    return column.cat.set_categories(levels).cat.codes.to_numpy(dtype=np.int64) + 1


def aligned_vectors(names: Sequence[str]) -> dict[str, list[str]]:
    """Find CLIP vectors of images and of texts that share one space.

    Their stems end in ``clip`` (``image__clip``, ``text__title_clip``), and they have
    the length of the image's. Without both sides there are none.
    """
    vectors = {
        stem: [names[i] for i in columns]
        for stem, columns in vector_groups(names).items()
        if stem.endswith("clip")
    }
    images = [s for s in vectors if split_name(s)[0] == "image"]
    if not images:
        return {}
    size = len(vectors[images[0]])
    texts = [
        stem
        for stem, columns in vectors.items()
        if split_name(stem)[0] in ("text", "tags") and len(columns) == size
    ]
    return {s: vectors[s] for s in [images[0], *texts]} if texts else {}
