"""Clusters of posts by content, from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval
from hyperfusion._target_means import (
    cross_fit_target_means,
    fit_target_means,
    target_means,
)
from hyperfusion._transformer import TableTransformer
from hyperfusion._validation import check_target, local_generator
from hyperfusion._workers import thread_limit
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._tree import Assignment, check_levels, descend, grow_tree
from hyperfusion.relations._views import (
    ViewReducer,
    agreement_table,
    find_views,
    join_views,
)
from hyperfusion.table._features import Features, read_features, write_features

JOINT = "joint"

_POSITIVE = Interval(Integral, 1, None, closed="left")

Path = dict[str, list[Assignment]]


@with_parameters
class HierarchicalClusterEncoder(TableTransformer):
    """Coarse-to-fine clusters of posts, for each modality and for all together.

    The paper's abstract mentions "hierarchical clustering features that capture
    inter-modal dependencies" but does not describe them; this is an interpretation. The
    vectors of each block are normalized, concatenated and reduced by PCA. k-means
    splits the posts into a few clusters, each of these into more, and so on: a tree in
    which every cluster has one parent. The joint view clusters the concatenated reduced
    vectors of all blocks.

    Parameters
    ----------
    levels : sequence of int, default=(8, 64, 512)
        Number of clusters on each level, increasing.
    blocks : list of str, default=None
        Blocks, or vectors (``text__title_clip``), to cluster separately. None means
        image, text and tags if any of them has vectors, otherwise all blocks that do. A
        plain array is one vector.
    joint : bool, default=True
        Whether to cluster all of them together as well.
    n_components : int, default=32
        Maximum number of components of the PCA of each block.
    min_cluster_size : int, default=20
        A level has at most one cluster per this many posts. A level with no more
        clusters than the one above it is left out.
    target_mean : bool, default=False
        Whether to add the shrunken mean target of each cluster. `fit_transform`
        cross-fits it, as scikit-learn's ``TargetEncoder`` does.
    cv : int, default=5
        Number of folds for the cross-fitting.
    random_state : int, RandomState instance or None, default=None
        Seed of k-means, of the rows for the PCA, and of the folds.

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
    agreement_ : dict of {str: list of ndarray}
        The table of agreements for each pair in `agreeing_`, level by level.
    agreeing_ : dict of {str: (str, str)}
        The pairs of an image view with a view of texts or tags.
    blocks_ : dict of {str: str or None}
        The block of each view except "joint".
    target_encoders_ : dict of {str: TargetEncoder}
        The fitted encoders of the clusters' target means.
    reducers_ : dict of {str: estimator}
        Normalize and reduce each block.
    %(columns_seen)s

    See Also
    --------
    CrossModalSimilarity : Agreement of image and text without clusters.
    sklearn.cluster.MiniBatchKMeans : Splits each cluster.

    Notes
    -----
    For each view and level L the output has

    - ``<view>_<L>_distance``: distance to the center of the post's cluster;
    - ``<view>_<L>_margin``: how much farther the nearest other center of the level
      is; negative if a cluster of another branch is nearer;
    - ``<view>_<L>_size``: the cluster's share of the posts at fit;
    - ``<view>_<L>``: the cluster, a category (a number for an array);

    and for image with text, and image with tags, ``image_text_<L>_agreement``: the
    normalized pointwise mutual information of the two clusters at fit, which is 1 if
    they only occur together, 0 if they are independent, and -1 if they never do.

    A post without any vector of a view is missing there. If a block has several
    vectors, a missing one counts as the mean.

    Target means belong inside the folds of an ensemble, as in the second example of
    `RelationEncoder`. In an earlier step, the means of other posts contain every post's
    label, and out-of-fold predictions correlate with labels of pure noise (0.12
    measured, 0.01 inside the folds). Without `target_mean` this is no problem, because
    members encode the clusters inside the fold.

    With n posts, d components and K clusters on the last level, it costs ``O(n d K)``
    to assign clusters, plus the PCA on at most 100,000 posts. On one core, 486,000
    posts and one view of 512 columns take 12 s to fit, 4 s to transform, and 0.6 GB
    on top of the table. It runs in one thread, because the last digits, and with them
    the tree of clusters, depend on the number of threads.

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
        "joint": ["boolean"],
        "n_components": [_POSITIVE],
        "min_cluster_size": [_POSITIVE],
        "target_mean": ["boolean"],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    levels: Sequence[int] = (8, 64, 512)
    blocks: Sequence[str] | None = None
    joint: bool = True
    n_components: int = 32
    min_cluster_size: int = 20
    target_mean: bool = False
    cv: int = 5
    random_state: Any = None

    def _fit_transform(self, X: Any, y: Any) -> Any:
        features, paths, y, rng = self._fit(X, y)
        means = {}
        if self.target_mean:
            seed = int(rng.randint(2**31 - 1))
            for view, path in paths.items():
                means[view] = cross_fit_target_means(
                    _labels(path), y, cv=self.cv, random_state=seed
                )
        return self._write(features, paths, means)

    def _transform(self, X: Any) -> Any:
        features = read_features(self, X, reset=False, infinite="missing")
        with thread_limit(1):
            paths = {
                view: descend(points, self.centers_[view], self.parents_[view])
                for view, points in self._reduced(features.numbers)
            }
        means = {
            view: target_means(encoder, _labels(paths[view]))
            for view, encoder in self.target_encoders_.items()
        }
        return self._write(features, paths, means)

    def _feature_names(self, names: Any) -> list[str]:
        return [name for name, _ in self._columns()]

    @property
    def related_(self) -> list[tuple[str, ...]]:
        """For each column of the output, the blocks that it relates."""
        check_is_fitted(self)
        return [blocks for _, blocks in self._columns()]

    def _columns(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the names of the output's columns and the blocks that they relate."""
        blocks: dict[str, tuple[str, ...]] = {
            view: () if block is None else (block,)
            for view, block in self.blocks_.items()
        }
        blocks[JOINT] = tuple(dict.fromkeys(b for bs in blocks.values() for b in bs))
        numbers, clusters = [], []
        for view, levels in self.levels_.items():
            measures = ["distance", "margin", "size"]
            measures += ["target_mean"] * (view in self.target_encoders_)
            for level in levels:
                name = f"{view}_{level}" if view else f"cluster_{level}"
                clusters.append((name, blocks[view]))
                numbers += [(f"{name}_{what}", blocks[view]) for what in measures]
        for pair, (a, b) in self.agreeing_.items():
            both = blocks[a] + blocks[b]
            numbers += [(f"{pair}_{k}_agreement", both) for k in self._shared(pair)]
        return numbers + clusters

    def _fit(
        self, X: Any, y: Any
    ) -> tuple[Features, Path, np.ndarray | None, np.random.RandomState]:
        levels = check_levels(self.levels)
        features = read_features(self, X, reset=True, infinite="missing")
        if self.target_mean:
            y = check_target(y, len(features.numbers), allow_nan=True)
        rng = local_generator(self.random_state)
        with thread_limit(1):
            self._fit_views(features, rng)
            paths = self._grow(features.numbers, levels, rng)
        self._fit_agreement(paths)
        self.target_encoders_ = {}
        if self.target_mean:
            self.target_encoders_ = {
                view: fit_target_means(_labels(path), y) for view, path in paths.items()
            }
        return features, paths, y, rng

    def _grow(
        self, numbers: np.ndarray, levels: list[int], rng: np.random.RandomState
    ) -> Path:
        paths = {}
        self.levels_: dict[str, list[int]] = {}
        self.centers_: dict[str, list[np.ndarray]] = {}
        self.parents_: dict[str, list[np.ndarray]] = {}
        self.sizes_: dict[str, list[np.ndarray]] = {}
        for view, points in self._reduced(numbers):
            there = points[~np.isnan(points[:, 0])]
            tree = grow_tree(there, levels, self.min_cluster_size, rng)
            self.levels_[view], self.centers_[view], self.parents_[view] = tree
            paths[view] = descend(points, *tree[1:])
            self.sizes_[view] = [
                np.bincount(a.labels[a.labels >= 0], minlength=len(c)) / len(there)
                for a, c in zip(paths[view], self.centers_[view], strict=True)
            ]
        return paths

    def _fit_views(self, features: Features, rng: np.random.RandomState) -> None:
        numbers = features.numbers
        self.reducers_: dict[str, ViewReducer] = {}
        self.blocks_: dict[str, str | None] = {}
        for name, view in find_views(features, self.blocks).items():
            reducer = ViewReducer(vectors=view.vectors, n_components=self.n_components)
            if reducer.count(numbers) > 1:
                self.reducers_[name] = reducer.fit(numbers, rng)
                self.blocks_[name] = view.block
        if not self.reducers_:
            raise InvalidInputError(
                f"{type(self).__name__} found no vector with at least two posts "
                f"(n_samples={len(numbers)}). The columns of a vector are named "
                "image__clip__0, image__clip__1 and so on, as by feature_table."
            )

    def _reduced(self, numbers: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        reduced = {view: r.transform(numbers) for view, r in self.reducers_.items()}
        yield from reduced.items()
        if self.joint and len(reduced) > 1:
            yield JOINT, join_views(list(reduced.values()))

    def _fit_agreement(self, paths: Path) -> None:
        self.agreement_: dict[str, list[np.ndarray]] = {}
        images = [view for view, block in self.blocks_.items() if block == "image"]
        texts = [v for v, block in self.blocks_.items() if block in ("text", "tags")]
        self.agreeing_ = {f"{a}_{b}": (a, b) for a in images for b in texts}
        for pair, (a, b) in self.agreeing_.items():
            self.agreement_[pair] = [
                agreement_table(
                    paths[a][i].labels,
                    paths[b][j].labels,
                    (len(self.centers_[a][i]), len(self.centers_[b][j])),
                )
                for i, j in self._shared(pair).values()
            ]

    def _shared(self, pair: str) -> dict[int, tuple[int, int]]:
        """Return the positions of the levels that both views of a pair have."""
        a, b = (self.levels_[view] for view in self.agreeing_[pair])
        return {level: (a.index(level), b.index(level)) for level in a if level in b}

    def _write(
        self, features: Features, paths: Path, means: dict[str, np.ndarray]
    ) -> Any:
        numbers: list[np.ndarray] = []
        clusters: list[np.ndarray] = []
        for view, path in paths.items():
            for i, assignment in enumerate(path):
                labels = assignment.labels
                clusters.append(labels)
                size = np.append(self.sizes_[view][i], np.nan)[labels]
                numbers += [assignment.distance, assignment.margin, size]
                if view in means:
                    numbers.append(means[view][:, i])
        for pair, tables in self.agreement_.items():
            a, b = self.agreeing_[pair]
            for table, (i, j) in zip(tables, self._shared(pair).values(), strict=True):
                ours, theirs = paths[a][i].labels, paths[b][j].labels
                known = (ours >= 0) & (theirs >= 0)
                numbers.append(np.where(known, table[ours, theirs], np.nan))
        values = np.column_stack(numbers).astype(np.float32)
        if not features.is_frame:
            ids = [np.where(labels >= 0, labels, np.nan) for labels in clusters]
            return np.column_stack([values, *ids]).astype(np.float32)
        centers = [c for view in paths for c in self.centers_[view]]
        categories = {
            i: pd.Categorical.from_codes(labels, list(range(len(c))))
            for i, (labels, c) in enumerate(zip(clusters, centers, strict=True))
        }
        levels = pd.DataFrame(categories, index=features.categories.index)
        return write_features(values, self.get_feature_names_out(), levels)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "target_encoders_")


def _labels(path: list[Assignment]) -> np.ndarray:
    return np.column_stack([assignment.labels for assignment in path])
