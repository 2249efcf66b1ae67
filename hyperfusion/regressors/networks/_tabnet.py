"""The TabNet member: each step selects features with a mask."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval
from hyperfusion.regressors.networks._base import (
    COUNT,
    NOT_NEGATIVE,
    NetworkRegressor,
)

VIRTUAL_BATCH_SIZE = 128
"""Number of rows over which batch normalization computes its statistics."""


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
        inputs, layout = self.inputs_, self.inputs_.layout_
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
        return batch - (-(-batch // length) - 1) * length

    size = wanted
    while min(last(batch, size) for batch in batches) < 2 and size < max(batches):
        size += 1
    return size
