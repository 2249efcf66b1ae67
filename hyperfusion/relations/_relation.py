"""Tier 2 as one transformer: features that relate blocks to each other."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import product
from typing import Any

import pandas as pd
from sklearn.base import clone

from hyperfusion._base import visual_block, with_parameters
from hyperfusion._sklearn_compat import HasMethods, Options
from hyperfusion._transformer import TableTransformer
from hyperfusion._warnings import warn_user
from hyperfusion.relations._clusters import HierarchicalClusterEncoder
from hyperfusion.relations._similarity import CrossModalSimilarity
from hyperfusion.table._frames import check_table
from hyperfusion.table._names import column_name
from hyperfusion.table._schema import Schema, declare, is_declared


@with_parameters
class RelationEncoder(TableTransformer):
    """Add similarities and clusters to a feature table.

    Tier 2 of the paper (section 3.3, "Cross-Modal Coherence Measurement", and the
    hierarchical clusters of its introduction). The columns of the table pass through;
    new ones are added as blocks ``cross`` and ``cluster``.

    Parameters
    ----------
    similarity : CrossModalSimilarity, None or False, default=None
        Compares images, texts and tags. None means the default one, if at least two
        vectors of the table share a space; False means none.
    clusters : HierarchicalClusterEncoder, True or False, default=False
        Groups posts by their vectors. True means the default one, if there are any.
    random_state : int, RandomState instance or None, default=None
        Seed of clusters without their own.

    Attributes
    ----------
    relations_ : list of (block, transformer)
        The fitted transformers.
    schema_ : Schema
        The schema of the table.
    %(columns_seen)s

    Notes
    -----
    A table with nothing to relate passes through unchanged. The target is not used.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import RelationEncoder
    >>> from hyperfusion.table import feature_table
    >>> X = feature_table(
    ...     {"image__clip": np.array([[1, 0], [0, 2]]),
    ...      "text__title": np.array([[1, 0], [3, 4]])},
    ...     spaces={"clip": ["image__clip", "text__title"]},
    ... )
    >>> RelationEncoder().fit_transform(X)["cross__image_text_cosine"].tolist()
    [1.0, 0.800000011920929]
    """

    _parameter_constraints = {
        "similarity": [HasMethods(["fit", "transform"]), None, Options(bool, {False})],
        "clusters": [HasMethods(["fit", "transform"]), None, "boolean"],
        "random_state": ["random_state"],
    }

    similarity: Any = None
    clusters: Any = False
    random_state: Any = None

    def _fit(self, X: Any, y: Any) -> None:
        self._fit_transform(X, y)

    def _fit_transform(self, X: Any, y: Any) -> pd.DataFrame:
        table = _with_text_names(check_table(self, X, reset=True, numeric=True))
        self.schema_ = Schema.of(table)
        self.relations_: list[tuple[str, Any]] = []
        if self.similarity is None and not is_declared(table):
            texts = self.schema_.vectors_in("text") + self.schema_.vectors_in("tags")
            sizes = {v: len(columns) for v, columns in self.schema_.vectors.items()}
            for image, text in product(self.schema_.vectors_in("image"), texts):
                if sizes[image] == sizes[text]:
                    warn_user(
                        f"Nothing says whether {image} and {text} may be compared, so "
                        "no similarity is computed. Another library may have dropped "
                        "this from the table. Build it with feature_table(..., "
                        "spaces=...), or name the pairs in "
                        "similarity=CrossModalSimilarity(pairs=...)."
                    )
                    break
        if self.similarity is None and self.schema_.aligned():
            self.relations_.append(("cross", CrossModalSimilarity()))
        elif self.similarity not in (None, False):
            self.relations_.append(("cross", clone(self.similarity)))
        if self.clusters is True and self.schema_.vectors:
            tree = HierarchicalClusterEncoder(random_state=self.random_state)
            self.relations_.append(("cluster", tree))
        elif not isinstance(self.clusters, bool | None):
            self.relations_.append(("cluster", clone(self.clusters)))
        parts = [relation.fit_transform(table, y) for _, relation in self.relations_]
        return self._join(table, parts)

    def _transform(self, X: Any) -> pd.DataFrame:
        table = _with_text_names(check_table(self, X, reset=False, numeric=True))
        parts = [relation.transform(table) for _, relation in self.relations_]
        return self._join(table, parts)

    def _feature_names(self, names: Any) -> list[Hashable]:
        new = [name for _, names in self._new() for name in names]
        return [*self.schema_.columns, *new]

    def _new(self) -> list[tuple[Any, list[str]]]:
        """Return each relation with the columns that it adds."""
        return [
            (r, [column_name(block, str(n)) for n in r.get_feature_names_out()])
            for block, r in self.relations_
        ]

    def _join(self, table: pd.DataFrame, parts: list[Any]) -> pd.DataFrame:
        frames = [table]
        related = dict(self.schema_.related)
        for part, (relation, names) in zip(parts, self._new(), strict=True):
            frame = part if isinstance(part, pd.DataFrame) else pd.DataFrame(part)
            frames.append(frame.set_axis(names, axis=1).set_axis(table.index, axis=0))
            related |= dict(zip(names, getattr(relation, "related_", ()), strict=False))
        joined = pd.concat(frames, axis=1) if parts else table.copy(deep=False)
        return declare(joined, self.schema_.spaces, related)

    def _sk_visual_block_(self) -> Any:
        return visual_block(self, getattr(self, "relations_", []))


def _with_text_names(table: pd.DataFrame) -> pd.DataFrame:
    """Name columns of an array x0, x1, ... as scikit-learn does."""
    if all(isinstance(c, str) for c in table.columns):
        return table
    return table.set_axis([f"x{c}" for c in table.columns], axis=1)
