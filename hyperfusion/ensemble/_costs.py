"""The costs of members, the plan for a time limit, and the available memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from joblib.parallel import get_active_backend

from hyperfusion._anatomy import layers
from hyperfusion._progress import now
from hyperfusion._warnings import warn_user
from hyperfusion.ensemble._out_of_fold import Part


class Cost(NamedTuple):
    """What one fit takes: seconds of one core, and bytes besides the table."""

    seconds: float
    bytes: float
    kept: float = 0.0


class _Formula(NamedTuple):
    """Costs per row and per cell, for the usual `number` of the parameter `grows_with`.

    A member that stops early never costs more than that.
    """

    row: float
    cell: float
    cell_bytes: float
    grows_with: str = ""
    number: float = 1.0
    stops_early: bool = False
    bytes: float = 0.0
    kept_row: float = 0.0


# measured on one core of a 2.5 GHz server; only the ratios matter, see `TimePlan`
_FORMULAS = {
    "CatBoostHuberRegressor": _Formula(1e-4, 1.8e-6, 6, "iterations", 600, True, 2e8),
    "TabNetHuberRegressor": _Formula(4e-3, 1e-6, 8, "max_iter", 60, True, 1e8),
    "CoAttentionRegressor": _Formula(2e-3, 1.5e-6, 8, "max_iter", 60, True, 1e8),
    "ClipHierarchicalRegressor": _Formula(1.5e-3, 1e-6, 8, "max_iter", 60, True, 1e8),
    "ExtraTreesRegressor": _Formula(0, 1.2e-5, 8, "n_estimators", 200, kept_row=1e4),
    "RandomForestRegressor": _Formula(0, 2e-5, 8, "n_estimators", 200, kept_row=1e4),
    "HistGradientBoostingRegressor": _Formula(1e-5, 1e-6, 10, "max_iter", 100),
    "RidgeCV": _Formula(0, 4e-7, 24),
    "Ridge": _Formula(0, 5e-8, 16),
}
_UNKNOWN = _Formula(0, 2e-6, 16)


def cost_of(member: Any, n_rows: int, n_columns: int) -> Cost:
    """Return the cost of one fit of a member; that of a pipeline's last step."""
    known = [part for part in layers(member) if type(part).__name__ in _FORMULAS]
    formula = _FORMULAS[type(known[0]).__name__] if known else _UNKNOWN
    value = known[0].get_params().get(formula.grows_with) if known else None
    share = value / formula.number if isinstance(value, (int, float)) else 1.0
    share = min(share, 1.0) if formula.stops_early else share
    cells = n_rows * n_columns
    return Cost(
        share * (formula.row * n_rows + formula.cell * cells),
        formula.bytes + formula.cell_bytes * cells,
        share * formula.kept_row * n_rows,
    )


@dataclass
class TimePlan:
    """Fits members while there is time, the cheapest first.

    The first fold of the cheapest member shows how fast this machine is. A member
    starts only if, by its declared cost, all its folds fit into the time that is left.
    It is dropped if its first folds take too long. `reserved` seconds are kept for what
    comes after the folds. `last` is the cost of a fit on all rows, relative to a fold.
    """

    limit: float
    deadline: float
    names: Sequence[str]
    costs: Sequence[Cost]
    n_folds: int
    n_jobs: int
    last: float = 0.0
    reserved: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    announce: Callable[[str], None] = print

    def title(self, fold: int, member: int) -> str:
        """Return the name of a part for messages."""
        return f"fold {fold + 1}/{self.n_folds} {self.names[member]}"

    def parts(self, run: Callable[..., Iterator[Part]]) -> Iterator[Part]:
        """Yield the parts of the members that are fitted; `run` fits (fold, member)."""
        order = sorted(range(len(self.names)), key=lambda i: self.costs[i].seconds)
        speed = 1.0
        for i in order:
            expected = speed * self.costs[i].seconds
            done = self._member(i, expected, run, must=i == order[0])
            if not done:
                continue
            yield from done
            seconds = max(part.seconds for part in done)
            self.reserved += seconds * self.last
            if i == order[0]:  # what takes less than a second tells little
                speed = (seconds + 1) / (self.costs[i].seconds + 1)

    def _member(self, i: int, expected: float, run: Any, must: bool) -> list[Part]:
        """Return a member's parts; none if the time is too short."""
        folds = range(self.n_folds)
        waves = [folds[k : k + self.n_jobs] for k in folds[:: self.n_jobs]]
        done: list[Part] = []
        warned = False
        for number, wave in enumerate(waves):
            need = expected * (len(waves) - number + self.last) + self.reserved
            left = self.deadline - now()
            # a tenth may be exceeded rather than lose what has been fitted
            if need > left + (0.1 * self.limit if done else 0):
                about = f"needs about {need:.1f} s, {max(left, 0):.1f} s are left"
                if not must:
                    after = f", after {len(done)} of its folds" if done else ""
                    self.skipped[self.names[i]] = about + after
                    return []
                if (done or left < 0) and not warned:
                    warned = True
                    warn_user(
                        f"time_limit={self.limit:g} is too short: even the cheapest "
                        f"member {self.names[i]!r} {about}. No other member is fitted."
                    )
            self.announce(self.title(wave[0], i))
            done += run(pairs=[(k, i) for k in wave])
            expected = max(part.seconds for part in done)
        return done


_LIMIT, _USED = "memory.limit_in_bytes", "memory.usage_in_bytes"
_WORKER = 3e8  # a process with the libraries that members import


def bytes_needed(
    table: float, costs: Sequence[Cost], n_folds: int, n_jobs: int
) -> float:
    """Return the peak memory of fits in bytes, besides the table itself.

    Each fit copies its rows. Workers share a copy of the table that joblib writes.
    """
    largest = max(cost.bytes for cost in costs)
    kept = n_folds * sum(cost.kept for cost in costs)
    if n_jobs == 1:
        return kept + table + largest
    return kept + table + n_jobs * (table + largest + _WORKER)


def warn_of_memory(
    X: Any, costs: Sequence[Cost], names: Sequence[str], n_folds: int, n_jobs: int
) -> None:
    """Warn if the fits need more memory than is available."""
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
    """Return the free memory of the machine or container; None if unknown."""
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
