"""Memory grows by so many feature tables as the guide says, measured in a process."""

import json
import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from hyperfusion import NeighborTargets, make_hyperfusion

ROOT = Path(__file__).parents[1]
STATUS = Path("/proc/self/status")
WIDTH = 800
FEW, MANY = 4_000, 16_000

# in feature tables of the rows, the posts' own vectors (0.9) among them; a member that
# takes nothing but numbers copies the training part of a fold three times
ALLOWED = {"encode": 1.9, "fit": 3.6, "predict": 2.9}
if int(pd.__version__.split(".")[0]) < 3:
    ALLOWED["fit"] += 0.8  # pandas 2 copies the table that relations join
# glibc would keep freed arrays below 32 MB, or not, by chance of what lies above them
FREED = {"MALLOC_MMAP_THRESHOLD_": "131072"}


def peak():
    """Return the largest memory since the last call in bytes."""
    found = int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024
    Path("/proc/self/clear_refs").write_text("5")
    return found


def peaks_of(n):
    rng = np.random.default_rng(0)
    words = np.array(
        [f"{a}{b}" for a in "bcdfghjk" for b in "aeiou" * 20], dtype=object
    )
    vectors = rng.standard_normal((n, WIDTH), dtype=np.float32)
    posts = pd.DataFrame(
        {
            "title": [" ".join(row) for row in words[rng.integers(800, size=(n, 3))]],
            "user": rng.integers(n // 8, size=n).astype(str),
            "when": pd.to_datetime(1_600_000_000 + 60 * np.arange(n), unit="s"),
            "vector": list(vectors),
        }
    )
    model = make_hyperfusion(
        text="title",
        user="user",
        time="when",
        vectors={"image": "vector"},
        text_encoder=False,
        neighbors=NeighborTargets(n_components=32),
        members=[DummyRegressor()],
        cv=3,
        random_state=0,
    )
    encode, relate, reduce, predict = (step for _, step in model.steps)
    peaks, y = {}, rng.normal(size=n)
    peak()
    table = encode.fit_transform(posts, y)
    peaks["encode"] = peak()
    table = relate.fit_transform(table, y)
    features = table.shape[1]
    table = reduce.fit_transform(table, y)
    predict.fit(table, y)
    peaks["fit"] = peak()
    del table
    peak()
    model.predict(posts)
    peaks["predict"] = peak()
    return {"peaks": peaks, "features": features}


@pytest.mark.slow  # a process of its own, whose peaks are read
@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's account of memory")
def test_memory_grows_as_the_guide_says():
    run = subprocess.run(
        [sys.executable, "-m", "tests.test_size"],
        cwd=ROOT,
        env=os.environ | FREED,
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = json.loads(run.stdout)
    one_table = (MANY - FEW) * 4 * many["features"]
    for step, allowed in ALLOWED.items():
        grown = many["peaks"][step] - few["peaks"][step]
        assert grown / one_table < allowed, step


if __name__ == "__main__":
    with get_context("fork").Pool(1, maxtasksperchild=1) as fresh:
        print(json.dumps(fresh.map(peaks_of, (FEW, MANY), 1)))
