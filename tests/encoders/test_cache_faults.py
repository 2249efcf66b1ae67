"""The embedding cache on a bad day: damage, a full disk, kills, vanishing files."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hyperfusion.encoders import EmbeddingCache
from hyperfusion.encoders.cache._cache import DATABASE, STORE
from tests.encoders.test_cache import assert_holds, vectors

N = 60
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put(vectors(0, N))
    return tmp_path


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Bytes of a database in good order."""
    folder = tmp_path_factory.mktemp("good")
    with EmbeddingCache(folder) as cache:
        cache.put(vectors(0, N))
    return (folder / STORE / DATABASE).read_bytes()


def use_and_repair(folder):
    """Use a store as an encoder does: what is missing is made anew and put."""
    expected = vectors(0, N)
    with EmbeddingCache(folder) as cache:
        found = cache.get(expected)
        for key, vector in found.items():
            assert_array_equal(vector, expected[key])
        cache.put({k: v for k, v in expected.items() if k not in found})
        again = cache.get(expected)
        for key, vector in again.items():
            assert_array_equal(vector, expected[key])
    return len(found), len(again)


damages = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("blank"), st.floats(0, 1), st.integers(1, 2000)),
    # the first page describes the tables, where damage is at its worst
    st.tuples(st.just("head"), st.floats(0, 0.01), st.integers(0, 7)),
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=st.lists(damages, min_size=1, max_size=4))
def test_no_damage_gives_a_wrong_number_or_an_error(image, tmp_path, damage):
    data = bytearray(image)
    for kind, where, how in damage:
        place = min(int(where * len(data)), len(data) - 1)
        if not data:
            break
        if kind == "cut":
            del data[place:]
        elif kind == "blank":
            data[place : place + how] = bytes(len(data[place : place + how]))
        else:
            data[place] ^= 1 << how
    shutil.rmtree(tmp_path / STORE, ignore_errors=True)
    (tmp_path / STORE).mkdir()
    (tmp_path / STORE / DATABASE).write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        use_and_repair(tmp_path)


def test_a_flipped_bit_in_a_vector_costs_that_vector(folder):
    path = folder / STORE / DATABASE
    data = bytearray(path.read_bytes())
    place = data.find(np.full(100, 7, dtype=np.float32).tobytes()) + 50
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.warns(RuntimeWarning, match="damaged .*computed again"):
        assert use_and_repair(folder) == (N - 1, N)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert use_and_repair(folder) == (N, N)


@pytest.mark.parametrize("how", ["truncated", "overwritten"])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begins(folder, how):
    path = folder / STORE / DATABASE
    own = folder / "damaged" / "photos"
    own.mkdir(parents=True)
    (own / "sea.jpg").write_bytes(b"a photo of the user's")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "truncated" else b"junk" * 9999)
    for n_times in (1, 2):
        with pytest.warns(RuntimeWarning, match=f"moved to .*{STORE}-damaged-"):
            assert use_and_repair(folder) == (0, N)
        aside = list(folder.glob(f"{STORE}-damaged-*"))
        assert len(aside) == n_times
        assert all((a / DATABASE).exists() for a in aside)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert use_and_repair(folder) == (N, N)
        path.write_bytes(b"junk" * 9999)
    assert [p.name for p in own.iterdir()] == ["sea.jpg"]


