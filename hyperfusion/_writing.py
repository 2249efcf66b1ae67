"""Files that appear when they are complete."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperfusion.exceptions import InvalidInputError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, which then replaces the file, unless writing fails."""
    path = path.resolve()  # a link stays one
    if path.is_dir():
        raise InvalidInputError(f"{str(path)!r} is a folder: give a file in it.")
    if not path.parent.is_dir():
        raise InvalidInputError(
            f"The folder {str(path.parent)!r} does not exist: create it first."
        )
    # a name of its own, for others may write the same file, or have one beside it
    unfinished = path.with_name(f"{uuid.uuid4().hex}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if error.errno is not None:  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)
