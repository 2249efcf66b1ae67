"""Progress of long work: bars where a person watches, nothing in files; one clock."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Self

import pandas as pd

from hyperfusion._sklearn_compat import StrOptions

VERBOSE = ["verbose", StrOptions({"auto"})]
"""Constraint of parameters called ``verbose``."""

_clock = time.perf_counter
_SECONDS = "hyperfusion_seconds"
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"

_TQDM: Any = {"delay": 0.5, "miniters": 0, "smoothing": 0, "dynamic_ncols": True}


def now() -> float:
    """Return seconds by the clock that all plans and limits use."""
    return _clock()


def note_seconds(table: Any, seconds: float) -> Any:
    """Note in a DataFrame how long it took to make, and return it."""
    if isinstance(table, pd.DataFrame):
        table.attrs[_SECONDS] = seconds
    return table


def take_seconds(table: Any) -> tuple[Any, float]:
    """Return a table without the note of `note_seconds`, and the noted seconds."""
    if not isinstance(table, pd.DataFrame) or _SECONDS not in table.attrs:
        return table, 0.0
    table = table.copy(deep=False)
    return table, table.attrs.pop(_SECONDS)


def is_watched() -> bool:
    """Whether a person watches this process, in a terminal or a notebook."""
    is_main = multiprocessing.current_process().name == "MainProcess"
    if not is_main or threading.current_thread() is not threading.main_thread():
        return False
    ipython = sys.modules.get("IPython")
    in_notebook = hasattr(ipython and ipython.get_ipython(), "kernel")
    return in_notebook or bool(getattr(sys.stderr, "isatty", bool)())


def tells_lines(verbose: Any) -> bool:
    """Whether a value of ``verbose`` asks for printed lines."""
    return verbose != "auto" and bool(verbose)


def say(line: str) -> None:
    """Print a line, above any bars."""
    if Progress.shown:
        Progress.shown[-1].bar.write(line, file=sys.stdout)
        sys.stdout.flush()
    else:
        print(line, flush=True)


class Progress:
    """A context with a bar on stderr; `even` steps also show the time left.

    The bar appears where a person watches, after half a second, unless `verbose` is 0
    here or in work around this one. With `always` it appears wherever `verbose` asks
    for lines, at once. Its clock also runs during a long step.
    """

    shown: ClassVar[list[Progress]] = []
    _n_silent: ClassVar[int] = 0

    def __init__(
        self,
        what: str,
        total: float | None,
        verbose: Any = "auto",
        *,
        unit: str | None = None,
        even: bool = True,
        always: bool = False,
    ):
        self._silent = verbose != "auto" and not verbose
        told = tells_lines(verbose)
        watched = not self._silent and is_watched()
        self._shows = (watched and (told or not Progress._n_silent)) or (
            always and told
        )
        self._options = {"desc": what, "total": total, "leave": not Progress.shown}
        shape = _FORMAT if even else _FORMAT.replace("<{remaining}", "")
        self._options |= {"unit": unit} if unit else {"bar_format": shape}
        self._options |= {"delay": 0} if told else {}
        self.bar: Any = None

    def __enter__(self) -> Self:
        Progress._n_silent += self._silent
        if self._shows:
            from tqdm.auto import tqdm

            self.bar = tqdm(**_TQDM | self._options)
            Progress.shown.append(self)
            self._done = threading.Event()
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        Progress._n_silent -= self._silent
        if self._shows:
            self._done.set()
            Progress.shown.remove(self)
            self.bar.close()

    def _tick(self) -> None:
        while not self._done.wait(1):
            self.step(0)

    def over(
        self,
        results: Iterable[Any],
        titles: Iterable[str],
        size: float | Callable[[Any], float] = 1,
    ) -> Iterator[Any]:
        """Yield results, one step each, and show the title of the next."""
        titles = iter(titles)
        self.at(next(titles, ""))
        for result in results:
            yield result
            self.step(size(result) if callable(size) else size)
            self.at(next(titles, ""))

    def at(self, what: str) -> None:
        """Show what is being worked on."""
        if self._shows:
            self.bar.set_postfix_str(what, refresh=False)

    def step(self, size: float = 1) -> None:
        """Advance by this much."""
        if self._shows:
            with self.bar.get_lock():
                total = self.bar.total
                self.bar.update(
                    size if total is None else min(size, total - self.bar.n)
                )
