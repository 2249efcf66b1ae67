"""The networks of the members, in torch.

Each is built from the layout of its inputs, a configuration, and a generator that draws
the initial weights; it returns predictions and a penalty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from hyperfusion.regressors.networks._layers import (
    Dropout,
    ResidualStage,
    Settings,
    Span,
    Stage,
    TableFeatures,
    linear,
    pick,
    width_of,
)
from hyperfusion.regressors.networks._members import N_HEADS, choose_sides
from hyperfusion.regressors.networks._training import in_parts
from hyperfusion.table._names import MODALITIES

CONTENT = ("visual", "textual")
TOKENS_PER_VECTOR = 4


class Tokens(nn.Module):
    """Tokens of one side: one for a group's single features, several per vector."""

    def __init__(
        self,
        features: TableFeatures,
        groups: Sequence[str],
        size: int,
        generator: Generator,
    ):
        super().__init__()
        self.size = size
        self.spans: list[list[Span]] = []
        self.projections = nn.ModuleList()
        for group in groups:
            singles, vectors = features.singles[group], features.vectors[group].values()
            parts = [(singles, 1)] if singles else []
            for spans, n in [*parts, *(([v], TOKENS_PER_VECTOR) for v in vectors)]:
                self.spans.append(spans)
                self.projections.append(linear(width_of(spans), n * size, generator))

    def forward(self, features: Tensor) -> Tensor:
        """Return the tokens, of shape (n_rows, n_tokens, size)."""
        parts = [
            project(pick(features, spans)).view(len(features), -1, self.size)
            for project, spans in zip(self.projections, self.spans, strict=True)
        ]
        return torch.cat(parts, dim=1)


class CrossAttention(nn.Module):
    """Attention of the tokens of one side to those of the other."""

    def __init__(self, size: int, n_heads: int, generator: Generator):
        super().__init__()
        self.n_heads = n_heads
        self.ask = linear(size, size, generator)
        self.answer = linear(size, 2 * size, generator)
        self.mix = linear(size, size, generator)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """Return what to add to the side's own tokens."""
        query = self._heads(self.ask(own))
        key, value = (self._heads(x) for x in self.answer(other).chunk(2, dim=-1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        return self.mix(mixed)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class CoAttentionBlock(nn.Module):
    """Both sides attend to each other, then each token passes through a stage."""

    def __init__(self, size: int, dropout: float, generator: Generator):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        self.attention = nn.ModuleList(
            CrossAttention(size, N_HEADS, generator) for _ in range(2)
        )
        self.stages = nn.ModuleList(
            ResidualStage(size, size, dropout, generator) for _ in range(2)
        )
        self.dropout = Dropout(dropout)

    def forward(self, sides: list[Tensor]) -> list[Tensor]:
        """Return the sides after the block."""
        normal = [norm(side) for norm, side in zip(self.norms, sides, strict=True)]
        out = []
        for i in range(2):
            added = self.attention[i](normal[i], normal[1 - i])
            out.append(self.stages[i](sides[i] + self.dropout(added)))
        return out


class CoAttentionNetwork(nn.Module):
    """Image and text tokens in co-attention, joined with the metadata.

    Without two sides it is a residual network over all features.
    """

    def __init__(self, layout: Settings, config: Settings, generator: Generator):
        super().__init__()
        groups = list(layout["groups"])
        size, dropout = config["token_size"], config["dropout"]
        hidden = config["hidden_size"]
        self.features = TableFeatures(layout, generator)
        self.sides = choose_sides(groups)
        self.tokens = nn.ModuleList(
            Tokens(self.features, side, size, generator) for side in self.sides.values()
        )
        self.blocks = nn.ModuleList(
            CoAttentionBlock(size, dropout, generator)
            for _ in range(config["n_blocks"] if self.sides else 0)
        )
        attended = [g for side in CONTENT for g in self.sides.get(side, [])]
        self.rest = self.features.spans([g for g in groups if g not in attended])
        width = len(self.tokens) * size
        if self.rest:
            self.metadata = Stage(width_of(self.rest), hidden, dropout, generator)
            width += hidden
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in self.tokens)
        self.dropout = Dropout(dropout)
        join = Stage if self.sides else ResidualStage
        self.join = join(width, hidden, dropout, generator)
        self.head = linear(hidden, 1, generator, zero=True)

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, float]:
        """Return predictions and no penalty."""
        features = self.features(numbers, codes)
        parts = [self.metadata(pick(features, self.rest))] if self.rest else []
        sides = [tokens(features) for tokens in self.tokens]
        for block in self.blocks:
            sides = block(sides)
        for norm, side in zip(self.norms, sides, strict=True):
            parts.append(self.dropout(norm(side).mean(dim=1)))
        joined = self.join(torch.cat(parts, dim=1))
        return self.head(joined).squeeze(1), 0.0


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


class TabNetNetwork(nn.Module):
    """TabNet over single features, embedded categories and reduced vectors.

    The masks have one unit for each number, category and vector.
    """

    membership: Tensor
    tabnet: Any

    def __init__(self, layout: Settings, config: Settings, generator: Generator):
        super().__init__()
        self.features = TableFeatures(layout, generator, 4, config["dropout"])
        size = self.features.numbers.size
        units = [(i * size, (i + 1) * size) for i in range(layout["n_scalars"])]
        units += [v for g in self.features.vectors.values() for v in g.values()]
        widths = self.features.categories.widths
        ends = np.cumsum([self.features.width - sum(widths), *widths])
        units += [(int(start), int(stop)) for start, stop in pairwise(ends)]
        membership = torch.zeros(len(units), self.features.width)
        for row, (start, stop) in enumerate(units):
            membership[row, start:stop] = 1
        self.register_buffer("membership", membership, persistent=False)
        self.sparsity = config["sparsity"]
        self.tabnet = _build_tabnet(membership, config, generator)

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
