"""The hierarchical network: each modality, both together, then the metadata."""

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
    """Fully connected stages with ReLU, dropout and optional batch normalization."""

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
    """Stages for each modality, then for both together, then with the metadata."""

    def __init__(
        self,
        layout: dict[str, Any],
        config: dict[str, Any],
        generator: torch.Generator,
    ):
        super().__init__()
        groups, hidden = list(layout["groups"]), config["hidden_size"]
        self.features = TableFeatures(layout, generator)
        modalities = {m: self.features.spans(MODALITIES[m]) for m in CONTENT}
        self.spans = {name: spans for name, spans in modalities.items() if spans}
        self.pairs = self._aligned_pairs(layout["aligned"])
        self.modalities = nn.ModuleDict()
        for name, spans in self.spans.items():
            self.modalities[name] = Stages(width_of(spans), [hidden], config, generator)
        content = [group for name in self.spans for group in MODALITIES[name]]
        self.rest = self.features.spans([g for g in groups if g not in content])
        width = width_of(self.rest)
        if self.spans:
            compared = sum(2 * width_of([image]) for image, _ in self.pairs)
            inside = hidden * len(self.spans) + compared
            self.joint = Stages(inside, [hidden], config, generator)
            width += hidden
        self.final = Stages(width, config["final_sizes"], config, generator)
        self.head = linear(config["final_sizes"][-1], 1, generator, zero=True)

    def _aligned_pairs(self, spaces: list[list[str]]) -> list[tuple[Span, Span]]:
        """Return the spans of the image and text vectors that share a space."""
        vectors = self.features.vectors
        visual, textual = (
            {v: s for b in MODALITIES[m] for v, s in vectors.get(b, {}).items()}
            for m in CONTENT
        )
        return [
            (visual[image], textual[text])
            for space in spaces
            for image in space
            for text in space
            if image in visual and text in textual
        ]

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, float]:
        """Return predictions and no penalty."""
        features = self.features(numbers, codes)
        parts = [pick(features, self.rest)] if self.rest else []
        if self.spans:
            parts.append(self.joint(self._content(features)))
        prediction = self.head(self.final(torch.cat(parts, dim=1)))
        return prediction.squeeze(1), 0.0

    def _content(self, features: Tensor) -> Tensor:
        parts = [
            self.modalities[name](pick(features, spans))
            for name, spans in self.spans.items()
        ]
        for image, text in self.pairs:
            a, b = pick(features, [image]), pick(features, [text])
            parts += [a * b, (a - b).abs()]
        return torch.cat(parts, dim=1)
