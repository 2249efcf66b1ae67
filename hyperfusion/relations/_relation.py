"""Tier 2 as one transformer: adds features that relate the blocks to each other."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator, visual_block
from hyperfusion.relations._vectors import sides_of
from hyperfusion.table._frames import check_table
from hyperfusion.table._names import column_name
from hyperfusion.table._old import category_columns


class RelationEncoder(TransformerMixin, HyperFusionEstimator):
    """Add similarities and clusters to a feature table.

    Tier 2 of the paper (section 3.3, "Cross-Modal Coherence Measurement", and the
    hierarchical clusters that its introduction names). The table's own columns pass
    through; new ones join as blocks ``cross`` and ``cluster``.

    Parameters
    ----------
    similarity : CrossModalSimilarity, None or False, default=None
        What compares the aligned vectors of images, texts and tags. None does so
        where the table has at least two of them; False never does.
    clusters : HierarchicalClusterEncoder, True or False, default=False
        What groups posts by their vectors. True takes the default one.
    random_state : int, RandomState instance or None, default=None
        Seed of clusters that have none of their own.

    Attributes
    ----------
    relations_ : list of (block, transformer)
        The fitted transformers.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    PostEncoder : Makes the feature table.
    CrossModalSimilarity : The block ``cross`` on its own.

    Notes
    -----
    A table without anything to relate passes through unchanged. Labels are used only
    by clusters that were asked for target means; these belong inside the folds of the
    ensemble, as in the second example.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import RelationEncoder
    >>> X = pd.DataFrame({
    ...     "image__clip__0": [1.0, 0.0], "image__clip__1": [0.0, 2.0],
    ...     "text__title_clip__0": [1.0, 3.0], "text__title_clip__1": [0.0, 4.0],
    ... })
    >>> RelationEncoder().fit_transform(X)["cross__image_title_cosine"].tolist()
    [1.0, 0.800000011920929]

    Clusters with target means, as the first step of a member, which each fold fits to
    its own training posts:

    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from hyperfusion import (
    ...     HierarchicalClusterEncoder, HyperFusionRegressor, NumericTable
    ... )
    >>> angles = np.linspace(0, 3, 40)
    >>> X = pd.DataFrame({
    ...     "image__clip__0": np.cos(angles), "image__clip__1": np.sin(angles)
    ... })
    >>> tree = HierarchicalClusterEncoder(
    ...     levels=(2, 4), min_cluster_size=2, target_mean=True, random_state=0
    ... )
    >>> relate = RelationEncoder(similarity=False, clusters=tree)
    >>> member = make_pipeline(relate, NumericTable(impute=True), Ridge())
    >>> model = HyperFusionRegressor([("clusters", member)], random_state=0)
    >>> model.fit(X, angles).oof_predictions_.shape
    (40,)
    """

    _parameter_constraints: dict = {
        "similarity": "no_validation",
        "clusters": "no_validation",
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        similarity: Any = None,
        clusters: Any = False,
        random_state: Any = None,
    ):
        self.similarity = similarity
        self.clusters = clusters
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the relations that the table allows.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_features)
            A feature table.
        y : array-like of shape (n_posts,), default=None
            Targets, for clusters that were asked for target means.

        Returns
        -------
        self
            The fitted transformer.
        """
        table = self._start(X)
        for _, relation in self.relations_:
            relation.fit(table, y)
        self._set_names(table)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> pd.DataFrame:
        """Fit, and return the table with the new columns.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_features)
            A feature table.
        y : array-like of shape (n_posts,), default=None
            Targets, for clusters that were asked for target means.
        **fit_params : dict
            Ignored; present for scikit-learn's conventions.

        Returns
        -------
        DataFrame of shape (n_posts, n_features + n_new)
            The table and the new blocks.
        """
        table = self._start(X)
        parts = [
            (b, relation.fit_transform(table, y)) for b, relation in self.relations_
        ]
        self._set_names(table)
        return _append(table, parts)

    def transform(self, X: Any) -> pd.DataFrame:
        """Return the table with the new columns.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_features)
            Columns as at fit.

        Returns
        -------
        DataFrame of shape (n_posts, n_features + n_new)
            The table and the new blocks.
        """
        check_is_fitted(self)
        table = _with_text_names(check_table(self, X, reset=False, numeric=True))
        parts = [(b, relation.transform(table)) for b, relation in self.relations_]
        return _append(table, parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns: those that came in, then the new ones.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str
            Names.
        """
        check_is_fitted(self)
        return np.asarray(self._names, dtype=object)

    def _start(self, X: Any) -> pd.DataFrame:
        self._validate_params()
        table = _with_text_names(check_table(self, X, reset=True, numeric=True))
        self.relations_ = self._relations(table)
        return table

    def _relations(self, table: pd.DataFrame) -> list[tuple[str, Any]]:
        from hyperfusion.relations import CrossModalSimilarity

        levels = set(category_columns(table))
        _, aligned = sides_of([c for c in table.columns if c not in levels])
        relations = []
        if self.similarity not in (None, False):
            relations.append(("cross", clone(self.similarity)))
        elif self.similarity is None and len(aligned) > 1:
            relations.append(("cross", CrossModalSimilarity()))
        if self.clusters is True:
            from hyperfusion.relations import HierarchicalClusterEncoder

            clusters = HierarchicalClusterEncoder(random_state=self.random_state)
            relations.append(("cluster", clusters))
        elif self.clusters is not False and self.clusters is not None:
            relations.append(("cluster", clone(self.clusters)))
        return relations

    def _set_names(self, table: pd.DataFrame) -> None:
        new = [column_name(b, n) for b, r in self.relations_ for n in _names(r)]
        self._names = [*table.columns, *new]

    def _sk_visual_block_(self) -> Any:
        return visual_block(self, getattr(self, "relations_", []))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _names(relation: Any) -> list[str]:
    return [str(name) for name in relation.get_feature_names_out()]


def _with_text_names(table: pd.DataFrame) -> pd.DataFrame:
    """Name columns of an array x0, x1, ... as scikit-learn does."""
    if all(isinstance(c, str) for c in table.columns):
        return table
    return table.set_axis([f"x{c}" for c in table.columns], axis=1)


def _append(table: pd.DataFrame, parts: list[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    if not parts:
        return table.copy(deep=False)
    new = []
    for block, part in parts:
        frame = part if isinstance(part, pd.DataFrame) else pd.DataFrame(part)
        names = [column_name(block, c) for c in frame.columns]
        new.append(frame.set_axis(names, axis=1).set_axis(table.index, axis=0))
    return pd.concat([table, *new], axis=1)
