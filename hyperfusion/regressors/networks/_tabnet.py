"""The TabNet member: steps that choose features by masks."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._base import COUNT, NOT_NEGATIVE, NetworkRegressor

_AT_LEAST_0 = Interval(Integral, 0, None, closed="left")


class TabNetHuberRegressor(NetworkRegressor):
    """TabNet for feature tables with categories, with a Huber loss.

    The second member of the paper's ensemble (section 3.4): "interpretable deep
    tabular learning with sequential attention". The network is pytorch-tabnet's; its
    own regressor refuses one-dimensional targets and DataFrames, uses weights only to
    sample rows, and seeds torch for the whole process, so the training is this
    package's. Each single number, each category and each vector is one unit that the
    masks of the steps choose from.

    Parameters
    ----------
    n_d : int, default=8
        Width of each step's output.
    n_a : int, default=8
        Width of what each step passes on to choose the next mask.
    n_steps : int, default=2
        Number of steps.
    gamma : float, default=1.3
        How freely a feature may be chosen in more than one step (1: in one only).
    n_independent, n_shared : int, default=1
        Gated layers of each step's own, and shared by all steps.
    virtual_batch_size : int, default=128
        Rows over which batch normalization takes its statistics in training (a
        little more where a batch would leave a single row over).
    momentum : float, default=0.02
        Momentum of these statistics.
    mask_type : {"sparsemax", "entmax"}, default="sparsemax"
        How masks are normalized.
    sparsity : float, default=1e-4
        Weight of the masks' entropy in the loss.
    input_dropout : float, default=0.1
        Share of features set to zero in training.
    number_embedding : {"piecewise", "periodic"} or None, default="periodic"
        How single numbers enter: as positions in bins between -3 and 3 normal scores
        (piecewise linear), beside learned waves of them, or as they are.
    number_embedding_size : int, default=4
        Numbers that each single number becomes.
    embedding_size : int, default=8
        Length of the vector of a category's level; shorter for few levels.
    id_dropout : float, default=0.15
        Probability with which a category counts as unknown in training, so that the
        network learns what to say of new users.
    min_frequency : int, default=4
        Rows that a level needs at fit; rarer ones count as unknown.
    n_components : int or "auto", default="auto"
        Largest number of components that a vector is reduced to. "auto" is a quarter
        of the square root of the rows trained on, from 8 to 64.
    delta : float, default=0.5
        Where the Huber loss turns from quadratic to linear (equation 7).
    delta_unit : {"spread", "target"}, default="spread"
        Unit of `delta`: multiples of the target's standard deviation, or the
        target's own unit.
    learning_rate : float, default=0.02
        Step of the AdamW optimizer, after two epochs of warming up.
    weight_decay : float, default=0.3
        Decoupled decay of the weights, in units of the learning rate.
    weight_average : float, default=0.99
        Decay of the running average of the weights, which is what is kept: 0.99
        averages about the last 100 steps, 0 keeps the last weights.
    batch_size : int or "auto", default="auto"
        Rows of a batch. "auto" is the power of two that makes 16 to 32 batches an
        epoch, from 32 to 1024 rows.
    max_iter : int, default=200
        Largest number of epochs.
    max_time : float, default=None
        Seconds after which training stops, also within an epoch, and keeps the best
        so far. Results then depend on the machine.
    early_stopping : bool, default=True
        Whether to hold rows out and keep the weights that do best there. Without it
        all epochs are run and the last weights kept.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    validation_by : hashable, default=None
        None holds out random rows; the name (or position) of a category column whole
        groups; of a number, such as time, the rows with the largest values.
    n_iter_no_change : int, default=16
        Epochs without improvement after which training stops.
    device : str, default="auto"
        "auto" is a GPU where there is one, otherwise the CPU; or a name of torch's.
    n_threads : int, default=1
        Threads in fit and predict. The last bits depend on it, so it is a fixed
        number; torch's own setting is put back after.
    random_state : int, RandomState instance or None, default=None
        Seed of first weights, dropout, order and held-out rows. The same seed gives
        the same bits on one CPU.
    verbose : int, default=0
        Every how many epochs to print a line; 0 prints none.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        Mean of `explain` over the rows trained on; adds up to 1.
    n_iter_ : int
        Number of whole epochs.
    best_iter_ : int
        Number of epochs that the kept weights have seen.
    best_score_ : float or None
        Loss on the held-out rows, in units of the scaled target.
    loss_curve_, validation_curve_ : list of float
        Loss after each epoch, on the rows trained on and on those held out.
    target_scaler_ : TargetScaler
        Center and spread of the target.
    inputs_ : NetworkInputs
        The fitted preparation of the features.
    network_config_ : dict
        What the network is made of.
    network_state_ : bytes
        The network's weights, in the safetensors format.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    HyperFusionRegressor : Ensemble of this and other members.

    Notes
    -----
    Numbers are filled (`BlockImputer`), reduced (`BlockPCA`) and turned into normal
    scores (`BlockScaler`) inside, from the rows trained on. A fit costs
    ``O(n_steps * n_samples * n_features * (n_d + n_a))`` an epoch.

    pytorch-tabnet draws its first weights from torch's global generator. That is
    seeded while the network is built and put back after, so never build this member
    in threads side by side; training draws from generators of its own. The number of
    threads, too, belongs to the whole process: run fits in processes.

    References
    ----------
    .. [1] Arik and Pfister. "TabNet: attentive interpretable tabular learning."
       AAAI 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import TabNetHuberRegressor
    >>> X = np.random.RandomState(0).normal(size=(200, 3))
    >>> y = 3 * X[:, 1]
    >>> model = TabNetHuberRegressor(max_iter=30, random_state=0).fit(X, y)
    >>> int(model.feature_importances_.argmax())
    1
    """

    _parameter_constraints: dict = {
        **NetworkRegressor._parameter_constraints,
        "n_d": [COUNT],
        "n_a": [COUNT],
        "n_steps": [COUNT],
        "gamma": [Interval(Real, 1, None, closed="left")],
        "n_independent": [_AT_LEAST_0],
        "n_shared": [_AT_LEAST_0],
        "virtual_batch_size": [Interval(Integral, 2, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="right")],
        "mask_type": [StrOptions({"sparsemax", "entmax"})],
        "sparsity": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        *,
        n_d: int = 8,
        n_a: int = 8,
        n_steps: int = 2,
        gamma: float = 1.3,
        n_independent: int = 1,
        n_shared: int = 1,
        virtual_batch_size: int = 128,
        momentum: float = 0.02,
        mask_type: str = "sparsemax",
        sparsity: float = 1e-4,
        input_dropout: float = 0.1,
        number_embedding: str | None = "periodic",
        number_embedding_size: int = 4,
        embedding_size: int = 8,
        id_dropout: float = 0.15,
        min_frequency: int = 4,
        n_components: int | str = "auto",
        delta: float = 0.5,
        delta_unit: str = "spread",
        learning_rate: float = 0.02,
        weight_decay: float = 0.3,
        weight_average: float = 0.99,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        max_time: float | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        validation_by: Any = None,
        n_iter_no_change: int = 16,
        device: str = "auto",
        n_threads: int = 1,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.n_d = n_d
        self.n_a = n_a
        self.n_steps = n_steps
        self.gamma = gamma
        self.n_independent = n_independent
        self.n_shared = n_shared
        self.virtual_batch_size = virtual_batch_size
        self.momentum = momentum
        self.mask_type = mask_type
        self.sparsity = sparsity
        self.input_dropout = input_dropout
        self.number_embedding = number_embedding
        self.number_embedding_size = number_embedding_size
        self.embedding_size = embedding_size
        self.id_dropout = id_dropout
        self.min_frequency = min_frequency
        self.n_components = n_components
        self.delta = delta
        self.delta_unit = delta_unit
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.weight_average = weight_average
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_time = max_time
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_by = validation_by
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def _network_config(self, n_samples: int) -> dict[str, Any]:
        if self.n_independent + self.n_shared == 0:
            raise InvalidInputError(
                "n_independent and n_shared are both 0: give TabNet at least one layer."
            )
        return {
            "n_d": self.n_d,
            "n_a": self.n_a,
            "n_steps": self.n_steps,
            "gamma": self.gamma,
            "n_independent": self.n_independent,
            "n_shared": self.n_shared,
            "virtual_batch_size": _chunk_size(
                n_samples, self._batch_size(n_samples), self.virtual_batch_size
            ),
            "momentum": self.momentum,
            "mask_type": self.mask_type,
            "sparsity": self.sparsity,
        }

    def _build_network(self, generator: Any) -> Any:
        from hyperfusion.regressors.networks._torch_tabnet import TabNetNetwork

        return TabNetNetwork(self.inputs_.layout_, self.network_config_, generator)

    def _after_training(self, numbers: np.ndarray, codes: np.ndarray) -> None:
        import torch

        rows = torch.from_numpy(numbers), torch.from_numpy(codes)
        total, _ = self._network.explain(*rows)
        mean = _row_shares(total).mean(axis=0)
        self.feature_importances_ = mean @ self._columns_of_units()

    def explain(self, X: Any) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
        """Return what each prediction looks at, as the masks of the steps tell it.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Columns as at fit.

        Returns
        -------
        importances : DataFrame of shape (n_samples, n_features)
            Shares of the features in each prediction: the steps' masks, weighted by
            the steps' outputs. Rows add up to 1 (or are 0 where no step answers).
        masks : list of DataFrame of shape (n_samples, n_features)
            The mask of each step; rows add up to 1.

        Notes
        -----
        A unit's share is divided equally among the columns it comes from: all columns
        of a vector, all columns that a missing flag stands for.
        """
        from hyperfusion.regressors.networks._training import fixed_threads

        check_is_fitted(self)
        with fixed_threads(self.n_threads):
            network, numbers, codes, _ = self._prepare(X)
            total, steps = network.explain(numbers, codes)
        columns = self._columns_of_units()
        shares = [_row_shares(total) @ columns, *(step @ columns for step in steps)]
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        index = getattr(X, "index", None)
        frames = [
            pd.DataFrame(values, index=index, columns=list(names)) for values in shares
        ]
        return frames[0], frames[1:]

    def _columns_of_units(self) -> np.ndarray:
        """Return the share of each column of X in each unit."""
        inputs, layout = self.inputs_, self.inputs_.layout_
        is_category = np.zeros(self.n_features_in_, dtype=bool)
        is_category[self.category_positions_] = True
        numbers = np.flatnonzero(~is_category)
        starts = [*range(layout["n_scalars"])]
        starts += [
            start
            for group in layout["groups"].values()
            for start, _ in group["vectors"].values()
        ]
        sources = [numbers[inputs.sources_[start]] for start in starts]
        sources += [np.array([i]) for i in self.category_positions_]
        shares = np.zeros((len(sources), self.n_features_in_))
        for unit, columns in enumerate(sources):
            shares[unit, columns] = 1 / len(columns)
        return shares


def _row_shares(total: np.ndarray) -> np.ndarray:
    """Return what each unit counts in a row, as shares of the row's sum."""
    return total / np.maximum(total.sum(axis=1, keepdims=True), 1e-30)


def _chunk_size(n_samples: int, batch_size: int, wanted: int) -> int:
    """Return the smallest size from `wanted` on whose last chunk has several rows.

    pytorch-tabnet cuts each batch into equal chunks for its batch normalization,
    which fails on a last chunk of one row.
    """
    from hyperfusion.regressors.networks._training import batches_of

    n_batches = batches_of(n_samples, batch_size)
    batches = {n_samples // n_batches, -(-n_samples // n_batches)}

    def last(batch: int, size: int) -> int:
        length = -(-batch // -(-batch // size))
        return batch - (-(-batch // length) - 1) * length

    size = wanted
    while min(last(batch, size) for batch in batches) < 2 and size < max(batches):
        size += 1
    return size
