"""Rows of a history: codes of their levels, and the same post given twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from hyperfusion.encoders._table import read_levels

Rows = dict[str, np.ndarray]
"""Columns of the stored posts, all of one length."""


def encode(
    cells: pd.Series,
    codes: dict[str, int],
    on_error: str,
    *,
    learn: bool,
    warn: bool = True,
) -> np.ndarray:
    """Return the codes of a column: -1 where a cell is missing, -2 if it is unknown.

    Parameters
    ----------
    cells : Series
        One cell of each post.
    codes : dict of {str: int}
        The known levels.
    on_error : {"raise", "missing"}
        What to do about a cell that is no level.
    learn : bool
        Whether `codes` gets the levels that it lacks.
    warn : bool
        False at fit, whose bad cells the following transform reports.
    """
    if cells.dtype == object and infer_dtype(cells, skipna=True) != "string":
        # pandas can't tell 1 from True, nor count lists
        cells = read_levels(cells, on_error, warn=warn)
    positions, found = pd.factorize(cells)
    found = pd.Series(np.asarray(found, dtype=object), dtype=object)
    levels = read_levels(found, on_error, warn=False)
    if learn:
        for level in levels.dropna():
            codes.setdefault(level, len(codes))
    of_found = [-1 if level is None else codes.get(level, -2) for level in levels]
    return np.array([*of_found, -1])[positions]


def take_rows(rows: Rows, which: np.ndarray) -> Rows:
    """Return some of the rows."""
    return {name: values[which] for name, values in rows.items()}


def last_of_each_post(rows: Rows) -> Rows:
    """Keep the last row of each identifier, with the last score that was known.

    Rows without an identifier are all kept.
    """
    named = ~pd.isna(rows["post"])
    again = pd.Series(rows["post"]).duplicated(keep="last").to_numpy()
    scores = pd.Series(rows["score"]).groupby(rows["post"]).transform("last")
    rows = rows | {"score": np.where(named, scores, rows["score"])}
    return take_rows(rows, ~(named & again))


def replace_moments(old: Rows, new: Rows) -> Rows:
    """Return the old rows and the new ones that take their user's and moment's place.

    New rows without any score don't take the place of old ones with a score.
    """
    old_keys, new_keys = _moments(old), _moments(new)
    scored_old = old_keys[~np.isnan(old["score"])]
    scored_new = new_keys[~np.isnan(new["score"])]
    nameless = new["user"] < 0
    useful = nameless | new_keys.isin(scored_new) | ~new_keys.isin(scored_old)
    new, new_keys = take_rows(new, useful), new_keys[useful]
    stays = (old["user"] < 0) | ~old_keys.isin(new_keys)
    old = take_rows(old, stays)
    return {name: np.concatenate([old[name], new[name]]) for name in old}


def _moments(rows: Rows) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([rows["user"], rows["seconds"]])
