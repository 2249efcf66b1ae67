"""A store of embeddings on disk, one item at a time, that outlives its process.

The store is one SQLite database. SQLite keeps it whole when a process is killed
and lets several processes write; what SQLite does not notice (a flipped bit
within a vector) a checksum of every row does. Nothing that happens to the store
may change a result: trouble ends in a warning and in embeddings made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from hyperfusion.exceptions import InvalidInputError

T = TypeVar("T")

STORE = "embeddings-1"
DATABASE = "embeddings.sqlite"
DAMAGED = "damaged"
KEYS_A_QUERY = 500
WAIT_SECONDS = 30
ROOM_AFTER_EVICTION = 0.9
# Failures of the machine rather than of the file. All others mean damage: a flipped
# bit shows in many ways, from "malformed" to a column that does not exist.
ENVIRONMENT = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
# A damaged file may ask for absurd amounts of memory, and name itself in broken text.
TROUBLE = (sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError)
# A page of 16 KiB holds seven vectors of 512 numbers; one of 4 KiB would hold one.
SETUP = """
PRAGMA page_size = 16384;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
"""
# Times of use are apart from the vectors: a hit does not rewrite a vector's page.
TABLES = (
    """CREATE TABLE IF NOT EXISTS embeddings (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        checksum INTEGER NOT NULL,
        vector BLOB NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS uses (id INTEGER PRIMARY KEY, used INTEGER NOT NULL)",
)
NOTE_USE = "INSERT OR REPLACE INTO uses SELECT id, ? FROM embeddings WHERE key = ?"
USES_AT_ONCE = 1000
# A connection that a forked child inherited must never be closed by it (SQLite would
# drop the parent's locks), so it is kept for as long as the child lives.
_INHERITED: list[sqlite3.Connection] = []


class EmbeddingCache:
    """Embeddings on disk, kept item by item and shared by processes and threads.

    The encoders store each embedding under a hash of the item's content and of all
    that its numbers depend on (architecture, weights, preprocessing, precision). So a
    shuffled, split or grown table costs only what is new, another model never meets
    the wrong vectors, and a run that was killed goes on where it stopped.

    Parameters
    ----------
    folder : str or path
        Where to keep the embeddings; made when it is first needed. It should be on a
        local disk: SQLite's locks are not reliable on network file systems.
    max_size : int or None, default=21474836480
        Bytes that the store may take (20 GiB, some ten million vectors of 512
        numbers). When it is full, the embeddings that were not used for the longest
        time leave. None means no bound.

    Attributes
    ----------
    size : int
        Bytes that the store takes on disk.
    entries : int
        Number of embeddings in it.

    Raises
    ------
    InvalidInputError
        If `max_size` is not a positive number of bytes, or the folder can't be made.

    Notes
    -----
    No trouble with the store changes a result. A row whose checksum does not agree is
    made anew. A damaged file is moved aside into the folder ``damaged`` and a new one
    begins. A full disk or a folder without permission to write means that new
    embeddings are not kept. Each of these gives one warning.

    An object pickles as its folder and its bound; a copy of it is the object itself, so
    that clones of an encoder share it. Keeping 1000 vectors of 512 numbers takes
    some 10 ms, finding them some 10 ms, and 2.3 KB of disk each.

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

    def __init__(
        self, folder: str | os.PathLike[str], *, max_size: int | None = 20 * 2**30
    ):
        if max_size is not None and not (
            isinstance(max_size, Integral) and max_size > 0
        ):
            raise InvalidInputError(
                "max_size must be a positive number of bytes or None. "
                f"Got {max_size!r}."
            )
        self.folder = os.fspath(folder)
        self.max_size = max_size
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, Any] | None = None
        self._warned: set[str] = set()
        self._used: set[bytes] = set()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the embeddings that are there.

        Parameters
        ----------
        keys : iterable of bytes
            What the embeddings were stored under.

        Returns
        -------
        dict of {bytes: ndarray of float32}
            The embeddings that were found; the keys of the others are not in it.
        """
        wanted = list(keys)
        found: dict[bytes, np.ndarray] = {}
        for start in range(0, len(wanted), KEYS_A_QUERY):
            some = wanted[start : start + KEYS_A_QUERY]
            found |= self._attempt(lambda c, some=some: self._read(c, some), {}, "read")
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep embeddings; they are safe from a kill when this returns.

        Parameters
        ----------
        vectors : mapping of {bytes: array of float32}
            Embeddings under their keys. Known keys are overwritten.
        """
        if vectors:
            self._attempt(lambda c: self._write(c, vectors), None, "kept")

    @property
    def size(self) -> int:
        """Bytes that the store takes on disk."""
        files = self._path.parent.glob("*")
        sizes = (_stat(f) for f in files)
        return sum(s.st_size for s in sizes if s is not None)

    @property
    def entries(self) -> int:
        """Number of embeddings in the store."""
        count = "SELECT COUNT(*) FROM uses"
        return self._attempt(lambda c: c.execute(count).fetchone()[0], 0, "counted")

    def clear(self) -> None:
        """Drop all embeddings; other processes may go on using the store."""
        self._attempt(_delete_all, None, "cleared")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._leave_parent()
        with self._lock:
            if self._used and self._connection is not None:
                self._attempt(self._note_uses, None, "noted as used")
            self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        bound = "" if self.max_size == 20 * 2**30 else f", max_size={self.max_size}"
        return f"EmbeddingCache({str(self.folder)!r}{bound})"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "max_size": self.max_size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_connection()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    @property
    def _path(self) -> Path:
        return Path(self.folder).expanduser() / STORE / DATABASE

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
                    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
                    if code & 0xFF in ENVIRONMENT:
                        self._warn(f"Embeddings can't be {deed} in {self!r}: {error}.")
                        return default
                    self._set_aside(error)
                else:
                    self._warned.clear()
                    return result
        return default

    def _leave_parent(self) -> None:
        """After a fork: neither the connection nor the lock are this process's own."""
        if self._opened is not None and self._opened[0] != os.getpid():
            if self._connection is not None:
                _INHERITED.append(self._connection)
            self._forget_connection()

    def _open(self) -> sqlite3.Connection:
        path = self._path
        if self._connection is not None and self._opened != (os.getpid(), _id(path)):
            self._disconnect()  # somebody moved or removed the file since
        if self._connection is None:
            _make_folder(path.parent)
            self._opened = os.getpid(), _id(path)
            self._connection = _connect(path)
            self._opened = os.getpid(), _id(path)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(
        self, connection: sqlite3.Connection, keys: Sequence[bytes]
    ) -> dict[bytes, np.ndarray]:
        found, wrong = _select(connection, keys)
        if wrong:
            _check_whole(connection)
            self._warn(
                f"{wrong} embedding(s) in {self!r} are damaged (their checksums do not "
                "agree): they are made anew."
            )
        self._used.update(found)
        if len(self._used) >= USES_AT_ONCE:
            self._note_uses(connection)
        return found

    def _note_uses(self, connection: sqlite3.Connection) -> None:
        """Write down when entries were used; a store without room is still read."""
        used, self._used = self._used, set()
        now = time.time_ns()
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(NOTE_USE, ((now, key) for key in used))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in ENVIRONMENT:
                raise

    def _write(
        self, connection: sqlite3.Connection, vectors: Mapping[bytes, np.ndarray]
    ) -> None:
        now = time.time_ns()
        rows = [(k, _checksum(k, v), v) for k, v in _as_bytes(vectors)]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO embeddings (key, checksum, vector) VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE "
                "SET checksum = excluded.checksum, vector = excluded.vector",
                rows,
            )
            connection.executemany(NOTE_USE, ((now, row[0]) for row in rows))
        if self.max_size is not None and _bytes_taken(connection) > self.max_size:
            self._note_uses(connection)
            _evict(connection, self.max_size)

    def _set_aside(self, error: Exception) -> None:
        """Move the whole store away, so that no file of it meets the new one's."""
        seen = self._opened
        self._disconnect()
        store = self._path.parent
        if seen is None or seen[1] != _id(self._path):
            return  # another process has done it
        aside = store.with_name(DAMAGED)
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            store.rename(aside)
        self._warn(
            f"The embedding cache {store} is damaged ({error}). It was moved to "
            f"{aside}; a new one begins, and its embeddings are made anew."
        )

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, RuntimeWarning, stacklevel=4)


