"""The memory that a fit will take, and that there is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from joblib.parallel import get_active_backend

from hyperfusion._warnings import warn_user
from hyperfusion.ensemble._plan import Cost

_LIMIT, _USED = "memory.limit_in_bytes", "memory.usage_in_bytes"
_WORKER = 3e8  # a process with the libraries that members import


def bytes_needed(
    table: float, costs: Sequence[Cost], n_folds: int, n_jobs: int
) -> float:
    """Return the bytes that fits take at their peak, beside the table itself.

    Each has a copy of its rows. Workers share a copy of the table that joblib writes.
    """
    largest = max(cost.bytes for cost in costs)
    kept = n_folds * sum(cost.kept for cost in costs)
    if n_jobs == 1:
        return kept + table + largest
    return kept + table + n_jobs * (table + largest + _WORKER)


def warn_of_memory(
    X: Any, costs: Sequence[Cost], names: Sequence[str], n_folds: int, n_jobs: int
) -> None:
    """Warn where fits will not fit the memory that is there."""
    if "Dask" in type(get_active_backend()[0]).__name__:
        return  # the workers are on other machines
    there, table = available_bytes(), table_bytes(X)
    need = bytes_needed(table, costs, n_folds, n_jobs)
    if there is None or need <= there:
        return
    sizes = [cost.bytes + n_folds * cost.kept for cost in costs]
    dearest = int(np.argmax(sizes))
    fewer = "" if n_jobs == 1 else f" fewer n_jobs than {n_jobs},"
    warn_user(
        f"The fit takes about {_gigabytes(need)} of memory, but only "
        f"{_gigabytes(there)} are available: the table of {X.shape[0]:,} rows and "
        f"{X.shape[1]:,} columns has {_gigabytes(table)}, and the member "
        f"{names[dearest]!r} takes {_gigabytes(sizes[dearest])} more. To save memory, "
        f"use{fewer} fewer columns (n_components of the encoders), or members that "
        "take less.",
    )


def table_bytes(X: Any) -> float:
    """Return the size of a table."""
    if isinstance(X, pd.DataFrame):
        fixed = np.array([isinstance(dtype, np.dtype) for dtype in X.dtypes], bool)
        others = X.loc[:, ~fixed].memory_usage(index=False).sum()
        return float(others + len(X) * sum(t.itemsize for t in X.dtypes[fixed]))
    if sp.issparse(X):
        return 12.0 * X.nnz
    return float(getattr(X, "nbytes", 0))


def available_bytes(root: str | Path = "/") -> float | None:
    """Return what the machine and the container leave free; None where not known."""
    free: list[float] = []
    with contextlib.suppress(OSError):
        lines = (Path(root) / "proc/meminfo").read_text().splitlines()
        known = dict(line.split(":", 1) for line in lines if ":" in line)
        if "MemAvailable" in known:
            free.append(float(known["MemAvailable"].split()[0]) * 1024)
    mount, paths = Path(root) / "sys/fs/cgroup", ["/"]
    with contextlib.suppress(OSError):
        for line in (Path(root) / "proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds or "memory" in kinds.split(","):
                paths.append(path)
    folders = {Path(path.lstrip("/")) for path in paths}
    # each control group around this process, of both versions
    for folder in folders | {parent for own in folders for parent in own.parents}:
        for base, limit, used in (
            (mount / folder, "memory.max", "memory.current"),
            (mount / "memory" / folder, _LIMIT, _USED),
        ):
            # "max" is no number and no limit; what files cache goes when it is needed
            with contextlib.suppress(OSError, ValueError):
                left = int((base / limit).read_text()) - int((base / used).read_text())
                lines = (base / "memory.stat").read_text().splitlines()
                stat = dict(line.split() for line in lines if line.count(" ") == 1)
                cached = stat.get("total_inactive_file", stat.get("inactive_file", 0))
                free.append(float(left + int(cached)))
    return max(min(free), 0.0) if free else None


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
