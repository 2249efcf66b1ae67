"""Input of the inspection functions: posts, and candidates of one post."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from hyperfusion._validation import inferred
from hyperfusion.cells._columns import shown
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame, check_columns, made_of

Grid = Mapping[Any, Any] | Sequence[Mapping[Any, Any]]


def as_post(post: Any) -> pd.DataFrame:
    """Return one post as a table of one row."""
    if isinstance(post, Mapping):
        # a cell may be a list (of tags), which must not become several rows
        cells = {c: pd.Series([cell], dtype=object) for c, cell in post.items()}
        return inferred(pd.DataFrame(cells))
    post = as_frame(post)
    if isinstance(post, pd.Series):
        return inferred(post.to_frame().T)
    if not isinstance(post, pd.DataFrame):
        post = made_of(np.atleast_2d(np.asarray(post)))
    if len(post) != 1:
        raise InvalidInputError(
            f"post must be a single post: a Series, a dict or a DataFrame of one row. "
            f"Got {len(post)} rows; select one with X.iloc[[0]]."
        )
    return post


def make_candidates(post: pd.DataFrame, grid: Grid) -> tuple[pd.DataFrame, list[Any]]:
    """Return the post and all candidates as a table, and the columns that change."""
    grids: list[Any] = list(grid) if isinstance(grid, (list, tuple)) else [grid]
    are_dicts = all(isinstance(one, Mapping) for one in grids)
    columns = list(dict.fromkeys(c for one in grids for c in one)) if are_dicts else []
    if not columns:
        said = "grid is empty" if are_dicts else "grid must be a dict or several"
        raise InvalidInputError(
            f"{said}: pass a dict such as {{'posted_at': times}}, or a list of such "
            f"dicts. Got {shown(grid)}."
        )
    check_columns(post, columns, "grid")
    own = {column: post[column].iloc[0] for column in columns}
    rows = [own]
    for one in grids:
        combinations = itertools.product(*(_values(c, one[c]) for c in one))
        rows += [own | dict(zip(one, each, strict=True)) for each in combinations]
    table = post.iloc[np.zeros(len(rows), dtype=int)].reset_index(drop=True)
    for column in columns:
        table[column] = _cells([row[column] for row in rows], post[column].dtype)
    return table, columns


def _values(column: Any, values: Any) -> list[Any]:
    is_one = isinstance(values, (str, bytes, Mapping))
    found = [] if is_one or not isinstance(values, Iterable) else list(values)
    if not found:
        raise InvalidInputError(
            f"grid[{column!r}] must be a list of values to try: pass at least one "
            f"value, in brackets. Got {values!r}."
        )
    return found


def _cells(values: list[Any], dtype: Any) -> Any:
    """Return cells as a column with the post's dtype, if they fit it."""
    if isinstance(dtype, pd.CategoricalDtype):
        known = list(dtype.categories)
        new = [v for v in dict.fromkeys(values) if not (pd.isna(v) or v in known)]
        return pd.Categorical(values, categories=[*known, *new])
    cells = pd.Series(values, dtype=object)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        zone = getattr(dtype, "tz", None)
        moments = [pd.Timestamp(cell) for cell in cells]
        aware = [moment for moment in moments if moment.tzinfo is not None]
        if zone is None and aware:
            raise InvalidInputError(
                f"The grid's time {aware[0]} has a time zone, but the post's times "
                "have none. Pass local times without a zone."
            )
        moments = [
            m.tz_localize(zone) if m.tzinfo is None else m.tz_convert(zone)
            for m in moments
        ]
        return pd.Series(pd.DatetimeIndex(moments))
    return inferred(cells)


def check_rows(X: Any) -> pd.DataFrame | np.ndarray:
    """Return rows as a DataFrame or a two-dimensional array."""
    X = as_frame(X)
    if sp.issparse(X):
        raise InvalidInputError(
            "X is a sparse matrix, whose columns cannot be permuted here. "
            "Pass X.toarray(), or fewer columns."
        )
    if isinstance(X, pd.DataFrame):
        return X
    X = np.asarray(X)
    if X.ndim != 2:
        raise InvalidInputError(f"X must be a table of rows and columns: {X.shape}.")
    return X
