"""Compare the ensemble's fit with scikit-learn's stacking; measure each member.

Run: python benchmarks/fit.py [--rows 4000] [--columns 100] [--rounds 3] [--threads 1]
     python benchmarks/fit.py --members [--rows 10000 100000] [--columns 1500]

The first form fits `HyperFusionRegressor` and `StackingRegressor` with the same members
and folds, alternately in one process, and prints medians of their ratios, in seconds by
the clock and in CPU seconds (which depend less on other work on the machine). The limit
of both is a plain loop over folds and members that fits and predicts the held-out rows:
no ensemble with out-of-fold predictions can do less. Stacking fits each member once
more on all rows, so K folds should take K / (K + 1) of its time; the aim is 0.85.

The second form fits each member in a separate process and prints seconds and the
peak memory above that of the table. Networks and trees are cut short by `--iterations`
(epochs, rounds): seconds grow in proportion to them, memory doesn't.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    StackingRegressor,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from hyperfusion import HyperFusionRegressor

FOLDS = 5
TEXT, IMAGE = 512, 512


def make_members() -> list[tuple[str, Any]]:
    kernel = make_pipeline(
        StandardScaler(),
        Nystroem(gamma=2e-3, n_components=300, random_state=0),
        RidgeCV(np.logspace(-3, 3, 7)),
    )
    trees = ExtraTreesRegressor(
        50, min_samples_leaf=3, max_features=0.3, random_state=0
    )
    return [
        ("trees", trees),
        ("boosting", HistGradientBoostingRegressor(max_iter=100, random_state=0)),
        ("kernel", kernel),
    ]


def plain_loop(X: np.ndarray, y: np.ndarray, cv: KFold) -> list:
    models = []
    for train, test in cv.split(X):
        for _, member in make_members():
            models.append(clone(member).fit(X[train], y[train]))
            models[-1].predict(X[test])
    return models


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return seconds by the clock, CPU seconds, and the result."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - busy, result


def compare(n_rows: int, n_columns: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_columns))
    y = X[:, :5].sum(axis=1) + np.abs(X[:, 5]) + rng.normal(size=n_rows)
    new = rng.normal(size=(n_rows, n_columns))
    cv = KFold(FOLDS, shuffle=True, random_state=0)
    members = make_members()
    sides: dict[str, Callable[[], Any]] = {
        "plain loop": lambda: plain_loop(X, y, cv),
        "ours, refit=folds": lambda: HyperFusionRegressor(members, cv=cv).fit(X, y),
        "ours, refit=full": lambda: HyperFusionRegressor(
            members, cv=cv, refit="full"
        ).fit(X, y),
        "stacking": lambda: StackingRegressor(members, RidgeCV(), cv=cv).fit(X, y),
    }
    fits: dict[str, list] = {name: [] for name in sides}
    predicts: dict[str, list] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            *seconds, model = timed(work)
            fits[name].append(seconds)
            if name != "plain loop":
                *seconds, _ = timed(lambda model=model: model.predict(new))
                predicts[name].append(seconds)
    print(
        f"{n_rows} rows x {n_columns} columns, {FOLDS} folds, {len(members)} members, "
        f"medians of {rounds} rounds: seconds by the clock (of the processor)"
    )
    for name in sides:
        fit = ratio(fits, name, "stacking")
        limit = ratio(fits, name, "plain loop")
        line = f"  {name:18} fit {show(fits[name])}: {fit} of stacking, {limit} of the "
        line += "limit"
        if predicts[name]:
            predict = ratio(predicts, name, "stacking")
            line += f"; predict {show(predicts[name], 3)}: {predict} of stacking"
        print(line)
    print(
        f"fit, ours / stacking: {ratio(fits, 'ours, refit=folds', 'stacking')} (aim "
        f"0.85; {FOLDS / (FOLDS + 1):.2f} by the number of fits)"
    )


def show(seconds: list, digits: int = 2) -> str:
    clock, busy = np.median(seconds, axis=0)
    return f"{clock:.{digits}f} s ({busy:.{digits}f} s)"


def ratio(seconds: dict[str, list], name: str, other: str) -> str:
    """Median over rounds of the ratio of two sides that ran one after the other."""
    rounds = np.array(seconds[name]) / np.array(seconds[other])
    clock, busy = np.median(rounds, axis=0)
    return f"{clock:.2f} ({busy:.2f})"


def named_member(name: str, iterations: int) -> Any:
    from hyperfusion import (
        CatBoostHuberRegressor,
        ClipHierarchicalRegressor,
        CoAttentionRegressor,
        TabNetHuberRegressor,
    )

    if name == "catboost":
        return CatBoostHuberRegressor(iterations=10 * iterations, random_state=0)
    kinds = {
        "tabnet": TabNetHuberRegressor,
        "coattention": CoAttentionRegressor,
        "hierarchical": ClipHierarchicalRegressor,
    }
    return kinds[name](max_iter=iterations, random_state=0)


NAMES = ("catboost", "tabnet", "coattention", "hierarchical")


def make_table(n_rows: int, n_columns: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Make a feature table with aligned CLIP vectors, numbers and two categories."""
    rng = np.random.default_rng(0)
    n_other = max(n_columns - IMAGE - TEXT - 2, 1)
    names = [f"image__clip__{i}" for i in range(min(IMAGE, n_columns // 3))]
    names += [f"text__title_clip__{i}" for i in range(min(TEXT, n_columns // 3))]
    names += [f"meta__n_{i}" for i in range(n_other)]
    names = names[: n_columns - 2]
    numbers = rng.standard_normal((n_rows, len(names)), dtype=np.float32)
    table = pd.DataFrame(numbers, columns=names, copy=False)
    users = rng.integers(n_rows // 5, size=n_rows)
    table["user__user"] = pd.Categorical(users.astype(str))
    table["meta__kind"] = pd.Categorical(rng.integers(10, size=n_rows).astype(str))
    noise = rng.normal(size=n_rows)
    return table, numbers[:, 0] + np.abs(numbers[:, -1]) + noise


def megabytes_now() -> float:
    with open("/proc/self/status") as status:
        line = next(x for x in status if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure_member(name: str, n_rows: int, n_columns: int, iterations: int) -> None:
    """Fit one member and print its cost; runs in a separate process."""
    member = named_member(name, iterations)
    X, y = make_table(100, n_columns)
    named_member(name, 1).fit(X, y)  # imports are not the member's own cost
    X, y = make_table(n_rows, n_columns)
    before = megabytes_now()
    seconds, _, model = timed(lambda: member.fit(X, y))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    predict, *_ = timed(lambda: model.predict(X[:10_000]))
    table = X.memory_usage(index=False).sum() / 2**20
    print(
        f"  {name:13} fit {seconds:8.1f} s, predict {predict:6.2f} s for "
        f"{min(n_rows, 10_000)} rows, peak {max(peak - before, 0):7.0f} MB above the "
        f"table's {table:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--columns", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--members", nargs="*", choices=NAMES)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--measure", choices=NAMES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    columns = given.columns or (100 if given.members is None else 1500)
    if given.measure:
        measure_member(given.measure, given.rows[0], columns, given.iterations)
        return
    if given.members is None:
        with threadpool_limits(given.threads):
            for n_rows in given.rows or [4000]:
                compare(n_rows, columns, given.rounds)
        return
    for n_rows in given.rows or [10_000, 100_000]:
        print(
            f"{n_rows} rows x {columns} columns, {given.iterations} epochs "
            f"({10 * given.iterations} trees)"
        )
        for name in given.members or NAMES:
            arguments = ["--measure", name, "--rows", str(n_rows)]
            arguments += ["--columns", str(columns)]
            arguments += ["--iterations", str(given.iterations)]
            subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    main()
