"""Gradient boosting on feature tables: CatBoost behind scikit-learn's contract."""

from __future__ import annotations

import os
import tempfile
import time
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._common import (
    TargetScaler,
    check_fit_data,
    held_out_rows,
    split_features,
)

_MISSING = b"__missing__"
_POSITIVE = Interval(Real, 0, None, closed="neither")


class CatBoostHuberRegressor(RegressorMixin, HyperFusionEstimator):
    """Gradient boosted trees with a Huber loss, for feature tables with categories.

    The primary member of the paper's ensemble (section 3.4, equation 7). It learns
    the centred and scaled target: CatBoost's own Huber loss starts from zero and
    never reaches a target that lies far from it.

    Columns of pandas' ``category`` dtype are categorical features, everything else
    is a number, and missing values stay missing in both. A plain array works too.

    Parameters
    ----------
    loss : {"huber", "mae", "rmse"}, default="huber"
        What the trees minimise.
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
    colsample : float, default=1.0
        Share of the features that each split may choose from.
    max_ctr_complexity : int, default=1
        How many categories may be combined into one feature.
    has_time : bool, default=False
        Whether categories' target statistics follow the order of the rows instead
        of random permutations. With `time` the rows are sorted by it first.
    time : hashable, default=None
        Column to sort the rows by where `has_time` is true (a feature table's is
        ``"time__days"``). None keeps the order in which they come.
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
        on the machine.
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
        Centre and spread of the target.
    category_names_, number_names_ : list
        The columns taken as categories and as numbers.
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
        "colsample": [Interval(Real, 0, 1, closed="right")],
        "max_ctr_complexity": [Interval(Integral, 1, 15, closed="both")],
        "has_time": ["boolean"],
        "time": "no_validation",
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
        colsample: float = 1.0,
        max_ctr_complexity: int = 1,
        has_time: bool = False,
        time: Any = None,
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
        self.max_ctr_complexity = max_ctr_complexity
        self.has_time = has_time
        self.time = time
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
            If a column is neither a number nor a category, or `y` is not finite.
        """
        self._validate_params()
        numbers, categories, y, weight = check_fit_data(self, X, y, sample_weight)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        self._read_columns(X, categories)
        held = held_out_rows(self, X, numbers, categories, rng)
        self.target_scaler_ = TargetScaler.fit(y[~held], weight[~held])
        target = self.target_scaler_.transform(y)
        rows = self._training_rows(numbers, held)
        self._forget_model()
        if _is_constant(target[rows], numbers[rows], categories.iloc[rows]):
            self.model_, self.n_iter_ = b"", 0
            self.best_score_: float | None = None
            return self

        def pool(r: np.ndarray) -> Any:
            return _pool(numbers[r], categories.iloc[r], target[r], weight[r])

        self._train(
            pool(rows), pool(np.flatnonzero(held)) if held.any() else None, seed
        )
        return self

    def _read_columns(self, X: Any, categories: pd.DataFrame) -> None:
        self.category_names_ = list(categories.columns)
        levels = set(self.category_names_)
        names = X.columns if hasattr(X, "columns") else range(self.n_features_in_)
        self.number_names_ = [c for c in names if c not in levels]
        self.column_order_ = list(names)

    def _training_rows(self, numbers: np.ndarray, held: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(~held)
        if not self.has_time or self.time is None:
            return rows
        if self.time not in self.number_names_:
            raise InvalidInputError(
                f"time={self.time!r} is not a number column of X. Its number columns "
                f"are {self.number_names_[:20]}."
            )
        times = numbers[rows, self.number_names_.index(self.time)]
        return rows[np.argsort(times, kind="stable")]

    def _train(self, train: Any, evaluate: Any, seed: int) -> None:
        from catboost import CatBoost

        params = self._back_end_params(seed)
        if evaluate is not None:
            params |= {"od_type": "Iter", "od_wait": self.n_iter_no_change}
        model = CatBoost(params)
        callbacks = None if self.max_time is None else [_Deadline(self.max_time)]
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
        self.model_ = _to_bytes(model)
        self._back_end = model

    def _back_end_params(self, seed: int) -> dict[str, Any]:
        delta = self.target_scaler_.scaled_delta(self.delta, self.delta_unit)
        losses = {"huber": f"Huber:delta={float(delta)}", "mae": "MAE", "rmse": "RMSE"}
        threads = self.n_threads or effective_n_jobs(-1)
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
            "thread_count": threads,
            "task_type": "GPU" if self.device == "cuda" else "CPU",
            "allow_writing_files": False,
        }
        if self.colsample < 1:
            params["rsm"] = self.colsample
        return params

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
        numbers, categories = split_features(self, X, reset=False)
        if not self.model_:
            return np.full(len(numbers), self.target_scaler_.center)
        model = self._load_model()
        threads = self.n_threads or effective_n_jobs(-1)
        scaled = model.predict(_pool(numbers, categories), thread_count=threads)
        return self.target_scaler_.inverse_transform(scaled)

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much each feature moves the predictions: shares that add up to 1.

        In the order of the columns at fit; CatBoost's prediction value change.
        """
        check_is_fitted(self)
        if not self.model_:
            return np.zeros(self.n_features_in_)
        values = self._load_model().get_feature_importance()
        return self._in_column_order(values / max(values.sum(), 1e-300))

    def _in_column_order(self, values: np.ndarray) -> np.ndarray:
        order = [*self.number_names_, *self.category_names_]
        place = {column: i for i, column in enumerate(order)}
        return values[..., [place[c] for c in self.column_order_]]

    def shap_values(self, X: Any) -> pd.DataFrame:
        """Explain predictions: what each feature adds to each of them.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Rows to explain.

        Returns
        -------
        DataFrame of shape (n_samples, n_features + 1)
            In the target's units, one column a feature in the order of fit, and
            ``base`` (the mean prediction); each row adds up to its prediction.

        Notes
        -----
        Costs about ``O(n_samples * n_trees * 2**depth * depth)``. Sum columns by
        block (`hyperfusion.feature_table.block_columns`) for blocks' contributions.
        """
        check_is_fitted(self)
        numbers, categories = split_features(self, X, reset=False)
        scaler, n = self.target_scaler_, self.n_features_in_
        values = np.zeros((len(numbers), n + 1))
        if self.model_:
            pool = _pool(numbers, categories)
            values = self._load_model().get_feature_importance(pool, type="ShapValues")
        shap = self._in_column_order(values[:, :n]) * scaler.spread
        index = getattr(X, "index", None)
        frame = pd.DataFrame(shap, columns=self.column_order_, index=index)
        frame["base"] = scaler.inverse_transform(values[:, n])
        return frame

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


class _Deadline:
    """CatBoost callback that stops training when the time is up."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def after_iteration(self, info: Any) -> bool:
        return time.monotonic() < self.end


