"""Signs that a column knows the target, as numbers."""

from __future__ import annotations

import re
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from hyperfusion._validation import inferred
from hyperfusion.cells._columns import as_column, is_missing
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.cells._times import read_times
from hyperfusion.metrics import spearman_score
from hyperfusion.table import Schema

_N_BINS = 50
_MIN_LEVELS = 3
_MIN_ROWS = 30

# in the singular, except "shares": a share may be a proportion
_LATER = frozenset(
    {
        *("click", "comment", "digg", "engagement", "fave", "favorite"),
        *("heart", "impression", "like", "play", "popularity", "ranking", "reaction"),
        *("repost", "retweet", "score", "shares", "total", "upvote", "view", "vote"),
        "watch",
    }
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words_of(text: str) -> list[str]:
    """Return the words of a name, in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def sounds_later(column: Any) -> bool:
    """Whether a column's name is that of a count that grows after the post."""
    (name,) = Schema([column]).names  # without its block
    words = words_of(str(name.feature))
    if "share" in words and "count" in words:
        return True
    return not _LATER.isdisjoint([*words, *(word.removesuffix("s") for word in words)])


def numbers_of(column: pd.Series) -> np.ndarray | None:
    """Return a column of numbers or dates as float64, NaN where missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return None
    cells = as_column(column)
    if cells.dtype == object:
        if all(isinstance(cell, Number) or is_missing(cell) for cell in cells):
            return read_numbers(cells).clean
        cells = inferred(cells)
    if cells.dtype.kind == "M":
        return read_times(cells).clean.seconds
    return read_numbers(cells).clean if cells.dtype.kind in "biuf" else None


def levels_of(column: pd.Series) -> np.ndarray | None:
    """Return a number for each cell's level, -1 if missing; None if not comparable."""
    try:
        return pd.factorize(as_column(column))[0]
    except TypeError:  # cells such as lists can't be compared
        return None


def bins_of(x: np.ndarray) -> np.ndarray:
    """Return quantile bins of numbers, -1 where missing."""
    there = ~np.isnan(x)
    codes = np.full(len(x), -1)
    n_bins = max(2, min(_N_BINS, int(there.sum()) // 20))
    share = (rankdata(x[there], method="average") - 0.5) / max(there.sum(), 1)
    codes[there] = np.minimum((share * n_bins).astype(int), n_bins - 1)
    return codes


def out_of_fold_score(codes: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float:
    """Return SRC of the mean target of each row's level over the other folds."""
    codes, n_folds = codes + 1, int(folds.max()) + 1
    cell = codes * n_folds + folds
    shape = (int(codes.max()) + 1, n_folds)
    sums = np.bincount(cell, y, minlength=shape[0] * n_folds).reshape(shape)
    sizes = np.bincount(cell, minlength=shape[0] * n_folds).reshape(shape)
    rest = sums.sum(axis=1, keepdims=True) - sums
    n_rest = sizes.sum(axis=1, keepdims=True) - sizes
    # unseen levels get the mean of the other folds, not that of all rows
    overall = rest.sum(axis=0) / n_rest.sum(axis=0)
    means = (rest + overall) / (n_rest + 1)
    return spearman_score(y, means[codes, folds])


class LevelMeans(NamedTuple):
    """How well a column's repeated values agree with the mean target of their rows.

    They are the `same` if they are these means, or (of eight or more) linear in them.
    The `bound` is the highest correlation of a column that does not know the rows' own
    noise: the reliability of the means, or how well two halves of the rows agree.
    """

    n_levels: int
    same: bool
    correlation: float
    bound: float

    @property
    def knows(self) -> bool:
        """Whether the agreement is better than an honest column can reach."""
        if self.same:
            return True
        if self.n_levels < _MIN_ROWS or self.correlation <= self.bound + 0.05:
            return False
        error = np.sqrt(2 / (self.n_levels - 3))
        sure = 1 - 1e-12
        found, most = np.arctanh(np.minimum([self.correlation, self.bound], sure))
        return bool(found - most > 4 * error)


def level_means(
    x: np.ndarray, y: np.ndarray, rng: np.random.RandomState
) -> LevelMeans | None:
    """Compare each repeated value of a column with the mean target of its rows."""
    there = np.flatnonzero(~np.isnan(x))
    values, codes, sizes = np.unique(x[there], return_inverse=True, return_counts=True)
    repeated = sizes > 1
    if repeated.sum() < _MIN_LEVELS or sizes[repeated].sum() < _MIN_ROWS:
        return None
    target = y[there]
    order = rng.permutation(len(there))
    order = order[np.argsort(codes[order], kind="stable")]
    place = np.empty(len(there), dtype=int)
    place[order] = np.arange(len(there)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    halves = []
    for half in (0, 1):
        rows = place % 2 == half
        total = np.bincount(codes[rows], target[rows], minlength=len(values))
        count = np.bincount(codes[rows], minlength=len(values))
        halves.append(total[repeated] / count[repeated])
    means = (np.bincount(codes, target) / sizes)[repeated]
    agreement = max(spearman_score(*halves), 0.0)
    reliability = 2 * agreement / (1 + agreement)
    values = values[repeated]
    linear = 0.0
    if np.ptp(values) > 0 and np.ptp(means) > 0:
        linear = min(abs(float(np.corrcoef(values, means)[0, 1])), 1.0)
    same = np.allclose(values, means, rtol=0, atol=1e-3 * target.std())
    same = bool(same) or (len(values) >= 8 and linear > 0.9999)
    # of ranks as well: a mean may have been put through a monotone function
    correlation = max(linear, abs(spearman_score(means, values)))
    return LevelMeans(len(values), same, correlation, float(np.sqrt(reliability)))


def order_within_levels(x: np.ndarray, y: np.ndarray, codes: np.ndarray) -> float:
    """Return the correlation of ranks within levels, 0 if there are too few rows."""
    rows = pd.DataFrame({"x": x, "y": y})[codes >= 0].dropna()
    groups = rows.groupby(codes[rows.index])
    ranks = groups.rank()
    ranks -= ranks.groupby(codes[rows.index]).transform("mean")
    spread = np.sqrt((ranks**2).sum())
    if (ranks["x"] != 0).sum() < _MIN_ROWS or spread.min() == 0:
        return 0.0
    return float((ranks["x"] * ranks["y"]).sum() / (spread["x"] * spread["y"]))
