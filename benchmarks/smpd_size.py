"""Tables of SMPD's size: seconds and memory of each step, and how they grow.

Run: python benchmarks/smpd_size.py [--posts 10000 50000 150000 486194]
     [--members fast default dummy catboost] [--jobs 1] [--folder kept]
     [--plot growth.png] [--verbose]

Writes synthetic posts into files as `load_smpd` reads them, with ready-made vectors of
512 numbers for pictures and titles. Users, concepts, tags, pictures, the hour, a drift
and noise determine the scores. As in SMPD, 305,613 of 486,194 posts are for training,
and the later ones are predicted. Each size and choice of members runs in a separate
process.

Columns: seconds by the clock, CPU seconds, and the peak memory of a step; then the
growth since the previous size, as the exponent b of n**b (1 is proportional, n log n is
about 1.1).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ALL, TO_LEARN = 486_194, 305_613
STEPS = (
    *("load", "encode", "relate", "reduce", "fit"),
    *("load new", "encode new", "predict"),
)
WIDTH, N_CONCEPTS, N_WORDS = 512, 668, 200_000
FIRST, LAST = 1_425_168_000, 1_461_369_600  # a year of posts, in seconds since 1970


def write_posts(folder: Path, n: int, seed: int = 0) -> None:
    """Write `n` posts, those to learn from and those to predict."""
    rng = np.random.default_rng(seed)
    n_users = max(n * 70_000 // ALL, 20)
    user = long_tailed(rng, n_users, n)
    concept = long_tailed(rng, N_CONCEPTS, n)
    seconds = np.sort(rng.choice(LAST - FIRST, n, replace=False)) + FIRST
    tags, n_tags, tag_score = draw_words(rng, concept, mean=9)
    titles, n_words, _ = draw_words(rng, concept, mean=5)
    hour = (seconds // 3600) % 24
    image = draw_vectors(rng, concept)
    signal = (
        6
        + 1.5 * rng.normal(size=n_users)[user]
        + 0.7 * rng.normal(size=N_CONCEPTS)[concept]
        + 0.7 * tag_score
        + 0.5 * np.sin(hour / 24 * 2 * np.pi)
        + 0.5 * np.sin((seconds - FIRST) / 86_400 / 200 * 2 * np.pi)
        + 0.5 * image[:, 0] / image[:, 0].std()
    )
    score = signal + rng.normal(size=n)
    words = np.array(make_words(), dtype=object)
    people = long_texts(rng, n_users, 399)
    places = long_texts(rng, 3_000, 400)
    place = rng.integers(3_000, size=n_users)
    photos = rng.lognormal(5, 2, n_users).astype(int)
    cut = n * TO_LEARN // ALL
    title_vectors = draw_vectors(rng, concept)
    for split, rows in (("train", slice(0, cut)), ("test", slice(cut, n))):
        home = folder / f"{split}_allmetadata_json"
        home.mkdir(parents=True, exist_ok=True)
        who = user[rows]
        uids = [f"{u}@N{u % 100:02}" for u in who]
        pids = [str(1_000_000 + i) for i in range(n)[rows]]
        keys = {"Pid": pids, "Uid": uids}
        sub = concept[rows] % 77
        parts = {
            "category": {
                "Category": [f"category{s % 11}" for s in sub],
                "Subcategory": [f"sub{s}" for s in sub],
                "Concept": [f"concept{c}" for c in concept[rows]],
            },
            "text": {
                "Title": sentences(words, titles, n_words, rows),
                "Mediatype": ["photo"] * len(who),
                "Alltags": sentences(words, tags, n_tags, rows),
            },
            "temporalspatial_information": {
                "Postdate": [str(s) for s in seconds[rows]],
                "Latitude": (place[who] % 120 - 60).tolist(),
                "Longitude": (place[who] * 7 % 360 - 180).tolist(),
                "Geoaccuracy": (place[who] % 17).tolist(),
            },
            "additional_information": {
                "Pathalias": [f"name{u}" for u in who],
                "Ispublic": ["1"] * len(who),
                "Mediastatus": ["ready"] * len(who),
            },
        }
        for part, columns in parts.items():
            write_rows(home / f"{split}_{part}.json", {**keys, **columns})
        of_users = {
            **keys,
            "photo_firstdate": [str(1_300_000_000 + int(u)) for u in who],
            "photo_count": photos[who].tolist(),
            "ispro": (who % 2).tolist(),
            "timezone_offset": [f"{'-+'[u % 2]}0{u % 10}:00" for u in who],
            "user_description": [people[u] for u in who],
            "location_description": [places[p] for p in place[who]],
        }
        write_columns(home / f"{split}_user_data.json", of_users)
        paths = [f"{split}/{u}/{p}.jpg" for u, p in zip(uids, pids, strict=True)]
        (home / f"{split}_img_filepath.txt").write_text("\n".join(paths))
        np.save(folder / f"{split}_image.npy", image[rows])
        np.save(folder / f"{split}_title.npy", title_vectors[rows])
        np.save(folder / f"{split}_known.npy", np.stack([score, signal])[:, rows])
    labels = "\n".join(f"{s:.2f}" for s in score[:cut])
    (folder / "train_allmetadata_json" / "train_label.txt").write_text(labels)


def long_tailed(rng: Any, n_levels: int, size: int) -> np.ndarray:
    """Draw levels, the first of which are many times more frequent than the last."""
    weights = np.cumsum(1 / (np.arange(n_levels) + 5) ** 0.9)
    return np.searchsorted(weights / weights[-1], rng.random(size))


def draw_words(rng: Any, concept: np.ndarray, mean: int) -> tuple[np.ndarray, ...]:
    """Draw words of posts: all in a row, how many each has, and the mean of a score."""
    counts = np.minimum(rng.geometric(1 / mean, len(concept)), 60)
    words = long_tailed(rng, N_WORDS, counts.sum())
    own = rng.random(len(words)) < 0.5
    of_concept = np.repeat(concept, counts) * 60 + long_tailed(rng, 60, len(words))
    words = np.where(own, of_concept, words)
    starts = np.cumsum(counts) - counts
    scores = np.add.reduceat(rng.normal(size=N_WORDS)[words], starts) / counts
    return words, counts, scores / scores.std()


def draw_vectors(rng: Any, concept: np.ndarray) -> np.ndarray:
    """Draw vectors whose variance falls as fast as that of sentences and pictures.

    64 principal components hold about 0.6 of it, as measured on MiniLM's and
    EfficientNet's vectors of real posts.
    """
    centers = rng.normal(size=(N_CONCEPTS, WIDTH)).astype(np.float32)
    vectors = rng.standard_normal((len(concept), WIDTH), dtype=np.float32)
    vectors += centers[concept]
    rotation, _ = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))
    scales = np.arange(1, WIDTH + 1) ** -0.45
    return vectors @ (scales[:, None] * rotation).astype(np.float32)


def make_words() -> list[str]:
    parts = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    n = len(parts)
    return [
        parts[i % n] + parts[i // n % n] + parts[i * 7 // n**2 % n] + "nx"[i % 2]
        for i in range(N_WORDS)
    ]


def long_texts(rng: Any, n: int, width: int) -> list[str]:
    """Return vectors as texts of numbers, as SMPD's descriptions are."""
    numbers = np.array([f"{x:.4f}" for x in rng.normal(size=5_000)], dtype=object)
    return [",".join(numbers[rng.integers(5_000, size=width)]) for _ in range(n)]


