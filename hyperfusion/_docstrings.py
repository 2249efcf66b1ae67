"""Paragraphs that several docstrings share, written once."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent, indent
from typing import TypeVar

Documented = TypeVar("Documented")

_SLOT = re.compile(r"^([ \t]*)%\((\w+)\)s$", re.MULTILINE)


def fill_slots(**paragraphs: str) -> Callable[[Documented], Documented]:
    """Return a decorator that puts paragraphs into the slots of a docstring."""

    def fill(slot: re.Match[str]) -> str:
        return indent(dedent(paragraphs[slot[2]]).strip("\n"), slot[1])

    def decorate(documented: Documented) -> Documented:
        if documented.__doc__ is not None:  # python -OO strips docstrings
            documented.__doc__ = _SLOT.sub(fill, documented.__doc__)
        return documented

    return decorate
