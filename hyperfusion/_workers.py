"""Parallel work: workers end with it, and errors say what they worked on."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController

Call = tuple[str, tuple[Any, ...]]
_SECONDS = 0.5
_watching = False


def in_parallel(
    function: Callable[..., Any], calls: Iterable[Call], n_jobs: int | None
) -> Iterator[Any]:
    """Yield the results of calls (title, arguments) in order.

    SIGTERM unwinds the main thread, so workers end and temporary files are deleted. If
    a worker is killed, the error lists the titles of the unfinished calls. Without
    workers SIGTERM ends the process at once, as usual.
    """
    with _orderly(n_jobs) as folder:
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_work)(folder, title, function, *args) for title, args in calls
        )


def thread_limit(n_threads: int, **which: str) -> AbstractContextManager[Any]:
    """Limit the threads of native libraries: of all, or of those of one user_api."""
    return _native_libraries(len(sys.modules)).limit(limits=n_threads, **which)


@lru_cache(maxsize=1)
def _native_libraries(_: int) -> ThreadpoolController:
    """Find them; again only after new imports, as it takes as long as a small fit."""
    return ThreadpoolController()


def _work(folder: Path | None, title: str, function: Any, *args: Any) -> Any:
    _end_with_parent()
    if folder is None:
        return function(*args)
    note = folder / str(os.getpid())
    with suppress(OSError):  # a worker on another machine has no such folder
        note.write_text(title)
    try:
        return function(*args)
    finally:
        with suppress(OSError):
            note.unlink()


def _end_with_parent() -> None:
    """Let a joblib worker end as soon as the process that started it is gone.

    Otherwise it would finish its task first, which may take hours.
    """
    global _watching  # one thread per process
    if _watching or not current_process().name.startswith("LokyProcess"):
        return
    _watching, parent = True, os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _orderly(n_jobs: int | None) -> Iterator[Path | None]:
    """Yield a folder for the workers' notes, or None without workers."""
    if effective_n_jobs(n_jobs) == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="hyperfusion-") as folder, _unwinding():
        try:
            yield Path(folder)
        except BrokenExecutor as error:
            titles = [path.read_text() for path in sorted(Path(folder).iterdir())]
            if titles:
                error.add_note(
                    f"A worker was killed while working on: {'; '.join(titles)}. The "
                    "usual cause is too little memory: try a smaller n_jobs."
                )
            raise


@contextmanager
def _unwinding() -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