def sentences(
    words: np.ndarray, drawn: np.ndarray, counts: np.ndarray, rows: slice
) -> list[str]:
    ends = np.cumsum(counts)
    return [
        " ".join(words[drawn[end - count : end]])
        for end, count in zip(ends[rows], counts[rows], strict=True)
    ]


def write_rows(path: Path, columns: dict[str, list]) -> None:
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    path.write_text(json.dumps(rows))


def write_columns(path: Path, columns: dict[str, list]) -> None:
    with path.open("w") as file:
        for i, (name, cells) in enumerate(columns.items()):
            file.write("{" if i == 0 else ", ")
            file.write(f"{json.dumps(name)}: {{")
            for row, cell in enumerate(cells):
                file.write(f'{", " if row else ""}"{row}": {json.dumps(cell)}')
            file.write("}")
        file.write("}")


class Steps:
    """Runs steps, and prints what each costs as a line of JSON."""

    def __init__(self) -> None:
        self.costs: dict[str, tuple[float, float, float]] = {}

    def run(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, and keep what that costs."""
        forget_peak()
        start, busy = time.perf_counter(), sum(os.times()[:4])
        result = work(*arguments)
        clock, cpu = time.perf_counter() - start, sum(os.times()[:4]) - busy
        self.costs[name] = clock, cpu, peak()
        print(f"    {name}: {clock:.1f} s", file=sys.stderr, flush=True)
        return result


def forget_peak() -> None:
    """Reset the peak of memory, if the system (Linux) can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Return the largest memory of this process in GB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2**20
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def run(folder: Path, members: str, jobs: int, verbose: int) -> dict[str, Any]:
    """Load, fit and predict in this process; return costs and scores."""
    from scipy.stats import spearmanr
    from sklearn.dummy import DummyRegressor

    from hyperfusion import CatBoostHuberRegressor, load_smpd, make_hyperfusion

    alone = {
        "dummy": [DummyRegressor()],
        "catboost": [("catboost", CatBoostHuberRegressor(iterations=600))],
    }

    def load(split: str) -> Any:
        posts = load_smpd(folder, split)
        for name in ("image", "title"):
            vectors = np.load(folder / f"{split}_{name}.npy")
            posts.data[f"{name}_vector"] = as_column(vectors)
        return posts

    warnings.simplefilter("ignore")
    steps = Steps()
    step = steps.run
    posts = step("load", load, "train")
    roles = posts.roles
    vectors = {**roles["vectors"], "image": "image_vector"}
    vectors["text"] = "title_vector"
    model = make_hyperfusion(
        **{**roles, "vectors": vectors},
        text_encoder=False,
        members=alone.get(members, members),
        n_jobs=jobs,
        random_state=0,
        verbose=verbose,
    )
    encode, relate, reduce, predict = (part for _, part in model.steps)
    y = posts.target
    table = step("encode", encode.fit_transform, posts.data, y)
    del posts
    table = step("relate", relate.fit_transform, table, y)
    table = step("reduce", reduce.fit_transform, table, y)
    shape = table.shape
    step("fit", predict.fit, table, y)
    del table
    posts = step("load new", load, "test")
    new = step("encode new", model[:-1].transform, posts.data)
    found = step("predict", predict.predict, new)
    score, signal = np.load(folder / "test_known.npy")
    limit = spearmanr(signal, score).statistic
    return {
        "costs": steps.costs,
        "shape": shape,
        "src": [float(spearmanr(found, score).statistic), float(limit)],
        "by_member": predict.fold_scores_["seconds"].groupby("member").sum().to_dict(),
    }


def as_column(vectors: np.ndarray) -> pd.Series:
    """Return vectors as a column that shares their memory."""
    import pyarrow as pa

    cells = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH)
    return pd.Series(pd.arrays.ArrowExtensionArray(cells))


