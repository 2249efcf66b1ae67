"""Numbers of all blocks on one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils import gen_batches

from hyperfusion.preprocessing._base import BlockTransformer
from hyperfusion.table._features import Features, take_columns

CLIP = 5.0  # limit of the scaled values, in standard deviations
_N_QUANTILES = 1000
_ROWS = 16_384
_COLUMNS = 32
_LARGEST = 1e37  # differences of larger numbers overflow float32


class BlockScaler(BlockTransformer):
    """Scale the numbers of every block, vectors as a whole.

    The paper's "feature normalization to ensure stable distributions across
    different modalities" (section 3.3):

    - single columns become normal scores: the rank among the training values, mapped to
      the standard normal distribution;
    - vectors (such as ``image__clip__0`` to ``image__clip__511``) are centered and
      divided by one number, the square root of the mean variance of their columns, so
      that directions keep their meaning;
    - columns that are constant at fit become 0;
    - values are limited to five standard deviations, so that later rows far outside the
      training range do no harm. Columns that vary more than their vector have wider
      limits;
    - categories pass through, and missing numbers stay missing.

    Attributes
    ----------
    quantiles_ : QuantileTransformer or None
        The fitted ranks of single columns.
    center_, scale_ : ndarray of shape (n_numbers,), float32
        What is subtracted from the columns of vectors, and what divides them.
    %(is_category)s
    %(columns_seen)s

    Notes
    -----
    Unlike in ``QuantileTransformer``, the smallest and the largest training value get
    the normal score of their middle rank, as all ties do: a flag that is set in half of
    the rows becomes -0.67 and 0.67. All rows are used, so the result is not random. The
    cost is one sort for each single column, about 0.2 s each for 500,000 rows, and one
    pass over the vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import BlockScaler
    >>> X = np.array([[1.0], [10.0], [100.0]])
    >>> BlockScaler().fit_transform(X).ravel()
    array([-0.97,  0.  ,  0.97], dtype=float32)
    """

    _parameter_constraints: dict[str, Any] = {}

    def _fit_features(self, features: Features, y: Any) -> None:
        numbers, schema = features.numbers, features.schema
        largest = np.fmax.reduce(numbers, axis=0)
        # without any number the comparison is false: the column counts as constant
        self._constant = ~(largest > np.fmin.reduce(numbers, axis=0))
        self._singles = schema.singles[~self._constant[schema.singles]]
        groups = [c[~self._constant[c]] for c in schema.vectors.values()]
        self._in_vectors = np.concatenate([np.arange(0), *groups])
        n = numbers.shape[1]
        limits, self.quantiles_ = np.full((2, n), CLIP), None
        self.center_, self.scale_ = np.zeros(n, np.float32), np.ones(n, np.float32)
        for columns in filter(len, groups):
            # a few columns at a time, since scikit-learn makes a float64 copy
            parts = [
                StandardScaler().fit(_take(numbers, columns[batch]))
                for batch in gen_batches(len(columns), _COLUMNS)
            ]
            variance = np.concatenate([part.var_ for part in parts])
            scale = np.sqrt(variance.mean())
            self.center_[columns] = np.concatenate([part.mean_ for part in parts])
            self.scale_[columns] = scale
            limits[:, columns] *= np.maximum(np.sqrt(variance) / scale, 1)
        if len(self._singles):
            values = _take(numbers, self._singles)
            seen = (~np.isnan(values)).sum(axis=0)
            ends = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
            ranks = [-ndtri((values == end).sum(axis=0) / seen / 2) for end in ends]
            limits[:, self._singles] = np.minimum(ranks, CLIP)
            n_quantiles = min(_N_QUANTILES, len(values))
            self.quantiles_ = QuantileTransformer(
                n_quantiles=n_quantiles, subsample=None
            ).fit(values)
        self._lower, self._upper = (limits * [[-1], [1]]).astype(np.float32)

    def _transform_features(self, features: Features) -> np.ndarray:
        out = np.array(features.numbers, dtype=np.float32, order="C")
        for rows in gen_batches(len(out), _ROWS):
            part = out[rows]
            part[:, self._constant] *= 0  # missing numbers stay missing
            if self.quantiles_ is not None:
                ranks = self.quantiles_.transform(_take(part, self._singles))
                # rounding may move a rank below 0 or above 1
                part[:, self._singles] = ndtri(np.clip(ranks, 0, 1))
            columns = self._in_vectors
            values = _take(part, columns) - self.center_[columns]
            with np.errstate(over="ignore"):  # infinity is clipped below
                part[:, columns] = values / self.scale_[columns]
            np.clip(part, self._lower, self._upper, out=part)
        return out


def _take(numbers: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.clip(take_columns(numbers, columns), -_LARGEST, _LARGEST)
