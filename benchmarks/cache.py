"""EmbeddingCache beside writing and reading the same vectors as one plain file.

The plain file is the limit: no keys, no checksums, nothing kept when a run is killed.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from hyperfusion.encoders import EmbeddingCache

N, WIDTH, BATCH = 50_000, 512, 32


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def write_plain(path, vectors):
    with path.open("wb") as file:
        file.write(vectors.tobytes())
        os.fsync(file.fileno())


def main():
    vectors = np.random.RandomState(0).normal(size=(N, WIDTH)).astype(np.float32)
    keys = [os.urandom(32) for _ in range(N)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        plain_write = seconds(lambda: write_plain(folder / "plain", vectors))
        plain_read = seconds(lambda: np.fromfile(folder / "plain", dtype=np.float32))
        with EmbeddingCache(folder / "cache") as cache:

            def put(size):
                for start in range(0, N, size):
                    some = slice(start, start + size)
                    cache.put(dict(zip(keys[some], vectors[some], strict=True)))

            written = seconds(lambda: put(BATCH))
            read = seconds(lambda: cache.get(keys))
            one_by_one = seconds(lambda: [cache.get([key]) for key in keys])
            cache.close()
            size = cache.size / (N * WIDTH * 4)
    for name, time_taken, limit in (
        (f"put, {BATCH} at a time", written, plain_write),
        ("get all", read, plain_read),
        ("get one by one", one_by_one, plain_read),
    ):
        each = time_taken / N * 1e6
        print(
            f"{name}: {each:.0f} us each, {time_taken / limit:.1f} times a plain file"
        )
    print(f"size: {size:.2f} times the vectors'")


if __name__ == "__main__":
    main()
