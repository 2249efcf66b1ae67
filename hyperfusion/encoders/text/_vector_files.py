"""Files of word vectors, none of which can hold code.

The kind of a file is told from its content, never from its name.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from hyperfusion._validation import needing
from hyperfusion._writing import written_whole
from hyperfusion.exceptions import BadFileError, MissingDependencyError

_HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,12})\s*")
_NUMBERS_AS_TEXT = re.compile(rb"[0-9eE+\-.\snaif]*")
_LONGEST_LINE = 2**20
_MOST_FROM_A_ZIPPED_BYTE = 1032

Vectors = tuple[Sequence[str], np.ndarray]


def needing_gensim(feature: str) -> AbstractContextManager[None]:
    """Say what to do where gensim can't be imported, as on Python 3.14."""
    otherwise = (
        " (it has no release for Python 3.14 so far). Or give the path to a text file "
        "of GloVe or word2vec, which needs no gensim."
    )
    return needing("gensim", feature, otherwise=otherwise)


def read_vector_file(path: Path) -> Vectors:
    """Return the words of a file in its order, and their vectors as a table."""
    try:
        words, table = _read(path)
    except MissingDependencyError:
        raise
    # a stranger's file makes parsers raise almost anything
    except Exception as error:
        raise BadFileError(
            f"{path} can't be read as word vectors: {error or repr(error)}"
        ) from error
    if table.ndim != 2 or not 0 < len(words) == len(table):
        raise BadFileError(
            f"{path} has {len(words)} words for vectors of shape {table.shape}."
        )
    if table.dtype.kind != "f" or not all(isinstance(word, str) for word in words):
        raise BadFileError(f"{path}: words must be texts, and vectors numbers.")
    return words, table


def save_vectors(path: Path, words: Sequence[str], table: np.ndarray) -> None:
    """Write a ``.npy`` and its ``.json``, which appear when they are complete."""
    with written_whole(path) as unfinished:
        with unfinished.open("wb") as file:
            np.save(file, np.asarray(table, dtype=np.float32), allow_pickle=False)
        with written_whole(path.with_suffix(".json")) as unfinished_words:
            unfinished_words.write_text(json.dumps(list(words)))


def _read(path: Path) -> Vectors:
    with path.open("rb") as file:
        head = file.read(6)
    if head == b"\x93NUMPY":
        table = np.load(path, mmap_mode="r", allow_pickle=False)
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8")), table
    if head.startswith(b"PK\x03\x04"):
        with np.load(path, allow_pickle=False) as arrays:
            if not {"words", "vectors"} <= set(arrays):
                raise ValueError(
                    "it is a zip archive without the arrays 'words' and 'vectors' of "
                    ".npz files. Unpack it, and give one of its files"
                )
            return arrays["words"].tolist(), arrays["vectors"]
    if head.startswith(b"\xba\x16O/"):
        raise ValueError(
            "it is a model of FastText in its own format. Load it with "
            "gensim.models.fasttext.load_facebook_vectors(path), and pass the object"
        )
    zipped = head.startswith(b"\x1f\x8b")
    with gzip.open(path) if zipped else path.open("rb") as stream:
        return _read_word2vec(stream, path.stat().st_size, zipped)


def _read_word2vec(stream: Any, n_bytes: int, zipped: bool) -> Vectors:
    """Read GloVe text, or word2vec text or binary."""
    if stream.peek(1)[:1] == b"\x80":
        raise ValueError(
            "it is a pickle, as gensim's save writes, which can run code. If you "
            "trust it, load it with gensim.models.KeyedVectors.load(path), and pass "
            "the object"
        )
    first = stream.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
    header = _HEADER.fullmatch(first)
    if header is None:
        return _read_text(stream, [first], len(first.split()) - 1)
    n_words, size = int(header[1]), int(header[2])
    # a number takes two bytes of text or four of binary
    most = n_bytes * (_MOST_FROM_A_ZIPPED_BYTE if zipped else 1)
    if min(n_words, size) == 0 or 2 * n_words * size > most:
        raise ValueError(
            f"its first line promises {n_words} words with {size} numbers each, which "
            "it can't hold; it may be cut off"
        )
    _, _, numbers = stream.peek(256)[:256].partition(b" ")
    line, end, _ = numbers[: 4 * size].partition(b"\n")
    is_text = _NUMBERS_AS_TEXT.fullmatch(line) and (
        not end or len(line.split()) == size
    )
    if not is_text:
        return _read_binary(stream, zipped)
    words, table = _read_text(stream, [], size, n_before=1)
    if len(words) != n_words:
        raise ValueError(
            f"it ends with {len(words)} words, its first line promises {n_words}; it "
            "may be cut off"
        )
    return words, table


def _read_text(
    stream: Any, first: list[bytes], size: int, n_before: int = 0
) -> Vectors:
    # gensim's own reader takes four times as long, and fails at words with spaces
    # in them, which some published files have
    words: list[str] = []
    numbers = bytearray()
    lines = (line for part in (first, stream) for line in part)
    for number, line in enumerate(lines, n_before + 1):
        fields = line.rsplit(None, max(size, 1))
        if not fields:
            continue
        if len(fields) == size and line[:1].isspace():
            fields.insert(0, b"")
        if size < 1 or len(fields) != size + 1:
            raise ValueError(
                f"line {number}: expected a word and {max(size, 1)} number(s), got "
                f"{len(fields)} field(s)"
            )
        try:
            with np.errstate(over="ignore"):
                row = np.array(fields[1:], dtype=np.float32)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        if not np.isfinite(row).all():
            raise ValueError(f"line {number}: a number is not finite")
        words.append(fields[0].decode("utf-8", "replace"))
        numbers += row.data
    return words, np.frombuffer(numbers, np.float32).reshape(len(words), max(size, 1))


def _read_binary(stream: Any, zipped: bool) -> Vectors:
    with needing_gensim("A binary file of word2vec"):
        from gensim.models import KeyedVectors
    with tempfile.TemporaryFile() if zipped else open(stream.name, "rb") as plain:
        if zipped:
            stream.seek(0)
            shutil.copyfileobj(stream, plain)
            plain.flush()
            os.lseek(plain.fileno(), 0, os.SEEK_SET)
        # a path gensim would open by its suffix
        keyed = KeyedVectors.load_word2vec_format(
            plain.fileno(), binary=True, unicode_errors="replace"
        )
    bad = np.flatnonzero(~np.isfinite(keyed.vectors).all(axis=1))
    if bad.size:
        raise ValueError(f"a number of word {bad[0] + 1} is not finite")
    return keyed.index_to_key, keyed.vectors
