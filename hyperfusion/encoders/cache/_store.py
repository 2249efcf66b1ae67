"""The SQLite database behind the embedding cache: statements on a connection."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

WAIT_SECONDS = 30
ROOM_AFTER_EVICTION = 0.9
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
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {64 * 2**20}",
)
# The second leaves locks and shared memory out, for which nothing could be written:
# with an exclusive lock SQLite keeps the index of a WAL in the process's own memory.
READ_ONLY = ("mode=ro", "mode=ro&vfs=unix-none", "immutable=1")
# Times of use are apart from the vectors: a hit does not rewrite a vector's page.
TABLES = (
    """CREATE TABLE IF NOT EXISTS embeddings (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        checksum INTEGER NOT NULL,
        vector BLOB NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS uses (id INTEGER PRIMARY KEY, used INTEGER NOT NULL)",
)
STORE = """INSERT INTO embeddings (key, checksum, vector) VALUES (?, ?, ?)
    ON CONFLICT (key)
    DO UPDATE SET checksum = excluded.checksum, vector = excluded.vector"""
NOTE_USE = "INSERT OR REPLACE INTO uses SELECT id, ? FROM embeddings WHERE key = ?"
OLDEST = """SELECT embeddings.id FROM embeddings LEFT JOIN uses USING (id)
    ORDER BY used, id LIMIT ?"""


def is_damage(error: Exception) -> bool:
    """Whether an error means that the file is damaged, not just unusable now."""
    if isinstance(error, MemoryError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in ENVIRONMENT


def connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open a database, create its tables if needed, and return if it is writable.

    If it can only be read (full disk, read-only folder), open it for reading.
    """
    try:
        return _connect(path), True
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if busy or is_damage(error):
            raise
        for options in READ_ONLY:
            with contextlib.suppress(sqlite3.Error):
                return _connect(f"{path.absolute().as_uri()}?{options}"), False
        raise


def _connect(path: Path | str) -> sqlite3.Connection:
    """Open a database by its path, or only for reading by its address."""
    read_only = isinstance(path, str)
    connection = sqlite3.connect(
        path,
        timeout=WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=read_only,
    )
    try:
        if read_only:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            connection.execute("SELECT 1 FROM embeddings LIMIT 1").fetchall()
        else:
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
            for statement in SETUP:
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


def select(
    connection: sqlite3.Connection, keys: Sequence[bytes]
) -> tuple[dict[bytes, np.ndarray], int]:
    """Return the intact vectors, and the number of damaged ones."""
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


def insert(connection: sqlite3.Connection, vectors: Mapping[bytes, np.ndarray]) -> None:
    """Store vectors in one transaction; known keys are overwritten."""
    blobs = {k: np.asarray(v, dtype="<f4").tobytes() for k, v in vectors.items()}
    now = time.time_ns()
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            STORE, ((k, _checksum(k, blob), blob) for k, blob in blobs.items())
        )
        connection.executemany(NOTE_USE, ((now, key) for key in blobs))


def note_uses(connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
    """Record that entries are used now; a full store can still be read."""
    now = time.time_ns()
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(NOTE_USE, ((now, key) for key in keys))
    except sqlite3.OperationalError as error:
        if is_damage(error):
            raise


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM embeddings").fetchone()[0])


def delete_all(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM embeddings")
        connection.execute("DELETE FROM uses")
    _give_back(connection, _pragma(connection, "freelist_count"))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def bytes_taken(connection: sqlite3.Connection) -> int:
    used = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return used * _pragma(connection, "page_size")


def evict(connection: sqlite3.Connection, max_size: int) -> None:
    """Remove the least recently used entries."""
    taken = bytes_taken(connection)
    while taken > max_size:
        share = 1 - ROOM_AFTER_EVICTION * max_size / taken
        most = int(count(connection) * share) + 1
        leaving = connection.execute(OLDEST, [most]).fetchall()
        if not leaving:
            break  # what is left is the database's own
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in ("embeddings", "uses"):
                connection.executemany(f"DELETE FROM {table} WHERE id = ?", leaving)
        taken = bytes_taken(connection)
    space = max_size // _pragma(connection, "page_size")
    _give_back(connection, _pragma(connection, "page_count") - space)


def check_whole(connection: sqlite3.Connection) -> None:
    """Raise if the structure of the file is damaged, not just rows."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _give_back(connection: sqlite3.Connection, pages: int) -> None:
    """Shorten the file by some of its unused pages."""
    if pages > 0:
        # `execute` would stop after the first page
        connection.executescript(f"PRAGMA incremental_vacuum({pages})")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _checksum(key: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(key))
