"""The hierarchical network: modalities first, then their joint, then metadata."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hyperfusion.regressors.networks._layers import (
    Span,
    Stage,
    TableFeatures,
    linear,
    pick,
    width_of,
)
from hyperfusion.table._names import MODALITIES

CONTENT = ("visual", "textual")


class Stages(nn.Sequential):
    """Fully connected stages with ReLU and dropout, batch normalized where asked."""

    def __init__(
        self,
        n_inputs: int,
        sizes: list[int],
        config: dict[str, Any],
        generator: torch.Generator,
    ):
        super().__init__(
            *(
                Stage(
                    before,
                    size,
                    config["dropout"],
                    generator,
                    activation=nn.ReLU,
                    normalize=config["batch_norm"],
                )
                for before, size in pairwise([n_inputs, *sizes])
            )
        )


class HierarchicalNetwork(nn.Module):
    """Stages for each modality, then for the joint, then with the metadata.

    Parameters
    ----------
    layout : dict
        `NetworkInputs.layout_`.
    config : dict
        The regressor's parameters.
    generator : torch.Generator
        Draws the first weights.
    """

    def __init__(
        self,
        layout: dict[str, Any],
        config: dict[str, Any],
        generator: torch.Generator,
    ):
        super().__init__()
        groups = list(layout["groups"])
        self.features = TableFeatures(layout, config, generator)
        modalities = {m: self.features.spans(MODALITIES[m]) for m in CONTENT}
        self.spans = {name: spans for name, spans in modalities.items() if spans}
        self.pairs = self._aligned_pairs(layout["aligned"])
        self.modalities = nn.ModuleDict()
        for name, spans in self.spans.items():
            size = [config["modality_size"]]
            self.modalities[name] = Stages(width_of(spans), size, config, generator)
        content = [group for name in self.spans for group in MODALITIES[name]]
        self.rest = self.features.spans([g for g in groups if g not in content])
        width = width_of(self.rest)
        if self.spans:
            compared = sum(2 * width_of([image]) for image, _ in self.pairs)
            inside = config["modality_size"] * len(self.spans) + compared
            self.joint = Stages(inside, [config["joint_size"]], config, generator)
            width += config["joint_size"]
        self.auxiliary = config["auxiliary"] if self.spans else []
        self.auxiliary_weight = config["auxiliary_weight"]
        self.auxiliary_heads = nn.ModuleList(
            linear(config["joint_size"], layout["sizes"][i], generator)
            for i in self.auxiliary
        )
        self.final = Stages(width, config["final_sizes"], config, generator)
        self.head = linear(config["final_sizes"][-1], 1, generator, zero=True)

    def _aligned_pairs(self, stems: list[str]) -> list[tuple[Span, Span]]:
        """Return where the image's vector and each text's vector of one space lie."""
        places = {s: v for g in self.features.vectors.values() for s, v in g.items()}
        return [(places[stems[0]], places[stem]) for stem in stems[1:]]

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Any]:
        """Return predictions, and the weighted loss of the auxiliary tasks."""
        features = self.features(numbers, codes)
        parts = [pick(features, self.rest)] if self.rest else []
        penalty: Any = 0.0
        if self.spans:
            joint = self.joint(self._content(features))
            parts.append(joint)
            if self.training and self.auxiliary:
                penalty = self.auxiliary_weight * self._auxiliary_loss(joint, codes)
        prediction = self.head(self.final(torch.cat(parts, dim=1)))
        return prediction.squeeze(1), penalty

    def _content(self, features: Tensor) -> Tensor:
        parts = [
            self.modalities[name](pick(features, spans))
            for name, spans in self.spans.items()
        ]
        for image, text in self.pairs:
            a, b = pick(features, [image]), pick(features, [text])
            parts += [a * b, (a - b).abs()]
        return torch.cat(parts, dim=1)

    def _auxiliary_loss(self, joint: Tensor, codes: Tensor) -> Tensor:
        total = joint.new_zeros(())
        for head, i in zip(self.auxiliary_heads, self.auxiliary, strict=True):
            known = codes[:, i] > 0
            if known.any():
                logits = head(joint[known])
                total = total + nn.functional.cross_entropy(logits, codes[known, i])
        return total / len(self.auxiliary)
