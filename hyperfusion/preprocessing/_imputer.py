"""Missing cells filled by the meaning of their block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from hyperfusion.preprocessing._base import BlockTransformer
from hyperfusion.table._features import Features, level_codes, take_columns

MISSING_LEVEL = "__missing__"

# the median for all other blocks
_STRATEGIES: dict[str | None, str] = {
    "text": "zero",
    "tags": "zero",
    "user": "zero",
    "time": "clamp",
    "geo": "mean",
    "place": "mean",
    "meta": "count",
}

_ROWS = 16_384


class BlockImputer(BlockTransformer):
    """Fill missing cells with defaults that suit each block.

    The paper's "missing value imputation with context-appropriate defaults"
    (section 3.3). It adds a flag (a column of zeros and ones) for each column or vector
    with missing cells at fit.

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
    columns without a block, arrays  the training median                   column
    categories of any block          the level ``"__missing__"``           none
    ================================ ===================================== ==========

    Columns of a block that were missing in the same rows at fit share one flag, named
    after the first of them (``<column>_missing``) and set if any of them is missing; so
    do the numbers of a vector (``<vector>_missing``). A flag that equals a column of
    the same block is not added. Counts are non-negative whole numbers. A column without
    any number at fit becomes 0. Infinite values count as missing, so all resulting
    numbers are finite.

    Attributes
    ----------
    fill_ : ndarray of shape (n_numbers,), float32
        Values that replace missing numbers.
    levels_ : list of list
        For each category column, the levels seen at fit.
    %(is_category)s
    %(columns_seen)s

    Notes
    -----
    The levels of categories become texts; those not seen at fit become
    ``"__missing__"`` as well. The cost is one pass over the table, and one sort for
    each column with a median.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import BlockImputer
    >>> X = pd.DataFrame(
    ...     {"user__followers": [3.0, None], "geo__latitude": [52.0, None],
    ...      "meta__kind": pd.Categorical(["photo", None])}
    ... )
    >>> BlockImputer().fit_transform(X)[list(X)]  # without the flags
       user__followers  geo__latitude   meta__kind
    0              3.0           52.0        photo
    1              0.0           52.0  __missing__
    """

    _parameter_constraints: dict[str, Any] = {}
    _infinite = "missing"

    def _fit_features(self, features: Features, y: Any) -> None:
        numbers, schema = features.numbers, features.schema
        n = numbers.shape[1]
        self.fill_ = np.zeros(n, dtype=np.float32)
        self._lower = np.full(n, -np.inf, dtype=np.float32)
        self._upper = np.full(n, np.inf, dtype=np.float32)
        strategies = [_STRATEGIES.get(block, "median") for block in schema.blocks]
        singles = schema.singles.tolist()
        means = [np.array([i]) for i in singles if strategies[i] == "mean"]
        for columns in [*schema.vectors.values(), *means]:
            values = take_columns(numbers, columns)
            seen = ~np.isnan(values)
            totals = np.sum(values, axis=0, where=seen, dtype=np.float64)
            self.fill_[columns] = totals / np.maximum(seen.sum(axis=0), 1)
        for i in singles:
            if strategies[i] in ("zero", "mean"):
                continue
            present = numbers[~np.isnan(numbers[:, i]), i]
            counts = np.all((present >= 0) & (present == np.floor(present)))
            if not len(present) or (strategies[i] == "count" and counts):
                continue
            self.fill_[i] = np.median(present.astype(np.float64))
            if strategies[i] == "clamp":
                self._lower[i], self._upper[i] = present.min(), present.max()
        self._find_flagged(features)
        levels = [c.cat.categories for _, c in features.categories.items()]
        self.levels_ = [own.tolist() for own in levels]

    def _find_flagged(self, features: Features) -> None:
        schema = features.schema
        singles = {i: np.array([i]) for i in schema.singles.tolist()}
        # the rows that the table's own flags mark, or don't, as patterns within a block
        held = set()
        for column in singles:
            values, block = features.numbers[:, column], schema.blocks[column]
            if ((values == 0) | (values == 1)).all():
                held |= {(block, _pattern(values == flag)) for flag in (0, 1)}
        names = [str(schema.columns[i]) for i in singles] + list(schema.vectors)
        candidates = [*singles.values(), *schema.vectors.values()]
        together: dict[tuple[str | None, bytes], list[np.ndarray]] = {}
        self._flag_names: list[str] = []
        for name, columns in zip(names, candidates, strict=True):
            missing = np.isnan(take_columns(features.numbers, columns)).any(axis=1)
            key = (schema.blocks[columns[0]], _pattern(missing))
            if not missing.any() or key in held:
                continue
            if key not in together:
                self._flag_names.append(name)
            together.setdefault(key, []).append(columns)
        self._flagged = [np.concatenate(group) for group in together.values()]

    def _transform_features(self, features: Features) -> np.ndarray:
        numbers = features.numbers
        n, p = numbers.shape
        out = np.empty((n, p + len(self._flagged)), dtype=np.float32)
        clamped = np.flatnonzero(np.isfinite(self._lower))
        lower, upper = self._lower[clamped], self._upper[clamped]
        for rows in gen_batches(n, _ROWS):
            part, missing = out[rows], np.isnan(numbers[rows])
            part[:, :p] = np.where(missing, self.fill_, numbers[rows])
            part[:, clamped] = np.clip(part[:, clamped], lower, upper)
            for i, columns in enumerate(self._flagged, start=p):
                part[:, i] = take_columns(missing, columns).any(axis=1)
        return out

    def _outputs(self, numbers: list[str]) -> list[tuple[str, Any]]:
        flags = [f"{name}_missing" for name in self._flag_names]
        return [*super()._outputs(numbers), *zip(flags, self._flagged, strict=True)]

    def _transform_categories(self, categories: pd.DataFrame) -> pd.DataFrame:
        filled = {}
        pairs = zip(categories.items(), self.levels_, strict=True)
        for (name, column), levels in pairs:
            texts = np.array([*map(str, levels), MISSING_LEVEL], dtype=object)
            codes = level_codes(column, levels)  # -1 is the last
            unique = list(dict.fromkeys(texts))
            filled[name] = pd.Categorical(texts[codes], categories=unique)
        return pd.DataFrame(filled, index=categories.index)


def _pattern(rows: np.ndarray) -> bytes:
    return np.packbits(rows).tobytes()