def item_key(fingerprint: str, content: bytes) -> bytes:
    """Return the key of an item: a hash of the encoder's and of the item's own."""
    return hashlib.sha256(fingerprint.encode() + b"\0" + content).digest()


@contextlib.contextmanager
def open_cache(
    cache: str | os.PathLike[str] | EmbeddingCache | None,
) -> Iterator[EmbeddingCache | None]:
    """Give the cache that a parameter names; one opened for this is closed again."""
    if cache is None or isinstance(cache, EmbeddingCache):
        yield cache
    else:
        with EmbeddingCache(cache) as opened:
            yield opened


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"cache={str(folder.parent)!r} can't be made a folder for embeddings: "
            f"{error}"
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    """Prepare a new database. Changing the journal's mode does not wait for locks."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            for statement in SETUP.strip().splitlines():
                connection.execute(statement).fetchall()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for table in TABLES:
                    connection.execute(table)
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _select(
    connection: sqlite3.Connection, keys: Sequence[bytes]
) -> tuple[dict[bytes, np.ndarray], int]:
    """Return the vectors that are whole, and the number of those that are not."""
    marks = ",".join("?" * len(keys))
    query = f"SELECT key, checksum, vector FROM embeddings WHERE key IN ({marks})"
    found: dict[bytes, np.ndarray] = {}
    wrong = 0
    for key, checksum, vector in connection.execute(query, keys):
        if isinstance(vector, bytes) and checksum == _checksum(key, vector):
            found[key] = np.frombuffer(vector, dtype="<f4").astype(np.float32)
        else:
            wrong += 1
    return found, wrong


def _check_whole(connection: sqlite3.Connection) -> None:
    """Raise where not only rows but the file's structure is damaged."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _evict(connection: sqlite3.Connection, max_size: int) -> None:
    """Let the entries leave that were not used for the longest time."""
    taken = _bytes_taken(connection)
    while taken > max_size:
        count = connection.execute("SELECT COUNT(*) FROM uses").fetchone()[0]
        share = 1 - ROOM_AFTER_EVICTION * max_size / taken
        leaving = connection.execute(
            "SELECT id FROM uses ORDER BY used, id LIMIT ?", [int(count * share) + 1]
        ).fetchall()
        if not leaving:
            return  # what is left is the database's own
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in ("embeddings", "uses"):
                connection.executemany(f"DELETE FROM {table} WHERE id = ?", leaving)
        connection.execute("PRAGMA incremental_vacuum").fetchall()
        taken = _bytes_taken(connection)


def _bytes_taken(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _delete_all(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM embeddings")
        connection.execute("DELETE FROM uses")
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _as_bytes(vectors: Mapping[bytes, np.ndarray]) -> Iterator[tuple[bytes, bytes]]:
    return ((k, np.asarray(v, dtype="<f4").tobytes()) for k, v in vectors.items())


def _checksum(key: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(key))


def _stat(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return path.stat()
    return None


def _id(path: Path) -> tuple[int, int] | None:
    """Identify the file that a path leads to, to see when it is another one."""
    status = _stat(path)
    return None if status is None else (status.st_dev, status.st_ino)
