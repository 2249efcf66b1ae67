"""Layers of the networks; every random number comes from a generator passed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.utils import skip_init


class Random(nn.Module):
    """A layer that draws random numbers in training.

    They come from `generator`, which the training loop sets, never from torch's global
    one.
    """

    generator: Generator | None = None

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Draw numbers between 0 and 1."""
        return torch.rand(shape, generator=self.generator, device=like.device)


class Dropout(Random):
    """Set inputs to zero with some probability and scale the others up."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Return the inputs, some of them set to zero in training."""
        if not self.training or self.probability == 0:
            return x
        kept = self.uniform(x.shape, x) >= self.probability
        return x * kept.to(x.dtype).mul_(1 / (1 - self.probability))


def linear(
    n_inputs: int, n_outputs: int, generator: Generator, *, zero: bool = False
) -> nn.Linear:
    """Build a linear layer; with `zero` its output starts at zero."""
    layer = skip_init(nn.Linear, n_inputs, n_outputs)
    bound = 0.0 if zero else 1 / math.sqrt(max(n_inputs, 1))
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


class CategoryEmbeddings(Random):
    """A vector for each level of each category; level 0 is the unknown one.

    In training, codes are randomly replaced by the unknown level, so that the network
    learns to predict for users and places it has never seen.
    """

    dimension = 8  # at most; categories with few levels get shorter vectors
    dropout = 0.15  # probability of the unknown level

    def __init__(self, sizes: Sequence[int], generator: Generator):
        super().__init__()
        self.widths = [min(self.dimension, size // 2 + 1) for size in sizes]
        self.tables = nn.ModuleList()
        for size, width in zip(sizes, self.widths, strict=True):
            vectors = torch.empty(size, width).normal_(std=0.1, generator=generator)
            self.tables.append(nn.Embedding.from_pretrained(vectors, freeze=False))

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Return the vectors of each category."""
        if self.training and codes.shape[1]:
            known = self.uniform(codes.shape, codes) >= self.dropout
            codes = codes * known
        return [table(codes[:, i]) for i, table in enumerate(self.tables)]


class Periodic(nn.Module):
    """Expand each number into itself and learned waves.

    The waves are ``size - 1`` linear combinations of 16 cosines with learned
    frequencies and phases [1]_, [2]_.

    References
    ----------
    .. [1] Gorishniy, Rubachev and Babenko. "On embeddings for numerical features in
       tabular deep learning." NeurIPS 2022.
    .. [2] Holzmüller, Grinsztajn and Steinwart. "Better by default: strong pre-tuned
       MLPs and boosted trees on tabular data." NeurIPS 2024.
    """

    n_waves = 16

    def __init__(self, n_numbers: int, size: int, generator: Generator):
        super().__init__()
        shape = (n_numbers, self.n_waves)
        frequencies = 0.1 * torch.randn(shape, generator=generator)
        phases = math.pi * (2 * torch.rand(shape, generator=generator) - 1)
        mix = torch.randn((*shape, size - 1), generator=generator)
        self.frequencies = nn.Parameter(frequencies)
        self.phases = nn.Parameter(phases)
        self.mix = nn.Parameter(mix / math.sqrt(self.n_waves))
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return each number followed by its waves."""
        angles = 2 * math.pi * x.unsqueeze(-1) * self.frequencies + self.phases
        waves = torch.einsum("bnk,nkd->bnd", torch.cos(angles), self.mix)
        return torch.cat([x.unsqueeze(-1), waves], dim=2).flatten(1)


Span = tuple[int, int]
Settings = dict[str, Any]


class TableFeatures(nn.Module):
    """All features of a row side by side, ready for a first linear layer.

    Each number takes `size` places. `singles` holds the spans of each group's
    numbers and categories, and `vectors` those of its vectors, by name.
    """

    def __init__(
        self,
        layout: Settings,
        generator: Generator,
        size: int = 8,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.n_scalars = layout["n_scalars"]
        self.numbers = Periodic(self.n_scalars, size, generator)
        self.categories = CategoryEmbeddings(layout["sizes"], generator)
        self.dropout = Dropout(dropout)
        shift = self.n_scalars * (size - 1)
        ends = np.cumsum([layout["n_numbers"] + shift, *self.categories.widths])
        self.width = int(ends[-1])
        self.singles: dict[str, list[Span]] = {}
        self.vectors: dict[str, dict[str, Span]] = {}
        for name, group in layout["groups"].items():
            start, stop = group["scalars"]
            spans = [(start * size, stop * size)] if stop > start else []
            spans += [(int(ends[i]), int(ends[i + 1])) for i in group["categories"]]
            self.singles[name] = spans
            self.vectors[name] = {
                vector: (a + shift, b + shift)
                for vector, (a, b) in group["vectors"].items()
            }

    def spans(self, names: Sequence[str]) -> list[Span]:
        """Return the spans of all features of some groups."""
        found: list[Span] = []
        for name in names:
            if name in self.singles:
                found += [*self.singles[name], *self.vectors[name].values()]
        return found

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return the features: numbers, vectors, categories."""
        embedded = self.numbers(numbers[:, : self.n_scalars])
        vectors = numbers[:, self.n_scalars :]
        row = torch.cat([embedded, vectors, *self.categories(codes)], dim=1)
        return self.dropout(row)


def width_of(spans: Sequence[Span]) -> int:
    """Return the number of features in spans."""
    return sum(stop - start for start, stop in spans)


def pick(features: Tensor, spans: Sequence[Span]) -> Tensor:
    """Return the features in spans, side by side."""
    return torch.cat([features[:, start:stop] for start, stop in spans], dim=1)


class Stage(nn.Module):
    """Linear layer, optional batch normalization, activation and dropout."""

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        dropout: float,
        generator: Generator,
        *,
        activation: Callable[[], nn.Module] = nn.SiLU,
        normalize: bool = False,
    ):
        super().__init__()
        self.linear = linear(n_inputs, n_outputs, generator)
        self.norm = nn.BatchNorm1d(n_outputs) if normalize else nn.Identity()
        self.activation = activation()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the stage's output."""
        return self.dropout(self.activation(self.norm(self.linear(x))))


class ResidualStage(Stage):
    """A stage whose output is added to its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input plus the stage's output."""
        return x + super().forward(x)


def set_generator(network: nn.Module, generator: Generator) -> None:
    """Make all random layers of a network draw from one generator."""
    for module in network.modules():
        if isinstance(module, Random):
            module.generator = generator
