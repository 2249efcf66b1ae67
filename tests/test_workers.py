"""Parallel fits that are interrupted, told to end, or killed: nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to see processes"
)

MODULE = """
import os, pathlib, time
import numpy as np
from sklearn.dummy import DummyRegressor

HERE = pathlib.Path(__file__).parent

class Slow(DummyRegressor):
    def fit(self, X, y):
        (HERE / f"worker-{os.getpid()}").touch()
        time.sleep(120)

class Killed(DummyRegressor):
    def fit(self, X, y):
        os.kill(os.getpid(), 9)
"""
SCRIPT = """
import sys, numpy as np
from members import Killed, Slow
from hyperfusion import HyperFusionRegressor
if __name__ == "__main__":
    X = np.random.RandomState(0).normal(size=(20_000, 20))  # large enough to be mapped
    members = [("one", Killed() if sys.argv[1] == "killed" else Slow())]
    HyperFusionRegressor(members, cv=2, n_jobs=2).fit(X, X[:, 0])
"""


def start(folder, kind):
    (folder / "members.py").write_text(MODULE)
    (folder / "script.py").write_text(SCRIPT)
    (folder / "tmp").mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(folder / "tmp"),
        "JOBLIB_TEMP_FOLDER": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(folder)]),
    }
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), kind],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def workers(folder):
    return [int(path.name.split("-")[1]) for path in folder.glob("worker-*")]


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


@pytest.mark.slow  # starts processes
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_workers_end_with_their_parent_and_leave_no_files(tmp_path, name):
    process = start(tmp_path, "slow")
    try:
        assert wait_for(lambda: len(workers(tmp_path)) == 2, 120), process.poll()
        assert any((tmp_path / "tmp").iterdir())  # mapped tables
        process.send_signal(getattr(signal, name))
        said = process.communicate(timeout=60)[1]
        pids = workers(tmp_path)
        assert wait_for(lambda: not any(map(is_alive, pids)), 15)
        expected = {"SIGINT": -2, "SIGTERM": 143, "SIGKILL": -9}
        assert process.returncode == expected[name], said
        if name != "SIGKILL":
            assert wait_for(lambda: not any((tmp_path / "tmp").iterdir()), 15)
    finally:
        for pid in [process.pid, *workers(tmp_path)]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.slow  # starts processes
def test_a_killed_worker_names_member_and_fold(tmp_path):
    said = start(tmp_path, "killed").communicate(timeout=120)[1]
    assert "A worker was killed while working on: the member 'one' in fold " in said
    assert "smaller n_jobs" in said
    assert wait_for(lambda: not any((tmp_path / "tmp").iterdir()), 15)
