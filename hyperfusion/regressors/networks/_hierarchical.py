"""The hierarchical member: each modality, both together, then the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyperfusion._base import with_parameters
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._base import COUNT, NetworkRegressor


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
