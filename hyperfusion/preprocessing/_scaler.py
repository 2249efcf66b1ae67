"""Numbers of all blocks on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.base import TransformerMixin
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.preprocessing._base import BlockTransformer
from hyperfusion.table._features import Features, take_columns
from hyperfusion.table._names import BLOCKS

METHODS = ("quantile", "standard", "robust", "none")

_N_QUANTILES = 1000
_ROWS = 16_384
_COLUMNS = 32
_LARGEST = 1e37  # differences of larger numbers overflow float32


@with_parameters
class BlockScaler(BlockTransformer):
    """Scale the numbers of every block, vectors as a whole.

    The paper's "feature normalization to ensure stable distributions across
    different modalities" (section 3.3). By default

    - single columns become normal scores: the rank among the training values, mapped to
      the standard normal distribution;
    - vectors (such as ``image__clip__0`` to ``image__clip__511``) are centered and
      divided by one number, so that directions keep their meaning;
    - columns that are constant at fit become 0;
    - categories pass through, and missing numbers stay missing.

    Parameters
    ----------
    method : {"quantile", "standard", "robust", "none"} or dict, default="quantile"
        How to scale single columns: to normal scores by
        `sklearn.preprocessing.QuantileTransformer`, by ``StandardScaler``, by
        ``RobustScaler`` (median and quartiles; the standard deviation if these
        coincide), or not at all. A dict maps blocks (None for columns without one);
        other blocks use quantiles. With "none", the vectors and the constant columns of
        a block stay unchanged, too.
    vectors : {"common", "columns"}, default="common"
        Whether a vector has one common scale (the square root of the mean variance of
        its columns), or `method` scales each of its columns.
    clip : float, default=5.0
        Limit of the values in standard deviations, so that later rows far outside the
        training range do no harm. Columns that vary more than their vector have wider
        limits. None does not clip.

    Attributes
    ----------
    scalers_ : dict of {str: estimator}
        The fitted scikit-learn scaler of each method in use, and of "vectors".
    columns_ : dict of {str: ndarray}
        The positions of their columns among the numbers.
    constant_ : ndarray of shape (n_numbers,), bool
        Which numbers become 0.
    lower_, upper_ : ndarray of shape (n_numbers,), float32
        Limits of the scaled values.
    %(is_category)s
    %(columns_seen)s

    See Also
    --------
    BlockImputer : Fill missing cells, before or after scaling.
    BlockPCA : Reduce vectors.

    Notes
    -----
    ``QuantileTransformer`` maps the smallest and the largest training value to -5.2
    and 5.2 even if half of the rows share them. Here they get the normal score of their
    middle rank, as all ties do: a flag that is set in half of the rows becomes -0.67
    and 0.67.

    All rows are used (no random subsample), so the result is not random. The cost is
    one sort for each single column, about 0.2 s each for 500,000 rows, and one pass
    over the vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import BlockScaler
    >>> X = np.array([[1.0], [10.0], [100.0]])
    >>> BlockScaler().fit_transform(X).ravel()
    array([-0.97,  0.  ,  0.97], dtype=float32)
    """

    _parameter_constraints = {
        "method": [StrOptions(set(METHODS)), dict],
        "vectors": [StrOptions({"common", "columns"})],
        "clip": [Interval(Real, 0, None, closed="neither"), None],
    }

    method: str | Mapping[str | None, str] = "quantile"
    vectors: str = "common"
    clip: float | None = 5.0

    def _fit_features(self, features: Features, y: Any) -> None:
        numbers, p = features.numbers, features.numbers.shape[1]
        blocks = features.schema.blocks
        methods = np.array([self._method_of(b) for b in blocks], dtype=object)
        largest = np.fmax.reduce(numbers, axis=0)
        # without any number the comparison is false: the column counts as constant
        self.constant_ = ~(largest > np.fmin.reduce(numbers, axis=0))
        self.constant_ &= methods != "none"
        usable = (methods != "none") & ~self.constant_
        self.scalers_: dict[str, TransformerMixin] = {}
        self.columns_: dict[str, np.ndarray] = {}
        self.lower_ = np.full(p, -np.inf, dtype=np.float32)
        self.upper_ = np.full(p, np.inf, dtype=np.float32)
        if self.vectors == "common":
            groups = [c[usable[c]] for c in features.schema.vectors.values()]
            self._fit_vectors(numbers, [g for g in groups if len(g)])
            usable[self.columns_.get("vectors", [])] = False
        # the standard deviation where the quartiles of "robust" coincide
        robust = np.flatnonzero(usable & (methods == "robust"))
        if len(robust):
            low, high = np.nanquantile(_take(numbers, robust), [0.25, 0.75], axis=0)
            methods[robust[low == high]] = "standard"
        for method, fit in (
            ("quantile", self._fit_quantile),
            ("standard", _fit_standard),
            ("robust", lambda *given: RobustScaler().fit(_take(*given))),
        ):
            columns = np.flatnonzero(usable & (methods == method))
            if len(columns):
                self.columns_[method] = columns
                self.scalers_[method] = fit(numbers, columns)
        if self.clip is None:
            return
        reach = np.full(p, np.inf)
        for name, columns in self.columns_.items():
            reach[columns] = self.clip
            if name == "vectors":
                scaler = self.scalers_[name]
                wide = np.sqrt(scaler.var_) / scaler.scale_
                reach[columns] *= np.maximum(wide, 1)
        self.lower_ = np.maximum(self.lower_, -reach).astype(np.float32)
        self.upper_ = np.minimum(self.upper_, reach).astype(np.float32)

    def _method_of(self, block: str | None) -> str:
        if not isinstance(self.method, Mapping):
            return self.method
        unknown = [k for k in self.method if k is not None and k not in BLOCKS]
        wrong = [m for m in self.method.values() if m not in METHODS]
        if unknown or wrong:
            raise InvalidInputError(
                f"method must map blocks ({BLOCKS} or None) to one of {METHODS}. Got "
                f"{self.method!r} instead."
            )
        return self.method.get(block, "quantile")

    def _fit_vectors(self, numbers: np.ndarray, groups: list[np.ndarray]) -> None:
        if not groups:
            return
        columns = np.concatenate(groups)
        scaler = _fit_standard(numbers, columns)
        common = [
            np.full(len(variances), np.sqrt(variances.mean()))
            for variances in np.split(scaler.var_, np.cumsum([*map(len, groups)])[:-1])
        ]
        scaler.scale_ = np.concatenate(common)
        self.columns_["vectors"], self.scalers_["vectors"] = columns, scaler

    def _fit_quantile(
        self, numbers: np.ndarray, columns: np.ndarray
    ) -> QuantileTransformer:
        values = _take(numbers, columns)
        seen = (~np.isnan(values)).sum(axis=0)
        smallest = np.fmin.reduce(values, axis=0)
        largest = np.fmax.reduce(values, axis=0)
        self.lower_[columns] = ndtri((values == smallest).sum(axis=0) / seen / 2)
        self.upper_[columns] = -ndtri((values == largest).sum(axis=0) / seen / 2)
        return QuantileTransformer(
            n_quantiles=min(_N_QUANTILES, len(values)),
            subsample=None,
        ).fit(values)

    def _transform_features(self, features: Features) -> np.ndarray:
        out = np.array(features.numbers, dtype=np.float32, order="C")
        for rows in gen_batches(len(out), _ROWS):
            part = out[rows]
            part[:, self.constant_] *= 0  # missing numbers stay missing
            for name, columns in self.columns_.items():
                values, scaler = _take(part, columns), self.scalers_[name]
                with np.errstate(over="ignore"):  # infinity is clipped below
                    scaled = scaler.transform(values)
                if name == "quantile":  # rounding may move a rank below 0 or above 1
                    scaled = ndtri(np.clip(scaled, 0, 1))
                part[:, columns] = scaled
            np.clip(part, self.lower_, self.upper_, out=part)
        return out


def _take(numbers: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.clip(take_columns(numbers, columns), -_LARGEST, _LARGEST)


def _fit_standard(numbers: np.ndarray, columns: np.ndarray) -> StandardScaler:
    # a few columns at a time, since scikit-learn makes a float64 copy
    parts = [
        StandardScaler().fit(_take(numbers, columns[batch]))
        for batch in gen_batches(len(columns), _COLUMNS)
    ]
    scaler = parts[0]
    for name in ("mean_", "var_", "scale_"):
        setattr(scaler, name, np.concatenate([getattr(s, name) for s in parts]))
    scaler.n_features_in_ = len(columns)
    return scaler
