"""Results for the latest pictures and texts, in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping

import numpy as np

MAX_BYTES = 2**26
_OVERHEAD = 300


class MemoryCache:
    """Vectors by key, without the least recently used ones.

    It has the methods of `EmbeddingCache` that encoders use.
    """

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
