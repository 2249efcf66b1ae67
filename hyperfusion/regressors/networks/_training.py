"""The training loop: one loop that fits any of the networks.

It is a plain loop rather than skorch's, by measurement: at 3,200 rows x 200 features
and 30 epochs skorch 1.4 takes twice the time of this one (1.3 s against 0.65 s on one
core, although this one averages the weights besides); it changes torch's global random
state, and pickles the network itself; and weights in the loss, averaged weights and a
time limit within epochs would each need an override there. ``benchmarks/networks.py``
repeats the measurement.

Random numbers come from generators of our own, so fits may run beside each other; but
the number of threads is torch's own and the same for the whole process: train in
processes, not in threads side by side.
"""

from __future__ import annotations

import time
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
"""Rows that are predicted at a time."""

_WARM_UP = 2
"""Epochs in which the learning rate rises to its value."""

WEIGHT_AVERAGE = 0.99
"""Decay of the running average of the weights: about the last 100 steps."""


class RunningAverage:
    """The exponential average of a network's weights, which is what is kept.

    A network that is averaged over its last steps is better than any one of them, and
    depends less on the seed. At first it spans the last tenth of the steps.
    """

    def __init__(self, network: nn.Module):
        self.steps = 0
        current = {name: value.detach() for name, value in named_state(network)}
        self.state = {name: value.clone() for name, value in current.items()}
        self._current, self._averages = [*current.values()], [*self.state.values()]

    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = max(1 - WEIGHT_AVERAGE, 9 / (9 + self.steps))
        torch._foreach_lerp_(self._averages, self._current, share)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the averages."""
        return {name: value.clone() for name, value in self.state.items()}


def named_state(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and the statistics of a network that make up its state."""
    yield from network.named_parameters()
    kept = network.state_dict().keys()
    for name, value in network.named_buffers():
        if name in kept and value.is_floating_point():
            yield name, value


def batches_of(n_samples: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; none is smaller than `batch_size`."""
    return max(1, n_samples // batch_size)


class Training:
    """The training of one network.

    Parameters
    ----------
    network : Module
        Called with numbers and codes; returns predictions and a penalty that adds to
        the loss in training. It is on the device of the rows.
    rows : TensorDataset
        What to learn: numbers, codes, target and weights, whose mean is 1.
    held : TensorDataset or None
        What decides when to stop. Without it the last weights are kept.
    member : NetworkRegressor
        Whose parameters say how long and how fast.
    batch_size : int
        Rows of a batch, at least.
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

    def run(self, seed: int, deadline: float | None = None) -> None:
        """Train until nothing improves; the seed draws order and dropout."""
        self.device = self.rows.tensors[0].device
        self.order = torch.Generator().manual_seed(seed)
        set_generator(self.network, torch.Generator(self.device).manual_seed(seed))
        parameters = list(self.network.parameters())
        # Biases and the scales of normalizations have one dimension and are left free.
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
            loss = self._epoch(deadline)
            if loss is not None and not np.isfinite(loss):
                raise InvalidInputError(
                    f"The training of {type(self.member).__name__} diverged: lower "
                    f"learning_rate={self.member.learning_rate!r}."
                )
            self.losses += [] if loss is None else [loss]
            # A part of an epoch counts only where there is nothing else to keep.
            if loss is not None or self.best is None:
                self._keep_best()
            if every and (epoch + 1) % every == 0:
                self._report(epoch)
            waited = len(self.losses) - self.best_epoch
            if loss is None or waited >= self.member.n_iter_no_change:
                break

    def state(self) -> dict[str, Tensor]:
        """Return the best averaged weights, or the last."""
        return self.best or self.average.snapshot()

    def _epoch(self, deadline: float | None) -> float | None:
        """Train on every row once; return the mean loss, or None if time ran out."""
        self.network.train()
        order = torch.randperm(len(self.rows), generator=self.order).to(self.device)
        total = torch.zeros((), device=self.device)
        for batch in torch.tensor_split(order, self.n_batches):
            total += self._step(*self.rows[batch]) * len(batch)
            if deadline is not None and time.monotonic() > deadline:
                return None
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

    def _report(self, epoch: int) -> None:
        line = f"{type(self.member).__name__}: epoch {epoch + 1}"
        if self.losses:
            line += f", loss {self.losses[-1]:.4f}"
        if self.validation:
            line += f", held out {self.validation[-1]:.4f}"
        print(line, flush=True)


def huber(prediction: Tensor, target: Tensor, weight: Tensor, delta: float) -> Tensor:
    """Return the weighted mean of the Huber loss (equation 7)."""
    loss = nn.functional.huber_loss(prediction, target, delta=delta, reduction="none")
    return torch.mean(weight * loss)


@torch.inference_mode()
def predict(
    network: nn.Module, state: dict[str, Tensor], numbers: Tensor, codes: Tensor
) -> Tensor:
    """Return the predictions with the weights of a state (the network's own if empty).

    They stay on the network's device.
    """
    network.eval()
    parts = in_parts(network, numbers, codes)
    return torch.cat([functional_call(network, state, part)[0] for part in parts])


def in_parts(
    network: nn.Module, numbers: Tensor, codes: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows some at a time, on the network's device and in its precision."""
    like = next(network.parameters())
    for n, c in zip(numbers.split(ROWS), codes.split(ROWS), strict=True):
        yield n.to(like), c.to(like.device)


@contextmanager
def fixed_threads(n_threads: int) -> Iterator[None]:
    """Let torch and the linear algebra use so many threads, and put that back after."""
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
    """Return the weights of `to_bytes`."""
    from safetensors.torch import load

    return load(data)