def measure(
    folder: Path, n: int, members: str, options: argparse.Namespace
) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", str(folder)]
    command += ["--members", members, "--jobs", str(options.jobs)]
    command += ["--verbose"] * options.verbose
    print(f"{n} posts, members={members!r}", file=sys.stderr, flush=True)
    subprocess.run(command, check=True, capture_output=not options.verbose)
    return json.loads((folder / "result.json").read_text())


def lines(n: int, found: dict, before: tuple[int, dict] | None) -> Iterator[str]:
    costs = {s: found["costs"][s] for s in STEPS}
    clock, cpu, _ = np.sum(list(costs.values()), axis=0)
    costs["all"] = clock, cpu, max(c[2] for c in costs.values())
    yield f"  {'step':12}{'clock s':>9}{'cpu s':>9}{'GB':>7}   growth (cpu, memory)"
    for name, (clock, cpu, gigabytes) in costs.items():
        growth = ""
        if before is not None:
            _, *old = np.maximum(before[1][name], 0.01)
            exponents = np.log(np.maximum([cpu, gigabytes], 0.01) / old)
            exponents /= np.log(n / before[0])
            growth = "   " + ", ".join(f"{b:.2f}" for b in exponents)
        yield f"  {name:12}{clock:9.1f}{cpu:9.1f}{gigabytes:7.2f}{growth}"
    found["costs"] = costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--posts", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--members", nargs="+", default=["fast", "default"])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--plot", type=Path, help="plot the growth into this file")
    parser.add_argument("--verbose", action="store_true", help="let fits print lines")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        found = run(
            options.child, options.members[0], options.jobs, int(options.verbose)
        )
        (options.child / "result.json").write_text(json.dumps(found))
        return
    before: dict[str, tuple[int, dict]] = {}
    totals: dict[str, list[tuple[float, ...]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for n in options.posts:
            folder = (options.folder or Path(temporary)) / str(n)
            if not (folder / "test_known.npy").exists():
                write_posts(folder, n)
            for members in options.members:
                found = measure(folder, n, members, options)
                rows, columns = found["shape"]
                print(f"\n{n} posts, {members}: {rows} x {columns} to learn from")
                print(*lines(n, found, before.get(members)), sep="\n")
                src, limit = found["src"]
                print(f"  SRC {src:.3f}; what is known of the posts allows {limit:.3f}")
                of = ", ".join(f"{m} {s:.0f}" for m, s in found["by_member"].items())
                print(f"  seconds by member: {of}", flush=True)
                before[members] = n, found["costs"]
                totals.setdefault(members, []).append((n, *found["costs"]["all"]))
    if options.plot is not None:
        plot_growth(totals, options.plot)


def plot_growth(totals: dict[str, list[tuple[float, ...]]], path: Path) -> None:
    """Plot CPU seconds and memory in all by the number of posts."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, column, label in zip(
        axes, (2, 3), ("CPU seconds", "peak GB"), strict=True
    ):
        for members, rows in totals.items():
            posts, values = np.array(rows)[:, 0], np.array(rows)[:, column]
            [line] = axis.loglog(posts, values, "o-", label=members)
            growth = posts * np.log(posts)
            growth *= values[0] / growth[0]
            axis.loglog(posts, growth, ":", color=line.get_color())
        axis.set(xlabel="posts", ylabel=label)
        sizes = sorted({row[0] for rows in totals.values() for row in rows})
        axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes[0].legend(title="dotted: n log n")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
