"""The file format for predictions in the SMP Challenge."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion._sklearn_compat import validate_params
from hyperfusion._writing import written_whole
from hyperfusion.datasets._files import as_ids, check_unique, finite_numbers
from hyperfusion.exceptions import InvalidInputError


@validate_params(
    {
        "path": [str, os.PathLike],
        "post_ids": [Iterable],
        "scores": ["array-like"],
        "version": [str],
        "external_data": [str, None],
        "prefix": [str],
    },
    prefer_skip_nested_validation=True,
)
def write_submission(
    path: str | os.PathLike,
    post_ids: Iterable[Any],
    scores: ArrayLike,
    *,
    version: str = "VERSION 1.2",
    external_data: str | None = None,
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
    external_data : str, default=None
        Data and pretrained models used in addition to the challenge's own. None means
        that there were none.
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
        the numbers of ids and scores differ, the folder of `path` does not exist, or
        `path` is a folder.

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
    path = Path(path)
    if isinstance(post_ids, (str, bytes)):
        raise InvalidInputError(
            f"post_ids must be one id for each post. Got {post_ids!r}."
        )
    ids = as_ids(pd.Series(list(post_ids), dtype=object, name="post_ids"), path)
    if ids.empty:
        raise InvalidInputError("post_ids is empty: there is nothing to write.")
    check_unique(ids, path)
    for row, name in enumerate(ids):
        if prefix and name.startswith(prefix):
            raise InvalidInputError(
                f"post_ids: {name!r} in row {row} already begins with the prefix "
                f"{prefix!r}: pass prefix=''."
            )
    values = np.asarray(scores)
    if values.shape != ids.shape:
        raise InvalidInputError(
            f"scores must be one number for each of {len(ids)} post(s). Got shape "
            f"{values.shape}."
        )
    numbers = finite_numbers(pd.Series(values, name="scores"), path).tolist()
    content = {
        "version": version,
        "result": [
            {"post_id": prefix + name, "popularity_score": value}
            for name, value in zip(ids, numbers, strict=True)
        ],
        "external_data": {
            "used": "false" if external_data is None else "true",
            "details": external_data or "",
        },
    }
    with written_whole(path) as whole:
        # half an emoji in an id becomes an escape of JSON
        text = json.dumps(content, ensure_ascii=False)
        whole.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
