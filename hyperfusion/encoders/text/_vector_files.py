"""Files of word vectors: GloVe and word2vec text, word2vec binary, gensim KeyedVectors.

The kind of a file is told from its content, never from its name.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hyperfusion.exceptions import InvalidInputError

_HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,12})\s*")
_NUMBERS_AS_TEXT = re.compile(rb"[0-9eE+\-.\snaif]*")
_BLOCK = 2**22  # bytes of text that are parsed at a time
_LONGEST_LINE = 2**20
_LONGEST_WORD = 2**12
_LONGEST_VECTOR = 2**16

Vectors = tuple[Sequence[str], np.ndarray]


def read_vector_file(path: Path) -> Vectors:
    """Read a file of word vectors.

    Parameters
    ----------
    path : Path
        GloVe text, word2vec text or word2vec binary, each plain or gzip, or what
        gensim's ``KeyedVectors.save`` wrote.

    Returns
    -------
    words : sequence of str
        In the order of the file. Bytes that are not UTF-8 are replaced.
    table : ndarray of shape (n_words, size), float32
        Memory-mapped where gensim stored the vectors in a file of their own.

    Raises
    ------
    InvalidInputError
        If the file is empty, cut off, malformed or of another kind. The message
        names the line, or the word where there are no lines.
    """
    with _open(path) as stream:
        try:
            head = stream.peek(4)[:4]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            _fail(path, f"the compressed file is damaged or cut off ({error})")
        if head[:1] == b"\x80":
            return _read_saved(path)
        if head == b"PK\x03\x04":
            _fail(path, "is a zip archive. Unpack it, and give one of its files")
        if b"\x00" in head or head in (b"PAR1", b"\x93NUM"):
            _fail(path, "is no file of word vectors of a known kind")
        return _Reader(path, stream).read()


def save_vectors(
    path: Path, words: Sequence[str], index: dict[str, int], table: np.ndarray
) -> None:
    """Write word vectors so that gensim, and `read_vector_file`, can memory-map them.

    The file appears when it is complete, also where several processes write it.
    """
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(table.shape[1], 0)
    keyed.index_to_key, keyed.key_to_index = list(words), dict(index)
    keyed.vectors = np.asarray(table, dtype=np.float32)
    keyed.next_index = len(words)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        keyed.save(str(Path(folder, path.name)), separately=["vectors"])
        for name in (f"{path.name}.vectors.npy", path.name):
            os.replace(Path(folder, name), path.with_name(name))


def _open(path: Path) -> Any:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _fail(path: Path, what: str) -> NoReturn:
    raise InvalidInputError(f"{path}: {what}.")


def _read_saved(path: Path) -> Vectors:
    from gensim.models import KeyedVectors

    compressed = path.suffix in (".gz", ".bz2")
    try:
        saved = KeyedVectors.load(str(path), mmap=None if compressed else "r")
        keyed = getattr(saved, "wv", saved)
        words, table = keyed.index_to_key, keyed.vectors
    except FileNotFoundError as error:
        _fail(path, f"its second file is missing, put it beside the first: {error}")
    except Exception as error:
        raise InvalidInputError(
            f"{path}: gensim can't read it as KeyedVectors: {error!r}."
        ) from error
    if np.ndim(table) != 2 or len(words) != len(table) or not len(table):
        _fail(path, "has no vectors, or not one for each word")
    return words, table


class _Reader:
    """Reads text and word2vec's binary format, and knows the line it is at."""

    def __init__(self, path: Path, stream: Any):
        self.path = path
        self.stream = stream
        self.n_lines = 0
        self.size = 0
        self.words: list[str] = []

    def read(self) -> Vectors:
        try:
            return self._read_any()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self._fail(f"the compressed file is damaged or cut off ({error})")

    def _read_any(self) -> Vectors:
        first = self.stream.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
        header = _HEADER.fullmatch(first)
        if header is None:
            self.size = len(first.split()) - 1
            return self._read_text(first)
        self.n_lines, self.size = 1, int(header[2])
        if not 0 < self.size <= _LONGEST_VECTOR or int(header[1]) == 0:
            self._fail("a number of words and a size of vectors were expected")
        if self._is_binary():
            return self._read_binary(int(header[1]))
        vectors = self._read_text(b"")
        if len(self.words) != int(header[1]):
            self._fail(
                f"the file ends with {len(self.words)} words, its first line promises "
                f"{int(header[1])}; it may be cut off"
            )
        return vectors

    def _read_text(self, first: bytes) -> Vectors:
        lines = [first] if first else []
        lines += self.stream.readlines(_BLOCK)
        tables = []
        while lines:
            tables.append(self._parse_block(lines))
            self.n_lines += len(lines)
            lines = self.stream.readlines(_BLOCK)
        if not self.words:
            self._fail("there are no words in it")
        return self.words, np.concatenate(tables)

    def _parse_block(self, lines: list[bytes]) -> np.ndarray:
        """Parse lines at once, or one by one where something is not as usual."""
        pairs = [line.rstrip().split(b" ", 1) for line in lines]
        try:
            words, numbers = zip(*pairs, strict=True)
            table = np.loadtxt(numbers, dtype=np.float32, comments=None, ndmin=2)
        except ValueError:
            return self._parse_lines(lines)
        if table.shape != (len(lines), self.size) or not np.isfinite(table).all():
            return self._parse_lines(lines)
        self.words += [_decode(word) for word in words]
        return table

    def _parse_lines(self, lines: list[bytes]) -> np.ndarray:
        rows = [
            self._parse_line(line, number)
            for number, line in enumerate(lines, self.n_lines + 1)
            if line.strip()
        ]
        return np.array(rows, dtype=np.float32).reshape(-1, max(self.size, 1))

    def _parse_line(self, line: bytes, number: int) -> np.ndarray:
        # Some published files hold words with spaces in them: count from the right.
        fields = line.rstrip().split()
        word = b" ".join(fields[: -self.size])
        if self.size < 1 or (not word and not line.startswith(b" ")):
            self._fail(
                f"expected a word and {max(self.size, 1)} number(s), got "
                f"{len(fields)} field(s)",
                number,
            )
        try:
            with np.errstate(over="ignore"):
                row = np.array(fields[-self.size :], dtype=np.float64)
                row = row.astype(np.float32)
        except ValueError as error:
            self._fail(str(error), number)
        if not np.isfinite(row).all():
            self._fail("a number is not finite", number)
        self.words.append(_decode(word))
        return row

    def _is_binary(self) -> bool:
        _, _, numbers = self.stream.peek(256)[:256].partition(b" ")
        return _NUMBERS_AS_TEXT.fullmatch(numbers[: 4 * self.size]) is None

    def _read_binary(self, n_words: int) -> Vectors:
        data = bytearray()
        n_bytes = 4 * self.size
        for number in range(1, n_words + 1):
            word = self._read_word()
            numbers = self.stream.read(n_bytes)
            if word is None or len(numbers) < n_bytes:
                _fail(
                    self.path,
                    f"word {number} of {n_words} is cut off or malformed; the file "
                    "may be incomplete",
                )
            self.words.append(_decode(word))
            data += numbers
        table = np.frombuffer(data, dtype="<f4").reshape(n_words, self.size)
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        if bad.size:
            _fail(self.path, f"a number of word {bad[0] + 1} is not finite")
        return self.words, table.astype(np.float32, copy=False)

    def _read_word(self) -> bytes | None:
        letters = bytearray()
        while len(letters) < _LONGEST_WORD:
            letter = self.stream.read(1)
            if letter == b" ":
                return bytes(letters).lstrip(b"\n")
            if not letter:
                break
            letters += letter
        return None

    def _fail(self, what: str, number: int | None = None) -> NoReturn:
        where = f"line {self.n_lines if number is None else number}"
        if number is None:
            where = f"after {where}"
        _fail(self.path, f"{where}: {what}")


def _decode(word: bytes) -> str:
    return word.decode("utf-8", "replace")
