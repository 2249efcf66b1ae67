"""Hierarchical fusion: a model for each modality, and one above them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, RegressorMixin, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import (
    HasMethods,
    StrOptions,
    _check_sample_weight,
    _fit_context,
    _num_samples,
)
from hyperfusion._validation import check_target, local_generator, warn_of_order
from hyperfusion.ensemble._combine import mean_by_row
from hyperfusion.ensemble._folds import make_splits
from hyperfusion.ensemble._members import (
    ask_for_weights,
    check_features,
    for_table,
    set_seeds,
    weight_parameter,
)
from hyperfusion.ensemble._out_of_fold import finite_prediction, fit_parts, naming
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame
from hyperfusion.table._names import MODALITIES, column_name
from hyperfusion.table._schema import PLAIN, Schema


class BlockStackingRegressor(MetaEstimatorMixin, RegressorMixin, HyperFusionEstimator):
    """Fuse modalities level by level: a model for each, and one that joins them.

    The first level fits one model on the columns of each modality. Its out-of-fold
    predictions are features of the final model, which sees them beside the raw
    columns, or instead of them. This is the paper's fusion "at different hierarchical
    levels" (section 1) as the stacking block of the 2023 winner [1]_ has it: a text's
    or an image's hundreds of numbers become what they say about popularity.

    It is a regressor like any other: use it alone, or as a member of
    `HyperFusionRegressor`, where all of it is fitted inside the training part of each
    fold.

    Parameters
    ----------
    estimator : regressor or dict of {str: regressor}, default=None
        Models of the first level: one for all modalities, or one for each by name.
        None is a `CatBoostHuberRegressor` of 300 trees.
    final_estimator : regressor, default=None
        Model of the second level. None is a `CatBoostHuberRegressor` of 600 trees.
    blocks : {"modality", "block"} or dict of {str: list of str}, default="modality"
        What the first level's models see: the columns of a modality
        (`hyperfusion.table.MODALITIES`; columns of no modality make one more,
        "other"), of a block, or of the blocks in each list. A plain array is
        one block.
    passthrough : {"all", "rest", "none"}, default="all"
        Which columns the final model sees beside the predictions: all, those that no
        model of the first level sees, or none.
    cv : int, splitter or iterable of (train, test), default=5
        Folds of the first level, which must hold each row back once at least. A
        number gives `StratifiedRegressionKFold`.
    n_jobs : int, default=None
        Parallel fits of the first level, through joblib.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of every model whose own is None.

    Attributes
    ----------
    blocks_ : dict of {str: list}
        Columns (positions for an array) that each model of the first level sees.
    estimators_ : list of lists of regressors
        The first level: ``estimators_[k][i]`` is the model of modality i of fold k.
    final_estimator_ : regressor
        The second level.
    oof_predictions_ : ndarray of shape (n_samples, n_modalities)
        Out-of-fold predictions of the first level.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    HyperFusionRegressor : The flat, weighted ensemble.
    sklearn.ensemble.StackingRegressor : Different models on the same columns.

    Notes
    -----
    For new rows the first level's prediction is the mean of its fold models. It costs
    ``n_folds * n_modalities + 1`` fits, each on few columns but the last.

    References
    ----------
    .. [1] Mao et al. "Enhanced CatBoost with stacking features for social media
       prediction." ACM Multimedia 2023.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import BlockStackingRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(90, 3)).astype("float32"))
    >>> X.columns = ["image__a", "text__b", "text__c"]
    >>> y = X.sum(axis=1)
    >>> model = BlockStackingRegressor(Ridge(), Ridge(), passthrough="none")
    >>> model.fit(X, y).blocks_
    {'visual': ['image__a'], 'textual': ['text__b', 'text__c']}
    """

    # with metadata routing they are taken whenever they are passed
    __metadata_request__fit = {"sample_weight": True, "groups": True}

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), dict, None],
        "final_estimator": [HasMethods(["fit", "predict"]), None],
        "blocks": [StrOptions({"modality", "block"}), dict],
        "passthrough": [StrOptions({"all", "rest", "none"})],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        final_estimator: Any = None,
        *,
        blocks: str | Mapping[str, list[str]] = "modality",
        passthrough: str = "all",
        cv: Any = 5,
        n_jobs: int | None = None,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.final_estimator = final_estimator
        self.blocks = blocks
        self.passthrough = passthrough
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the first level on folds and the final model on all rows.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            A feature table.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        groups : array-like of shape (n_samples,), default=None
            Groups for the splitter, such as users.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        InvalidInputError
            If `blocks` or `estimator` name what is not there, or `cv` never holds
            some rows back.
        """
        X = as_frame(X)
        warn_of_order(X, y, stacklevel=3)
        y = check_target(y, _num_samples(X))
        X = check_features(self, X, reset=True)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, y, dtype=np.float64, ensure_non_negative=True
            )
        rng = local_generator(self.random_state)
        self.blocks_ = self._group_columns(X)
        self._fit_first_level(X, y, sample_weight, groups, rng)
        table = self._second_level(X, self.oof_predictions_)
        final = self.final_estimator
        if final is None:
            final = _catboost(600)
        model = set_seeds(for_table(ask_for_weights(final), table), rng)
        weights = {}
        if sample_weight is not None:
            weights[weight_parameter(model)] = sample_weight
        self.final_estimator_ = model.fit(table, y, **weights)
        return self

    def _group_columns(self, X: Any) -> dict[str, list[Hashable]]:
        schema = Schema.of(X)
        there = list(dict.fromkeys(schema.blocks))
        if there == [None]:
            return {PLAIN: list(schema.columns)}
        groups: dict[str, list[str | None]]
        if isinstance(self.blocks, Mapping):
            groups = {name: list(blocks) for name, blocks in self.blocks.items()}
            missing = {b for blocks in groups.values() for b in blocks} - set(there)
            if missing or not groups:
                raise InvalidInputError(
                    f"blocks={self.blocks!r} names blocks that the table has not: "
                    f"{sorted(map(str, missing))}. It has {there}."
                )
        elif self.blocks == "block":
            groups = {block or PLAIN: [block] for block in there}
        else:
            groups = {name: list(blocks) for name, blocks in MODALITIES.items()}
            known = {block for blocks in groups.values() for block in blocks}
            groups[PLAIN] = [block for block in there if block not in known]
        positions = {
            name: [i for block in blocks for i in schema.in_block(block)]
            for name, blocks in groups.items()
        }
        return {
            name: [schema.columns[i] for i in found]
            for name, found in positions.items()
            if found
        }

    def _first_level(self, X: Any) -> list[Any]:
        """Return a fresh model for each group of columns, which picks its own."""
        models = []
        for name, columns in self.blocks_.items():
            model = self.estimator
            if isinstance(model, Mapping):
                if name not in model:
                    raise InvalidInputError(
                        f"estimator has no model for {name!r}: it names "
                        f"{list(model)}, the table has {list(self.blocks_)}."
                    )
                model = model[name]
            if model is None:
                model = _catboost(300)
            pick = _ColumnPicker(columns)
            model = for_table(ask_for_weights(model), _columns(X, columns))
            models.append(Pipeline([("columns", pick), ("model", model)]))
        return models

    def _fit_first_level(
        self, X: Any, y: np.ndarray, weight: Any, groups: Any, rng: Any
    ) -> None:
        splits = make_splits(self.cv, X, y, groups, rng)
        models = self._first_level(X)
        members = [[set_seeds(clone(m), rng) for m in models] for _ in splits]
        parts = list(
            fit_parts(
                members,
                X,
                y,
                splits,
                names=list(self.blocks_),
                sample_weight=weight,
                n_jobs=self.n_jobs,
            )
        )
        predictions = [
            np.column_stack([p.predictions for p in parts if p.fold == k])
            for k in range(len(splits))
        ]
        validated = [rows for _, rows in splits]
        self.oof_predictions_ = mean_by_row(validated, predictions, len(y))
        if np.isnan(self.oof_predictions_).any():
            row = int(np.flatnonzero(np.isnan(self.oof_predictions_[:, 0]))[0])
            raise InvalidInputError(
                f"cv={self.cv!r} never holds row {row} back: the final model needs "
                "out-of-fold predictions of every row, as KFold gives."
            )
        self.estimators_ = [
            [p.model for p in parts if p.fold == k] for k in range(len(splits))
        ]

    def _second_level(self, X: Any, predictions: np.ndarray) -> Any:
        """Return the final model's table: predictions and columns that pass through."""
        seen = {c for columns in self.blocks_.values() for c in columns}
        every = list(X.columns) if isinstance(X, pd.DataFrame) else range(X.shape[1])
        kept = {
            "all": list(every),
            "rest": [c for c in every if c not in seen],
            "none": [],
        }[self.passthrough]
        raw = _columns(X, kept)
        if not isinstance(X, pd.DataFrame):
            return np.column_stack([raw, predictions])
        block_of = dict(zip(every, Schema.of(X).blocks, strict=True))
        names = [
            _stacked_name(name, block_of[columns[0]])
            for name, columns in self.blocks_.items()
        ]
        stacked = pd.DataFrame(predictions.astype(np.float32), X.index, names)
        return pd.concat([stacked, raw.set_axis(map(str, kept), axis=1)], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Predict level by level.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_features)
            Columns as at fit.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        check_is_fitted(self)
        X = check_features(self, X, reset=False)
        by_fold = []
        for k, models in enumerate(self.estimators_):
            found = []
            for name, model in zip(self.blocks_, models, strict=True):
                with naming(name, k):
                    found.append(finite_prediction(model, X, name))
            by_fold.append(np.column_stack(found))
        table = self._second_level(X, np.mean(by_fold, axis=0))
        return np.asarray(self.final_estimator_.predict(table), dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def _stacked_name(group: str, block: str | None) -> str:
    """Name a prediction after its group, in the group's first block."""
    return column_name(block, f"stacked_{group}") if block else f"stacked_{group}"


class _ColumnPicker(TransformerMixin, HyperFusionEstimator):
    """Picks columns by name, or by position from an array."""

    def __init__(self, columns: Any = None):
        self.columns = columns

    def fit(self, X: Any, y: Any = None) -> Self:
        return self

    def transform(self, X: Any) -> Any:
        return _columns(X, self.columns)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _columns(X: Any, columns: list[Any]) -> Any:
    return X[columns] if isinstance(X, pd.DataFrame) else X[:, columns]


def _catboost(iterations: int) -> Any:
    from hyperfusion.regressors import CatBoostHuberRegressor

    return CatBoostHuberRegressor(iterations=iterations)
