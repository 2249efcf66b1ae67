"""One warning for what several encoders of the same column complain of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def warn_once() -> Iterator[None]:
    """Collect the warnings of a block and give each message once at its end.

    The first of equal warnings keeps its place. Nothing is lost where the block raises.
    """
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        seen = set()
        for warning in caught:
            key = warning.category, str(warning.message)
            if key not in seen:
                seen.add(key)
                warnings.warn_explicit(
                    warning.message,
                    warning.category,
                    warning.filename,
                    warning.lineno,
                )
