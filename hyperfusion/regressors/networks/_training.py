"""The training loop of all networks.

It does not use skorch, which took twice as long (``benchmarks/networks.py --skorch``)
and changes torch's global random state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import TensorDataset

from hyperfusion._workers import thread_limit
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._layers import set_generator

ROWS = 8192
"""Number of rows to predict at a time."""

_WARM_UP = 2
"""Epochs of warm-up, in which the learning rate rises to its value."""

WEIGHT_AVERAGE = 0.99
"""Decay of the running average of the weights: about the last 100 steps."""


class RunningAverage:
    """Exponential average of a network's weights.

    The average over the last steps predicts better than any one of them and depends
    less on the seed. At first it spans the last tenth of the steps.
    """

    def __init__(self, network: nn.Module):
        self.steps = 0
        current = {name: value.detach() for name, value in named_state(network)}
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


def named_state(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and statistics that make up a network's state."""
    yield from network.named_parameters()
    kept = network.state_dict().keys()
    for name, value in network.named_buffers():
        if name in kept and value.is_floating_point():
            yield name, value


def batches_of(n_samples: int, batch_size: int) -> int:
    """Return the number of batches per epoch; each has `batch_size` rows or more."""
    return max(1, n_samples // batch_size)


class Training:
    """The training of one network, which returns predictions and a penalty.

    `rows` are numbers, codes, target, and weights with mean 1. `held` rows decide when
    to stop; None keeps the last weights. The parameters of `member` control it.
    """

    def __init__(
        self,
        network: nn.Module,
        rows: TensorDataset,
        held: TensorDataset | None,
        member: Any,
        batch_size: int,
    ):
        self.network, self.member = network, member
        self.rows, self.held = rows, held
        self.n_batches = batches_of(len(rows), batch_size)
        self.average = RunningAverage(network)
        self.losses: list[float] = []
        self.validation: list[float] = []
        self.best_epoch = 0
        self.best: dict[str, Tensor] | None = None

    def run(self, seed: int) -> None:
        """Train until there is no improvement; `seed` draws order and dropout."""
        self.device = self.rows.tensors[0].device
        self.order = torch.Generator().manual_seed(seed)
        set_generator(self.network, torch.Generator(self.device).manual_seed(seed))
        parameters = list(self.network.parameters())
        # Biases and normalization scales have one dimension and are not decayed.
        decayed = [p for p in parameters if p.ndim > 1]
        free = [p for p in parameters if p.ndim <= 1]
        decay = self.member.weight_decay
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": decay},
                {"params": free, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.95),
            fused=self.device.type in ("cpu", "cuda"),
        )
        every = self.member.verbose
        for epoch in range(self.member.max_iter):
            self.losses.append(self._epoch())
            if not np.isfinite(self.losses[-1]):
                raise InvalidInputError(
                    f"The training of {type(self.member).__name__} diverged: lower "
                    f"learning_rate={self.member.learning_rate!r}."
                )
            self._keep_best()
            if every and (epoch + 1) % every == 0:
                line = f"{type(self.member).__name__}: epoch {epoch + 1}"
                line += f", loss {self.losses[-1]:.4f}"
                line += f", held out {self.validation[-1]:.4f}" if self.held else ""
                print(line, flush=True)
            if len(self.losses) - self.best_epoch >= self.member.n_iter_no_change:
                break

    def state(self) -> dict[str, Tensor]:
        """Return the best averaged weights, or the last."""
        return self.best or self.average.snapshot()

    def _epoch(self) -> float:
        """Train on each row once; return the mean loss."""
        self.network.train()
        order = torch.randperm(len(self.rows), generator=self.order).to(self.device)
        total = torch.zeros((), device=self.device)
        for batch in torch.tensor_split(order, self.n_batches):
            total += self._step(*self.rows[batch]) * len(batch)
        return float(total) / len(self.rows)

    def _step(
        self, numbers: Tensor, codes: Tensor, target: Tensor, weight: Tensor
    ) -> Tensor:
        warm = (self.average.steps + 1) / (_WARM_UP * self.n_batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.member.learning_rate * min(1.0, warm)
        prediction, penalty = self.network(numbers, codes)
        loss = huber(prediction, target, weight, self.member.delta)
        self.optimizer.zero_grad()
        (loss + penalty).backward()
        self.optimizer.step()
        self.average.update()
        return loss.detach()

    def _keep_best(self) -> None:
        if self.held is None:
            self.best_epoch = len(self.losses)
            return
        numbers, codes, target, weight = self.held.tensors
        prediction = predict(self.network, self.average.state, numbers, codes)
        score = float(huber(prediction, target, weight, self.member.delta))
        if not self.validation or score < min(self.validation):
            self.best = self.average.snapshot()
            self.best_epoch = len(self.losses)
        self.validation.append(score)


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


def to_bytes(state: dict[str, Tensor]) -> bytes:
    """Return weights as safetensors bytes, on the CPU."""
    from safetensors.torch import save

    return save({name: value.cpu().contiguous() for name, value in state.items()})


def from_bytes(data: bytes) -> dict[str, Tensor]:
    """Return the weights that `to_bytes` stored."""
    from safetensors.torch import load

    return load(data)
