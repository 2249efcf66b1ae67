"""Gradient boosting on feature tables: CatBoost behind scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._common import (
    TargetScaler,
    check_fit_data,
    held_out_rows,
    split_features,
)
from hyperfusion.regressors.catboost._explain import CatBoostExplanations
from hyperfusion.regressors.catboost._pool import (
    Columns,
    Deadline,
    Rows,
    check_device,
    named_errors,
    text_processing,
    texts_as_categories,
    to_bytes,
)

_POSITIVE = Interval(Real, 0, None, closed="neither")


class CatBoostHuberRegressor(
    CatBoostExplanations, RegressorMixin, HyperFusionEstimator
):
    """Gradient boosted trees with a Huber loss, for feature tables with categories.

    The primary member of the paper's ensemble (section 3.4, equation 7). It learns
    the centered and scaled target: CatBoost's own Huber loss starts from zero and
    never reaches a target that lies far from it.

    Columns of pandas' ``category`` dtype are categorical features, everything else
    is a number, and missing values stay missing in both. A plain array works too.
    Columns of text and vectors that belong together can be named.

    Parameters
    ----------
    loss : {"huber", "mae", "rmse"}, default="huber"
        What the trees minimize.
    delta : float, default=0.5
        Where the Huber loss turns from quadratic to linear (equation 7).
    delta_unit : {"spread", "target"}, default="spread"
        Unit of `delta`: multiples of the target's standard deviation, or the
        target's own unit.
    iterations : int, default=1000
        Largest number of trees.
    learning_rate : float, default=0.05
        Shrinkage of each tree.
    depth : int, default=6
        Depth of the (symmetric) trees, 1 to 16.
    l2_leaf_reg : float, default=3.0
        Ridge penalty of the leaves' values.
    random_strength : float, default=1.0
        Noise in the choice of splits.
    colsample : float or "auto", default="auto"
        Share of the features that each split may choose from; all on a GPU. "auto" is
        1 for up to 30 features, and 30 of more, but no less than a share of 0.3.
    vector_weight : float or "auto", default="auto"
        Weight of a vector's columns (``image__clip__0``, ``image__clip__1`` and so on)
        where splits are chosen; single columns have 1. A vector of n columns has n
        chances to win a split by accident. "auto" is ``4 / sqrt(n)``, but at least
        0.5 and at most 1: long vectors may also tell a lot.
    max_ctr_complexity : int, default=1
        How many categories may be combined into one feature.
    has_time : bool, default=False
        Whether categories' target statistics follow the order of the rows instead
        of random permutations. With `time` the rows are sorted by it first.
    time : hashable, default=None
        Column to sort the rows by where `has_time` is true (a feature table's is
        ``"time__days"``). None keeps the order in which they come.
    text_features : sequence of hashable, default=()
        Columns of text: what counts is which of their frequent words a text has.
        A missing text has none.
    min_word_count : int, default=5
        How often a word has to occur in a text column to be looked at.
    embedding_features : sequence of str, default=()
        Stems of vectors, such as ``"image__clip"`` for the columns ``image__clip__0``,
        ``image__clip__1`` and so on, that are taken as embeddings (nearest neighbors
        and a linear discriminant) instead of as single numbers. A missing one becomes
        the mean of those seen at fit. Works on the CPU only.
    early_stopping : bool, default=True
        Whether to hold rows out and keep the number of trees that does best there.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    validation_by : hashable, default=None
        None holds out random rows; the name (or position) of a category column whole
        groups; of a number, such as time, the rows with the largest values.
    n_iter_no_change : int, default=50
        Trees without improvement after which training stops.
    max_time : float, default=None
        Seconds after which training stops and keeps what it has. Results then depend
        on the machine. CPU only.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to train. "auto" is the CPU: CatBoost's results differ between the two,
        and small tables are no faster on a GPU.
    n_threads : int, default=None
        Threads. None takes all cores, or one within a parallel job. The result does
        not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the training and of the held-out rows.
    verbose : int, default=0
        Every how many trees to print a line; 0 prints none.

    Attributes
    ----------
    n_iter_ : int
        Number of trees.
    best_score_ : float or None
        Loss on the held-out rows, in units of the scaled target.
    target_scaler_ : TargetScaler
        Center and spread of the target.
    columns_ : Columns
        The columns taken as numbers, categories, texts and embeddings.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        How much each feature moves the predictions; adds up to 1.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    HyperFusionRegressor : Ensemble of this and other members.

    Notes
    -----
    Fitting costs ``O(iterations * n_samples * n_features)``. A pickle holds
    CatBoost's own binary format and loads on machines without a GPU.

    Vectors are best left as they are or reduced first (`BlockPCA`): as embeddings they
    cost more time than as numbers, and CatBoost's embeddings crash on a GPU.

    References
    ----------
    .. [1] Prokhorenkova et al. "CatBoost: unbiased boosting with categorical
       features." NeurIPS 2018.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import CatBoostHuberRegressor
    >>> X = pd.DataFrame({"views": range(40), "kind": pd.Categorical(["a", "b"] * 20)})
    >>> y = X["views"] + 10 * (X["kind"] == "b")
    >>> model = CatBoostHuberRegressor(iterations=50, early_stopping=False).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _parameter_constraints: dict = {
        "loss": [StrOptions({"huber", "mae", "rmse"})],
        "delta": [_POSITIVE],
        "delta_unit": [StrOptions({"spread", "target"})],
        "iterations": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [_POSITIVE],
        "depth": [Interval(Integral, 1, 16, closed="both")],
        "l2_leaf_reg": [Interval(Real, 0, None, closed="left")],
        "random_strength": [Interval(Real, 0, None, closed="left")],
        "colsample": [Interval(Real, 0, 1, closed="right"), StrOptions({"auto"})],
        "vector_weight": [Interval(Real, 0, 1, closed="right"), StrOptions({"auto"})],
        "max_ctr_complexity": [Interval(Integral, 1, 15, closed="both")],
        "has_time": ["boolean"],
        "time": "no_validation",
        "text_features": ["array-like"],
        "min_word_count": [Interval(Integral, 1, None, closed="left")],
        "embedding_features": ["array-like"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "validation_by": "no_validation",
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "max_time": [_POSITIVE, None],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        loss: str = "huber",
        delta: float = 0.5,
        delta_unit: str = "spread",
        iterations: int = 1000,
        learning_rate: float = 0.05,
        depth: int = 6,
        l2_leaf_reg: float = 3.0,
        random_strength: float = 1.0,
        colsample: float | str = "auto",
        vector_weight: float | str = "auto",
        max_ctr_complexity: int = 1,
        has_time: bool = False,
        time: Any = None,
        text_features: Sequence[Hashable] = (),
        min_word_count: int = 5,
        embedding_features: Sequence[str] = (),
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        validation_by: Any = None,
        n_iter_no_change: int = 50,
        max_time: float | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.loss = loss
        self.delta = delta
        self.delta_unit = delta_unit
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.depth = depth
        self.l2_leaf_reg = l2_leaf_reg
        self.random_strength = random_strength
        self.colsample = colsample
        self.vector_weight = vector_weight
        self.max_ctr_complexity = max_ctr_complexity
        self.has_time = has_time
        self.time = time
        self.text_features = text_features
        self.min_word_count = min_word_count
        self.embedding_features = embedding_features
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_by = validation_by
        self.n_iter_no_change = n_iter_no_change
        self.max_time = max_time
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Numbers and categories; missing values are allowed.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss. Rows of weight zero are left out.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        InvalidInputError
            If a column is neither a number nor a category, `y` is not finite, a named
            column is not there, or no word of the texts is frequent enough.
        """
        self._validate_params()
        check_device(self)
        X = texts_as_categories(X, self.text_features)
        numbers, categories, y, weight = check_fit_data(self, X, y, sample_weight)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        every = X.columns if hasattr(X, "columns") else range(self.n_features_in_)
        self.columns_ = Columns.of(
            every, categories.columns, self.text_features, self.embedding_features
        )
        held = held_out_rows(self, X, numbers, categories, rng)
        self.target_scaler_ = TargetScaler.fit(y[~held], weight[~held])
        target = self.target_scaler_.transform(y)
        order = self._training_rows(numbers, held)
        rows = Rows.of(numbers, categories, self.columns_)
        self.embedding_means_ = rows.take(order).means()
        rows = rows.filled(self.embedding_means_)
        self._forget_model()
        seen = target[order].astype(np.float32)  # CatBoost tells no more apart
        if np.ptp(seen) == 0 or rows.take(order).is_constant():
            self.model_, self.n_iter_ = b"", 0
            self.best_score_: float | None = None
            return self

        def pool(kept: np.ndarray) -> Any:
            return rows.take(kept).pool(target[kept], weight[kept])

        evaluate = pool(np.flatnonzero(held)) if held.any() else None
        self._train(pool(order), evaluate, seed)
        return self

    def _training_rows(self, numbers: np.ndarray, held: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(~held)
        if not self.has_time or self.time is None:
            return rows
        names = self.columns_.numbers
        if self.time not in names:
            raise InvalidInputError(
                f"time={self.time!r} is not a number column of X. Its number columns "
                f"are {names[:20]}."
            )
        times = numbers[rows, names.index(self.time)]
        return rows[np.argsort(times, kind="stable")]

    def _train(self, train: Any, evaluate: Any, seed: int) -> None:
        from catboost import CatBoost

        params = self._back_end_params(seed)
        if evaluate is not None:
            params |= {"od_type": "Iter", "od_wait": self.n_iter_no_change}
        model = CatBoost(params)
        callbacks = None if self.max_time is None else [Deadline(self.max_time)]
        with named_errors(self):
            model.fit(
                train,
                eval_set=evaluate,
                use_best_model=evaluate is not None,
                verbose=int(self.verbose) or False,
                callbacks=callbacks,
            )
        self.n_iter_ = int(model.tree_count_)
        best = model.get_best_score().get("validation")
        self.best_score_ = None if best is None else float(next(iter(best.values())))
        self.model_ = to_bytes(model)
        self._back_end = model

    def _back_end_params(self, seed: int) -> dict[str, Any]:
        delta = self.target_scaler_.scaled_delta(self.delta, self.delta_unit)
        losses = {"huber": f"Huber:delta={float(delta)}", "mae": "MAE", "rmse": "RMSE"}
        params = {
            "loss_function": losses[self.loss],
            "iterations": self.iterations,
            "learning_rate": self.learning_rate,
            "depth": self.depth,
            "l2_leaf_reg": self.l2_leaf_reg,
            "random_strength": self.random_strength,
            "max_ctr_complexity": self.max_ctr_complexity,
            "has_time": bool(self.has_time),
            "random_seed": seed,
            "thread_count": self._threads(),
            "task_type": "GPU" if self.device == "cuda" else "CPU",
            "allow_writing_files": False,
        }
        share = self._share_of_features()
        if share < 1 and self.device != "cuda":
            params["rsm"] = share
        weights = self.columns_.vector_weights(self.vector_weight)
        if weights:
            params["feature_weights"] = weights
        if len(self.text_features):
            params["text_processing"] = text_processing(self.min_word_count)
        return params

    def _share_of_features(self) -> float:
        if self.colsample != "auto":
            return float(self.colsample)
        return float(np.clip(30 / len(self.columns_.sources), 0.3, 1))

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
        check_is_fitted(self)
        rows = self._rows(X)
        if not self.model_:
            return np.full(len(rows), self.target_scaler_.center)
        model = self._load_model()
        scaled = model.predict(rows.pool(), thread_count=self._threads())
        return self.target_scaler_.inverse_transform(scaled)

    def _rows(self, X: Any) -> Rows:
        numbers, categories = split_features(
            self, texts_as_categories(X, self.text_features), reset=False
        )
        return Rows.of(numbers, categories, self.columns_).filled(self.embedding_means_)

    def _threads(self) -> int:
        return int(self.n_threads or effective_n_jobs(-1))

    def _load_model(self) -> Any:
        if getattr(self, "_back_end", None) is None:
            from catboost import CatBoost

            self._back_end = CatBoost().load_model(blob=self.model_)
        return self._back_end

    def _forget_model(self) -> None:
        self.__dict__.pop("_back_end", None)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        state.pop("_back_end", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags
