"""What the network members share: parameters, preparation, fit, predict, state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from hyperfusion._base import with_parameters
from hyperfusion._device import device_to_predict, resolve_device
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._validation import COUNT, NOT_NEGATIVE, POSITIVE, local_generator
from hyperfusion._warnings import warn_user
from hyperfusion.regressors._common import (
    Member,
    TargetScaler,
    held_out_rows,
    take_rows,
)
from hyperfusion.regressors.networks._inputs import NetworkInputs
from hyperfusion.table._features import Features
from hyperfusion.table._names import MODALITIES

SLOTS = {
    "training": """
        learning_rate : float, default=%(learning_rate)s
            Step size of the AdamW optimizer, after two epochs of warm-up.
        weight_decay : float, default=%(weight_decay)s
            Decoupled weight decay, in units of the learning rate.
        dropout : float, default=%(dropout)s
            Share of hidden units (in TabNet, of features) set to zero in training.
        n_components : int or "auto", default="auto"
            Vectors are reduced to at most this many components. "auto" is a quarter of
            the square root of the number of training rows, between 8 and 64.
        delta : float, default=0.5
            Error at which the Huber loss turns from quadratic to linear (equation 7),
            in standard deviations of the target.
        batch_size : int or "auto", default="auto"
            Rows per batch. "auto" is the power of two, between 32 and 1024, that gives
            16 to 32 batches per epoch.
        max_iter : int, default=200
            Maximum number of epochs.
        early_stopping : bool, default=True
            Whether to hold out a random tenth of the rows and keep the weights that do
            best there. If False, all epochs are run and the last weights are kept.
        n_iter_no_change : int, default=16
            Training stops after this many epochs without improvement.
        device : str, default="auto"
            "auto" uses a GPU if there is one, otherwise the CPU. Or name a device:
            "cpu", "cuda", "cuda:1" or "mps". A model whose GPU is missing predicts on
            the CPU, with a warning.
        n_threads : int, default=1
            Threads in fit and predict. The last bits of the results depend on it.
            Torch's own setting is restored afterwards.
        random_state : int, RandomState instance or None, default=None
            Seed of the initial weights, dropout, order of the rows and held-out rows.
            The same seed gives the same bits on one CPU.
        verbose : int, default=0
            Print a line every so many epochs; 0 prints nothing.
        """,
    "fitted": """
        n_iter_ : int
            Number of completed epochs.
        best_iter_ : int
            Number of epochs after which the kept weights were reached.
        best_score_ : float or None
            Loss on the held-out rows, in units of the scaled target.
        loss_curve_, validation_curve_ : list of float
            Loss after each epoch, on the training rows and on the held-out rows.
        target_scaler_ : TargetScaler
            Center and spread of the target.
        schema_ : Schema
            The blocks of the columns, and which are numbers, categories and vectors.
        """,
    "preparation": """
        The features are prepared inside, from the training rows: missing numbers are
        filled (`BlockImputer`), vectors are reduced (`BlockPCA`), and numbers are
        turned into normal scores (`BlockScaler`), then into learned waves. The levels
        of a category get embeddings. Levels in fewer than 4 rows count as unknown. In
        training, known levels are sometimes hidden as well, so that the network learns
        to predict for new users. A running average of the weights is kept.

        Torch's global random state is not touched, but the number of threads is that of
        the whole process: run several fits in parallel processes, not in threads.
        """,
}
"""Paragraphs that the docstrings of the networks share."""

_OWN = ("learning_rate", "weight_decay", "dropout")


@with_parameters  # subclasses inherit the parameters
class NetworkRegressor(Member):
    """Base of the members that are neural networks.

    A subclass adds parameters as fields, and names its network in ``_network_class``.
    """

    _network_class: ClassVar[str]
    _align = False
    _purpose = ""

    _parameter_constraints = {
        "learning_rate": [POSITIVE],
        "weight_decay": [NOT_NEGATIVE],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "n_components": [COUNT, StrOptions({"auto"})],
        "delta": [POSITIVE],
        "batch_size": [
            Interval(Integral, 2, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_iter": [COUNT],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [COUNT],
        "device": [str],
        "n_threads": [COUNT],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    dropout: float = 0.2
    n_components: int | str = "auto"
    delta: float = 0.5
    batch_size: int | str = "auto"
    max_iter: int = 200
    early_stopping: bool = True
    n_iter_no_change: int = 16
    device: str = "auto"
    n_threads: int = 1
    random_state: Any = None
    verbose: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        training = SLOTS["training"] % {name: getattr(cls, name) for name in _OWN}
        cls._slots = {**Member._slots, **SLOTS, "training": training}
        super().__init_subclass__(**kwargs)

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        import safetensors.torch
        import torch
        from torch.utils.data import TensorDataset

        from hyperfusion.regressors.networks import _training

        device = resolve_device(self.device)
        features, y, weight = self._read_training(X, y, sample_weight)
        rng = local_generator(self.random_state)
        held = held_out_rows(len(y), self.early_stopping, rng)
        seed = int(rng.randint(2**31 - 1))
        n_samples = int((~held).sum())
        self._config = self._network_config(n_samples)
        self.target_scaler_ = TargetScaler.fit(y[~held], weight[~held])
        target = self.target_scaler_.transform(y).astype(np.float32)
        with _training.fixed_threads(self.n_threads):
            self._inputs = NetworkInputs(
                n_components=self._n_components(n_samples), align=self._align
            ).fit(take_rows(features, ~held))
            self._say_what_is_missing()
            prepared = self._inputs.transform(features)

            def rows(kept: np.ndarray) -> TensorDataset:
                share = (weight[kept] / weight[kept].mean()).astype(np.float32)
                arrays = [*(part[kept] for part in prepared), target[kept], share]
                return TensorDataset(*(torch.from_numpy(a).to(device) for a in arrays))

            network = self._build(torch.Generator().manual_seed(seed)).to(device)
            learned, judged = rows(~held), rows(held) if held.any() else None
            size = self._batch_size(n_samples)
            # every network starts at the mean; a constant target needs no more
            epochs = self.max_iter if target[~held].any() and n_samples > 1 else 0
            found = _training.train(network, learned, judged, self, size, epochs, seed)
            state = {k: v.cpu().contiguous() for k, v in found.state.items()}
            # bytes in the safetensors format load everywhere and run no code
            self._state = safetensors.torch.save(state)
            self.n_iter_, self.best_iter_ = len(found.losses), found.best_epoch
            self.loss_curve_, self.validation_curve_ = found.losses, found.validation
            self.best_score_ = min(found.validation, default=None)
            self._restore(device)
            self._after_training(*(part[~held] for part in prepared))

    def _say_what_is_missing(self) -> None:
        if not self._is_plain(self._inputs.layout_["groups"]):
            return
        blocks = [repr(b) for b in dict.fromkeys(self.schema_.blocks) if b]
        if None in self.schema_.blocks:
            blocks.append("columns of no block")
        warn_user(
            f"{type(self).__name__} {self._purpose}; it was given only "
            f"{', '.join(blocks)} and works as a plain network. "
            "hyperfusion.table.describe_table(X) shows how the columns are read.",
        )

    def _is_plain(self, groups: Collection[str]) -> bool:
        """Whether a table of these blocks lacks what the member is made for."""
        content = {*MODALITIES["visual"], *MODALITIES["textual"]}
        return bool(self._purpose) and not content & {*groups}

    def _after_training(self, numbers: np.ndarray, codes: np.ndarray) -> None:
        """Add fitted attributes of a member, from the prepared training rows."""

    def _batch_size(self, n_samples: int) -> int:
        if self.batch_size != "auto":
            return int(self.batch_size)
        return int(np.clip(2 ** int(np.log2(max(n_samples / 16, 1))), 32, 1024))

    def _n_components(self, n_samples: int) -> int:
        if self.n_components != "auto":
            return int(self.n_components)
        return int(np.clip(round(np.sqrt(n_samples) / 4), 8, 64))

    def _network_config(self, n_samples: int) -> dict[str, Any]:
        """Return the settings to build the network from, as plain values."""
        shared = {field.name for field in fields(NetworkRegressor)} - {"dropout"}
        own = (field.name for field in fields(self) if field.name not in shared)
        return {name: getattr(self, name) for name in own}

    def _build(self, generator: Any) -> Any:
        from hyperfusion.regressors.networks import _architectures

        build = getattr(_architectures, self._network_class)
        return build(self._inputs.layout_, self._config, generator)

    def _restore(self, device: str) -> None:
        import safetensors.torch
        import torch

        network = self._build(torch.Generator().manual_seed(0))
        state = safetensors.torch.load(self._state)
        network.load_state_dict(state, strict=False)
        # In float32 a row's last digits depend on how many rows are predicted with it.
        # Apple's GPUs have no float64.
        dtype = torch.float32 if device == "mps" else torch.float64
        self._network = network.to(device=device, dtype=dtype).eval()
        self._network_device = self.device

    def _predict(self, features: Features) -> np.ndarray:
        import torch

        from hyperfusion.regressors.networks import _training

        if self.__dict__.get("_network_device") != self.device:
            self._restore(device_to_predict(self.device))
        with _training.fixed_threads(self.n_threads):
            prepared = map(torch.from_numpy, self._inputs.transform(features))
            scaled = _training.predict(self._network, {}, *prepared)
        return self.target_scaler_.inverse_transform(scaled.double().cpu().numpy())

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        for name in ("_network", "_network_device"):
            state.pop(name, None)
        return state
