"""Stores of embeddings, item by item: in a SQLite database, and in memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import InvalidInputError

MAX_BYTES = 2**26
_OVERHEAD = 300


class MemoryCache:
    """Vectors by key, without the least recently used ones."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[bytes, np.ndarray] = {}
        self._size = 0

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        found = {}
        with self._lock:
            for key in keys:
                vector = self._kept.pop(key, None)
                if vector is not None:
                    found[key] = self._kept[key] = vector  # the latest again
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        with self._lock:
            for key, vector in vectors.items():
                self._forget(key)
                self._kept[key] = np.array(vector)
                self._size += self._kept[key].nbytes + _OVERHEAD
            while self._size > MAX_BYTES:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        vector = self._kept.pop(key, None)
        if vector is not None:
            self._size -= vector.nbytes + _OVERHEAD


MEMORY = MemoryCache()
"""The cache of all encoders without one on disk."""

if hasattr(os, "register_at_fork"):  # another thread may have held the lock
    os.register_at_fork(after_in_child=MEMORY.clear)


T = TypeVar("T")

STORE = "embeddings-1"
DATABASE = "embeddings.sqlite"
WAIT_SECONDS = 30
KEYS_A_QUERY = 500
# A damaged file may ask for absurd amounts of memory, and name itself in broken text.
TROUBLE = (sqlite3.Error, OSError, OverflowError, MemoryError, UnicodeDecodeError)
# Failures of the machine rather than of the file. All others mean damage: a flipped
# bit shows in many ways, from "malformed" to a column that does not exist.
ENVIRONMENT = {
    *(sqlite3.SQLITE_AUTH, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY),
}
# A page of 16 KiB holds seven vectors of 512 numbers; one of 4 KiB would hold one.
# WAL lets others read while one writes; with it, NORMAL is safe from a killed process.
SETUP = (
    "PRAGMA page_size = 16384",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {64 * 2**20}",
    """CREATE TABLE IF NOT EXISTS embeddings (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        checksum INTEGER NOT NULL,
        vector BLOB NOT NULL)""",
)
# The second leaves locks and shared memory out, for which nothing could be written:
# with an exclusive lock SQLite keeps the index of a WAL in the process's own memory.
READ_ONLY = ("mode=ro", "mode=ro&vfs=unix-none", "immutable=1")
READING = ("PRAGMA locking_mode = EXCLUSIVE", "SELECT 1 FROM embeddings LIMIT 1")
INSERT = "INSERT OR REPLACE INTO embeddings (key, checksum, vector) VALUES (?, ?, ?)"
# A connection that a forked child inherited must never be closed by it (SQLite would
# drop the parent's locks), so it is kept for as long as the child lives.
_INHERITED: list[Any] = []