def _is_constant(y: np.ndarray, numbers: np.ndarray, levels: pd.DataFrame) -> bool:
    """Whether there is nothing to learn, which CatBoost refuses."""
    if np.ptp(y) == 0:
        return True
    first = numbers[:1]
    same = (numbers == first) | (np.isnan(numbers) & np.isnan(first))
    return bool(same.all()) and all(np.ptp(levels[c].cat.codes) == 0 for c in levels)


def _pool(
    numbers: np.ndarray,
    categories: pd.DataFrame,
    y: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Any:
    from catboost import FeaturesData, Pool

    levels = [_level_bytes(categories[c]) for c in categories]
    features = FeaturesData(
        num_feature_data=np.ascontiguousarray(numbers) if numbers.shape[1] else None,
        cat_feature_data=np.column_stack(levels) if levels else None,
    )
    return Pool(features, label=y, weight=weight)


def _level_bytes(column: pd.Series) -> np.ndarray:
    """Return a category column as CatBoost reads it: byte strings, one for missing."""
    levels = [str(level).encode() for level in column.cat.categories]
    return np.array([*levels, _MISSING], dtype=object)[column.cat.codes]


def _to_bytes(model: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.cbm")
        model.save_model(path)
        with open(path, "rb") as file:
            return file.read()
