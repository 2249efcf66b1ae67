"""A store of embeddings on disk, item by item."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from hyperfusion._warnings import warn_user
from hyperfusion.encoders.cache import _store as store
from hyperfusion.encoders.cache._memory import MEMORY, MemoryCache
from hyperfusion.exceptions import InvalidInputError

T = TypeVar("T")

STORE = "embeddings-1"
DATABASE = "embeddings.sqlite"
MAX_SIZE = 20 * 2**30
KEYS_A_QUERY = 500
USES_AT_ONCE = 1000
# A damaged file may ask for absurd amounts of memory, and name itself in broken text.
TROUBLE = (sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError)
# A connection that a forked child inherited must never be closed by it (SQLite would
# drop the parent's locks), so it is kept for as long as the child lives.
_INHERITED: list[sqlite3.Connection] = []


class EmbeddingCache:
    """Embeddings on disk, stored item by item and shared by processes and threads.

    The encoders store each embedding under a hash of the content of the item and of
    everything its numbers depend on (architecture, weights, preprocessing, precision).
    So a shuffled, split or larger table, or a run that was killed, only encodes what is
    new.

    Parameters
    ----------
    folder : str or path
        Folder of the embeddings, created when it is first needed. It should be on a
        local disk: SQLite's locks are not reliable on network file systems.
    max_size : int or None, default=21474836480
        Maximum size of the store in bytes (20 GiB, about ten million vectors of 512
        numbers). The least recently used embeddings are removed. None means no limit.

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
    Problems with the store never stop a run; each gives one warning. An embedding with
    a wrong checksum is computed again. A damaged store is renamed, and a new one is
    started. If the disk is full or read-only, stored embeddings are read and new ones
    are not stored.

    A pickle holds the folder and the limit; a copy is the object itself, so clones of
    an encoder share it. Storing 1,000 vectors of 512 numbers takes about 50 ms, reading
    them about 20 ms; each takes 2.4 KB of disk.

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
        self, folder: str | os.PathLike[str], *, max_size: int | None = MAX_SIZE
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
        self._file = Path(self.folder).expanduser() / STORE / DATABASE
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._writable = True
        self._opened: tuple[int, Any] | None = None
        self._checked = False
        self._used: set[bytes] = set()
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
        wanted = list(keys)
        found: dict[bytes, np.ndarray] = {}
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
        if vectors:
            self._attempt(lambda c: self._write(c, vectors), None, "kept", write=True)

    @property
    def size(self) -> int:
        """Bytes that the store takes on disk."""
        total = 0
        for file in self._file.parent.glob("*"):
            with contextlib.suppress(OSError):  # it has left since
                total += file.stat().st_size
        return total

    @property
    def entries(self) -> int:
        """Number of embeddings in the store."""
        return self._attempt(store.count, 0, "counted")

    def clear(self) -> None:
        """Remove all embeddings; other processes can continue to use the store."""
        self._attempt(store.delete_all, None, "cleared", write=True)

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
        bound = "" if self.max_size == MAX_SIZE else f", max_size={self.max_size}"
        return f"EmbeddingCache({str(self.folder)!r}{bound})"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "max_size": self.max_size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], max_size=state["max_size"])  # type: ignore[misc]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def _attempt(
        self,
        action: Callable[[sqlite3.Connection], T],
        default: T,
        deed: str,
        *,
        write: bool = False,
    ) -> T:
        """Run an action on the database; on trouble warn and return the default."""
        self._leave_parent()
        with self._lock:
            if write and not self._writable:
                self._disconnect()  # by now there may be space, or permission
            for _ in range(2):
                try:
                    result = action(self._open())
                except TROUBLE as error:
                    if not (self._writable and store.is_damage(error)):
                        self._warn_of_failure(deed, error)
                        return default
                    self._set_aside(error)
                else:
                    self._failed.discard(deed)
                    return result
        return default

    def _leave_parent(self) -> None:
        """Forget the connection and the lock of the parent process after a fork."""
        if self._opened is not None and self._opened[0] != os.getpid():
            if self._connection is not None:
                _INHERITED.append(self._connection)
            self._forget_connection()

    def _open(self) -> sqlite3.Connection:
        now = os.getpid(), _identity(self._file)
        if self._connection is not None and self._opened != now:
            self._disconnect()  # the file was moved or removed since
        if self._connection is None:
            _make_folder(self._file.parent)
            self._opened = os.getpid(), _identity(self._file)
            self._writable = True
            self._connection, self._writable = store.connect(self._file)
            self._opened = os.getpid(), _identity(self._file)
            self._checked = False
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(
        self, connection: sqlite3.Connection, keys: Sequence[bytes]
    ) -> dict[bytes, np.ndarray]:
        found, wrong = store.select(connection, keys)
        if wrong and not self._checked:
            self._checked = True
            store.check_whole(connection)
            self._warn(
                f"Some embeddings in {self!r} are damaged (their checksums do not "
                "agree); they are made anew."
            )
        self._used.update(found)
        if len(self._used) >= USES_AT_ONCE:
            self._note_uses(connection)
        return found

    def _note_uses(self, connection: sqlite3.Connection) -> None:
        used, self._used = self._used, set()
        store.note_uses(connection, used)

    def _write(
        self, connection: sqlite3.Connection, vectors: Mapping[bytes, np.ndarray]
    ) -> None:
        store.insert(connection, vectors)
        if self.max_size is not None and store.bytes_taken(connection) > self.max_size:
            self._note_uses(connection)
            store.evict(connection, self.max_size)

    def _set_aside(self, error: Exception) -> None:
        """Move the whole folder away, so that no file of it meets the new one's."""
        seen = self._opened
        self._disconnect()
        if seen is None or seen[1] != _identity(self._file):
            return  # another process has done it
        folder = self._file.parent
        aside = folder.with_name(f"{STORE}-damaged-{uuid.uuid4().hex[:8]}")
        try:
            folder.rename(aside)
        except OSError as problem:
            self._warn_of_failure("kept", problem)
        else:
            self._warn(
                f"The embedding cache {folder} is damaged ({error}). It was moved to "
                f"{aside}, which you can delete; a new one begins."
            )

    def _warn_of_failure(self, deed: str, error: Exception) -> None:
        if deed not in self._failed:
            self._failed.add(deed)
            self._warn(
                f"Embeddings can't be {deed} in {self!r} for now: {error}. The results "
                "are right, but will cost their time again."
            )

    def _warn(self, message: str) -> None:
        warn_user(message, RuntimeWarning)


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
    elif isinstance(cache, EmbeddingCache):
        _make_folder(cache._file.parent)
        yield cache
    else:
        with EmbeddingCache(cache) as opened:
            _make_folder(opened._file.parent)
            yield opened


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"cache={str(folder.parent)!r} can't be created as a folder: {error}"
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies the file at a path, to notice if it is replaced."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None
