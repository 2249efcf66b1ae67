"""Filling of missing cells, by what a block's numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from hyperfusion._sklearn_compat import StrOptions
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.preprocessing._base import BlockTransformer
from hyperfusion.table._features import Features, stem_of, take_columns, vector_groups
from hyperfusion.table._names import BLOCKS
from hyperfusion.table._old import split_name

MISSING_LEVEL = "__missing__"

STRATEGIES = ("zero", "mean", "median", "count", "clamp")

_DEFAULTS: dict[str | None, str] = {
    "image": "median",
    "text": "zero",
    "tags": "zero",
    "user": "zero",
    "time": "clamp",
    "geo": "mean",
    "meta": "count",
    "place": "mean",
    "cross": "median",
    "cluster": "median",
    "neighbors": "median",
    None: "median",
}

_ROWS = 16_384


class BlockImputer(BlockTransformer):
    """Fill missing cells with defaults that suit what each block holds.

    The paper's "missing value imputation with context-appropriate defaults"
    (section 3.3). What is filled stays visible: a column of zeros and ones is added
    for each column, or each vector, that had missing cells at fit.

    ================================ ===================================== ==========
    columns                          a missing number becomes              flag per
    ================================ ===================================== ==========
    vectors of any block             the training mean of its column       vector
    image, cross, cluster            the training median                   column
    text, tags, user (counts)        0                                     column
    time (dates)                     the training median; all values are   column
                                     clamped to the training range
    geo (places)                     the training mean                     column
    meta                             0 where the training values are       column
                                     counts, otherwise their median
    columns of no block, arrays      the training median                   column
    categories of any block          the level ``"__missing__"``           none
    ================================ ===================================== ==========

    Columns of a block that were missing in the same rows at fit share one flag, named
    after the first of them and set where any of them is missing; so do the numbers of
    a vector: columns with one stem, numbered from 0 without gaps, such as
    ``image__clip__0`` to ``image__clip__511``. Counts are whole numbers that are not
    negative. A time that is an age (``account_age``) can't be negative: no first date
    lies after the post. A column without any number at fit becomes 0.

    Infinite values count as missing, so the numbers that come out are finite.

    Parameters
    ----------
    add_indicator : bool, default=True
        Whether to add a flag for each column or vector with missing cells at fit,
        named ``<column>_missing`` or ``<stem>_missing``. What a flag of the table says
        already (a column of the block whose name begins with ``has_`` or contains
        ``missing``, and that is set, or not set, in these very rows) is not repeated.
    strategy : str, number or dict, default=None
        What to do instead of the defaults above: "zero", "mean", "median", "count"
        or "clamp" as in the table, or a number to fill in. One value is for all
        numbers; a dict has blocks (None for columns of no block) or vectors' stems
        as keys, and a block's strategy does not change its vectors.

    Attributes
    ----------
    fill_ : ndarray of shape (n_numbers,), float32
        What missing numbers become.
    lower_, upper_ : ndarray of shape (n_numbers,), float32
        Range to which numbers are clamped; infinite where they are not.
    flagged_ : list of ndarray
        For each flag the positions of the columns it stands for among the numbers.
    flags_vector_ : list of bool
        Whether the flag is named after a vector's stem.
    levels_ : list of list
        For each category column the levels seen at fit.
    is_category_ : ndarray of shape (`n_features_in_`,), bool
        Which columns hold categories.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    BlockScaler : Bring the numbers to one scale; it leaves missing cells missing.
    sklearn.impute.SimpleImputer : One strategy for all columns.

    Notes
    -----
    Categories come out with text levels, those of fit and ``"__missing__"``, which
    levels not seen at fit become too. The cost is one pass over the table, and one
    sort for each column that takes a median.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import BlockImputer
    >>> X = pd.DataFrame(
    ...     {"user__followers": [3.0, None], "geo__latitude": [52.0, None],
    ...      "meta__kind": pd.Categorical(["photo", None])}
    ... )
    >>> BlockImputer(add_indicator=False).fit_transform(X)
       user__followers  geo__latitude   meta__kind
    0              3.0           52.0        photo
    1              0.0           52.0  __missing__
    """

    _parameter_constraints: dict = {
        "add_indicator": ["boolean"],
        "strategy": [StrOptions(set(STRATEGIES)), Real, dict, None],
    }
    _infinite = "missing"

    def __init__(
        self,
        *,
        add_indicator: bool = True,
        strategy: str | float | Mapping[str | None, str | float] | None = None,
    ):
        self.add_indicator = add_indicator
        self.strategy = strategy

    def _fit_features(self, features: Features, y: Any) -> None:
        numbers, names = features.numbers, features.names
        n = numbers.shape[1]
        groups = vector_groups(names)
        self._check_strategy(set(groups))
        in_vector = np.zeros(n, dtype=bool)
        self.fill_ = np.zeros(n, dtype=np.float32)
        self.lower_ = np.full(n, -np.inf, dtype=np.float32)
        self.upper_ = np.full(n, np.inf, dtype=np.float32)
        for stem, columns in groups.items():
            in_vector[columns] = True
            self._fit_columns(numbers, columns, self._vector_strategy(stem))
        for column in np.flatnonzero(~in_vector).tolist():
            strategy = self._column_strategy(names[column])
            self._fit_columns(numbers, np.array([column]), strategy)
            if self.lower_[column] > -np.inf and _is_age(names[column]):
                self.lower_[column] = max(self.lower_[column], 0)
        scalars = [np.array([c]) for c in np.flatnonzero(~in_vector)]
        self._find_flagged([*scalars, *groups.values()], features)
        self.levels_ = [list(c.cat.categories) for _, c in features.categories.items()]

    def _check_strategy(self, stems: set[str]) -> None:
        given = self.strategy if isinstance(self.strategy, Mapping) else {}
        unknown = [k for k in given if k not in _DEFAULTS and k not in stems]
        if unknown:
            raise InvalidInputError(
                f"strategy has the keys {unknown}, which are neither blocks nor stems "
                f"of vectors. Blocks: {list(BLOCKS)}; vectors here: {sorted(stems)}."
            )
        values = given.values() if given else [self.strategy]
        for value in values:
            is_number = isinstance(value, Real) and np.isfinite(np.float32(value))
            if not (is_number or value is None or value in STRATEGIES):
                raise InvalidInputError(
                    f"strategy must be one of {STRATEGIES} or a finite number. Got "
                    f"{value!r} instead."
                )

    def _vector_strategy(self, stem: str) -> str | float:
        if isinstance(self.strategy, Mapping):
            return self.strategy.get(stem, "mean")
        return "mean" if self.strategy is None else self.strategy

    def _column_strategy(self, name: Any) -> str | float:
        block = split_name(name)[0]
        if isinstance(self.strategy, Mapping):
            return self.strategy.get(block, _DEFAULTS[block])
        return _DEFAULTS[block] if self.strategy is None else self.strategy

    def _fit_columns(
        self, numbers: np.ndarray, columns: np.ndarray, strategy: str | float
    ) -> None:
        if not isinstance(strategy, str):
            self.fill_[columns] = strategy
            return
        if strategy == "zero":
            return
        values = take_columns(numbers, columns)
        seen = ~np.isnan(values)
        if strategy == "mean":
            totals = np.sum(values, axis=0, where=seen, dtype=np.float64)
            self.fill_[columns] = totals / np.maximum(seen.sum(axis=0), 1)
            return
        for column, value, there in zip(columns, values.T, seen.T, strict=True):
            self._fit_median(column, value[there], strategy)

    def _fit_median(self, column: int, seen: np.ndarray, strategy: str) -> None:
        if not len(seen) or (strategy == "count" and _are_counts(seen)):
            return
        self.fill_[column] = np.median(seen.astype(np.float64))
        if strategy == "clamp":
            self.lower_[column], self.upper_[column] = seen.min(), seen.max()

    def _find_flagged(self, candidates: list[np.ndarray], features: Features) -> None:
        held = _held_flags(features)
        together: dict[tuple[str | None, bytes], list[np.ndarray]] = {}
        for columns in candidates if self.add_indicator else []:
            missing = np.isnan(take_columns(features.numbers, columns)).any(axis=1)
            key = (split_name(features.names[columns[0]])[0], _pattern(missing))
            if missing.any() and key not in held:
                together.setdefault(key, []).append(columns)
        self.flagged_ = [np.concatenate(group) for group in together.values()]
        self.flags_vector_ = [len(group[0]) > 1 for group in together.values()]

    def _transform_features(self, features: Features) -> np.ndarray:
        numbers = features.numbers
        n, p = numbers.shape
        out = np.empty((n, p + len(self.flagged_)), dtype=np.float32)
        clamped = np.flatnonzero(np.isfinite(self.lower_))
        lower, upper = self.lower_[clamped], self.upper_[clamped]
        for rows in gen_batches(n, _ROWS):
            part, missing = out[rows], np.isnan(numbers[rows])
            part[:, :p] = np.where(missing, self.fill_, numbers[rows])
            part[:, clamped] = np.clip(part[:, clamped], lower, upper)
            for i, columns in enumerate(self.flagged_, start=p):
                part[:, i] = take_columns(missing, columns).any(axis=1)
        return out

    def _number_names(self, names: list[str]) -> list[str]:
        flags = []
        for columns, of_vector in zip(self.flagged_, self.flags_vector_, strict=True):
            name = names[columns[0]]
            flags.append(f"{stem_of(name) if of_vector else name}_missing")
        return [*names, *flags]

    def _transform_categories(self, categories: pd.DataFrame) -> pd.DataFrame:
        filled = {
            name: _with_missing_level(column, levels)
            for (name, column), levels in zip(
                categories.items(), self.levels_, strict=True
            )
        }
        return pd.DataFrame(filled, index=categories.index)


def _held_flags(features: Features) -> set[tuple[str | None, bytes]]:
    """Which rows the table's own flags mark, or don't, as patterns within a block."""
    held = set()
    for column, name in enumerate(features.names):
        block, feature = split_name(name)
        if not (feature.startswith("has_") or "missing" in feature):
            continue
        values = features.numbers[:, column]
        if np.isin(values, (0, 1)).all():
            held |= {(block, _pattern(values == 1)), (block, _pattern(values == 0))}
    return held


def _pattern(rows: np.ndarray) -> bytes:
    return np.packbits(rows).tobytes()


def _are_counts(seen: np.ndarray) -> bool:
    return bool((seen >= 0).all() and (seen == np.floor(seen)).all())


def _is_age(name: Any) -> bool:
    return "age" in str(name).split("_")


def _with_missing_level(column: pd.Series, levels: list[Any]) -> pd.Categorical:
    texts = np.array([*(str(level) for level in levels), MISSING_LEVEL], dtype=object)
    codes = column.cat.set_categories(levels).cat.codes  # -1, the last, is missing
    return pd.Categorical(texts[codes], categories=list(dict.fromkeys(texts)))
