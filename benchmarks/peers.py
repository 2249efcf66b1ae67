"""The scoreboard: the presets and other libraries, on both sets of real posts.

Everything is fitted on the earlier posts and scored on the later ones, one after the
other, each in a separate process. Peers get the same columns: CatBoost with its own
text features, scikit-learn's StackingRegressor on TF-IDF, one-hot categories and
numbers, AutoGluon on the raw table. Only the presets read the pictures.

AutoGluon has a separate environment, which ``--autogluon FOLDER`` creates if needed
(about 7 GB). Its "best" has to stop after ``--limit`` seconds; without a limit it
tries a hundred models. Printed are Spearman's rank correlation (SRC), the mean
absolute error (MAE), seconds by the clock and the peak memory of the largest process,
with mean and standard deviation over the seeds (AutoGluon runs once: it takes no seed),
then 95% intervals of the differences to "default", from a paired bootstrap over posts.
All of it takes some two hours on two cores. The folder ``--results`` keeps what has
run, so that a run that was stopped goes on where it was; delete it to start anew.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

AUTOGLUON = "autogluon.tabular[catboost,fastai,lightgbm,xgboost]"
OURS = ("fast", "default", "best")
PEERS = ("median", "stacking", "catboost", "autogluon medium", "autogluon best")


def median(task: dict[str, Any], _: int) -> np.ndarray:
    """Predict the median of the targets."""
    return np.full(len(task["later"]["_time"]), np.median(task["y"]))


def columns_by_kind(roles: dict[str, Any]) -> dict[str, list[str]]:
    """Return the columns that peers read: texts, categories and numbers."""
    listed = {k: [v] if isinstance(v, str) else list(v or []) for k, v in roles.items()}
    texts = [*listed.get("text", []), *listed.get("tags", [])]
    names = ("user", "place", "categorical")
    categories = [c for name in names for c in listed.get(name, [])]
    numbers = [c for n in ("user_numeric", "numeric") for c in listed.get(n, [])]
    return {"text": texts, "category": categories, "number": [*numbers, "_time"]}


def plain_columns(table: pd.DataFrame, roles: dict[str, Any]) -> dict[str, list[Any]]:
    """Return columns with texts and categories as strings, and times as numbers.

    They are lists, since AutoGluon's environment may have another version of pandas.
    """
    kinds = columns_by_kind(roles)
    when = pd.to_datetime(table[roles["time"]], utc=True)
    days = (when - pd.Timestamp("2000-01-01", tz="UTC")) / pd.Timedelta("1D")
    out = table.assign(_time=days)[[c for some in kinds.values() for c in some]]
    for name in kinds["text"] + kinds["category"]:
        cells = out[name]
        lists = cells.map(lambda c: isinstance(c, (list, tuple, np.ndarray)))
        joined = cells[lists].map(lambda cell: " ".join(map(str, cell)))
        out[name] = cells.where(~lists, joined).fillna("").astype(str)
    numbers = out[kinds["number"]].apply(pd.to_numeric, errors="coerce")
    out = out.assign(**{name: numbers[name].astype(float) for name in numbers})
    return out.to_dict("list")


def catboost(task: dict[str, Any], seed: int) -> np.ndarray:
    """Predict with CatBoost and its own features of texts."""
    from catboost import CatBoostRegressor

    kinds = task["kinds"]
    model = CatBoostRegressor(
        loss_function="MAE",
        random_seed=seed,
        verbose=0,
        allow_writing_files=False,
        text_features=kinds["text"],
        cat_features=kinds["category"],
    )
    model.fit(pd.DataFrame(task["X"]), task["y"])
    return model.predict(pd.DataFrame(task["later"]))


def stacking(task: dict[str, Any], seed: int) -> np.ndarray:
    """Predict with scikit-learn's StackingRegressor."""
    from sklearn.compose import make_column_transformer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        HistGradientBoostingRegressor,
        StackingRegressor,
    )
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    kinds = task["kinds"]
    words = make_pipeline(
        TfidfVectorizer(min_df=2), TruncatedSVD(32, random_state=seed)
    )
    levels = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    features = make_column_transformer(
        *((words, name) for name in kinds["text"]),
        (levels, kinds["category"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), kinds["number"]),
    )
    members = [
        ("ridge", RidgeCV(np.logspace(-2, 4, 13))),
        ("trees", ExtraTreesRegressor(200, min_samples_leaf=3, random_state=seed)),
        ("boosting", HistGradientBoostingRegressor(random_state=seed)),
    ]
    model = make_pipeline(features, StackingRegressor(members, n_jobs=-1))
    model.fit(pd.DataFrame(task["X"]), task["y"])
    return model.predict(pd.DataFrame(task["later"]))


