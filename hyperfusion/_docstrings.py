"""Paragraphs that several docstrings share, written once."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent, indent
from typing import TypeVar

Documented = TypeVar("Documented")

_SLOT = re.compile(r"^([ \t]*)%\((\w+)\)s$", re.MULTILINE)


def fill_slots(**paragraphs: str) -> Callable[[Documented], Documented]:
    r"""Return a decorator that puts paragraphs into the slots of a docstring.

    Parameters
    ----------
    **paragraphs : str
        The text for each slot, which is a line of only ``%(name)s``. The text takes
        on the slot's indentation.

    Returns
    -------
    callable
        The decorator, for classes and functions.

    Raises
    ------
    KeyError
        If a slot has no paragraph.

    Examples
    --------
    >>> from hyperfusion._docstrings import fill_slots
    >>> @fill_slots(seed="seed : int\n    Draws the rows.")
    ... class Sampler:
    ...     '''Draw rows.
    ...
    ...     Parameters
    ...     ----------
    ...     %(seed)s
    ...     '''
    >>> print(Sampler.__doc__.splitlines()[-3].strip())
    seed : int
    """

    def fill(slot: re.Match[str]) -> str:
        return indent(dedent(paragraphs[slot[2]]).strip("\n"), slot[1])

    def decorate(documented: Documented) -> Documented:
        if documented.__doc__ is not None:  # python -OO strips docstrings
            documented.__doc__ = _SLOT.sub(fill, documented.__doc__)
        return documented

    return decorate
