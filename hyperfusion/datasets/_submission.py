"""The file format for predictions in the SMP Challenge."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hyperfusion.exceptions import InvalidInputError


def write_submission(
    path: str | os.PathLike,
    post_ids: Iterable[Any],
    scores: ArrayLike,
    *,
    version: str = "VERSION 1.2",
    external_data: str | Mapping[str, str] | None = None,
    prefix: str = "post",
) -> Path:
    """Write predictions as the SMP Challenge's JSON file.

    Parameters
    ----------
    path : path
        The file to write. An existing file is replaced when the new one is complete.
    post_ids : iterable of str or int, of length n_posts
        One id for each post, without the prefix.
    scores : array-like of shape (n_posts,)
        One finite prediction for each post, in the same order.
    version : str, default="VERSION 1.2"
        The version of the form that the challenge asks for.
    external_data : str or mapping, default=None
        Data and pretrained models used in addition to the challenge's own; a mapping
        is written unchanged. None means that there were none.
    prefix : str, default="post"
        Prefix of each id: ``"post"`` in most editions, ``""`` for unchanged ids.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InvalidInputError
        If a score is not finite, an id is missing, repeated or already has the prefix,
        or if the numbers of ids and scores differ.
    FileNotFoundError
        If the folder of `path` does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hyperfusion.datasets import write_submission
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_submission(Path(folder) / "a.json", [775], [2.5])
    ...     print(path.read_text())
    {"version": "VERSION 1.2", "result": [{"post_id": "post775",
     "popularity_score": 2.5}], "external_data": {"used": "false", "details": ""}}
    """
    ids = _checked_ids(post_ids, prefix)
    values = _checked_scores(scores, len(ids))
    if external_data is None:
        external_data = {"used": "false", "details": ""}
    elif isinstance(external_data, str):
        external_data = {"used": "true", "details": external_data}
    content = {
        "version": version,
        "result": [
            {"post_id": prefix + name, "popularity_score": value}
            for name, value in zip(ids, values, strict=True)
        ],
        "external_data": dict(external_data),
    }
    return _write_whole(Path(path), json.dumps(content, ensure_ascii=False))


def _checked_ids(post_ids: Iterable[Any], prefix: str) -> list[str]:
    if isinstance(post_ids, (str, bytes)):
        raise InvalidInputError(
            f"post_ids must be one id for each post. Got {post_ids!r}."
        )
    ids = []
    for row, cell in enumerate(post_ids):
        if isinstance(cell, Integral) and not isinstance(cell, bool):
            cell = str(int(cell))
        if not isinstance(cell, str) or not cell.strip():
            raise InvalidInputError(
                f"post_ids must be texts or whole numbers: row {row} is {cell!r}."
            )
        ids.append(cell.strip())
        if prefix and ids[-1].startswith(prefix):
            raise InvalidInputError(
                f"post_ids: {ids[-1]!r} in row {row} already begins with the prefix "
                f"{prefix!r}: pass prefix=''."
            )
    if not ids:
        raise InvalidInputError("post_ids is empty: there is nothing to write.")
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        first, second = [row for row, name in enumerate(ids) if name == twice[0]][:2]
        raise InvalidInputError(
            f"post_ids: {twice[0]!r} is in rows {first} and {second} ({len(twice)} "
            "such id(s) in all): each post takes one score."
        )
    return ids


def _checked_scores(scores: ArrayLike, n_posts: int) -> list[float]:
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"scores must be numbers ({error}).") from error
    if values.shape != (n_posts,):
        raise InvalidInputError(
            f"scores must be one number for each of {n_posts} post(s). Got shape "
            f"{values.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InvalidInputError(
            f"scores must be finite: row {bad[0]} is {values[bad[0]]} ({len(bad)} such "
            "row(s) in all)."
        )
    return values.tolist()


def _write_whole(path: Path, text: str) -> Path:
    """Write a file next to the path, then move it there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(path.parent)!r}: make it first."
        )
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
