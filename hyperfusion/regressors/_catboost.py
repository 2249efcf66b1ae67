"""Gradient boosting on feature tables: CatBoost behind scikit-learn's contract."""

from __future__ import annotations

import tempfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import with_parameters
from hyperfusion._device import resolve_device
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._validation import COUNT, NOT_NEGATIVE, POSITIVE, local_generator
from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._common import (
    Member,
    TargetScaler,
    held_out_rows,
    take_rows,
)
from hyperfusion.table._features import Features, read_features

MISSING = "__missing__"  # the level that missing categories become
_FEW_ROWS = 1000
_SHARE = Interval(Real, 0, 1, closed="right")


@with_parameters
class CatBoostHuberRegressor(Member):
    """Gradient boosted trees with a Huber loss, for feature tables with categories.

    The primary member of the paper's ensemble (section 3.4, equation 7). It takes
    arrays, and tables in which columns of pandas' ``category`` dtype are categories.
    Values may be missing. It is fitted to the standardized target.

    Parameters
    ----------
    delta : float, default=0.5
        Where the Huber loss turns from quadratic to linear (equation 7), in standard
        deviations of the target.
    iterations : int, default=1000
        Largest number of trees.
    learning_rate : float, default=0.08
        Shrinkage of each tree. With `delta` below 0.5 it is multiplied by ``0.5 /
        delta``, because no step is larger than `delta`.
    depth : int, default=6
        Depth of the (symmetric) trees, 1 to 16.
    l2_leaf_reg : float, default=3.0
        Ridge penalty of the leaves' values.
    colsample : float or "auto", default="auto"
        Share of the features that each split may choose from; all on a GPU. "auto" is
        as many as give 30 features, but at least 0.3.
    vector_weight : float or "auto", default="auto"
        Weight of a vector's columns (``image__clip__0``, ``image__clip__1`` and so on)
        in the choice of splits; single columns have 1. A vector of n columns has n
        chances to win a split by accident. "auto" is ``4 / sqrt(n)``, limited to 0.5 to
        1, because long vectors may also be informative.
    early_stopping : bool, default=True
        Whether to hold out a random tenth of the rows and keep the best number of trees
        there.
    n_iter_no_change : int, default=50
        Number of trees without improvement after which training stops.
    device : str, default="auto"
        Where to train: "cpu", "cuda", or one GPU such as "cuda:1". "auto" is the CPU,
        since results differ on a GPU, and small tables are no faster there. Predictions
        are made on the CPU.
    n_threads : int, default=None
        Number of threads. None means all cores, or one inside a parallel job. The
        result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the training and of the held-out rows.
    verbose : int, default=0
        Print a line every this many trees; 0 prints none.

    Attributes
    ----------
    n_iter_ : int
        Number of trees.
    best_score_ : float or None
        Loss on the held-out rows, in units of the scaled target.
    target_scaler_ : TargetScaler
        Center and spread of the target.
    schema_ : Schema
        Which columns are numbers, categories and vectors of which block.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        How much each feature changes the predictions; adds up to 1.
    %(columns_seen)s

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

    _parameter_constraints = {
        "delta": [POSITIVE],
        "iterations": [COUNT],
        "learning_rate": [POSITIVE],
        "depth": [Interval(Integral, 1, 16, closed="both")],
        "l2_leaf_reg": [NOT_NEGATIVE],
        "colsample": [_SHARE, StrOptions({"auto"})],
        "vector_weight": [_SHARE, StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [COUNT],
        "device": [str],
        "n_threads": [COUNT, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    delta: float = 0.5
    iterations: int = 1000
    learning_rate: float = 0.08
    depth: int = 6
    l2_leaf_reg: float = 3.0
    colsample: float | str = "auto"
    vector_weight: float | str = "auto"
    early_stopping: bool = True
    n_iter_no_change: int = 50
    device: str = "auto"
    n_threads: int | None = None
    random_state: Any = None
    verbose: int = 0

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        where = self._where_to_train()
        features, y, weight = self._read_training(X, y, sample_weight)
        rng = local_generator(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        held = held_out_rows(len(y), self.early_stopping, rng)
        self.target_scaler_ = TargetScaler.fit(y[~held], weight[~held])
        target = self.target_scaler_.transform(y)
        learned = take_rows(features, ~held)
        self.__dict__.pop("_back_end", None)
        seen = target[~held].astype(np.float32)  # CatBoost's own precision
        numbers = learned.numbers
        same = (numbers == numbers[:1]) | (np.isnan(numbers) & np.isnan(numbers[:1]))
        levels = [column.cat.codes for _, column in learned.categories.items()]
        same_rows = same.all() and all(np.ptp(codes) == 0 for codes in levels)
        if np.ptp(seen) == 0 or same_rows:  # there is nothing to learn
            self.model_, self.n_iter_ = b"", 0
            self.best_score_: float | None = None
            return
        evaluate = None
        if held.any():
            evaluate = make_pool(take_rows(features, held), target[held], weight[held])
        train = make_pool(learned, target[~held], weight[~held])
        self._train(train, evaluate, self._back_end_params(seed) | where)

    def _where_to_train(self) -> dict[str, Any]:
        """Return CatBoost's parameters for the device; raise for what it can't do."""
        device = "cpu" if self.device == "auto" else resolve_device(self.device)
        if device == "cpu":
            return {"task_type": "CPU"}
        kind, _, number = device.partition(":")
        if kind != "cuda":
            raise InvalidInputError(
                f"CatBoost can't use device={device!r}: use 'cpu', or 'cuda' on a "
                "machine with an NVIDIA GPU."
            )
        if self.colsample != "auto" and float(self.colsample) < 1:
            warn_user(
                f"colsample={self.colsample!r} has no effect on a GPU, where CatBoost "
                "uses all features.",
            )
        return {"task_type": "GPU", "devices": number or "0", "rsm": None}

    def _back_end_params(self, seed: int) -> dict[str, Any]:
        wide = np.clip(30 / len(self.schema_.columns), 0.3, 1)
        share = float(wide if self.colsample == "auto" else self.colsample)
        weights: dict[int, float] = {}
        for columns in self.schema_.numbers().vectors.values():
            each = self.vector_weight
            if each == "auto":  # below a half, informative long vectors lose
                each = float(np.clip(4 / np.sqrt(len(columns)), 0.5, 1))
            if float(each) < 1:
                weights |= dict.fromkeys(columns.tolist(), float(each))
        return {
            "loss_function": f"Huber:delta={float(self.delta)}",
            "iterations": self.iterations,
            # a Newton step has no limit where all errors of a leaf are beyond delta;
            # a gradient is at most delta, so that small ones need a larger rate
            "leaf_estimation_method": "Gradient",
            "leaf_estimation_iterations": 1,
            "learning_rate": self.learning_rate * max(1, 0.5 / self.delta),
            "depth": self.depth,
            "l2_leaf_reg": self.l2_leaf_reg,
            "max_ctr_complexity": 1,  # no combinations of categories
            "rsm": share if share < 1 else None,
            "feature_weights": weights or None,
            "random_seed": seed,
            "thread_count": self._threads(),
            "allow_writing_files": False,
        }

    def _train(self, train: Any, evaluate: Any, params: dict[str, Any]) -> None:
        from catboost import CatBoost

        if evaluate is not None:
            params |= {"od_type": "Iter", "od_wait": self.n_iter_no_change}
        model = CatBoost({k: v for k, v in params.items() if v is not None})
        model.fit(
            train,
            eval_set=evaluate,
            use_best_model=evaluate is not None,
            verbose=int(self.verbose) or False,
        )
        self.n_iter_ = int(model.tree_count_)
        best = model.get_best_score().get("validation")
        self.best_score_ = None if best is None else float(next(iter(best.values())))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.cbm")
            model.save_model(str(path))
            self.model_ = path.read_bytes()
        self._back_end = model

    def _predict(self, features: Features) -> np.ndarray:
        if not self.model_:
            return np.full(len(features.numbers), self.target_scaler_.center)
        # for a few rows, threads cost more than they save
        threads = self._threads() if len(features.numbers) > _FEW_ROWS else 1
        pool, model = make_pool(features, threads=threads), self._load_model()
        scaled = model.predict(pool, thread_count=threads)
        return self.target_scaler_.inverse_transform(scaled)

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much each feature changes the predictions: shares that add up to 1."""
        check_is_fitted(self)
        values = np.zeros(len(self.schema_.columns))
        if self.model_:
            found = self._load_model().get_feature_importance(
                type="PredictionValuesChange", thread_count=self._threads()
            )
            values[np.argsort(self.schema_.is_category, kind="stable")] = found
        return values / max(values.sum(), 1e-300)

    def _shap_values(self, X: Any) -> np.ndarray:
        """Return what each feature, and last the base, adds to each prediction."""
        check_is_fitted(self)
        features, scaler = read_features(self, X, reset=False), self.target_scaler_
        values = np.zeros((len(features.numbers), len(self.schema_.columns) + 1))
        if self.model_:
            order = np.argsort(self.schema_.is_category, kind="stable")
            values[:, [*order, -1]] = self._load_model().get_feature_importance(
                make_pool(features), type="ShapValues", thread_count=self._threads()
            )
        values[:, :-1] *= scaler.spread
        values[:, -1] = scaler.inverse_transform(values[:, -1])
        return values

    def _threads(self) -> int:
        return int(self.n_threads or effective_n_jobs(-1))

    def _load_model(self) -> Any:
        if getattr(self, "_back_end", None) is None:
            from catboost import CatBoost

            self._back_end = CatBoost().load_model(blob=self.model_)
        return self._back_end

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        state.pop("_back_end", None)
        return state


def make_pool(
    features: Features,
    y: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    threads: int = -1,
) -> Any:
    """Return rows in CatBoost's most compact form, numbers first."""
    from catboost import FeaturesData, Pool

    numbers = np.ascontiguousarray(features.numbers)
    levels = []
    for name in features.categories:
        column = features.categories[name]
        # only the levels that occur, of maybe thousands of users
        codes, where = np.unique(column.cat.codes, return_inverse=True)
        named = column.cat.categories
        texts = [MISSING if code < 0 else str(named[code]) for code in codes]
        coded = [text.encode("utf-8", "surrogatepass") for text in texts]
        levels.append(np.array(coded, dtype=object)[where])
    data = FeaturesData(
        num_feature_data=numbers if numbers.shape[1] else None,
        cat_feature_data=np.column_stack(levels) if levels else None,
    )
    return Pool(data, label=y, weight=weight, thread_count=threads)
