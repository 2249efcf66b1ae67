"""Warnings that point to the user's own line and appear once."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

_INSIDE = ("hyperfusion", "sklearn", "joblib")

_said: ContextVar[set[tuple[type, str]] | None] = ContextVar("_said", default=None)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Give a warning that points to the line that called the package."""
    said = _said.get()
    if said is not None:
        if (category, message) in said:
            return
        said.add((category, message))
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


@contextlib.contextmanager
def each_once() -> Iterator[None]:
    """Within this block, give each message of `warn_user` only once."""
    if _said.get() is not None:
        yield
        return
    token = _said.set(set())
    try:
        yield
    finally:
        _said.reset(token)
