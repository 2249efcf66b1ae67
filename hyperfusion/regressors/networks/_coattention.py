"""The co-attention member: image and text attend to each other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hyperfusion._base import with_parameters
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._base import COUNT, NetworkRegressor
from hyperfusion.table._names import MODALITIES

N_HEADS = 4
"""Heads of the attention."""


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
