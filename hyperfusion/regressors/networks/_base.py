"""What the network members share: parameters, preparation, fit, predict, state."""

from __future__ import annotations

import time
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._device import device_to_predict, resolve_device
from hyperfusion._sklearn_compat import Interval, StrOptions, _fit_context
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._common import (
    TargetScaler,
    check_fit_data,
    held_out_rows,
    split_features,
)
from hyperfusion.regressors.networks._inputs import NetworkInputs

POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
SHARE = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")


class NetworkRegressor(RegressorMixin, HyperFusionEstimator):
    """Base of the members that are neural networks.

    A subclass names all parameters and implements ``_network_config`` and
    ``_build_network``.
    """

    _align = False

    _parameter_constraints: dict = {
        "delta": [POSITIVE],
        "delta_unit": [StrOptions({"spread", "target"})],
        "n_components": [COUNT, StrOptions({"auto"})],
        "number_embedding": [StrOptions({"piecewise", "periodic"}), None],
        "number_embedding_size": [Interval(Integral, 2, None, closed="left")],
        "min_frequency": [COUNT],
        "embedding_size": [COUNT],
        "id_dropout": [SHARE],
        "input_dropout": [SHARE],
        "learning_rate": [POSITIVE],
        "weight_decay": [NOT_NEGATIVE],
        "weight_average": [SHARE],
        "batch_size": [
            Interval(Integral, 2, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_iter": [COUNT],
        "max_time": [POSITIVE, None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "validation_by": "no_validation",
        "n_iter_no_change": [COUNT],
        "device": [str],
        "n_threads": [COUNT],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Numbers and categories; missing values are allowed.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss, of those held out too. Rows of weight
            zero are left out.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        InvalidInputError
            If a column is neither a number nor a category, `y` is not finite, the
            device is not there, or the training diverges.
        """
        from hyperfusion.regressors.networks._training import fixed_threads

        started = time.monotonic()
        numbers, categories, y, weight = check_fit_data(self, X, y, sample_weight)
        rng = check_random_state(self.random_state)
        held = held_out_rows(self, X, numbers, categories, rng)
        seed = int(rng.randint(2**31 - 1))
        columns = list(X.columns if hasattr(X, "columns") else range(numbers.shape[1]))
        levels = set(categories.columns)
        names = [c for c in columns if c not in levels]
        self.category_positions_ = [i for i, c in enumerate(columns) if c in levels]
        self.target_scaler_ = TargetScaler.fit(y[~held], weight[~held])
        with fixed_threads(self.n_threads):
            self.inputs_ = NetworkInputs(
                n_components=self._n_components(int((~held).sum())),
                min_frequency=self.min_frequency,
                align=self._align,
            ).fit(numbers[~held], names, categories[~held])
            prepared = self.inputs_.transform(numbers, categories)
            self._train(prepared, y, weight, held, seed, started)
        return self

    def _train(
        self,
        prepared: tuple[np.ndarray, np.ndarray],
        y: np.ndarray,
        weight: np.ndarray,
        held: np.ndarray,
        seed: int,
        started: float,
    ) -> None:
        import torch

        from hyperfusion.regressors.networks import _training

        device = torch.device(resolve_device(self.device))
        target = self.target_scaler_.transform(y)

        def rows(kept: np.ndarray) -> Any:
            numbers, codes = (part[kept] for part in prepared)
            return _training.Rows.of(numbers, codes, target[kept], weight[kept], device)

        n_samples = int((~held).sum())
        schedule = self._schedule(n_samples, started)
        self.network_config_ = self._network_config(n_samples) | {
            name: getattr(self, name)
            for name in (
                "number_embedding",
                "number_embedding_size",
                "embedding_size",
                "id_dropout",
                "input_dropout",
            )
        }
        generator = torch.Generator().manual_seed(seed)
        network = self._build_network(generator).to(device)
        if target[~held].any() and n_samples > 1:
            held_rows = rows(held) if held.any() else None
            training = _training.Training(
                network, rows(~held), held_rows, schedule, seed
            )
            state, history = training.run()
        else:  # the mean, from which every network starts, is all there is to learn
            state, history = dict(_training.named_state(network)), _training.History()
        self.network_state_ = _training.to_bytes(state)
        self.n_iter_ = len(history.training)
        self.best_iter_ = history.best_epoch
        self.loss_curve_ = history.training
        self.validation_curve_ = history.validation
        scores = history.validation
        self.best_score_ = min(scores) if scores else None
        self._network = self._restore(device)
        self._after_training(*(part[~held] for part in prepared))

    def _after_training(self, numbers: np.ndarray, codes: np.ndarray) -> None:
        """Add what a member tells of itself, from the prepared rows trained on."""

    def _schedule(self, n_samples: int, started: float) -> Any:
        from hyperfusion.regressors.networks._training import Schedule

        return Schedule(
            delta=self.target_scaler_.scaled_delta(self.delta, self.delta_unit),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self._batch_size(n_samples),
            max_iter=self.max_iter,
            n_iter_no_change=self.n_iter_no_change,
            weight_average=self.weight_average,
            deadline=None if self.max_time is None else started + self.max_time,
            verbose=int(self.verbose),
            name=type(self).__name__,
        )

    def _batch_size(self, n_samples: int) -> int:
        """Return the rows of a batch: "auto" makes some 16 to 32 batches an epoch."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        return int(np.clip(2 ** int(np.log2(max(n_samples / 16, 1))), 32, 1024))

    def _n_components(self, n_samples: int) -> int:
        """Return the size of reduced vectors: "auto" grows with the rows, 8 to 64."""
        if self.n_components != "auto":
            return int(self.n_components)
        return int(np.clip(round(np.sqrt(n_samples) / 4), 8, 64))

    def _network_config(self, n_samples: int) -> dict[str, Any]:
        """Return what the network is made of, as it was at fit; plain values."""
        raise NotImplementedError

    def _build_network(self, generator: Any) -> Any:
        """Build the untrained network of the inputs' layout and `network_config_`."""
        raise NotImplementedError

    def _restore(self, device: Any) -> Any:
        import torch

        from hyperfusion.regressors.networks._training import from_bytes

        network = self._build_network(torch.Generator().manual_seed(0))
        network.load_state_dict(from_bytes(self.network_state_), strict=False)
        # In float32 a row's last digits depend on how many rows are predicted with it.
        # Apple's GPUs know nothing wider.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return network.to(device=device, dtype=dtype).eval()

    def _load_network(self) -> tuple[Any, Any]:
        import torch

        device = torch.device(device_to_predict(self.device))
        if self.__dict__.get("_network") is None:
            self._network = self._restore(device)
        return self._network.to(device), device

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Columns as at fit. Categories not seen at fit count as unknown.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Predictions in the target's units.
        """
        from hyperfusion.regressors.networks import _training

        check_is_fitted(self)
        with _training.fixed_threads(self.n_threads):
            network, numbers, codes, device = self._prepare(X)
            scaled = _training.predict(network, {}, numbers, codes, device)
        return self.target_scaler_.inverse_transform(scaled.double().cpu().numpy())

    def _prepare(self, X: Any) -> tuple[Any, Any, Any, Any]:
        """Return the network, prepared rows, and the device that the network is on."""
        import torch

        numbers, categories = split_features(self, X, reset=False)
        self._check_categories(categories)
        network, device = self._load_network()
        prepared = self.inputs_.transform(numbers, categories)
        return network, *(torch.from_numpy(part) for part in prepared), device

    def _check_categories(self, categories: pd.DataFrame) -> None:
        changed = set(categories.columns) ^ set(self.inputs_.category_names_)
        if changed:
            raise InvalidInputError(
                f"Column {min(changed, key=str)!r} is a category either at fit or now, "
                f"but not both: give {type(self).__name__} the same dtypes."
            )

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        state.pop("_network", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags
