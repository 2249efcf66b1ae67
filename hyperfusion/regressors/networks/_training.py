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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._layers import set_generator

ROWS = 8192
"""Rows that are predicted at a time."""

_WARM_UP = 2
"""Epochs in which the learning rate rises to its value."""

WEIGHT_AVERAGE = 0.99
"""Decay of the running average of the weights: about the last 100 steps."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table as tensors."""

    numbers: Tensor
    codes: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def of(
        cls,
        numbers: np.ndarray,
        codes: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray,
        device: str,
    ) -> Rows:
        """Move arrays to a device; the weights' mean becomes 1."""
        return cls(
            torch.from_numpy(numbers).to(device),
            torch.from_numpy(codes).to(device),
            torch.from_numpy(target.astype(np.float32)).to(device),
            torch.from_numpy((weight / weight.mean()).astype(np.float32)).to(device),
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.target)

    def take(self, rows: Tensor) -> Rows:
        """Return some of the rows."""
        return Rows(
            self.numbers[rows], self.codes[rows], self.target[rows], self.weight[rows]
        )


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; see the regressors' parameters."""

    delta: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_iter: int
    n_iter_no_change: int
    deadline: float | None
    verbose: int
    name: str


@dataclass
class History:
    """What happened in training.

    Attributes
    ----------
    training, validation : list of float
        Loss after each epoch on the rows trained on (a running mean while the network
        still changes) and on the rows held out.
    best_epoch : int
        How many epochs the kept network has seen.
    timed_out : bool
        Whether the time limit ended the training.
    """

    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    timed_out: bool = False


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
    rows : Rows
        What to learn.
    held : Rows or None
        What decides when to stop. Without it the last weights are kept.
    schedule : Schedule
        How long and how fast.
    seed : int
        Draws the order of the rows and all dropout.
    """

    def __init__(
        self,
        network: nn.Module,
        rows: Rows,
        held: Rows | None,
        schedule: Schedule,
        seed: int,
    ):
        device = rows.target.device
        self.network = network
        self.rows, self.held = rows, held
        self.schedule = schedule
        self.n_batches = batches_of(len(rows), schedule.batch_size)
        self.order = torch.Generator().manual_seed(seed)
        set_generator(network, torch.Generator(device).manual_seed(seed))
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(network, schedule.weight_decay),
            betas=(0.9, 0.95),
            fused=device.type in ("cpu", "cuda"),
        )
        self.average = RunningAverage(network)
        self.history = History()
        self.best: dict[str, Tensor] | None = None

    def run(self) -> tuple[dict[str, Tensor], History]:
        """Train until nothing improves; return the best averaged weights."""
        history, schedule = self.history, self.schedule
        for epoch in range(schedule.max_iter):
            loss = self._epoch()
            history.timed_out = loss is None
            if loss is not None:
                self._check_finite(loss)
                history.training.append(loss)
            # A part of an epoch counts only where there is nothing else to keep.
            if loss is not None or self.best is None:
                self._keep_best()
            if schedule.verbose and (epoch + 1) % schedule.verbose == 0:
                self._report(epoch)
            waited = len(history.training) - history.best_epoch
            if history.timed_out or waited >= schedule.n_iter_no_change:
                break
        return self.best or self.average.snapshot(), history

    def _epoch(self) -> float | None:
        """Train on every row once; return the mean loss, or None if time ran out."""
        self.network.train()
        device = self.rows.target.device
        order = torch.randperm(len(self.rows), generator=self.order).to(device)
        total = torch.zeros((), device=device)
        for batch in torch.tensor_split(order, self.n_batches):
            total += self._step(self.rows.take(batch)) * len(batch)
            deadline = self.schedule.deadline
            if deadline is not None and time.monotonic() > deadline:
                return None
        return float(total) / len(self.rows)

    def _step(self, rows: Rows) -> Tensor:
        warm = (self.average.steps + 1) / (_WARM_UP * self.n_batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * min(1.0, warm)
        prediction, penalty = self.network(rows.numbers, rows.codes)
        loss = huber(prediction, rows, self.schedule.delta)
        self.optimizer.zero_grad()
        (loss + penalty).backward()
        self.optimizer.step()
        self.average.update()
        return loss.detach()

    def _check_finite(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise InvalidInputError(
                f"The training of {self.schedule.name} diverged: lower learning_rate="
                f"{self.schedule.learning_rate!r}."
            )

    def _keep_best(self) -> None:
        epoch, validation = len(self.history.training), self.history.validation
        if self.held is None:
            self.history.best_epoch = epoch
            return
        delta, state = self.schedule.delta, self.average.state
        score = evaluate(self.network, state, self.held, delta)
        if not validation or score < min(validation):
            self.best = self.average.snapshot()
            self.history.best_epoch = epoch
        validation.append(score)

    def _report(self, epoch: int) -> None:
        line = f"{self.schedule.name}: epoch {epoch + 1}"
        if self.history.training:
            line += f", loss {self.history.training[-1]:.4f}"
        if self.history.validation:
            line += f", held out {self.history.validation[-1]:.4f}"
        print(line, flush=True)


def huber(prediction: Tensor, rows: Rows, delta: float) -> Tensor:
    """Return the weighted mean of the Huber loss (equation 7)."""
    loss = nn.functional.huber_loss(
        prediction, rows.target, delta=delta, reduction="none"
    )
    return torch.mean(rows.weight * loss)


def _parameter_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    # Biases and the scales of normalizations have one dimension and are left free.
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def evaluate(
    network: nn.Module, state: dict[str, Tensor], rows: Rows, delta: float
) -> float:
    """Return the loss on rows with the weights of a state instead of the network's."""
    prediction = predict(network, state, rows.numbers, rows.codes)
    return float(huber(prediction, rows, delta))


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
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(n_threads, user_api="blas"):
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
