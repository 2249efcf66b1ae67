"""pytorch-tabnet's network behind this package's inputs and training loop."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from hyperfusion.regressors.networks._layers import Settings, Span, TableFeatures
from hyperfusion.regressors.networks._training import in_parts


class TabNetNetwork(nn.Module):
    """TabNet over single features, embedded categories and reduced vectors.

    The masks have one unit for each number, category and vector.
    """

    membership: Tensor
    tabnet: Any

    def __init__(self, layout: Settings, config: Settings, generator: Generator):
        super().__init__()
        self.features = TableFeatures(layout, generator, 4, config["dropout"])
        units = self._units(layout)
        membership = torch.zeros(len(units), self.features.width)
        for row, (start, stop) in enumerate(units):
            membership[row, start:stop] = 1
        self.register_buffer("membership", membership, persistent=False)
        self.sparsity = config["sparsity"]
        self.tabnet = _build_tabnet(membership, config, generator)

    def _units(self, layout: Settings) -> list[Span]:
        """Return the span of each unit: numbers, then vectors, then categories."""
        size = self.features.numbers.size
        units = [(i * size, (i + 1) * size) for i in range(layout["n_scalars"])]
        units += [v for g in self.features.vectors.values() for v in g.values()]
        widths = self.features.categories.widths
        ends = np.cumsum([self.features.width - sum(widths), *widths])
        return units + [(int(a), int(b)) for a, b in pairwise(ends)]

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions, and the masks' entropy as a penalty."""
        self._follow()
        output, entropy = self.tabnet(self.features(numbers, codes))
        # pytorch-tabnet's loss is the negative entropy of the masks.
        return output.squeeze(1), -self.sparsity * entropy

    @torch.inference_mode()
    def importances(self, numbers: Tensor, codes: Tensor) -> np.ndarray:
        """Return the importance of each unit for the prediction of each row.

        It is the sum of a unit's masks, weighted by the outputs of their steps.
        """
        self._follow()
        share = self.membership.T / self.membership.sum(dim=1)
        found = []
        for part in in_parts(self, numbers, codes):
            total = self.tabnet.forward_masks(self.features(*part))[0]
            found.append((total.to(share) @ share).cpu().numpy())
        return np.concatenate(found)

    def _follow(self) -> None:
        # The matrix is not a buffer in pytorch-tabnet, so it does not move along.
        encoder = self.tabnet.encoder
        encoder.group_attention_matrix = self.membership


def _build_tabnet(
    membership: Tensor, config: Settings, generator: Generator
) -> nn.Module:
    """Build pytorch-tabnet's network; its output starts at zero.

    Its layers draw their initial weights from torch's global generator, which is seeded
    here and restored afterwards.
    """
    from pytorch_tabnet.tab_network import TabNetNoEmbeddings

    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        network = TabNetNoEmbeddings(
            membership.shape[1],
            1,
            n_d=config["n_d"],
            n_a=config["n_d"],
            n_steps=config["n_steps"],
            gamma=config["gamma"],
            n_independent=1,
            n_shared=1,
            virtual_batch_size=config["virtual_batch_size"],
            momentum=0.02,
            mask_type="sparsemax",
            group_attention_matrix=membership,
        )
    finally:
        torch.set_rng_state(before)
    nn.init.zeros_(network.final_mapping.weight)
    return network
