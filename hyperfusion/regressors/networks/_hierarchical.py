"""The hierarchical member: modalities, their joint, then the metadata."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._base import (
    COUNT,
    NOT_NEGATIVE,
    SHARE,
    NetworkRegressor,
)


class ClipHierarchicalRegressor(NetworkRegressor):
    """Network of stages over CLIP vectors and metadata, with a Huber loss.

    The fourth member of the paper's ensemble: the "CLIP-based Hierarchical
    Predictor" with "multiple fully connected layers with ReLU activation and batch
    normalization" (section 3.4). The paper gives no more; this is our reading of
    "hierarchical":

    1. a stage for the images and one for the texts and tags;
    2. a joint stage over both, and over the product and the absolute difference of
       the aligned CLIP vectors of image and text;
    3. final stages over the joint and the metadata (all other blocks).

    A stage is a linear layer, batch normalization (`batch_norm`, off by default), ReLU
    and dropout. Modalities that the table lacks drop out; with columns of no block the
    final stages are left.

    Vectors are aligned where their columns' stems end in ``clip`` in the block
    ``image`` and in the blocks ``text`` or ``tags`` and they are equally long. They
    are reduced in one common basis, so that products keep their meaning.

    Parameters
    ----------
    modality_size : int, default=64
        Width of the stage of each modality.
    joint_size : int, default=64
        Width of the joint stage.
    final_sizes : sequence of int, default=(128, 64)
        Widths of the final stages.
    batch_norm : bool, default=False
        Whether stages normalize over the batch, as the paper's do. It is off since
        the statistics are those of the past: on videos of the year after those
        trained on, the mean absolute error rose from 1.45 to 1.53 with it.
    dropout : float, default=0.3
        Share of hidden units set to zero in training.
    input_dropout : float, default=0.1
        Share of features set to zero in training.
    auxiliary : sequence of hashable, default=()
        Category columns whose level the joint stage predicts besides, as a further
        task; such as category, subcategory and concept of the SMP data. It needs
        images or texts.
    auxiliary_weight : float, default=0.1
        Weight of their cross entropy, averaged over the columns, in the loss.
    number_embedding : {"piecewise", "periodic"} or None, default="periodic"
        How single numbers enter: as positions in bins between -3 and 3 normal scores
        (piecewise linear), beside learned waves of them, or as they are.
    number_embedding_size : int, default=8
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
    learning_rate : float, default=1e-3
        Step of the AdamW optimizer, after two epochs of warming up.
    weight_decay : float, default=0.01
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
    CoAttentionRegressor : Image and text attend to each other.
    HyperFusionRegressor : Ensemble of this and other members.

    Notes
    -----
    Numbers are filled (`BlockImputer`), reduced (`BlockPCA`) and turned into normal
    scores (`BlockScaler`) inside, from the rows trained on. A fit of 3,000 rows and
    some 200 features takes a few seconds on one core, and costs ``O(n_samples *
    n_features)`` times the widths of the stages an epoch.

    Random numbers come from generators of its own, and the global state of torch is
    not touched. The number of threads belongs to the whole process while it fits or
    predicts: run fits in processes, not in threads side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import ClipHierarchicalRegressor
    >>> X = np.random.RandomState(0).normal(size=(200, 3))
    >>> y = X[:, 0] + X[:, 1] * X[:, 2]
    >>> model = ClipHierarchicalRegressor(max_iter=30, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    _align = True

    _parameter_constraints: dict = {
        **NetworkRegressor._parameter_constraints,
        "modality_size": [COUNT],
        "joint_size": [COUNT],
        "final_sizes": ["array-like"],
        "batch_norm": ["boolean"],
        "dropout": [SHARE],
        "auxiliary": ["array-like"],
        "auxiliary_weight": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        *,
        modality_size: int = 64,
        joint_size: int = 64,
        final_sizes: Sequence[int] = (128, 64),
        batch_norm: bool = False,
        dropout: float = 0.3,
        input_dropout: float = 0.1,
        auxiliary: Sequence[Hashable] = (),
        auxiliary_weight: float = 0.1,
        number_embedding: str | None = "periodic",
        number_embedding_size: int = 8,
        embedding_size: int = 8,
        id_dropout: float = 0.15,
        min_frequency: int = 4,
        n_components: int | str = "auto",
        delta: float = 0.5,
        delta_unit: str = "spread",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
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
        self.modality_size = modality_size
        self.joint_size = joint_size
        self.final_sizes = final_sizes
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.auxiliary = auxiliary
        self.auxiliary_weight = auxiliary_weight
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
        names = self.inputs_.category_names_
        unknown = [c for c in self.auxiliary if c not in names]
        if unknown:
            raise InvalidInputError(
                f"auxiliary names {unknown}, which are no category columns of X. Its "
                f"category columns are {names[:20]}."
            )
        if len(self.final_sizes) == 0 or min(self.final_sizes) < 1:
            raise InvalidInputError(
                f"final_sizes must be one or more positive whole numbers. Got "
                f"{self.final_sizes!r} instead."
            )
        return {
            "modality_size": self.modality_size,
            "joint_size": self.joint_size,
            "final_sizes": [int(size) for size in self.final_sizes],
            "batch_norm": bool(self.batch_norm),
            "dropout": self.dropout,
            "auxiliary": [names.index(c) for c in self.auxiliary],
            "auxiliary_weight": self.auxiliary_weight,
        }

    def _build_network(self, generator: Any) -> Any:
        from hyperfusion.regressors.networks._torch_hierarchical import (
            HierarchicalNetwork,
        )

        return HierarchicalNetwork(
            self.inputs_.layout_, self.network_config_, generator
        )
