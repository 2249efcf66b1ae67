"""Cells spread over the jobs of joblib's backend, such as a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs

from hyperfusion.cells._columns import is_missing

_CHUNKS_A_JOB = 4


def count_jobs() -> int:
    """Return the number of jobs that `joblib.parallel_config` asks for, otherwise 1."""
    return int(effective_n_jobs(None))


def read_ahead(
    cells: pd.Series, read: Callable[[Any], Any]
) -> tuple[pd.Series, Callable[[Any], Any]]:
    """Read cells in parallel where there are several jobs.

    Parameters
    ----------
    cells : Series
        The cells of a column.
    read : callable
        What `read_cells` would apply to each cell; it has to be picklable.

    Returns
    -------
    cells, read
        For `read_cells`, with the same outcome: either what was given, or results (and
        errors) in the place of cells, and what returns (or raises) them.
    """
    n_jobs = count_jobs()
    if n_jobs == 1:
        return cells, read
    size = max(1, -(-len(cells) // (n_jobs * _CHUNKS_A_JOB)))
    chunks = [cells.iloc[i : i + size] for i in range(0, len(cells), size)]
    parts = Parallel()(delayed(_outcomes)(list(chunk), read) for chunk in chunks)
    outcomes = [outcome for part in parts for outcome in part]
    return pd.Series(outcomes, cells.index, dtype=object, name=cells.name), _result


def _outcomes(cells: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
    results: list[Any] = []
    for cell in cells:
        try:
            results.append(None if is_missing(cell) else read(cell))
        except (ValueError, TypeError, OSError) as error:
            results.append(error)
    return results


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