def test_damage_while_the_file_is_open(folder):
    with EmbeddingCache(folder) as cache:
        assert cache.entries == N
        path = folder / STORE / DATABASE
        with path.open("r+b") as file:
            file.write(b"junk" * (path.stat().st_size // 4))
        with pytest.warns(RuntimeWarning, match="damaged"):
            cache.get(vectors(0, N))
        cache.put(vectors(0, 200))
        assert_holds(cache, vectors(0, 200))


def test_the_folder_vanishes_while_it_is_open(folder):
    with EmbeddingCache(folder) as cache:
        assert cache.entries == N
        shutil.rmtree(folder)
        assert cache.get(vectors(0, N)) == {}
        cache.put(vectors(0, 5))
        assert_holds(cache, vectors(0, 5))


def test_a_full_disk_keeps_nothing_new_and_loses_nothing_old(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put(vectors(0, 20))
        pages = cache._connection.execute("PRAGMA page_count").fetchone()[0]
        cache._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.warns(RuntimeWarning, match="can't be kept .*full"):
            cache.put(vectors(20, 200))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cache.put(vectors(200, 300))  # warned once, not at every batch
        assert_holds(cache, vectors(0, 20))
        assert cache.get(vectors(20, 300)) == {}
        cache._connection.execute("PRAGMA max_page_count = 100000")
        cache.put(vectors(20, 200))
        assert_holds(cache, vectors(0, 200))


LIMITED = textwrap.dedent("""
    import resource, sys, warnings
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    warnings.simplefilter("always")
    from hyperfusion.encoders import EmbeddingCache
    from tests.encoders.test_cache import assert_holds, vectors

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with EmbeddingCache(sys.argv[1]) as cache:
            for start in range(0, 2000, 100):
                cache.put(vectors(start, start + 100))
            found = cache.get(vectors(0, 2000))
    assert any("can't be kept" in str(w.message) for w in caught), caught
    assert len(found) < 2000
    for key, vector in vectors(0, 2000).items():
        assert key not in found or (found[key] == vector).all()
""")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("limit", [0, 40_000, 1_000_000])
def test_a_disk_without_room_from_the_start(tmp_path, limit):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    with EmbeddingCache(tmp_path) as cache:
        cache.put(vectors(0, 10))
        assert_holds(cache, vectors(0, 10))


READER = textwrap.dedent("""
    import os, resource, sys, warnings
    import urllib.parse  # pathlib wants it, and may not be allowed to read it later
    from hyperfusion.encoders import EmbeddingCache
    from tests.encoders.test_cache import assert_holds, vectors

    folder, limit = sys.argv[1], int(sys.argv[2])
    if limit >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit,) * 2)
    elif os.getuid() == 0:
        os.setuid(65534)  # to whom permissions matter
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache = EmbeddingCache(folder)
        assert_holds(cache, vectors(0, 200))
        assert_holds(cache, vectors(0, 200))
        assert cache.entries == 200
        assert not caught, caught[0]
        cache.put(vectors(200, 300))
        cache.put(vectors(300, 400))
        assert "can't be kept" in str(caught[0].message), caught[0]
        assert len(caught) == 1
        assert_holds(cache, vectors(0, 200))
        cache.close()
""")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("limit", [-1, 0, 10_000])
def test_what_can_only_be_read_is_read(tmp_path, limit, closed):
    """A read-only folder (-1) and a full disk; with an unfinished log or without."""
    source, folder = tmp_path / "source", tmp_path / "folder"
    cache = EmbeddingCache(source)
    cache.put(vectors(0, 200))
    if closed:
        cache.close()
    shutil.copytree(source, folder)
    cache.close()
    (folder / STORE / f"{DATABASE}-shm").unlink(missing_ok=True)
    before = sorted((p.name, p.read_bytes()) for p in (folder / STORE).iterdir())
    for path in (folder / STORE).iterdir():
        path.chmod(0o444 if limit == -1 else 0o644)
    for path in (folder / STORE, folder):
        path.chmod(0o555 if limit == -1 else 0o755)
    parents = [p for p in folder.parents if p.stat().st_mode & 0o005 != 0o005]
    modes = [p.stat().st_mode for p in parents]
    for path in parents:
        path.chmod(0o755)
    try:
        run = subprocess.run(
            [sys.executable, "-c", READER, str(folder), str(limit)],
            cwd=ROOT,
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        for path, mode in zip(parents, modes, strict=True):
            path.chmod(mode)
    assert run.returncode == 0, run.stderr.decode()
    after = sorted((p.name, p.read_bytes()) for p in (folder / STORE).iterdir())
    if limit == -1:
        assert after == before
    folder.chmod(0o755)
    (folder / STORE).chmod(0o755)
    for path in (folder / STORE).iterdir():
        path.chmod(0o644)
    with EmbeddingCache(folder) as cache:
        assert_holds(cache, vectors(0, 200))
        cache.put(vectors(200, 300))
        assert_holds(cache, vectors(0, 300))


def test_room_that_comes_back_is_used(folder, monkeypatch):
    connect = sqlite3.connect

    def read_only(path, **options):
        if not options.get("uri"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return connect(path, **options)

    with EmbeddingCache(folder) as cache:
        monkeypatch.setattr(sqlite3, "connect", read_only)
        assert_holds(cache, vectors(0, N))
        with pytest.warns(RuntimeWarning, match="can't be kept"):
            cache.put(vectors(N, N + 5))
        monkeypatch.undo()
        assert_holds(cache, vectors(0, N))
        cache.put(vectors(N, N + 5))
        assert_holds(cache, vectors(0, N + 5))


ENDLESS = textwrap.dedent("""
    import itertools, sys
    from hyperfusion.encoders import EmbeddingCache
    from tests.encoders.test_cache import vectors

    cache = EmbeddingCache(sys.argv[1])
    for start in itertools.count(0, 20):
        cache.put(vectors(start, start + 20))
        print(start + 20, flush=True)
""")


def test_a_kill_in_the_middle_loses_nothing_that_was_kept(tmp_path):
    for seconds in (0.0, 0.05, 0.11):
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        done = int(rest[-1]) if rest else 20
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with EmbeddingCache(tmp_path) as cache:
                assert_holds(cache, vectors(0, done))


def test_another_process_holds_the_lock(folder, monkeypatch):
    monkeypatch.setattr("hyperfusion.encoders.cache._cache.WAIT_SECONDS", 0.1)
    holder = sqlite3.connect(folder / STORE / DATABASE, isolation_level=None)
    with EmbeddingCache(folder) as cache:
        assert cache.entries == N
        holder.execute("BEGIN IMMEDIATE")
        with pytest.warns(RuntimeWarning, match="can't be kept .*locked"):
            cache.put(vectors(N, N + 5))
        assert_holds(cache, vectors(0, N))  # reading goes on
        holder.execute("ROLLBACK")
        cache.put(vectors(N, N + 5))
        assert_holds(cache, vectors(0, N + 5))
    holder.close()
