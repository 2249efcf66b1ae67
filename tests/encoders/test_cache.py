"""The embedding cache as it is used: contents, sharing."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hyperfusion.encoders import EmbeddingCache
from hyperfusion.encoders.cache._cache import MEMORY, item_key, open_cache

WIDTH = 512


def vectors(start, stop, width=WIDTH):
    return {
        item_key("model", str(i).encode()): np.full(width, i, dtype=np.float32)
        for i in range(start, stop)
    }


def assert_holds(cache, expected):
    found = cache.get(expected)
    assert found.keys() == expected.keys()
    for key, vector in expected.items():
        assert found[key].dtype == np.float32
        assert_array_equal(found[key], vector)


@pytest.fixture
def cache(tmp_path):
    with EmbeddingCache(tmp_path / "cache") as cache:
        yield cache


def test_returns_what_was_put_and_nothing_else(cache):
    known = vectors(0, 1200)
    cache.put(known)
    assert_holds(cache, known)
    assert cache.get(vectors(1200, 1210)) == {}
    assert cache.get([]) == {}
    assert cache.entries == 1200


def test_numbers_are_kept_bit_for_bit(cache):
    vector = np.random.RandomState(0).normal(size=37).astype(np.float32)
    vector[:3] = np.nan, -0.0, np.float32(1e-40)
    cache.put({b"k": vector})
    assert cache.get([b"k"])[b"k"].tobytes() == vector.tobytes()


def test_a_found_vector_can_be_changed_without_changing_the_store(cache):
    cache.put({b"k": np.zeros(4, dtype=np.float32)})
    cache.get([b"k"])[b"k"] += 1
    assert_array_equal(cache.get([b"k"])[b"k"], np.zeros(4))


def test_put_overwrites(cache):
    cache.put({b"k": np.zeros(4, dtype=np.float32)})
    cache.put({b"k": np.ones(6, dtype=np.float32)})
    assert_array_equal(cache.get([b"k"])[b"k"], np.ones(6))
    assert cache.entries == 1


def test_outlives_its_object(tmp_path):
    with EmbeddingCache(tmp_path) as first:
        first.put(vectors(0, 5))
    with EmbeddingCache(tmp_path) as second:
        assert_holds(second, vectors(0, 5))


def test_is_usable_after_close(cache):
    cache.put(vectors(0, 5))
    cache.close()
    assert_holds(cache, vectors(0, 5))


def test_a_vector_takes_its_numbers_and_little_more(cache):
    cache.put(vectors(0, 2000))
    cache.close()
    size = sum(p.stat().st_size for p in Path(cache.folder).rglob("*") if p.is_file())
    assert 2000 * WIDTH * 4 < size < 1.25 * 2000 * WIDTH * 4


def test_goes_on_without_a_folder_that_can_not_be_one(tmp_path):
    (tmp_path / "file").write_text("here already")
    with pytest.warns(RuntimeWarning, match="can't be read"):
        assert EmbeddingCache(tmp_path / "file").get([b"k"]) == {}
    assert (tmp_path / "file").read_text() == "here already"


def test_opens_nothing_before_it_is_used(tmp_path):
    EmbeddingCache(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_pickles_as_its_folder(cache):
    cache.put(vectors(0, 500))
    data = pickle.dumps(cache)
    assert len(data) < 500
    again = pickle.loads(data)
    assert repr(again) == repr(cache)
    assert_holds(again, vectors(0, 500))
    again.close()


def test_copies_share(cache):
    assert copy.copy(cache) is cache
    assert copy.deepcopy([cache])[0] is cache


def test_open_cache_takes_a_path_an_object_or_none(cache, tmp_path):
    with open_cache(None) as opened:
        assert opened is MEMORY
    with open_cache(cache) as opened:
        assert opened is cache
    with open_cache(str(tmp_path / "other")) as opened:
        opened.put(vectors(0, 3))
    assert EmbeddingCache(tmp_path / "other").entries == 3


def test_keys_differ_by_model_and_by_content():
    keys = {item_key(m, c) for m in ("a", "b") for c in (b"x", b"y")}
    assert len(keys) == 4
    assert item_key("a", b"b") != item_key("ab", b"")


def test_threads_share_one_object(cache):
    def work(i):
        cache.put(vectors(10 * i, 10 * i + 10))
        assert_holds(cache, vectors(10 * i, 10 * i + 10))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert_holds(cache, vectors(0, 400))


WRITER = textwrap.dedent("""
    import sys
    import numpy as np
    from hyperfusion.encoders import EmbeddingCache
    from hyperfusion.encoders.cache._cache import item_key

    first = int(sys.argv[2])
    with EmbeddingCache(sys.argv[1]) as cache:
        for start in range(first, first + 400, 10):
            rows = range(start, start + 10)
            vectors = {
                item_key("model", str(i).encode()): np.full(512, i, dtype=np.float32)
                for i in rows
            }
            cache.put(vectors)
            assert len(cache.get(vectors)) == 10
""")


def test_processes_share_one_folder(tmp_path):
    # all begin with a folder that does not exist, two write the same items
    starts = ["0", "0", "400"]
    command = [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path / "new")]
    running = [
        subprocess.Popen([*command, start], stderr=subprocess.PIPE) for start in starts
    ]
    for process in running:
        _, problem = process.communicate(timeout=60)
        assert process.returncode == 0, problem.decode()
    with EmbeddingCache(tmp_path / "new") as cache:
        assert cache.entries == 800
        assert_holds(cache, vectors(0, 800))


def _write_in_child(cache):
    cache.put(vectors(100, 200))
    assert_holds(cache, vectors(0, 100))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_opens_the_file_for_itself(cache):
    cache.put(vectors(0, 100))
    child = multiprocessing.get_context("fork").Process(
        target=_write_in_child, args=(cache,)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert_holds(cache, vectors(0, 200))
