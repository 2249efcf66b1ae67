"""What the networks read: a float32 matrix, and a matrix of category codes."""

from __future__ import annotations

from itertools import compress
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from hyperfusion._base import HyperFusionEstimator, plain_output, with_parameters
from hyperfusion.preprocessing import BlockImputer, BlockPCA, BlockScaler
from hyperfusion.preprocessing._base import code_matrix
from hyperfusion.table._features import Features, take_columns
from hyperfusion.table._names import vector_columns
from hyperfusion.table._schema import PLAIN, Schema

MIN_FREQUENCY = 4  # rows at fit that a level needs to get its own code


@with_parameters
class NetworkInputs(HyperFusionEstimator):
    """Turn numbers and categories into matrices for a network.

    Missing numbers are filled and flagged, each vector is reduced by PCA and scaled,
    and single columns are turned into normal scores. Categories become codes; 0 is the
    unknown level: missing, rare, or new.

    A vector has at most `n_components` components; with `align` the vectors of one
    space are reduced in one common basis, so that they can still be compared element by
    element.

    Attributes
    ----------
    layout_ : dict
        ``"groups"`` maps a block to the range of its ``"scalars"`` and the ranges of
        its ``"vectors"`` (by name) among the output numbers, and the positions of its
        ``"categories"`` among the codes. The first ``"n_scalars"`` of the
        ``"n_numbers"`` are single columns; ``"sizes"`` holds the number of codes of
        each category, ``"aligned"`` the lists of vectors that have a common basis.
    sources_ : list of list of int
        For each output number, the positions of the input numbers it is made from.
    levels_ : list of list
        For each category, the levels with the codes 1, 2 and so on.
    """

    n_components: int = 16
    align: bool = False

    @plain_output()
    def fit(self, features: Features) -> Self:
        """Learn from the network's training rows."""
        schema, levels = features.schema, features.categories.items()
        self.levels_ = [frequent_levels(column) for _, column in levels]
        pairs = enumerate(zip(schema.columns, schema.blocks, strict=True))
        self.names_ = [str(name) if block else str(i) for i, (name, block) in pairs]
        self.sources_: list[list[int]] = []
        outputs = self._fit_numbers(features) if self.names_ else []
        self.layout_ = self._describe(outputs, features)
        return self

    def _fit_numbers(self, features: Features) -> list[str]:
        table = pd.DataFrame(features.numbers, columns=self.names_, copy=False)
        self.imputer_ = BlockImputer()
        table = self.imputer_.fit_transform(table)
        self.pca_ = BlockPCA(n_components=self.n_components).fit(table)
        if self.align:
            self._share_bases(table.to_numpy(), features.schema)
        sources = self.imputer_.sources_
        self.sources_ = [
            [i for j in of for i in sources[j]] for of in self.pca_.sources_
        ]
        outputs = [table.columns[i] for i in self.pca_.passed_]
        for vector, pca in self.pca_.pcas_.items():
            outputs += vector_columns(vector, pca.n_components_)
        self.scaler_ = BlockScaler().fit(self.pca_.transform(table))
        return outputs

    def _share_bases(self, numbers: np.ndarray, schema: Schema) -> None:
        """Give the vectors of one space the components of all of them together."""
        fitted, columns = self.pca_.pcas_, self.pca_.columns_
        for vectors in schema.aligned().values():
            reduced = [v for v in vectors if v in fitted]
            if not reduced:
                continue
            means = [fitted[v].mean_.astype(np.float32) for v in reduced]
            pairs = zip(reduced, means, strict=True)
            stacked = np.concatenate(
                [take_columns(numbers, columns[v]) - mean for v, mean in pairs]
            )
            n, p = stacked.shape
            solver = "covariance_eigh" if n >= p else "full"
            size = fitted[reduced[0]].n_components_
            with np.errstate(invalid="ignore"):  # as in BlockPCA
                shared = PCA(size, svd_solver=solver, copy=False).fit(stacked)
            for vector in reduced:
                fitted[vector].components_ = shared.components_

    def _describe(self, outputs: list[str], features: Features) -> dict[str, Any]:
        """Put the outputs in order: single columns by group, then vectors by group."""
        aligned = features.schema.aligned() if self.align else {}
        schema = Schema(outputs, spaces={v: s for s, vs in aligned.items() for v in vs})
        levels = [*compress(features.table.blocks, features.table.is_category)]
        blocks = list(dict.fromkeys([*schema.blocks, *levels]))
        groups: dict[str, dict[str, Any]] = {}
        order: list[int] = []
        for block in blocks:
            scalars = [i for i in schema.singles.tolist() if schema.blocks[i] == block]
            groups[block or PLAIN] = {
                "scalars": (len(order), len(order) + len(scalars)),
                "vectors": {},
                "categories": [i for i, b in enumerate(levels) if b == block],
            }
            order += scalars
        n_scalars = len(order)
        for block in blocks:
            for vector in schema.vectors_in(block) if block else []:
                columns = schema.vectors[vector].tolist()
                place = (len(order), len(order) + len(columns))
                groups[block or PLAIN]["vectors"][vector] = place
                order += columns
        self.order_ = np.array(order, dtype=np.int64)
        self.sources_ = [self.sources_[i] for i in order]
        return {
            "groups": groups,
            "n_scalars": n_scalars,
            "n_numbers": len(order),
            "sizes": [len(known) + 1 for known in self.levels_],
            "aligned": list(schema.aligned().values()),
        }

    @plain_output()
    def transform(self, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """Return finite, scaled float32 numbers, and int64 codes (0: unknown)."""
        codes = code_matrix(features.categories, self.levels_) + 1
        if not self.names_:
            return np.empty((len(codes), 0), dtype=np.float32), codes
        table = pd.DataFrame(features.numbers, columns=self.names_, copy=False)
        table = self.imputer_.transform(table)
        table = self.scaler_.transform(self.pca_.transform(table))
        return table.to_numpy(dtype=np.float32)[:, self.order_], codes


def frequent_levels(column: pd.Series) -> list[Any]:
    """Return the levels that are frequent enough, the most frequent first."""
    counts = column.value_counts(sort=False)
    order = np.argsort(-counts.to_numpy(), kind="stable")
    return [counts.index[i] for i in order if counts.iloc[i] >= MIN_FREQUENCY]
