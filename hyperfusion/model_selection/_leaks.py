"""A check for columns that know the target."""

from __future__ import annotations

import datetime
import re
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion.cells._columns import as_column
from hyperfusion.cells._times import read_times
from hyperfusion.metrics import spearman_score
from hyperfusion.model_selection import _inputs
from hyperfusion.model_selection import _leak_signs as signs
from hyperfusion.table._frames import check_frame

_COPY = 0.999
_ALONE = 0.8  # with all columns, good models of the SMP Challenge reach about 0.7
_WITHIN = 0.95
_NAMED = 0.2
_N_FOLDS = 5
_DAY = r"\s*\d{4}[-/. ]?\d\d?[-/. ]\d|\s*\d{8}|.*\d\d:\d\d"
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
    corrected to full length (Spearman and Brown). For 10,000 rows, a column takes a few
    milliseconds, and as much again for each category.

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
    """Yield signs that single columns know the target."""
    rng = np.random.RandomState(0)
    table, y = table.iloc[labeled], y[labeled]
    folds = rng.permutation(len(y)) % min(_N_FOLDS, len(y))
    levels: dict[Hashable, np.ndarray] = {}
    if units is not None:
        levels["users"] = units[labeled]
    for column in table:  # categories and texts whose values repeat
        is_number = signs.numbers_of(table[column]) is not None
        codes = None if is_number else signs.levels_of(table[column])
        if codes is not None and codes.max(initial=-1) + 1 <= len(codes) / 2:
            levels[column] = codes
    for column in table:
        numbers = signs.numbers_of(table[column])
        codes = (
            signs.levels_of(table[column])
            if numbers is None
            else signs.bins_of(numbers)
        )
        if codes is None or codes.max(initial=-1) < 1:
            continue
        value = signs.out_of_fold_score(codes, y, folds)
        evidence = f"predictions from it alone have an SRC of {value:.3f}"
        sure = None if numbers is None else _of_numbers(column, numbers, y, rng)
        if sure is not None:
            yield sure
        elif value >= _ALONE:
            yield (column, "predicts alone", value, evidence)
        elif numbers is not None and (within := _within(column, numbers, y, levels)):
            yield within
        elif value >= _NAMED and signs.sounds_later(column):
            yield (column, "total counted later", value, evidence)


def _of_numbers(
    column: Hashable, x: np.ndarray, y: np.ndarray, rng: np.random.RandomState
) -> _Finding | None:
    """Return a sign that a column of numbers was made from the target, if any."""
    there = ~np.isnan(x)
    copied = abs(spearman_score(y[there], x[there])) if there.sum() > 2 else 0.0
    if copied >= _COPY:
        evidence = f"its rank correlation with the target is {copied:.4f}"
        return (column, "copy of the target", copied, evidence)
    means = signs.level_means(x, y, rng)
    if means is None or not means.knows:
        return None
    evidence = (
        f"the correlation of its {means.n_levels} repeated values with the mean target "
        f"of their rows is {means.correlation:.3f}; without knowing these targets it "
        f"is {means.bound:.3f} at most"
    )
    if means.same:
        evidence = (
            f"its {means.n_levels} repeated values are the mean target of their rows"
        )
    return (column, "target by level", means.correlation, evidence)


def _within(
    column: Hashable, x: np.ndarray, y: np.ndarray, levels: dict[Hashable, np.ndarray]
) -> _Finding | None:
    """Return a sign that a column orders the rows of each level by their target."""
    for name, codes in levels.items():
        within = signs.order_within_levels(x, y, codes)
        if abs(within) >= _WITHIN:
            evidence = (
                f"within the levels of {name!r}, its rank correlation with the target "
                f"is {within:.3f}"
            )
            return (column, "target of the other rows", within, evidence)
    return None


def _after_the_post(table: pd.DataFrame, times: pd.Series) -> Iterator[_Finding]:
    if pd.api.types.is_numeric_dtype(times):
        return
    for column in table:
        dates = _dates(table[column])
        if dates is None:
            continue
        later = dates > times
        if later.any():
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
    seconds = read_times(cells).clean.seconds
    if np.isfinite(seconds).sum() <= 0.9 * column.notna().sum():
        return None
    return pd.to_datetime(pd.Series(seconds, index=column.index), unit="s", utc=True)
