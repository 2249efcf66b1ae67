"""The memory that a fit takes is foreseen, and compared with what is there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from hyperfusion import HyperFusionRegressor
from hyperfusion.ensemble import _costs
from hyperfusion.ensemble._costs import Cost, available_bytes, bytes_needed, table_bytes

GB = 1_000_000_000


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MACHINE = {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n"}


def test_a_machine_without_limits(tmp_path):
    write(tmp_path, MACHINE)
    assert available_bytes(tmp_path) == 8_000_000 * 1024


def test_nothing_is_known_elsewhere(tmp_path):
    assert available_bytes(tmp_path) is None


@pytest.mark.parametrize("folder", ["", "a/b/", "a/"])
def test_a_container_of_version_2(tmp_path, folder):
    group = f"sys/fs/cgroup/{folder}"
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        f"{group}memory.max": f"{4 * GB}\n",
        f"{group}memory.current": f"{2 * GB}\n",
        f"{group}memory.stat": f"anon 5\ninactive_file {GB}\n",
    }
    write(tmp_path, MACHINE | files)
    assert available_bytes(tmp_path) == 3 * GB


def test_a_container_of_version_1(tmp_path):
    group = "sys/fs/cgroup/memory/docker/x/"
    files = {
        "proc/self/cgroup": "11:cpuset:/y\n5:memory:/docker/x\n",
        f"{group}memory.limit_in_bytes": f"{4 * GB}\n",
        f"{group}memory.usage_in_bytes": f"{3 * GB}\n",
        f"{group}memory.stat": "total_inactive_file 7\ninactive_file 1\n",
    }
    write(tmp_path, MACHINE | files)
    assert available_bytes(tmp_path) == GB + 7


def test_a_container_without_a_limit(tmp_path):
    group = "sys/fs/cgroup/"
    files = {f"{group}memory.max": "max\n", f"{group}memory.current": "5\n"}
    write(tmp_path, MACHINE | files)
    assert available_bytes(tmp_path) == 8_000_000 * 1024


def test_the_size_of_tables():
    frame = pd.DataFrame(np.zeros((100, 10), dtype="float32"))
    assert table_bytes(frame) == 4000
    assert table_bytes(frame.to_numpy()) == 4000


def test_more_workers_and_larger_members_need_more():
    costs = [Cost(1, GB), Cost(1, 2 * GB)]
    assert bytes_needed(GB, costs, 5, 1) == 3 * GB
    assert bytes_needed(GB, costs, 5, 2) > 2 * (GB + 2 * GB)
    assert bytes_needed(GB, [Cost(1, GB, GB)], 5, 1) == 7 * GB  # models are kept


@pytest.fixture
def data():
    X = np.random.RandomState(0).normal(size=(200, 10))
    return X, X[:, 0]


def test_a_fit_that_will_not_fit_says_what_to_change(data, monkeypatch):
    monkeypatch.setattr(_costs, "available_bytes", lambda: 1e6)
    monkeypatch.setattr(_costs, "bytes_needed", lambda *_: 3.2e9)
    model = HyperFusionRegressor([("ridge", Ridge())], cv=2)
    with pytest.warns(UserWarning, match=r"about 3\.2 GB.* 1 MB are available") as told:
        model.fit(*data)
    message = str(told[0].message)
    for part in ("200 rows and 10 columns", "'ridge'", "n_components", "members"):
        assert part in message
    assert "n_jobs" not in message


def test_a_fit_that_fits_is_silent(data, recwarn):
    HyperFusionRegressor([Ridge()], cv=2).fit(*data)
    assert not recwarn


SCRIPT = """
import resource
from multiprocessing import get_context
import catboost, numpy as np, pandas as pd, torch  # once for all members
from hyperfusion import (
    CatBoostHuberRegressor, CoAttentionRegressor, HyperFusionRegressor)
from hyperfusion.ensemble._costs import bytes_needed, cost_of, table_bytes

names = [f"{block}__clip__{i}" for block in ("image", "text") for i in range(150)]
def table(n):
    rows = np.random.default_rng(0).normal(size=(n, 300))
    return pd.DataFrame(rows.astype("float32"), columns=names)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def peaks_of(member):
    small, X = table(200), table(8_000)
    model = HyperFusionRegressor([("member", member)], cv=2, random_state=0)
    model.fit(small, small.iloc[:, 0])
    before = peak()
    model.fit(X, X.iloc[:, 0])
    costs = [cost_of(member, 4_000, 300)]
    return peak() - before, bytes_needed(table_bytes(X), costs, 2, 1)

members = CatBoostHuberRegressor(iterations=3), CoAttentionRegressor(max_iter=1)
with get_context("fork").Pool(1, maxtasksperchild=1) as fresh:
    for peaks in fresh.map(peaks_of, members, 1):
        print(*peaks)
"""


@pytest.mark.slow  # processes of their own, whose peaks are read
def test_the_peak_at_8000_posts_is_foreseen():
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        grown, foreseen = map(float, line.split())
        assert grown <= 1.25 * foreseen
        assert foreseen <= 10 * max(grown, 30e6)
