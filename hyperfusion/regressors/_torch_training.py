"""The training room: one loop that fits any of the networks.

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
from hyperfusion.regressors._torch_layers import set_generator

ROWS = 8192
"""Rows that are predicted at a time."""

_WARM_UP = 2
"""Epochs in which the learning rate rises to its value."""


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
        device: torch.device,
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
    weight_average: float
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

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.steps = 0
        current = {name: value.detach() for name, value in named_state(network)}
        self.state = {name: value.clone() for name, value in current.items()}
        self._current, self._averages = [*current.values()], [*self.state.values()]

    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = max(1 - self.decay, 9 / (9 + self.steps)) if self.decay else 1.0
        torch._foreach_lerp_(self._averages, self._current, share)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the averages."""
        return {name: value.clone() for name, value in self.state.items()}


def named_state(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and the statistics of a network that make up its state."""
    yield from network.named_parameters()
    for name, value in network.named_buffers():
        if value.is_floating_point():
            yield name, value


def batches_of(n_samples: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; none is smaller than `batch_size`."""
    return max(1, n_samples // batch_size)


def train(
    network: nn.Module,
    rows: Rows,
    held: Rows | None,
    schedule: Schedule,
    seed: int,
) -> tuple[dict[str, Tensor], History]:
    """Fit a network to rows and return its best averaged weights.

    Parameters
    ----------
    network : Module
        Called with numbers and codes; returns predictions and a penalty that adds to
        the loss in training. It starts on the device of the rows.
    rows : Rows
        What to learn.
    held : Rows or None
        What decides when to stop. Without it the last weights are kept.
    schedule : Schedule
        How long and how fast.
    seed : int
        Draws the order of the rows and all dropout.

    Returns
    -------
    state : dict of {str: Tensor}
        The weights.
    history : History
        What happened.
    """
    device = rows.target.device
    shuffler = torch.Generator().manual_seed(seed)
    set_generator(network, torch.Generator(device).manual_seed(seed))
    optimizer = torch.optim.AdamW(
        _parameter_groups(network, schedule.weight_decay),
        lr=schedule.learning_rate,
        betas=(0.9, 0.95),
        fused=device.type in ("cpu", "cuda"),
    )
    average = RunningAverage(network, schedule.weight_average)
    history = History()
    best, best_state = np.inf, None
    loss: float | None
    n_batches = batches_of(len(rows), schedule.batch_size)
    for epoch in range(schedule.max_iter):
        loss = _train_epoch(
            network, rows, schedule, optimizer, average, shuffler, n_batches, epoch
        )
        history.timed_out = loss is None
        if loss is not None:
            history.training.append(loss)
            history.best_epoch = epoch + 1 if held is None else history.best_epoch
        if held is not None and not (history.timed_out and history.validation):
            score = evaluate(network, average.state, held, schedule.delta)
            history.validation.append(score)
            if score < best:
                best, best_state = score, average.snapshot()
                history.best_epoch = len(history.training)
        _report(schedule, history, epoch)
        waited = len(history.training) - history.best_epoch
        diverged = loss is not None and not np.isfinite(loss)
        if diverged and best_state is None:
            raise InvalidInputError(
                f"The training of {schedule.name} diverged in epoch {epoch + 1}: lower "
                f"learning_rate={schedule.learning_rate!r}."
            )
        if diverged or history.timed_out or waited >= schedule.n_iter_no_change:
            break
    return best_state or average.snapshot(), history


def _train_epoch(
    network: nn.Module,
    rows: Rows,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    average: RunningAverage,
    shuffler: torch.Generator,
    n_batches: int,
    epoch: int,
) -> float | None:
    """Train on every row once; return the mean loss, or None if time ran out."""
    network.train()
    order = torch.randperm(len(rows), generator=shuffler)
    total = torch.zeros((), device=rows.target.device)
    for i, batch in enumerate(torch.tensor_split(order, n_batches)):
        warm = (epoch * n_batches + i + 1) / (_WARM_UP * n_batches)
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * min(1.0, warm)
        part = rows.take(batch.to(rows.target.device))
        prediction, penalty = network(part.numbers, part.codes)
        loss = huber(prediction, part, schedule.delta)
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
        average.update()
        total += loss.detach() * len(part)
        if schedule.deadline is not None and time.monotonic() > schedule.deadline:
            return None
    return float(total) / len(rows)


def huber(prediction: Tensor, rows: Rows, delta: float) -> Tensor:
    """Return the weighted mean of the Huber loss (equation 7)."""
    loss = nn.functional.huber_loss(
        prediction, rows.target, delta=delta, reduction="none"
    )
    return torch.mean(rows.weight * loss)


def _parameter_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    # Biases and the scales of normalisations have one dimension and are left free.
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def evaluate(
    network: nn.Module, state: dict[str, Tensor], rows: Rows, delta: float
) -> float:
    """Return the loss on rows with the weights of a state instead of the network's."""
    device = rows.target.device
    prediction = predict(network, state, rows.numbers, rows.codes, device)
    return float(huber(prediction, rows, delta))


@torch.inference_mode()
def predict(
    network: nn.Module,
    state: dict[str, Tensor],
    numbers: Tensor,
    codes: Tensor,
    device: torch.device,
) -> Tensor:
    """Return the predictions with the weights of a state (the network's own if empty).

    Rows go to the device a part at a time, and the predictions stay there.
    """
    network.eval()
    parts = [
        functional_call(network, state, (n.to(device), c.to(device)))[0]
        for n, c in zip(numbers.split(ROWS), codes.split(ROWS), strict=True)
    ]
    return torch.cat(parts)


def _report(schedule: Schedule, history: History, epoch: int) -> None:
    if not schedule.verbose or (epoch + 1) % schedule.verbose:
        return
    line = f"{schedule.name}: epoch {epoch + 1}"
    if history.training:
        line += f", loss {history.training[-1]:.4f}"
    if history.validation:
        line += f", held out {history.validation[-1]:.4f}"
    print(line, flush=True)


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


def resolve_device(device: str, *, fall_back: bool) -> torch.device:
    """Return the device that a parameter names.

    Parameters
    ----------
    device : str
        "auto" is the first GPU if there is one, otherwise the CPU.
    fall_back : bool
        Whether to use the CPU where the named device is absent (a model that was
        trained elsewhere and predicts here) instead of raising.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        if fall_back:
            return torch.device("cpu")
        raise InvalidInputError(
            f"device={device!r} can't be used here: {error}. Use 'auto' or 'cpu'."
        ) from error
    return wanted


def to_bytes(state: dict[str, Tensor]) -> bytes:
    """Return weights as safetensors bytes, on the CPU."""
    from safetensors.torch import save

    return save({name: value.cpu().contiguous() for name, value in state.items()})


def from_bytes(data: bytes) -> dict[str, Tensor]:
    """Return the weights of `to_bytes`."""
    from safetensors.torch import load

    return load(data)
