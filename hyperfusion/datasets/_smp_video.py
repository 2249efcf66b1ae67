"""The SMP Challenge's video track."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from hyperfusion._sklearn_compat import StrOptions, validate_params
from hyperfusion.datasets._files import (
    as_bunch,
    as_ids,
    check_folder,
    check_unique,
    clean_numbers,
    clean_texts,
    find_file,
    finite_numbers,
    known_seconds,
    read_json_lines,
)
from hyperfusion.exceptions import InvalidInputError

_USER_COUNTS = [
    f"user_{what}_count"
    for what in ("following", "follower", "likes", "video", "digg", "heart", "friend")
]
_NUMBERS = ["video_height", "video_width", "video_duration", "music_duration"]
_CATEGORIES = ["post_text_language", "post_location", "video_ratio", "music_title"]
_POSTS = ["pid", "uid", "post_time", "post_content", "post_suggested_words"]
_POSTS += [*_CATEGORIES[:2], "video_path"]
_VIDEOS = ["pid", "uid", "vid", *_NUMBERS, "video_ratio", "video_format", "music_title"]


@validate_params(
    {
        "folder": [str, os.PathLike],
        "split": [StrOptions({"train", "test"})],
        "strict": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def load_smp_video(
    folder: str | os.PathLike, split: str = "train", *, strict: bool = False
) -> Bunch:
    """Load the posts of the SMP Challenge's video track.

    Parameters
    ----------
    folder : path
        The folder that holds ``train`` and ``test``, each with one file of JSON
        lines for ``posts``, ``users`` and ``videos`` (and ``popularity`` in
        ``train``), as the organizers released them.
    split : {"train", "test"}, default="train"
        Which part to load. The test part has no target.
    strict : bool, default=False
        Whether to drop the columns that were measured after the posts.

    Returns
    -------
    Bunch
        With the entries:

        data : DataFrame of shape (n_posts, 23), or (n_posts, 15) if strict
            One row for each post in time order, columns under the names of the
            files. ``post_content`` holds the words with spaces between them.
        target : ndarray of shape (n_posts,), float64, or None
            Popularity, on a logarithmic scale.
        roles : dict
            Keyword arguments for `make_hyperfusion`.
        post_hoc : list of str
            Columns of `data` that were measured after the posts.

    Raises
    ------
    InvalidInputError
        If a file is missing, truncated or not JSON, or if the rows of the files don't
        match; the message names file, row and key.

    Notes
    -----
    The counts of a user (followers, likes, videos ...) were read when the data were
    collected: they include the post itself. ``strict=True`` drops them and the words
    that the platform suggests after the upload, because they make scores too optimistic
    for future posts.

    The files have no ``#``: words and hashtags are joined by commas and cannot be
    separated. All of them are the text; the tags are the suggested words. Columns that
    are constant or repeat another are in `data` but in no role.

    Examples
    --------
    >>> from hyperfusion.datasets import load_smp_video
    >>> posts = load_smp_video("smp_video")  # doctest: +SKIP
    >>> posts.data.shape, posts.target.shape  # doctest: +SKIP
    ((4000, 23), (4000,))
    """
    place = check_folder(folder) / split
    posts_path, posts = _read(place, "posts", _POSTS)
    check_unique(posts["pid"], posts_path)
    data = _joined(posts, *_read(place, "videos", _VIDEOS), key="pid")
    data = _joined(data, *_read(place, "users", ["uid", *_USER_COUNTS]), key="uid")
    target = None
    if split == "train":
        path, labels = _read(place, "popularity", ["pid", "uid", "popularity"])
        labels = _joined(posts, path, labels, key="pid")
        target = finite_numbers(labels["popularity"], path)
    data, late = _clean(data, posts_path), ["post_suggested_words", *_USER_COUNTS]
    return as_bunch(data, target, "post_time", late, strict=strict, roles=_roles)


def _read(folder: Path, part: str, keys: list[str]) -> tuple[Path, pd.DataFrame]:
    path = find_file([folder], [f"*{part}*.jsonl"], part)
    table = read_json_lines(path, keys)
    for key in table.columns.intersection(["pid", "uid"]):
        table[key] = as_ids(table[key], path)
    return path, table


def _joined(
    left: pd.DataFrame, path: Path, right: pd.DataFrame, *, key: str
) -> pd.DataFrame:
    """Add the row of `right` with the same key to each row of `left`."""
    # users with several posts are listed several times, with equal numbers
    right = right.drop_duplicates()
    check_unique(right[key], path)
    right = right.set_index(key, drop=False)
    known = left[key].isin(right.index)
    if not known.all():
        missing = left[key][~known]
        raise InvalidInputError(
            f"{path} has no row with {key} {missing.iloc[0]!r} ({len(missing)} such "
            "post(s) in all): the files don't match."
        )
    partner = right.loc[left[key]].reset_index(drop=True)
    if key == "pid":
        differ = np.flatnonzero(left["uid"] != partner["uid"])
        if len(differ):
            pid, uid = left[["pid", "uid"]].iloc[differ[0]]
            raise InvalidInputError(
                f"{path}: post {pid!r} is by {partner['uid'].iloc[differ[0]]!r}, in "
                f"the file of posts by {uid!r}."
            )
    new = partner.columns.difference(left.columns, sort=False)
    return left.join(partner[new])


def _clean(data: pd.DataFrame, path: Path) -> pd.DataFrame:
    data = data.copy()
    data["post_time"] = known_seconds(data["post_time"], path)
    data["post_content"] = data["post_content"].astype(str).str.replace(",", " ")
    data["post_suggested_words"] = [
        ", ".join(map(str, w)) if isinstance(w, list) else w
        for w in data["post_suggested_words"]
    ]
    for column in data.columns.difference(["post_time", *_NUMBERS, *_USER_COUNTS]):
        data[column] = clean_texts(data[column])
    for column in [*_NUMBERS, *_USER_COUNTS]:
        data[column] = clean_numbers(data[column])
    return data


def _roles(data: pd.DataFrame) -> dict[str, object]:
    roles: dict[str, object] = {"text": ["post_content"], "user": "uid"}
    roles |= {"time": "post_time", "numeric": [*_NUMBERS]}
    roles["categorical"] = [*_CATEGORIES]
    if _USER_COUNTS[0] in data:
        idle = ("user_heart_count", "user_friend_count")
        roles["tags"] = "post_suggested_words"
        roles["user_numeric"] = [c for c in _USER_COUNTS if c not in idle]
    return roles
