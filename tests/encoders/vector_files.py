"""A small file of word vectors in GloVe's format."""

from pathlib import Path

GLOVE = Path(__file__).parent / "small_glove.txt"
LINES = GLOVE.read_bytes().splitlines(keepends=True)
SIZE = 5


def write(path, *lines):
    """Write lines of bytes into a file."""
    path.write_bytes(b"".join(lines))
    return path
