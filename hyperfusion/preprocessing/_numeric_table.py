"""A feature table as numbers only, for other regressors."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval
from hyperfusion._validation import check_target, local_generator
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.preprocessing._base import BlockTransformer, code_matrix
from hyperfusion.preprocessing._imputer import BlockImputer
from hyperfusion.table._features import Features
from hyperfusion.table._names import single_name

N_FOLDS = 5  # for the target means of the training rows


@with_parameters
class NumericTable(BlockTransformer):
    """Turn a feature table into numbers only, for any scikit-learn regressor.

    A category with few levels becomes a column of zeros and ones for each level. A
    category with many levels (the user, the place) becomes the shrunken mean target of
    the level. Numbers pass through, but columns without any number at fit become 0,
    because scikit-learn's histograms fail on them.

    Parameters
    ----------
    max_one_hot : int, default=20
        Largest number of levels at fit that become columns of zeros and ones. All of
        them are zero for a missing value and for a level not seen at fit.
    impute : bool, default=False
        Whether to fill missing numbers with `BlockImputer` (and add its flags) instead
        of leaving them missing. The columns made from categories are never missing.
    random_state : int, RandomState instance or None, default=None
        Seed of the five folds for the target means in `fit_transform`.

    Attributes
    ----------
    levels_ : list of list
        For each category column the levels seen at fit.
    imputer_ : BlockImputer or None
        Fills missing numbers.
    %(is_category)s
    %(columns_seen)s

    Notes
    -----
    As with scikit-learn's ``TargetEncoder``, ``fit_transform(X, y)`` differs from
    ``fit(X, y).transform(X)``: it encodes each row with means from folds without the
    row. Use it (as a Pipeline does) on the rows that train a regressor, inside the
    folds of an ensemble. Rows where `y` is NaN don't count. Missing values have their
    own mean if some were missing at fit, otherwise the mean of all targets, like new
    levels.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import NumericTable
    >>> X = pd.DataFrame(
    ...     {"time__hour": [1.0, 2.0, 3.0],
    ...      "meta__kind": pd.Categorical(["photo", "video", None])}
    ... )
    >>> NumericTable().fit_transform(X)
       time__hour  meta__kind=photo  meta__kind=video
    0         1.0               1.0               0.0
    1         2.0               0.0               1.0
    2         3.0               0.0               0.0
    """

    _parameter_constraints = {
        "max_one_hot": [Interval(Integral, 0, None, closed="left")],
        "impute": ["boolean"],
        "random_state": ["random_state"],
    }

    _keeps_categories = False

    max_one_hot: int = 20
    impute: bool = False
    random_state: Any = None

    def _fit_transform(self, X: Any, y: Any) -> Any:
        features = self._fit(X, y)
        codes = code_matrix(features.categories, self.levels_)
        means = _looked_up(self._values, codes[:, self._many])
        if len(self._many):
            many, y = codes[:, self._many], check_target(y, len(codes), allow_nan=True)
            labeled = np.flatnonzero(~np.isnan(y))
            rng = local_generator(self.random_state)
            folds = KFold(min(N_FOLDS, len(labeled)), shuffle=True, random_state=rng)
            for train, test in folds.split(labeled) if len(labeled) > 1 else ():
                values = self._target_means(many[labeled[train]], y[labeled[train]])
                means[labeled[test]] = _looked_up(values, many[labeled[test]])
        return self._write(features, self._numbers(features, codes, means))

    def _fit_features(self, features: Features, y: Any) -> None:
        self.levels_ = [
            column.cat.remove_unused_categories().cat.categories.tolist()
            for _, column in features.categories.items()
        ]
        sizes = np.array([len(levels) for levels in self.levels_], dtype=int)
        # among the categories, those with few and with many levels
        self._one_hot = np.flatnonzero(sizes <= self.max_one_hot)
        self._many = np.flatnonzero(sizes > self.max_one_hot)
        self._empty = np.flatnonzero(np.isnan(features.numbers).all(axis=0))
        self.imputer_ = None
        if self.impute and features.numbers.shape[1]:
            self.imputer_ = BlockImputer().fit(_as_frame(features))
        self._values: list[np.ndarray] = []
        if len(self._many):
            codes = code_matrix(features.categories, self.levels_)[:, self._many]
            y = check_target(y, len(codes), allow_nan=True)
            labeled = ~np.isnan(y)
            if not labeled.any():
                raise InvalidInputError(
                    "y is missing in every row: there is nothing to learn."
                )
            self._values = self._target_means(codes[labeled], y[labeled])

    def _target_means(self, codes: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        encoder = TargetEncoder(target_type="continuous").fit(codes, y)
        means = []
        for i, seen, own in zip(
            self._many, encoder.categories_, encoder.encodings_, strict=True
        ):
            values = np.full(len(self.levels_[i]) + 1, encoder.target_mean_)
            values[seen] = own  # a missing cell has the code -1, the last
            means.append(values)
        return means

    def _transform_features(self, features: Features) -> np.ndarray:
        codes = code_matrix(features.categories, self.levels_)
        means = _looked_up(self._values, codes[:, self._many])
        return self._numbers(features, codes, means)

    def _numbers(
        self, features: Features, codes: np.ndarray, means: np.ndarray
    ) -> np.ndarray:
        numbers = features.numbers
        if self.imputer_ is not None:
            numbers = self.imputer_._transform_features(features)
        elif len(self._empty):
            numbers = numbers.copy()
            numbers[:, self._empty] = 0
        flags = [
            codes[:, [i]] == np.arange(len(self.levels_[i])) for i in self._one_hot
        ]
        return np.concatenate([numbers, *flags, means], axis=1, dtype=np.float32)

    def _made(self, names: np.ndarray) -> list[tuple[str, list[int]]]:
        numbers = np.flatnonzero(~self.is_category_)
        categories = np.flatnonzero(self.is_category_).tolist()
        made = [(names[i], [i]) for i in numbers.tolist()]
        if self.imputer_ is not None:
            outputs = self.imputer_.get_feature_names_out(list(names[numbers]))
            sources = [numbers[s].tolist() for s in self.imputer_.sources_]
            made = list(zip(outputs, sources, strict=True))
        for i in self._one_hot:
            name = names[categories[i]]
            flags = [single_name(f"{name}={level}") for level in self.levels_[i]]
            made += [(flag, [categories[i]]) for flag in flags]
        many = [categories[i] for i in self._many]
        return made + [(f"{names[i]}_target_mean", [i]) for i in many]


def _as_frame(features: Features) -> pd.DataFrame:
    return pd.DataFrame(features.numbers, columns=features.schema.columns, copy=False)


def _looked_up(values: list[np.ndarray], codes: np.ndarray) -> np.ndarray:
    found = [own[column] for own, column in zip(values, codes.T, strict=True)]
    return np.column_stack(found) if found else np.empty((len(codes), 0))
