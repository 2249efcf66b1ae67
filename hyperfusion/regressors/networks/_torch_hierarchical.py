"""The hierarchical network: each modality, both together, then the metadata."""

from __future__ import annotations

from itertools import pairwise, product

import torch
from torch import Generator, Tensor, nn

from hyperfusion.regressors.networks._layers import (
    Settings,
    Span,
    Stage,
    TableFeatures,
    linear,
    pick,
    width_of,
)
from hyperfusion.table._names import MODALITIES

CONTENT = ("visual", "textual")


def stages(
    n_inputs: int, sizes: list[int], config: Settings, generator: Generator
) -> nn.Sequential:
    """Fully connected stages with ReLU, dropout and optional batch normalization."""
    norm = {"activation": nn.ReLU, "normalize": config["batch_norm"]}
    return nn.Sequential(
        *(
            Stage(before, size, config["dropout"], generator, **norm)
            for before, size in pairwise([n_inputs, *sizes])
        )
    )


class HierarchicalNetwork(nn.Module):
    """Stages for each modality, then for both together, then with the metadata."""

    def __init__(self, layout: Settings, config: Settings, generator: Generator):
        super().__init__()
        groups, hidden = list(layout["groups"]), config["hidden_size"]
        self.features = TableFeatures(layout, generator)
        modalities = {m: self.features.spans(MODALITIES[m]) for m in CONTENT}
        self.spans = {name: spans for name, spans in modalities.items() if spans}
        vectors = self.features.vectors
        visual, textual = (
            {v: s for b in MODALITIES[m] for v, s in vectors.get(b, {}).items()}
            for m in CONTENT
        )
        # the image and text vectors that share a space
        self.pairs: list[tuple[Span, Span]] = [
            (visual[image], textual[text])
            for space in layout["aligned"]
            for image, text in product(space, space)
            if image in visual and text in textual
        ]
        self.modalities = nn.ModuleDict()
        for name, spans in self.spans.items():
            self.modalities[name] = stages(width_of(spans), [hidden], config, generator)
        content = [group for name in self.spans for group in MODALITIES[name]]
        self.rest = self.features.spans([g for g in groups if g not in content])
        width = width_of(self.rest)
        if self.spans:
            compared = sum(2 * width_of([image]) for image, _ in self.pairs)
            inside = hidden * len(self.spans) + compared
            self.joint = stages(inside, [hidden], config, generator)
            width += hidden
        self.final = stages(width, config["final_sizes"], config, generator)
        self.head = linear(config["final_sizes"][-1], 1, generator, zero=True)

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, float]:
        """Return predictions and no penalty."""
        features = self.features(numbers, codes)
        parts = [pick(features, self.rest)] if self.rest else []
        if self.spans:
            content = [
                self.modalities[name](pick(features, spans))
                for name, spans in self.spans.items()
            ]
            for image, text in self.pairs:
                a, b = pick(features, [image]), pick(features, [text])
                content += [a * b, (a - b).abs()]
            parts.append(self.joint(torch.cat(content, dim=1)))
        prediction = self.head(self.final(torch.cat(parts, dim=1)))
        return prediction.squeeze(1), 0.0
