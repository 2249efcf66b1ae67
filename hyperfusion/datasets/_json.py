"""Large JSON files, read piece by piece."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hyperfusion.datasets._files import not_json

PIECE = 2**22
"""Number of characters to read at a time."""

_DELIMITERS = frozenset(",:]} \t\n\r")
_NO_SPACE = re.compile(r"[^ \t\n\r]")


def read_json(path: Path) -> Any:
    """Return the content of a file; equal texts in it share one object.

    Only a piece of a list, or of an object of lists and objects, is in memory as text.
    """
    try:
        with path.open("rb") as file:
            encoding = json.detect_encoding(file.read(4))
        with path.open(encoding=encoding, errors="surrogatepass") as file:
            return _Pieces(file).content()
    except (ValueError, RecursionError) as error:
        raise not_json(path, error) from error


class _Pieces:
    """The text of a file, one piece at a time."""

    def __init__(self, file: TextIO):
        self._file = file
        self._text, self._at = "", 0
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode
        self._same: dict[str, str] = {}

    def content(self) -> Any:
        found = self._nested(lambda: self._nested(self._cell))
        if self._peek():
            raise ValueError(f"text after the end: {self._text[self._at :]!r:.40}")
        return found

    def _nested(self, member: Callable[[], Any]) -> Any:
        """Return a list of cells, an object of such members, or another value."""
        kind = self._peek()
        if kind == "[":
            return [self._cell() for _ in self._members("]")]
        if kind == "{":
            return {key: member() for key in self._keys()}
        return self._value()

    def _cell(self) -> Any:
        return self._shared(self._value())

    def _shared(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._same.setdefault(value, value)
        if isinstance(value, dict):
            return {key: self._shared(cell) for key, cell in value.items()}
        return value

    def _keys(self) -> Iterator[str]:
        for _ in self._members("}"):
            if self._peek() != '"':
                raise ValueError("a key must be a text")
            key = self._shared(self._value())
            self._take(":")
            yield key

    def _members(self, end: str) -> Iterator[None]:
        """Yield before each member of the list or object that starts here."""
        self._at += 1
        if self._peek() == end:
            self._at += 1
            return
        while True:
            yield
            if self._peek() == end:
                self._at += 1
                return
            self._take(",")

    def _take(self, sign: str) -> None:
        if self._peek() != sign:
            raise ValueError(f"{sign!r} expected, got {self._text[self._at :]!r:.40}")
        self._at += 1

    def _peek(self) -> str:
        """Return the next character other than whitespace, "" at the end."""
        while True:
            found = _NO_SPACE.search(self._text, self._at)
            self._at = len(self._text) if found is None else found.start()
            if found is not None or not self._read():
                return self._text[self._at : self._at + 1]

    def _read(self) -> bool:
        """Read one more piece, if there is one."""
        piece = "" if self._ended else self._file.read(PIECE)
        self._ended = not piece
        if piece:
            self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except ValueError:
                if not self._read():
                    raise
                continue
            # a number can continue in the next piece
            if self._text[end : end + 1] in _DELIMITERS or not self._read():
                self._at = end
                return value