class EmbeddingCache:
    """Embeddings on disk, stored item by item and shared by processes and threads.

    The encoders store each embedding under a hash of the content of the item and of
    everything its numbers depend on, so that a larger table, or a run that was killed,
    only encodes what is new.

    Parameters
    ----------
    folder : str or path
        Folder of the embeddings, created when it is first needed. It should be on a
        local disk: SQLite's locks are not reliable on network file systems.

    Attributes
    ----------
    entries : int
        Number of embeddings in it.

    Notes
    -----
    Problems with the store never stop a run; each gives one warning. An embedding with
    a wrong checksum is computed again. A damaged store is renamed, and a new one is
    started. If the disk is full or read-only, stored embeddings are read, and new ones
    are not stored. Only `fit` of an encoder refuses a folder that can't be made.

    A pickle holds the folder; a copy is the object itself, so clones of an encoder
    share it. Storing 1,000 vectors of 512 numbers takes about 60 ms and 2.4 MB.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from hyperfusion.encoders import EmbeddingCache
    >>> with tempfile.TemporaryDirectory() as folder, EmbeddingCache(folder) as cache:
    ...     cache.put({b"key of an item": np.ones(3, dtype=np.float32)})
    ...     print(cache.entries, cache.get([b"key of an item", b"another"]))
    1 {b'key of an item': array([1., 1., 1.], dtype=float32)}
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = os.fspath(folder)
        self._file = Path(self.folder).expanduser() / STORE / DATABASE
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._writable = True
        self._process = os.getpid()
        self._opened: Any = None
        self._checked = False
        self._failed: set[str] = set()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the stored embeddings.

        Parameters
        ----------
        keys : iterable of bytes
            The keys that the embeddings were stored under.

        Returns
        -------
        dict of {bytes: ndarray of float32}
            The embeddings that were found, by key.
        """
        wanted, found = list(keys), dict[bytes, np.ndarray]()
        nothing: dict[bytes, np.ndarray] = {}
        for start in range(0, len(wanted), KEYS_A_QUERY):
            some = wanted[start : start + KEYS_A_QUERY]
            found |= self._attempt(partial(self._read, keys=some), nothing, "read")
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Store embeddings; they are on disk when this returns.

        Parameters
        ----------
        vectors : mapping of {bytes: array of float32}
            Embeddings under their keys. Known keys are overwritten.
        """
        if not vectors:
            return
        blobs = {k: np.asarray(v, dtype="<f4").tobytes() for k, v in vectors.items()}
        rows = [(k, _checksum(k, blob), blob) for k, blob in blobs.items()]

        self._leave_parent()
        with self._lock:
            if not self._writable:
                self.close()  # by now there may be space, or permission
            self._attempt(lambda c: _insert(c, rows), None, "kept")

    @property
    def entries(self) -> int:
        """Number of embeddings in the store."""
        query = "SELECT COUNT(*) FROM embeddings"
        return self._attempt(lambda c: c.execute(query).fetchone()[0], 0, "counted")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._leave_parent()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddingCache({str(self.folder)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        EmbeddingCache.__init__(self, state["folder"])

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def _attempt(
        self, action: Callable[[sqlite3.Connection], T], default: T, deed: str
    ) -> T:
        """Run an action on the database; on trouble warn and return the default."""
        self._leave_parent()
        with self._lock:
            for _ in range(2):
                try:
                    result = action(self._open())
                except TROUBLE as error:
                    if not (self._writable and _is_damage(error)):
                        self._warn_of_failure(deed, error)
                        return default
                    self._set_aside(error)
                else:
                    self._failed.discard(deed)
                    return result
        return default

    def _leave_parent(self) -> None:
        """Forget the connection and the lock of the parent process after a fork."""
        if self._process != os.getpid():
            _INHERITED.append(self._connection)
            self._forget_connection()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened != _identity(self._file):
            self.close()  # the file was moved or removed since
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._opened, self._writable = _identity(self._file), True
            self._connection, self._writable = _connect(self._file)
            self._opened, self._checked = _identity(self._file), False
        return self._connection

    def _read(
        self, connection: sqlite3.Connection, keys: Sequence[bytes]
    ) -> dict[bytes, np.ndarray]:
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, checksum, vector FROM embeddings WHERE key IN ({marks})"
        found, wrong = {}, False
        for key, checksum, vector in connection.execute(query, keys):
            if isinstance(vector, bytes) and checksum == _checksum(key, vector):
                found[key] = np.frombuffer(vector, dtype="<f4").astype(np.float32)
            else:
                wrong = True
        if wrong and not self._checked:
            self._checked = True
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":  # not just rows are damaged
                raise sqlite3.DatabaseError(verdict)
            warn_user(
                f"Some embeddings in {self!r} are damaged (their checksums do not "
                "agree); they are computed again.",
                RuntimeWarning,
            )
        return found

    def _set_aside(self, error: Exception) -> None:
        """Move the whole folder away, so that no file of it meets the new one's."""
        seen = self._opened
        self.close()
        if seen is None or seen != _identity(self._file):
            return  # another process has done it
        folder = self._file.parent
        aside = folder.with_name(f"{STORE}-damaged-{uuid.uuid4().hex[:8]}")
        try:
            folder.rename(aside)
        except OSError as problem:
            self._warn_of_failure("kept", problem)
            return
        warn_user(
            f"The embedding cache {folder} is damaged ({error}). It was moved to "
            f"{aside}, which you can delete. A new one was started.",
            RuntimeWarning,
        )

    def _warn_of_failure(self, deed: str, error: Exception) -> None:
        if deed not in self._failed:
            self._failed.add(deed)
            warn_user(
                f"Embeddings can't be {deed} in {self!r} for now: {error}. Results are "
                "correct, but these embeddings will have to be computed again.",
                RuntimeWarning,
            )


def item_key(fingerprint: str, content: bytes) -> bytes:
    """Return the key of an item: a hash of the encoder and the item."""
    return hashlib.sha256(fingerprint.encode() + b"\0" + content).digest()


@contextlib.contextmanager
def open_cache(
    cache: str | os.PathLike[str] | EmbeddingCache | None,
) -> Iterator[EmbeddingCache | MemoryCache]:
    """Give the cache that a parameter names (None is memory), and close it again."""
    if cache is None:
        yield MEMORY
        return
    opened = cache if isinstance(cache, EmbeddingCache) else EmbeddingCache(cache)
    try:
        yield opened
    finally:
        if opened is not cache:
            opened.close()


def check_cache(cache: str | os.PathLike[str] | EmbeddingCache | None) -> None:
    """Refuse a folder that can't be made, before a long run would go without it."""
    if cache is None:
        return
    opened = cache if isinstance(cache, EmbeddingCache) else EmbeddingCache(cache)
    try:
        opened._file.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"cache={opened.folder!r} can't be created as a folder: {error}"
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies the file at a path, to notice if it is replaced."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _insert(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, rows)


def _checksum(key: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(key))


def _is_damage(error: Exception) -> bool:
    """Whether an error means that the file is damaged, not just unusable now."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    of_machine = isinstance(error, (OSError, MemoryError))
    return not of_machine and code & 0xFF not in ENVIRONMENT


def _connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open a database, if need be only for reading, and return if it is writable."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return _prepared(path, SETUP), True
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            if code & 0xFF == sqlite3.SQLITE_BUSY and time.monotonic() <= deadline:
                time.sleep(0.05)  # changing the journal's mode does not wait for locks
                continue
            if code & 0xFF == sqlite3.SQLITE_BUSY or _is_damage(error):
                raise
            for options in READ_ONLY:
                address = f"{path.absolute().as_uri()}?{options}"
                with contextlib.suppress(sqlite3.Error):
                    return _prepared(address, READING, uri=True), False
            raise


def _prepared(
    place: Path | str, statements: Sequence[str], *, uri: bool = False
) -> sqlite3.Connection:
    options: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}
    connection = sqlite3.connect(place, timeout=WAIT_SECONDS, uri=uri, **options)
    try:
        for statement in statements:
            connection.execute(statement).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection
