"""Layers of the networks; every random number comes from a generator passed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init


class Random(nn.Module):
    """A layer that draws random numbers in training, from a generator of its own.

    The training loop sets `generator`; torch's global one is never asked.
    """

    generator: torch.Generator | None = None

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Draw numbers between 0 and 1."""
        return torch.rand(shape, generator=self.generator, device=like.device)


class Dropout(Random):
    """Set inputs to zero with some probability and scale the others up."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Return the inputs, thinned out in training."""
        if not self.training or self.probability == 0:
            return x
        kept = self.uniform(x.shape, x) >= self.probability
        return x * kept.to(x.dtype).mul_(1 / (1 - self.probability))


def linear(
    n_inputs: int, n_outputs: int, generator: torch.Generator, *, zero: bool = False
) -> nn.Linear:
    """Build a linear layer; `zero` lets its output start at zero."""
    layer = skip_init(nn.Linear, n_inputs, n_outputs)
    bound = 0.0 if zero else 1 / math.sqrt(max(n_inputs, 1))
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


class CategoryEmbeddings(Random):
    """A vector for each level of each category; level 0 is the unknown one.

    In training every code becomes the unknown level with some probability, so that
    the network learns what to predict for users and places it has never seen.

    Parameters
    ----------
    sizes : list of int
        Number of codes of each category.
    dimension : int
        Largest length of a vector; categories with few levels get shorter ones.
    dropout : float
        Probability of the unknown level.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dimension: int,
        dropout: float,
        generator: torch.Generator,
    ):
        super().__init__()
        self.dropout = dropout
        self.widths = [min(dimension, size // 2 + 1) for size in sizes]
        self.tables = nn.ModuleList()
        for size, width in zip(sizes, self.widths, strict=True):
            table = skip_init(nn.Embedding, size, width)
            nn.init.normal_(table.weight, std=0.1, generator=generator)
            self.tables.append(table)

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Return the vectors of each category."""
        if self.training and self.dropout > 0 and codes.shape[1]:
            known = self.uniform(codes.shape, codes) >= self.dropout
            codes = codes * known
        return [table(codes[:, i]) for i, table in enumerate(self.tables)]


class PiecewiseLinear(nn.Module):
    """Each number as its position in each of `size` bins, after Gorishniy et al. [1]_.

    A bin is 0 for numbers below it and 1 for numbers above it, so that the layer
    after it learns a piecewise linear function of each number. The numbers are
    normal scores, so the bins have equal widths between -3 and 3, and what lies
    outside has the value of the nearest bin's end.

    References
    ----------
    .. [1] Gorishniy, Rubachev and Babenko. "On embeddings for numerical features in
       tabular deep learning." NeurIPS 2022.
    """

    lower: Tensor

    def __init__(self, size: int):
        super().__init__()
        edges = torch.linspace(-3, 3, size + 1)
        self.size = size
        self.step = 6 / size
        self.register_buffer("lower", edges[:-1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the positions in the bins, centered."""
        inside = ((x.unsqueeze(-1) - self.lower) / self.step).clamp(0, 1)
        return inside.flatten(1) - 0.5


class Periodic(nn.Module):
    """Each number beside learned waves of it, after Gorishniy et al. and Holzmüller.

    The number itself and ``size - 1`` linear combinations of 16 cosines with learned
    frequencies and phases [1]_, [2]_.

    References
    ----------
    .. [1] Gorishniy, Rubachev and Babenko. "On embeddings for numerical features in
       tabular deep learning." NeurIPS 2022.
    .. [2] Holzmüller, Grinsztajn and Steinwart. "Better by default: strong pre-tuned
       MLPs and boosted trees on tabular data." NeurIPS 2024.
    """

    n_waves = 16

    def __init__(self, n_numbers: int, size: int, generator: torch.Generator):
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
        """Return the numbers and their waves, number by number."""
        angles = 2 * math.pi * x.unsqueeze(-1) * self.frequencies + self.phases
        waves = torch.einsum("bnk,nkd->bnd", torch.cos(angles), self.mix)
        return torch.cat([x.unsqueeze(-1), waves], dim=2).flatten(1)


class Plain(nn.Module):
    """Numbers as they are."""

    size = 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers."""
        return x


def number_embedding(
    kind: str | None, n_numbers: int, size: int, generator: torch.Generator
) -> Any:
    """Build the embedding of single numbers that a parameter names."""
    if kind == "piecewise":
        return PiecewiseLinear(size)
    if kind == "periodic":
        return Periodic(n_numbers, size, generator)
    return Plain()


Span = tuple[int, int]


class TableFeatures(nn.Module):
    """All features of a row side by side, ready for a first linear layer.

    Parameters
    ----------
    layout : dict
        `NetworkInputs.layout_`.
    config : dict
        ``number_embedding``, ``number_embedding_size``, ``embedding_size``,
        ``id_dropout`` and ``input_dropout`` of the regressor.
    generator : torch.Generator
        Draws the first weights.

    Attributes
    ----------
    width : int
        Number of features.
    singles : dict of {str: list of Span}
        For each group where its single numbers and its categories lie.
    vectors : dict of {str: dict of {str: Span}}
        For each group where its vectors lie, by stem.
    """

    def __init__(
        self,
        layout: dict[str, Any],
        config: dict[str, Any],
        generator: torch.Generator,
    ):
        super().__init__()
        self.n_scalars = layout["n_scalars"]
        self.numbers = number_embedding(
            config["number_embedding"],
            self.n_scalars,
            config["number_embedding_size"],
            generator,
        )
        size = self.numbers.size
        self.categories = CategoryEmbeddings(
            layout["sizes"], config["embedding_size"], config["id_dropout"], generator
        )
        self.dropout = Dropout(config["input_dropout"])
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
                stem: (a + shift, b + shift)
                for stem, (a, b) in group["vectors"].items()
            }

    def spans(self, names: Sequence[str]) -> list[Span]:
        """Return where all features of some groups lie."""
        found: list[Span] = []
        for name in names:
            if name in self.singles:
                found += [*self.singles[name], *self.vectors[name].values()]
        return found

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return the features: single numbers, vectors, categories."""
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
    """Linear layer, batch normalization where asked for, activation and dropout."""

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        dropout: float,
        generator: torch.Generator,
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
    """A stage of as many outputs as inputs, added to its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input plus the stage's output."""
        return x + super().forward(x)


def set_generator(network: nn.Module, generator: torch.Generator) -> None:
    """Let all random layers of a network draw from one generator."""
    for module in network.modules():
        if isinstance(module, Random):
            module.generator = generator
