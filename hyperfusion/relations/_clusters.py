"""Clusters of posts by content, from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import with_parameters
from hyperfusion._transformer import TableTransformer
from hyperfusion._validation import COUNT, check_increasing, local_generator
from hyperfusion._workers import thread_limit
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._tree import (
    Assignment,
    descend,
    find_views,
    grow_tree,
)
from hyperfusion.table._features import Features, read_features, write_features

JOINT = "joint"

Paths = dict[str, list[Assignment]]


@with_parameters
class HierarchicalClusterEncoder(TableTransformer):
    """Coarse-to-fine clusters of posts, for each modality and for all together.

    The paper's abstract mentions "hierarchical clustering features" but does not
    describe them; this is an interpretation. The vectors of each block are normalized,
    concatenated and reduced by PCA. k-means splits the posts into a few clusters, each
    of these into more, and so on: a tree in which every cluster has one parent. The
    joint view clusters the concatenated reduced vectors of all blocks.

    Parameters
    ----------
    levels : sequence of int, default=(8, 64, 512)
        Number of clusters on each level, increasing.
    blocks : list of str, default=None
        Blocks to cluster separately and all together. None means image, text and tags
        if any of them has vectors, otherwise all blocks that do. A plain array is one
        vector.
    n_components : int, default=32
        Maximum number of components of the PCA of each block.
    min_cluster_size : int, default=20
        A level has at most one cluster per this many posts. A level with no more
        clusters than the one above it is left out.
    random_state : int, RandomState instance or None, default=None
        Seed of k-means and of the rows for the PCA.

    Attributes
    ----------
    levels_ : dict of {str: list of int}
        The levels of each view: of each block, and of "joint".
    centers_ : dict of {str: list of ndarray}
        The clusters' centers in the reduced space, for each view and level.
    parents_ : dict of {str: list of ndarray}
        The parent of each cluster on the level above (0 on the first level).
    sizes_ : dict of {str: list of ndarray}
        The share of each cluster in the posts at fit.
    reducers_ : dict of {str: estimator}
        Normalize and reduce each block.
    %(columns_seen)s

    Notes
    -----
    For each view and level L the output has

    - ``<view>_<L>_distance``: distance to the center of the post's cluster;
    - ``<view>_<L>_margin``: how much farther the nearest other center of the level
      is; negative if a cluster of another branch is nearer;
    - ``<view>_<L>_size``: the cluster's share of the posts at fit;
    - ``<view>_<L>``: the cluster, a category (a number for an array).

    A post without any vector of a view is missing there. If a block has several
    vectors, a missing one counts as the mean. 486,000 posts with 512 columns take 12 s.
    It runs in one thread, on whose number the last digits depend.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion import HierarchicalClusterEncoder
    >>> angles = np.repeat([0.0, 0.3, 1.5, 1.8], 10)
    >>> X = pd.DataFrame({
    ...     "image__clip__0": np.cos(angles), "image__clip__1": np.sin(angles)
    ... })
    >>> encoder = HierarchicalClusterEncoder(
    ...     levels=(2, 4), min_cluster_size=2, random_state=0
    ... )
    >>> clusters = encoder.fit_transform(X)[["image_2", "image_4"]]
    >>> clusters.drop_duplicates().shape  # four small clusters in two large ones
    (4, 2)
    """

    _parameter_constraints = {
        "levels": [list, tuple],
        "blocks": [list, tuple, None],
        "n_components": [COUNT],
        "min_cluster_size": [COUNT],
        "random_state": ["random_state"],
    }

    levels: Sequence[int] = (8, 64, 512)
    blocks: Sequence[str] | None = None
    n_components: int = 32
    min_cluster_size: int = 20
    random_state: Any = None

    def _fit(self, X: Any, y: Any) -> tuple[Features, Paths]:
        levels = check_increasing(self.levels, "levels", "(8, 64, 512)")
        features = read_features(self, X, reset=True, infinite="missing")
        numbers, rng = features.numbers, local_generator(self.random_state)
        self.levels_: dict[str, list[int]] = {}
        self.centers_: dict[str, list[np.ndarray]] = {}
        self.parents_: dict[str, list[np.ndarray]] = {}
        self.sizes_: dict[str, list[np.ndarray]] = {}
        paths: Paths = {}
        with thread_limit(1):
            views = find_views(features, self.blocks, self.n_components)
            self.reducers_ = {
                view: reducer.fit(numbers, rng)
                for view, reducer in views.items()
                if reducer.there(numbers).sum() > 1
            }
            if not self.reducers_:
                raise InvalidInputError(
                    f"{type(self).__name__} found no vector with at least two posts "
                    f"(n_samples={len(numbers)}). The columns of a vector are named "
                    "image__clip__0, image__clip__1 and so on, as by feature_table."
                )
            for view, points in self._reduced(numbers):
                there = points[~np.isnan(points[:, 0])]
                tree = grow_tree(there, levels, self.min_cluster_size, rng)
                self.levels_[view], self.centers_[view], self.parents_[view] = tree
                paths[view] = descend(points, *tree[1:])
                self.sizes_[view] = [
                    np.bincount(a.labels[a.labels >= 0], minlength=len(c)) / len(there)
                    for a, c in zip(paths[view], self.centers_[view], strict=True)
                ]
        return features, paths

    def _fit_transform(self, X: Any, y: Any) -> Any:
        return self._write(*self._fit(X, y))

    def _transform(self, X: Any) -> Any:
        features = read_features(self, X, reset=False, infinite="missing")
        with thread_limit(1):
            paths = {
                view: descend(points, self.centers_[view], self.parents_[view])
                for view, points in self._reduced(features.numbers)
            }
        return self._write(features, paths)

    def _feature_names(self, names: Any) -> list[str]:
        return [name for name, _ in self._columns()]

    @property
    def related_(self) -> list[tuple[str, ...]]:
        """For each column of the output, the blocks that it relates."""
        check_is_fitted(self)
        return [blocks for _, blocks in self._columns()]

    def _columns(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the names of the output's columns and the blocks that they relate."""
        numbers, clusters = [], []
        for view, levels in self.levels_.items():
            blocks = tuple(self.reducers_) if view == JOINT else (view,) if view else ()
            for level in levels:
                name = f"{view}_{level}" if view else f"cluster_{level}"
                clusters.append((name, blocks))
                measures = ("distance", "margin", "size")
                numbers += [(f"{name}_{what}", blocks) for what in measures]
        return numbers + clusters

    def _reduced(self, numbers: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        reduced = {view: r.transform(numbers) for view, r in self.reducers_.items()}
        yield from reduced.items()
        if len(reduced) > 1:
            every = np.concatenate([*reduced.values()], axis=1)
            nothing = np.isnan(every).all(axis=1)
            # a missing view counts as its mean, which is 0, since the PCA centers
            every = np.nan_to_num(every, nan=0.0)
            every[nothing] = np.nan
            yield JOINT, every

    def _write(self, features: Features, paths: Paths) -> Any:
        numbers: list[np.ndarray] = []
        clusters: list[tuple[np.ndarray, int]] = []
        for view, path in paths.items():
            for found, sizes in zip(path, self.sizes_[view], strict=True):
                clusters.append((found.labels, len(sizes)))
                size = np.append(sizes, np.nan)[found.labels]
                numbers += [found.distance, found.margin, size]
        values = np.column_stack(numbers).astype(np.float32)
        if not features.is_frame:
            ids = [np.where(labels >= 0, labels, np.nan) for labels, _ in clusters]
            return np.column_stack([values, *ids]).astype(np.float32)
        categories = {
            i: pd.Categorical.from_codes(labels, list(range(n)))
            for i, (labels, n) in enumerate(clusters)
        }
        levels = pd.DataFrame(categories, index=features.categories.index)
        return write_features(values, self.get_feature_names_out(), levels)
