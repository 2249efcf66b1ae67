"""The co-attention member: image and text attend to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._base import COUNT, SHARE, NetworkRegressor


class CoAttentionRegressor(NetworkRegressor):
    """Network in which image and text attend to each other, with a Huber loss.

    The third member of the paper's ensemble: "a custom Multi-Layer Perceptron with
    co-attention layers" (section 3.4). The paper gives no more. Attention over one
    pooled vector does nothing (the softmax over one key is 1), so here each side is a
    set of tokens: every vector (an embedding of an image, a title, tags) is projected
    to several tokens, and the single numbers and categories of a block to one. Patch
    and word tokens of the CLIP encoders (their option ``tokens``) are one each. In
    every block the tokens of the image ask those of the text and the other way round.
    Both sides' means are joined with a layer over the metadata.

    It degrades in good order. Where only images or only texts are there, their
    tokens and those of the metadata's blocks attend to each other. With neither, or
    with columns of no block, it is a residual network over all features.

    Parameters
    ----------
    token_size : int, default=16
        Length of a token; a multiple of `n_heads`.
    tokens_per_vector : int, default=4
        Tokens that each vector is projected to; patch and word tokens stay one.
    n_heads : int, default=4
        Heads of the attention.
    n_blocks : int, default=1
        Blocks of attention.
    hidden_size : int, default=64
        Width of the other layers.
    dropout : float, default=0.2
        Share of hidden units set to zero in training.
    input_dropout : float, default=0.1
        Share of features set to zero in training.
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
    ClipHierarchicalRegressor : Stages for each modality and for their joint.
    HyperFusionRegressor : Ensemble of this and other members.

    Notes
    -----
    Numbers are filled (`BlockImputer`), reduced (`BlockPCA`) and turned into normal
    scores (`BlockScaler`) inside, from the rows trained on. A fit of 3,000 rows and
    some 200 features takes a few seconds on one core, and costs
    ``O(n_samples * n_features * hidden_size)`` an epoch.

    Random numbers come from generators of its own, and the global state of torch is
    not touched. The number of threads belongs to the whole process while it fits or
    predicts: run fits in processes, not in threads side by side.

    References
    ----------
    .. [1] Lu, Yang, Batra and Parikh. "Hierarchical question-image co-attention for
       visual question answering." NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import CoAttentionRegressor
    >>> X = np.random.RandomState(0).normal(size=(200, 3))
    >>> y = X[:, 0] + X[:, 1] * X[:, 2]
    >>> model = CoAttentionRegressor(max_iter=30, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    _parameter_constraints: dict = {
        **NetworkRegressor._parameter_constraints,
        "token_size": [COUNT],
        "tokens_per_vector": [COUNT],
        "n_heads": [COUNT],
        "n_blocks": [COUNT],
        "hidden_size": [COUNT],
        "dropout": [SHARE],
    }

    def __init__(
        self,
        *,
        token_size: int = 16,
        tokens_per_vector: int = 4,
        n_heads: int = 4,
        n_blocks: int = 1,
        hidden_size: int = 64,
        dropout: float = 0.2,
        input_dropout: float = 0.1,
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
        self.token_size = token_size
        self.tokens_per_vector = tokens_per_vector
        self.n_heads = n_heads
        self.n_blocks = n_blocks
        self.hidden_size = hidden_size
        self.dropout = dropout
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
        if self.token_size % self.n_heads:
            raise InvalidInputError(
                f"token_size must be a multiple of n_heads. Got token_size="
                f"{self.token_size} and n_heads={self.n_heads}."
            )
        return {
            "token_size": self.token_size,
            "tokens_per_vector": self.tokens_per_vector,
            "n_heads": self.n_heads,
            "n_blocks": self.n_blocks,
            "hidden_size": self.hidden_size,
            "dropout": self.dropout,
        }

    def _build_network(self, generator: Any) -> Any:
        from hyperfusion.regressors.networks._torch_coattention import (
            CoAttentionNetwork,
        )

        return CoAttentionNetwork(self.inputs_.layout_, self.network_config_, generator)

    def attention_weights(self, X: Any) -> dict[str, np.ndarray]:
        """Return how much each token of one side looks at each token of the other.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Columns as at fit.

        Returns
        -------
        dict of {str: ndarray of shape (n_samples, n_blocks, n_asking, n_asked)}
            For each direction, such as ``"visual->textual"`` (the image's tokens ask
            the text's), the mean of the heads' weights; they add up to 1 over the
            last axis. `token_names_` names the tokens.

        Raises
        ------
        InvalidInputError
            If the table had neither images nor texts at fit, or nothing else.
        """
        import torch

        from hyperfusion.regressors.networks._training import fixed_threads

        check_is_fitted(self)
        with fixed_threads(self.n_threads), torch.inference_mode():
            network, numbers, codes, device = self._prepare(X)
            if not network.sides:
                raise InvalidInputError(
                    "There is no attention in this model: at fit, the table had no "
                    "two sides, such as columns image__... and text__..., to attend "
                    "to each other."
                )
            dtype = next(network.parameters()).dtype
            _, blocks = network.attend(numbers.to(device, dtype), codes.to(device))
        first, second = network.sides
        return {
            f"{asking}->{asked}": np.stack(
                [weights[side].mean(dim=1).cpu().numpy() for weights in blocks], axis=1
            )
            for side, (asking, asked) in enumerate([(first, second), (second, first)])
        }

    @property
    def token_names_(self) -> dict[str, list[str]]:
        """Names of the tokens of each side; empty where there is no attention."""
        check_is_fitted(self)
        network, _ = self._load_network()
        sides = zip(network.sides, network.tokens, strict=False)
        return {side: list(tokens.names) for side, tokens in sides}
