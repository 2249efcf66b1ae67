"""The co-attention network: two sets of tokens that attend to each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from hyperfusion.regressors.networks._coattention import N_HEADS, choose_sides
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

TOKENS_PER_VECTOR = 4
"""Number of tokens that each vector is projected to."""


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
        """Return what to add to the own tokens."""
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
        content = ("visual", "textual") if self.sides else ()
        attended = [g for side in content for g in self.sides.get(side, [])]
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
