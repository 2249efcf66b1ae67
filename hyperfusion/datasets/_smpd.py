"""The SMP Challenge's image track (SMPD)."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from hyperfusion._sklearn_compat import StrOptions, validate_params
from hyperfusion._warnings import warn_user
from hyperfusion.datasets._cells import (
    clean_dates,
    clean_numbers,
    clean_seconds,
    clean_texts,
    clean_vectors,
)
from hyperfusion.datasets._files import as_bunch, check_folder
from hyperfusion.datasets._smpd_files import (
    find_crawled,
    find_part,
    read_crawled,
    read_labels,
    read_posts,
)
from hyperfusion.exceptions import InvalidInputError

_TEXTS = ("Title", "Alltags")
_CATEGORIES = (
    *("Category", "Subcategory", "Concept", "Mediatype", "Ispublic", "Mediastatus"),
    "timezone_id",
)
_PLACE = ("Latitude", "Longitude", "Geoaccuracy")
_USER_NUMBERS = ("photo_count", "ispro", "canbuypro")
_CRAWLED = (
    *("totalViews", "totalTags", "totalGeotagged", "totalFaves", "totalInGroup"),
    *("photoCount", "followerCount", "followingCount"),
)
_MEANS = {"meanView": "totalViews", "meanTags": "totalTags", "meanFaves": "totalFaves"}
_VECTORS = {"user_description": 399, "location_description": 400}


@validate_params(
    {
        "folder": [str, os.PathLike],
        "split": [StrOptions({"train", "test"})],
        "strict": ["boolean"],
        "image_folder": [str, os.PathLike, None],
    },
    prefer_skip_nested_validation=True,
)
def load_smpd(
    folder: str | os.PathLike,
    split: str = "train",
    *,
    strict: bool = False,
    image_folder: str | os.PathLike | None = None,
) -> Bunch:
    """Load the posts of the SMP Challenge's image track (SMPD).

    Parameters
    ----------
    folder : path
        The folder of the metadata files, directly or in ``train_allmetadata_json`` and
        ``test_allmetadata_json``. File names since 2023 and those of 2020 are known.
        ``user_additional.csv``, user statistics crawled by participants, is read if it
        exists.
    split : {"train", "test"}, default="train"
        Which part to load. The test part has no target.
    strict : bool, default=False
        Whether to drop the columns that were measured after the posts.
    image_folder : path, default=None
        The folder that the paths of the pictures start from. None looks in
        `folder`, there also in ``SMP_train_images`` or ``SMP_test_images``.

    Returns
    -------
    Bunch
        With the entries:

        data : DataFrame of shape (n_posts, n_columns)
            One row for each post in time order, columns under the newest names of
            the files. ``image`` holds paths. ``user_description`` and
            ``location_description`` hold vectors of 399 and 400 numbers.
            ``first_taken_days`` is the number of days from the user's first picture to
            the post; ``meanView`` and the like are totals divided by ``photoCount``
            (0 where that is 0).
        target : ndarray of shape (n_posts,), float64, or None
            Popularity, on a logarithmic scale.
        roles : dict
            Keyword arguments for `make_hyperfusion`.
        post_hoc : list of str
            Columns of `data` that were measured after the posts.

    Raises
    ------
    InvalidInputError
        If a file is missing, truncated or invalid, or if the rows of the files don't
        match; the message names file, row and key.

    Warns
    -----
    BadCellWarning
        For each column with unreadable cells, which count as missing.
    UserWarning
        If no pictures are found; `roles` then names no image.

    Notes
    -----
    ``photo_count`` and all of ``user_additional.csv`` but the date of joining are
    totals read years after the posts: ``totalViews`` includes the views of the post
    itself. ``strict=True`` drops them, because they make scores too optimistic for
    future posts. It keeps ``ispro``, ``canbuypro`` and the descriptions, whose time of
    reading is not known.

    Loading takes at most twice the memory of the largest file, besides the table.

    Examples
    --------
    >>> from hyperfusion.datasets import load_smpd
    >>> posts = load_smpd("smpd", split="test")  # doctest: +SKIP
    >>> posts.roles["time"]  # doctest: +SKIP
    'Postdate'
    """
    place = check_folder(folder)
    raw = read_posts(place, split)
    vectors = {name: raw.pop(name) for name in _VECTORS if name in raw}
    data = _clean(raw)
    crawled = find_crawled(place, split)
    if crawled is not None:
        data = _with_crawled(data, crawled)
    data["image"], has_images = _image_cells(data, place, split, image_folder)
    for name, cells in vectors.items():
        data[name] = clean_vectors(cells, _VECTORS[name])
    target = None
    if split == "train":
        reference = find_part(place, split, "category")
        target = read_labels(find_part(place, split, "labels"), data, reference)
    late = ("photo_count", *_CRAWLED, *_MEANS)
    roles = partial(_roles, has_images=has_images)
    return as_bunch(data, target, "Postdate", late, strict=strict, roles=roles)


def _clean(raw: pd.DataFrame) -> pd.DataFrame:
    data = raw[["Pid", "Uid", "image"]].copy()
    data["Pathalias"] = clean_texts(raw["Pathalias"], placeholders=True)
    data["Postdate"] = clean_seconds(raw["Postdate"])
    if data["Postdate"].isna().any():
        row = int(np.flatnonzero(data["Postdate"].isna())[0])
        raise InvalidInputError(
            f"Row {row}: post {raw['Pid'].iloc[row]!r} has the Postdate "
            f"{raw['Postdate'].iloc[row]!r}, expected seconds since 1970."
        )
    known_texts = partial(clean_texts, placeholders=True)
    for read, columns in (
        (clean_texts, _TEXTS),
        (known_texts, _CATEGORIES),
        (clean_numbers, [*_PLACE, *_USER_NUMBERS]),
        (known_texts, ["timezone_offset"]),
        (clean_seconds, ["photo_firstdate"]),
        (clean_dates, ["photo_firstdatetaken"]),
    ):
        for column in raw.columns.intersection(columns, sort=False):
            data[column] = read(raw[column])
    if "photo_firstdatetaken" in raw:
        waited = data["Postdate"] - data["photo_firstdatetaken"]
        data["first_taken_days"] = waited / np.timedelta64(1, "D")
    return data


def _with_crawled(data: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Add the statistics of the user with the same Pathalias, if there is one."""
    crawled = read_crawled(path, _CRAWLED)
    numbers = pd.DataFrame({c: clean_numbers(crawled[c]) for c in _CRAWLED})
    numbers.index = crawled.index
    photos = numbers["photoCount"]
    for mean, total in _MEANS.items():
        numbers[mean] = (numbers[total] / photos).where(photos != 0, 0)
    if "joinedDate" in crawled:
        numbers["joinedDate"] = clean_dates(crawled["joinedDate"])
    rows = numbers.reindex(data["Pathalias"]).set_axis(data.index)
    return data.join(rows)


