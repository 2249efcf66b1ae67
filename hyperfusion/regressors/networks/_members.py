"""The network members: TabNet, co-attention, and the hierarchical predictor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Real
from typing import Any

import numpy as np

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval
from hyperfusion._validation import COUNT, NOT_NEGATIVE
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._base import NetworkRegressor
from hyperfusion.table._names import MODALITIES

VIRTUAL_BATCH_SIZE = 128  # rows of the statistics of batch normalization
N_HEADS = 4  # of the attention


@with_parameters
class TabNetHuberRegressor(NetworkRegressor):
    """TabNet for feature tables with categories, with a Huber loss.

    The second member of the paper's ensemble (section 3.4): "interpretable deep
    tabular learning with sequential attention". The network comes from pytorch-tabnet,
    the training loop from this package. Each step selects features with a mask, which
    has one unit for each number, category and vector.

    Parameters
    ----------
    %(training)s
    n_d : int, default=8
        Width of each step's output, and of its input to the next mask.
    n_steps : int, default=2
        Number of steps.
    gamma : float, default=1.3
        How much later steps may reuse a feature (1: not at all).
    sparsity : float, default=1e-4
        Weight of the entropy of the masks in the loss.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        Shares of the columns in the predictions of the training rows: the masks,
        weighted by the outputs of their steps; adds up to 1.
    %(fitted)s
    %(columns_seen)s

    Notes
    -----
    A fit costs ``O(n_steps * n_samples * n_features * n_d)`` per epoch.

    %(preparation)s

    pytorch-tabnet draws its initial weights from torch's global generator. It is seeded
    while the network is built and restored afterwards, so do not fit this member in
    parallel threads.

    References
    ----------
    .. [1] Arik and Pfister. "TabNet: attentive interpretable tabular learning."
       AAAI 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import TabNetHuberRegressor
    >>> X = np.random.RandomState(0).normal(size=(200, 3))
    >>> y = 3 * X[:, 1]
    >>> model = TabNetHuberRegressor(max_iter=30, random_state=0).fit(X, y)
    >>> int(model.feature_importances_.argmax())
    1
    """

    _network_class = "TabNetNetwork"
    _parameter_constraints = {
        **NetworkRegressor._parameter_constraints,
        "n_d": [COUNT],
        "n_steps": [COUNT],
        "gamma": [Interval(Real, 1, None, closed="left")],
        "sparsity": [NOT_NEGATIVE],
    }

    learning_rate: float = 0.02
    weight_decay: float = 0.3
    dropout: float = 0.1
    n_d: int = 8
    n_steps: int = 2
    gamma: float = 1.3
    sparsity: float = 1e-4

    def _network_config(self, n_samples: int) -> dict[str, Any]:
        size = _chunk_size(n_samples, self._batch_size(n_samples), VIRTUAL_BATCH_SIZE)
        return super()._network_config(n_samples) | {"virtual_batch_size": size}

    def _after_training(self, numbers: np.ndarray, codes: np.ndarray) -> None:
        import torch

        rows = torch.from_numpy(numbers), torch.from_numpy(codes)
        units = self._network.importances(*rows)
        shares = units / np.maximum(units.sum(axis=1, keepdims=True), 1e-30)
        # a unit's share is divided equally among its columns
        inputs, layout = self._inputs, self._inputs.layout_
        numbers_at = np.flatnonzero(~self.schema_.is_category)
        starts = [*range(layout["n_scalars"])]
        for group in layout["groups"].values():
            starts += [start for start, _ in group["vectors"].values()]
        sources = [numbers_at[inputs.sources_[start]] for start in starts]
        sources += [np.array([i]) for i in np.flatnonzero(self.schema_.is_category)]
        columns = np.zeros((len(sources), self.n_features_in_))
        for unit, source in enumerate(sources):
            columns[unit, source] = 1 / len(source)
        self.feature_importances_ = shares.mean(axis=0) @ columns


def _chunk_size(n_samples: int, batch_size: int, wanted: int) -> int:
    """Return the smallest size from `wanted` on whose last chunk has several rows.

    pytorch-tabnet cuts each batch into equal chunks for its batch normalization,
    which fails on a last chunk of one row.
    """
    from hyperfusion.regressors.networks._training import batches_of

    n_batches = batches_of(n_samples, batch_size)
    batches = {n_samples // n_batches, -(-n_samples // n_batches)}

    def last(batch: int, size: int) -> int:
        length = -(-batch // -(-batch // size))
        return (batch - 1) % length + 1

    sizes = range(wanted, max(wanted, *batches) + 1)
    several = (s for s in sizes if all(last(batch, s) > 1 for batch in batches))
    return next(several, sizes[-1])


@with_parameters
class CoAttentionRegressor(NetworkRegressor):
    """Network in which image and text attend to each other, with a Huber loss.

    The third member of the paper's ensemble: "a custom Multi-Layer Perceptron with
    co-attention layers" (section 3.4). The paper gives no details. Attention over a
    single vector does nothing, so here each vector (an embedding of an image, a title,
    tags) is projected to four tokens, and the numbers and categories of a block to one.
    In each attention block, with four heads, the tokens of the image attend to those of
    the text and vice versa. The means of both sides are joined with a layer over the
    metadata.

    If the table has only images or only texts, their tokens and those of the metadata
    attend to each other. If it has neither, or no blocks at all, the model is a
    residual network over all features, and it warns about that.

    Parameters
    ----------
    %(training)s
    token_size : int, default=16
        Size of a token; a multiple of four.
    n_blocks : int, default=1
        Number of attention blocks.
    hidden_size : int, default=64
        Width of the other layers.

    Attributes
    ----------
    %(fitted)s
    %(columns_seen)s

    Notes
    -----
    A fit of 3,000 rows and about 200 features takes a few seconds on one core. It costs
    ``O(n_samples * n_features * hidden_size)`` per epoch.

    %(preparation)s

    References
    ----------
    .. [1] Lu, Yang, Batra and Parikh. "Hierarchical question-image co-attention for
       visual question answering." NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import CoAttentionRegressor
    >>> from hyperfusion.table import feature_table
    >>> rng = np.random.RandomState(0)
    >>> image, title = rng.normal(size=(2, 200, 4))
    >>> X = feature_table({"image__clip": image, "text__title": title})
    >>> model = CoAttentionRegressor(max_iter=30, random_state=0).fit(X, image[:, 0])
    >>> bool(model.score(X, image[:, 0]) > 0.5)
    True
    """

    _network_class = "CoAttentionNetwork"
    _purpose = "attends between blocks"

    _parameter_constraints = {
        **NetworkRegressor._parameter_constraints,
        "token_size": [COUNT],
        "n_blocks": [COUNT],
        "hidden_size": [COUNT],
    }

    token_size: int = 16
    n_blocks: int = 1
    hidden_size: int = 64

    def _network_config(self, n_samples: int) -> dict[str, Any]:
        if self.token_size % N_HEADS:
            raise InvalidInputError(
                f"token_size must be a multiple of {N_HEADS}, the number of attention "
                f"heads. Got {self.token_size} instead."
            )
        return super()._network_config(n_samples)

    def _is_plain(self, groups: Collection[str]) -> bool:
        return not choose_sides(groups)


def choose_sides(groups: Collection[str]) -> dict[str, list[str]]:
    """Return the two sides that attend to each other, as {name: groups}.

    Image and text if the table has both. If it has one, the other side is the metadata.
    If it has neither, there are no sides.
    """
    present: dict[str, list[str]] = {}
    for name in ("visual", "textual"):
        found = [group for group in MODALITIES[name] if group in groups]
        present |= {name: found} if found else {}
    if len(present) == 2 or not present:
        return present
    taken = next(iter(present.values()))
    others = [g for g in groups if g not in taken]
    return present | {"metadata": others} if others else {}


@with_parameters
class ClipHierarchicalRegressor(NetworkRegressor):
    """Network with stages for CLIP vectors and metadata, with a Huber loss.

    The fourth member of the paper's ensemble: the "CLIP-based Hierarchical
    Predictor" with "multiple fully connected layers with ReLU activation and batch
    normalization" (section 3.4). The paper gives no details. Here "hierarchical" means:

    1. one stage for the images, and one for the texts and tags;
    2. a joint stage over both, and over the product and the absolute difference of
       the aligned vectors of image and text;
    3. final stages over the joint stage and the metadata (all other blocks).

    A stage is a linear layer, batch normalization (`batch_norm`, off by default), ReLU
    and dropout. Modalities that the table lacks are left out. If no column has a block,
    only the final stages remain, and the model warns about that.

    Vectors are aligned if the table declares that they share a space. The encoders of
    one CLIP model do this for their vectors; use `feature_table` for others. Aligned
    vectors are reduced in one common basis, so that their products keep their meaning.

    Parameters
    ----------
    %(training)s
    hidden_size : int, default=64
        Width of the modality stages and of the joint stage.
    final_sizes : sequence of int, default=(128, 64)
        Widths of the final stages.
    batch_norm : bool, default=False
        Whether stages use batch normalization, as in the paper. Its statistics come
        from the training posts, which hurts on later posts: on videos one year later
        than the training videos, the mean absolute error rose from 1.45 to 1.53.

    Attributes
    ----------
    %(fitted)s
    %(columns_seen)s

    Notes
    -----
    A fit of 3,000 rows and about 200 features takes a few seconds on one core. It costs
    ``O(n_samples * n_features)`` times the widths of the stages per epoch.

    %(preparation)s

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import ClipHierarchicalRegressor
    >>> from hyperfusion.table import feature_table
    >>> rng = np.random.RandomState(0)
    >>> image, title = rng.normal(size=(2, 200, 4))
    >>> X = feature_table(
    ...     {"image__clip": image, "text__title": title},
    ...     spaces={"clip": ["image__clip", "text__title"]},
    ... )
    >>> y = image[:, 0] + image[:, 1] * title[:, 1]
    >>> model = ClipHierarchicalRegressor(max_iter=30, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    _align = True
    _network_class = "HierarchicalNetwork"
    _purpose = "joins images and texts"

    _parameter_constraints = {
        **NetworkRegressor._parameter_constraints,
        "hidden_size": [COUNT],
        "final_sizes": ["array-like"],
        "batch_norm": ["boolean"],
    }

    dropout: float = 0.3
    hidden_size: int = 64
    final_sizes: Sequence[int] = (128, 64)
    batch_norm: bool = False

    def _network_config(self, n_samples: int) -> dict[str, Any]:
        sizes = list(self.final_sizes)
        if not sizes or not all(COUNT.is_satisfied_by(size) for size in sizes):
            raise InvalidInputError(
                f"final_sizes must be one or more positive whole numbers. Got "
                f"{self.final_sizes!r} instead."
            )
        return super()._network_config(n_samples) | {"final_sizes": [*map(int, sizes)]}
