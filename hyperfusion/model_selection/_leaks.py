"""A check for columns that know the target."""

from __future__ import annotations

import datetime
import re
from collections.abc import Hashable, Iterator
from itertools import islice
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion._validation import inferred
from hyperfusion.cells._columns import as_column, is_missing
from hyperfusion.cells._levels import number_levels
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.cells._times import read_times
from hyperfusion.metrics import spearman_score
from hyperfusion.model_selection import _inputs
from hyperfusion.table._frames import check_frame

_COPY = 0.999
_ALONE = 0.8  # with all columns, good models of the SMP Challenge reach about 0.7
_WITHIN = 0.95
_NAMED = 0.2
_N_FOLDS = 5
_N_BINS = 50
_MIN_LEVELS = 3
_MIN_ROWS = 30

# in the singular, except "shares": a share may be a proportion
_LATER = frozenset(
    {
        *("award", "click", "comment", "digg", "dislike", "engagement", "fave"),
        *("favorite", "gilded", "heart", "impression", "like", "play", "popularity"),
        *("ranking", "reaction", "repost", "retweet", "review", "saves", "score"),
        *("shares", "total", "upvote", "view", "vote"),
        "watch",
    }
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_DAY = r"\s*\d{4}[-/. 年년]? ?\d\d?[-/. 月월] ?\d|\s*\d{8}|.*\d\d:\d\d"
_COLUMNS = ["column", "finding", "value", "evidence", "advice"]

_ADVICE = {
    "copy of the target": "Drop it: it is the target in another form.",
    "target by level": (
        "Drop it, or compute it inside the folds, as sklearn's TargetEncoder in a "
        "Pipeline does. Members that read categories need no such column."
    ),
    "predicts alone": "Ask when it was measured: honest columns do not do this.",
    "target of the other rows": (
        "Drop it: together with the level, it gives a row's own target away."
    ),
    "total counted later": (
        "Use its value at the time of the post, or drop it: later values contain the "
        "outcome of the post."
    ),
    "later than the post": "Drop it, or check clocks and time zones.",
}


_Finding = tuple[Hashable, str, float, str]  # column, finding, value, evidence


def check_leaks(
    X: Any, y: ArrayLike, *, users: Any = None, times: Any = None
) -> pd.DataFrame:
    """Look for columns that know the target.

    A count that was taken after the post makes all scores too good, and no split
    reveals it, because training and test rows both have it. This function looks for
    signs of such columns. A finding is a reason to ask when a column was measured; a
    clean result proves nothing: today's number of followers looks like the number at
    the time of the post.

    Parameters
    ----------
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts or a feature table. Columns of pictures and lists are not checked.
    y : array-like of shape (n_posts,)
        Targets. Rows with NaN are ignored.
    users, times : column or array-like of shape (n_posts,), default=None
        Users and times of the posts.

    Returns
    -------
    DataFrame
        One row per finding, the most serious first, with the columns ``column``,
        ``finding``, ``value``, ``evidence`` and ``advice``. These are the findings,
        with their values:

        - "copy of the target": the rank correlation with the target, 0.999 or more;
        - "target by level": the column repeats values, and these agree with the mean
          target of their rows better than an honest column can, as in target encoding
          (correlation);
        - "predicts alone": the rank correlation of predictions from this column alone,
          in other folds, is 0.8 or more;
        - "target of the other rows": within the levels of a category, or within users,
          the column sorts the rows by their targets, as the mean of all *other* rows
          does (rank correlation within levels, 0.95 or more, or -0.95 or less);
        - "total counted later": the name is that of a count that grows after the post
          (views, likes, score ...), and the rank correlation of predictions from this
          column alone is 0.2 or more;
        - "later than the post": dates, or texts with a date, after `times` (share of
          the rows).

    Raises
    ------
    InvalidInputError
        If inputs don't fit together, a column is missing, or two have the same name.

    Notes
    -----
    An honest column cannot agree with mean targets better than their reliability
    allows: the correlation between the means of two random halves of each level's rows,
    corrected to full length (Spearman and Brown).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hyperfusion import check_leaks
    >>> rng = np.random.RandomState(0)
    >>> y = rng.normal(size=500)
    >>> X = pd.DataFrame({"fair": y + 2 * rng.normal(size=500), "views": np.exp(y)})
    >>> check_leaks(X, y)[["column", "finding", "value"]]
      column             finding  value
    0  views  copy of the target    1.0
    """
    X, target = _inputs.check_posts(X, y)
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    check_frame(table, "check_leaks")
    table = table.reset_index(drop=True)
    units = _inputs.find_users(table, users, [])
    moments = _inputs.find_times(table, times, [])
    labeled = np.flatnonzero(~np.isnan(target))
    found = list(_in_columns(table, target, labeled, units))
    if moments is not None:
        found += _after_the_post(table, moments)
    order = list(_ADVICE)
    found.sort(key=lambda finding: order.index(finding[1]))
    rows = [(*finding, _ADVICE[finding[1]]) for finding in found]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _in_columns(
    table: pd.DataFrame, y: np.ndarray, labeled: np.ndarray, units: np.ndarray | None
) -> Iterator[_Finding]:
    """Yield the gravest sign of each column that it knows the target."""
    rng = np.random.RandomState(0)
    table, y = table.iloc[labeled], y[labeled]
    folds = rng.permutation(len(y)) % min(_N_FOLDS, len(y))
    columns = {column: numbers_of(table[column]) for column in table}
    codes = {
        column: number_levels(table[column])[0] if numbers is None else bins_of(numbers)
        for column, numbers in columns.items()
    }
    levels: dict[Hashable, np.ndarray] = {}
    if units is not None:
        levels["users"] = units[labeled]
    levels |= {  # categories and texts whose values repeat
        column: own
        for column, own in codes.items()
        if columns[column] is None and own.max(initial=-1) + 1 <= len(own) / 2
    }
    for column, numbers in columns.items():
        x = np.full(len(y), np.nan) if numbers is None else numbers
        if codes[column].max(initial=-1) >= 1:
            signs = _signs(column, x, codes[column], y, folds, levels, rng)
            yield from ((column, *sign) for sign in islice(signs, 1))


def _signs(
    column: Hashable,
    x: np.ndarray,
    codes: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    levels: dict[Hashable, np.ndarray],
    rng: np.random.RandomState,
) -> Iterator[tuple[str, float, str]]:
    """Yield signs that a column (its numbers, its levels or bins) knows the target."""
    there = ~np.isnan(x)
    copied = abs(spearman_score(y[there], x[there])) if there.sum() > 2 else 0.0
    if copied >= _COPY:
        evidence = f"its rank correlation with the target is {copied:.4f}"
        yield "copy of the target", copied, evidence
    means = level_means(x, y, rng)
    if means is not None and means.knows:
        repeated = f"{means.n_levels} repeated values"
        evidence = f"its {repeated} are the mean target of their rows"
        if not means.same:
            evidence = (
                f"the correlation of its {repeated} with the mean target of their rows "
                f"is {means.correlation:.3f}; without knowing these targets it is "
                f"{means.bound:.3f} at most"
            )
        yield "target by level", means.correlation, evidence
    value = out_of_fold_score(codes, y, folds)
    alone = f"predictions from it alone have an SRC of {value:.3f}"
    if value >= _ALONE:
        yield "predicts alone", value, alone
    for name, level in levels.items():
        within = order_within_levels(x, y, level)
        if abs(within) >= _WITHIN:
            evidence = (
                f"within the levels of {name!r}, its rank correlation with the target "
                f"is {within:.3f}"
            )
            yield "target of the other rows", within, evidence
    if value >= _NAMED and sounds_later(column):
        yield "total counted later", value, alone


def _after_the_post(table: pd.DataFrame, times: pd.Series) -> Iterator[_Finding]:
    for column in [] if pd.api.types.is_numeric_dtype(times) else table:
        dates = _dates(table[column])
        if dates is not None and (later := dates > times).any():
            gap = (dates - times)[later].median()
            evidence = f"{int(later.sum())} dates are after the post, by {gap} (median)"
            share = float(later.sum() / dates.notna().sum())
            yield (column, "later than the post", share, evidence)


def _dates(column: pd.Series) -> pd.Series | None:
    """Return a column's dates in UTC; None where it holds something else."""
    cells = as_column(column)
    if cells.dtype == object:
        # numbers, also as texts, may be ids
        dated = [
            re.match(_DAY, cell) is not None
            if isinstance(cell, str)
            else isinstance(cell, (datetime.date, np.datetime64, pd.Period))
            for cell in cells
        ]
        cells = cells.where(np.array(dated), None)
    elif cells.dtype.kind != "M":
        return None
    times = read_times(cells).clean
    if np.isfinite(times.seconds).sum() <= 0.9 * column.notna().sum():
        return None
    return pd.Series(times.moments, index=column.index).dt.tz_localize("UTC")


def words_of(text: str) -> list[str]:
    """Return the words of a name, in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def sounds_later(column: Any) -> bool:
    """Whether a column's name is that of a count that grows after the post."""
    words = words_of(str(column))  # no block's name is one of these counts
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


def bins_of(x: np.ndarray) -> np.ndarray:
    """Return quantile bins of numbers, -1 where missing."""
    ranks = pd.Series(x).rank()
    n_bins = max(2, min(_N_BINS, ranks.count() // 20))
    bins = np.floor((ranks - 0.5) / ranks.count() * n_bins)
    return bins.clip(upper=n_bins - 1).fillna(-1).astype(int).to_numpy()


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
    """How well a column's repeated values agree with the mean target of their rows."""

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
    rows = pd.DataFrame({"code": codes, "y": y[there]})
    means = rows.groupby("code")["y"].mean()[repeated].to_numpy()
    rows = rows.iloc[rng.permutation(len(there))]
    rows["half"] = rows.groupby("code").cumcount() % 2
    halves = rows.groupby(["half", "code"])["y"].mean()
    agreement = max(spearman_score(halves[0][repeated], halves[1]), 0.0)
    reliability = 2 * agreement / (1 + agreement)
    values = values[repeated]
    linear = 0.0
    if np.ptp(values) > 0 and np.ptp(means) > 0:
        linear = min(abs(float(np.corrcoef(values, means)[0, 1])), 1.0)
    same = np.allclose(values, means, rtol=0, atol=1e-3 * y[there].std())
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