def _image_cells(
    data: pd.DataFrame, folder: Path, split: str, image_folder: Any
) -> tuple[pd.Series, bool]:
    """Return the paths of the pictures, and whether the first of them exists."""
    own = data["Uid"] + "/" + data["Pid"] + ".jpg"
    if image_folder is not None:
        roots = [(Path(image_folder), data["image"]), (Path(image_folder), own)]
    else:
        places = [folder, folder / f"{split}_allmetadata_json"]
        roots = [(place, data["image"]) for place in places]
        roots.append((folder / f"SMP_{split}_images", own))
    for root, paths in roots:
        if (root / paths.iloc[0]).is_file():
            return f"{root}{os.sep}" + paths, True
    looked = [str(root / paths.iloc[0]) for root, paths in roots]
    if image_folder is not None:
        raise InvalidInputError(f"image_folder: none of {looked} is a file.")
    warn_user(
        f"No pictures found: none of {looked} is a file. Put them there, or give "
        "image_folder; without them roles names no image."
    )
    return data["image"], False


def _roles(data: pd.DataFrame, has_images: bool) -> dict[str, Any]:
    def there(columns: Any) -> list[str]:
        return [c for c in columns if c in data]

    created = there(["joinedDate", "photo_firstdate"])
    kinds = {"user": "user_description", "place": "location_description"}
    numbers = [*_USER_NUMBERS, "first_taken_days", *_CRAWLED, *_MEANS]
    roles = {
        "image": "image" if has_images else None,
        "text": ["Title"],
        "tags": "Alltags",
        "user": "Uid",
        "user_created": created[0] if created else None,
        "user_numeric": there(numbers),
        "time": "Postdate",
        "timezone": "timezone_offset" if "timezone_offset" in data else None,
        "latitude": "Latitude",
        "longitude": "Longitude",
        "geo_accuracy": "Geoaccuracy",
        "categorical": there(_CATEGORIES),
        "vectors": {kind: [c] for kind, c in kinds.items() if c in data},
    }
    return {role: value for role, value in roles.items() if value}
