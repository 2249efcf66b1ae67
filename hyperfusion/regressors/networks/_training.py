"""The training loop of all networks.

It does not use skorch, which took twice as long (``benchmarks/networks.py --skorch``)
and changes torch's global random state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import TensorDataset

from hyperfusion._workers import thread_limit
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._layers import set_generator

ROWS = 8192  # to predict at a time
_WARM_UP = 2  # epochs in which the learning rate rises to its value
WEIGHT_AVERAGE = 0.99  # decay: about the last 100 steps


class RunningAverage:
    """Exponential average of a network's weights.

    The average over the last steps predicts better than any one of them and depends
    less on the seed. At first it spans the last tenth of the steps.
    """

    def __init__(self, network: nn.Module):
        self.steps = 0
        kept, buffers = network.state_dict().keys(), network.named_buffers()
        floats = [(k, b) for k, b in buffers if k in kept and b.is_floating_point()]
        named = [*network.named_parameters(), *floats]
        current = {name: value.detach() for name, value in named}
        self.state = {name: value.clone() for name, value in current.items()}
        self._current, self._averages = [*current.values()], [*self.state.values()]

    def update(self) -> None:
        """Add the weights after a step to the averages."""
        self.steps += 1
        share = max(1 - WEIGHT_AVERAGE, 9 / (9 + self.steps))
        torch._foreach_lerp_(self._averages, self._current, share)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the averages."""
        return {name: value.clone() for name, value in self.state.items()}


def batches_of(n_samples: int, batch_size: int) -> int:
    """Return the number of batches per epoch; each has `batch_size` rows or more."""
    return max(1, n_samples // batch_size)


class Trained(NamedTuple):
    """The weights that were kept, and the epochs on the way there."""

    state: dict[str, Tensor]
    best_epoch: int
    losses: list[float]
    validation: list[float]


def train(
    network: nn.Module,
    rows: TensorDataset,
    held: TensorDataset | None,
    member: Any,
    batch_size: int,
    max_epochs: int,
    seed: int,
) -> Trained:
    """Train a network, which returns predictions and a penalty, with Adam.

    `rows` are numbers, codes, target, and weights with mean 1. `held` rows decide when
    to stop; None keeps the last weights. The parameters of `member` control it, and
    `seed` draws order and dropout.
    """
    device, n_batches = rows.tensors[0].device, batches_of(len(rows), batch_size)
    generator = torch.Generator().manual_seed(seed)
    set_generator(network, torch.Generator(device).manual_seed(seed))
    optimizer = _optimizer(network, member.weight_decay, device)
    average = RunningAverage(network)
    best: dict[str, Tensor] | None = None
    best_epoch = 0
    losses: list[float] = []
    validation: list[float] = []
    for epoch in range(1, max_epochs + 1):
        order = torch.randperm(len(rows), generator=generator).to(device)
        batches = torch.tensor_split(order, n_batches)
        losses.append(_epoch(network, rows, batches, optimizer, average, member))
        if not np.isfinite(losses[-1]):
            raise InvalidInputError(
                f"The training of {type(member).__name__} diverged: lower "
                f"learning_rate={member.learning_rate!r}."
            )
        line = f"{type(member).__name__}: epoch {epoch}, loss {losses[-1]:.4f}"
        if held is None:
            best_epoch = epoch
        else:
            numbers, codes, target, weight = held.tensors
            prediction = predict(network, average.state, numbers, codes)
            score = float(huber(prediction, target, weight, member.delta))
            if not validation or score < min(validation):
                best, best_epoch = average.snapshot(), epoch
            validation.append(score)
            line += f", held out {score:.4f}"
        if member.verbose and epoch % member.verbose == 0:
            print(line, flush=True)
        if epoch - best_epoch >= member.n_iter_no_change:
            break
    return Trained(best or average.snapshot(), best_epoch, losses, validation)


def _optimizer(
    network: nn.Module, weight_decay: float, device: torch.device
) -> torch.optim.Optimizer:
    # Biases and normalization scales have one dimension and are not decayed.
    groups = [
        {
            "params": [p for p in network.parameters() if (p.ndim > 1) == decayed],
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for decayed in (True, False)
    ]
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=fused)


def _epoch(
    network: nn.Module,
    rows: TensorDataset,
    batches: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    average: RunningAverage,
    member: Any,
) -> float:
    """Take a step for each batch; return the mean loss."""
    network.train()
    total = torch.zeros((), device=rows.tensors[0].device)
    for batch in batches:
        numbers, codes, target, weight = rows[batch]
        warm = min(1.0, (average.steps + 1) / (_WARM_UP * len(batches)))
        for group in optimizer.param_groups:
            group["lr"] = member.learning_rate * warm
        prediction, penalty = network(numbers, codes)
        loss = huber(prediction, target, weight, member.delta)
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
        average.update()
        total += loss.detach() * len(batch)
    return float(total) / len(rows)


def huber(prediction: Tensor, target: Tensor, weight: Tensor, delta: float) -> Tensor:
    """Return the weighted mean of the Huber loss (equation 7)."""
    loss = nn.functional.huber_loss(prediction, target, delta=delta, reduction="none")
    return torch.mean(weight * loss)


@torch.inference_mode()
def predict(
    network: nn.Module, state: dict[str, Tensor], numbers: Tensor, codes: Tensor
) -> Tensor:
    """Predict with the weights of a state (the network's own if it is empty).

    The predictions stay on the network's device.
    """
    network.eval()
    parts = in_parts(network, numbers, codes)
    return torch.cat([functional_call(network, state, part)[0] for part in parts])


def in_parts(
    network: nn.Module, numbers: Tensor, codes: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of rows, on the network's device and in its precision."""
    like = next(network.parameters())
    for n, c in zip(numbers.split(ROWS), codes.split(ROWS), strict=True):
        yield n.to(like), c.to(like.device)


@contextmanager
def fixed_threads(n_threads: int) -> Iterator[None]:
    """Set the threads of torch and of the linear algebra, and restore them after."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with thread_limit(n_threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