def autogluon(task: dict[str, Any], quality: str) -> np.ndarray:
    """Predict with AutoGluon, told to minimize the MAE; "best" within the limit."""
    from autogluon.tabular import TabularPredictor

    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor(
            "_y", "regression", "mean_absolute_error", path=folder, verbosity=0
        )
        train = pd.DataFrame(task["X"]).assign(_y=task["y"])
        limit = task["limit"] if quality == "best" else None
        predictor.fit(train, time_limit=limit, presets=f"{quality}_quality")
        return predictor.predict(pd.DataFrame(task["later"])).to_numpy()


def ours(task: dict[str, Any], preset: str, seed: int) -> np.ndarray:
    """Predict with a preset, on all cores."""
    from hyperfusion import make_hyperfusion

    model = make_hyperfusion(
        **task["roles"], preset=preset, n_jobs=-1, random_state=seed, verbose=0
    )
    return model.fit(task["X"], task["y"]).predict(task["later"])


def child(file: str, name: str, seed: int) -> None:
    """Fit and predict in this process; write predictions, seconds and bytes."""
    warnings.simplefilter("ignore")
    task = pickle.loads(Path(file).read_bytes())
    start = time.perf_counter()
    if name in OURS:
        predictions = ours(task, name, seed)
    elif name.startswith("autogluon"):
        predictions = autogluon(task, name.split()[1])
    else:
        known = {"median": median, "catboost": catboost, "stacking": stacking}
        predictions = known[name](task, seed)
    seconds = time.perf_counter() - start
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024
    result = {"predictions": predictions, "seconds": seconds, "MB": peak}
    Path(f"{file}.out").write_bytes(pickle.dumps(result))


def run(python: str, file: str, name: str, seed: int) -> dict[str, Any]:
    """Run `child` in a separate process and return what it wrote."""
    command = [python, __file__, "--child", file, name, str(seed)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return pickle.loads(Path(f"{file}.out").read_bytes())


def kept(file: Path, python: str, task: str, name: str, seed: int) -> dict[str, Any]:
    """Return what `file` keeps of an earlier run, or run it and keep it there."""
    if not file.exists():
        found = run(python, task, name, seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(found))
    return pickle.loads(file.read_bytes())


def environment(folder: Path) -> str:
    """Return the Python of an environment with AutoGluon, created if it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", AUTOGLUON], check=True)
    return str(python)


def intervals(truth: np.ndarray, found: dict[str, list[Any]]) -> pd.DataFrame:
    """Return 95% intervals of "default" less the others, over resampled posts."""
    from real_posts import leads

    names = ["default", *(name for name in found if name not in ("default", "median"))]
    runs = {name: [one["predictions"] for one in found[name]] for name in names}
    rows: dict[str, dict[str, str]] = {}
    for row in leads(truth, runs).itertuples():
        bounds = f"{row.low:+.4f} to {row.high:+.4f}"
        rows.setdefault(f"default - {row.model}", {})[row.metric] = bounds
    return pd.DataFrame(rows).T


def table_of(truth: np.ndarray, found: dict[str, list[Any]]) -> pd.DataFrame:
    """Return mean and standard deviation over the seeds of every model."""
    from real_posts import score, summary

    rows = []
    for name, runs in found.items():
        for one in runs:
            measured = {"seconds": one["seconds"], "MB": one["MB"]}
            rows.append(score(name, one["predictions"], truth) | measured)
    return summary(rows)[["SRC", "MAE", "seconds", "MB"]]


def main() -> None:
    """Print the scoreboard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--models", nargs="*", default=[*PEERS, *OURS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--autogluon", type=Path, default=Path("autogluon-env"))
    parser.add_argument("--results", type=Path, default=Path("peers-results"))
    parser.add_argument("--limit", type=int, default=900, help="seconds of its best")
    given = parser.parse_args()
    if given.child:
        return child(given.child[0], given.child[1], int(given.child[2]))
    from real_posts import real_posts

    print(f"{os.cpu_count()} cores, {given.seeds} seeds", flush=True)
    for posts in real_posts(given.sets):
        X, y, later, truth = posts.parts()
        roles = posts.arguments
        raw = {"X": X, "y": y, "later": later, "roles": roles}
        plain = {name: plain_columns(raw[name], roles) for name in ("X", "later")}
        plain |= {"y": y, "kinds": columns_by_kind(roles), "limit": given.limit}
        found: dict[str, list[Any]] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in given.models:
                file = f"{folder}/task"
                task = raw if name in OURS else plain
                Path(file).write_bytes(pickle.dumps(task))
                alone = name.startswith("autogluon")
                python = environment(given.autogluon) if alone else sys.executable
                seeds = range(1 if alone or name == "median" else given.seeds)
                runs = given.results / posts.name
                found[name] = [
                    kept(runs / f"{name} {seed}.pkl", python, file, name, seed)
                    for seed in seeds
                ]
                print(table_of(truth, {name: found[name]}).to_string(), flush=True)
        print(f"\n{posts.name}\n{table_of(truth, found).to_string()}\n", flush=True)
        if "default" in found and len(found) > 1:
            print(f"{intervals(truth, found).to_string()}\n", flush=True)
    return None


if __name__ == "__main__":
    main()
