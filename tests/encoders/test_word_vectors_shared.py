"""Word vectors: loading once, and sharing without copies."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from hyperfusion.encoders.text import _word_vectors
from hyperfusion.encoders.text._word_vectors import (
    lend_vectors,
    load_word_vectors,
    return_vectors,
)
from hyperfusion.exceptions import InvalidInputError, WeightsNotFoundError
from tests.encoders.vector_files import GLOVE, LINES, SIZE, write


def test_files_are_loaded_once_and_again_when_they_change(tmp_path):
    path = write(tmp_path / "a.txt", b"the 1 2\n")
    first = load_word_vectors(path)
    assert load_word_vectors(str(path)) is first
    (tmp_path / "link.txt").symlink_to(path)
    assert load_word_vectors(tmp_path / "link.txt") is first
    write(path, b"of 1 2\nthe 3 4\n")
    assert load_word_vectors(path).index == {"of": 0, "the": 1}


def test_threads_load_a_file_once(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", *LINES)
    calls = []
    read = _word_vectors.read_vector_file
    monkeypatch.setattr(
        _word_vectors, "read_vector_file", lambda p: calls.append(p) or read(p)
    )
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(load_word_vectors(path)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len({id(vectors) for vectors in found}) == 1


def test_objects_are_used_as_they_are(keyed):
    vectors = load_word_vectors(keyed)
    assert vectors.table is keyed.vectors
    assert vectors.index is keyed.key_to_index
    assert load_word_vectors(keyed) is vectors
    keyed.add_vectors(["added"], [np.ones(SIZE)])
    assert "added" in load_word_vectors(keyed).index


@pytest.mark.parametrize("vectors", [None, 3, {"a": [1]}, np.ones((2, 2)), b"a"])
def test_other_things_are_no_vectors(vectors):
    with pytest.raises(InvalidInputError, match=r"vectors .*must be a path"):
        load_word_vectors(vectors)


def test_unfinished_objects_are_refused(gensim):
    with pytest.raises(InvalidInputError, match="0 different words for 3 rows"):
        load_word_vectors(gensim.models.KeyedVectors(4, count=3))
    with pytest.raises(InvalidInputError, match="0 different words"):
        load_word_vectors(gensim.models.KeyedVectors(4))


def test_a_lent_object_comes_back_and_is_written_once(keyed):
    path = lend_vectors(keyed)
    assert lend_vectors(keyed) == path
    assert return_vectors(path) is keyed
    assert load_word_vectors(path).fingerprint == load_word_vectors(keyed).fingerprint
    keyed.add_vectors(["added"], [np.ones(SIZE)])
    assert "added" in load_word_vectors(lend_vectors(keyed)).index


def test_lending_keeps_no_object_alive(gensim):
    vectors = gensim.models.KeyedVectors.load_word2vec_format(GLOVE, no_header=True)
    path = lend_vectors(vectors)
    assert return_vectors(path) is vectors
    del vectors
    gc.collect()
    assert return_vectors(path) == path


@pytest.mark.parametrize("vectors", ["name", Path("name"), None, 3])
def test_what_is_no_object_is_left_alone(vectors):
    assert lend_vectors(vectors) is vectors
    assert return_vectors(vectors) is vectors


def test_lent_files_end_with_their_process(gensim, tmp_path):
    program = (
        "from gensim.models import KeyedVectors\n"
        "from hyperfusion.encoders.text._word_vectors import lend_vectors\n"
        "vectors = KeyedVectors(2); vectors.add_vectors(['a'], [[1, 2]])\n"
        "print(lend_vectors(vectors))\n"
    )
    run = [sys.executable, "-c", program]
    path = subprocess.run(
        run, capture_output=True, check=True, text=True
    ).stdout.strip()
    assert path.endswith(".npy")
    assert not Path(path).exists()
    with pytest.raises(WeightsNotFoundError, match=r"set_params\(vectors="):
        load_word_vectors(path)
