"""The SMP Challenge's image track (SMPD)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from hyperfusion._sklearn_compat import StrOptions, validate_params
from hyperfusion._warnings import warn_user
from hyperfusion.datasets._files import (
    as_bunch,
    as_ids,
    check_folder,
    check_unique,
    clean_dates,
    clean_numbers,
    clean_seconds,
    clean_texts,
    clean_vectors,
    find_file,
    finite_numbers,
    known_seconds,
    read_json,
    table_of,
)
from hyperfusion.exceptions import InvalidInputError

_NAMES = {
    "category": "{}_category.json",
    "text": "{}_text.json {}_tags.json",
    "time and place": "{}_temporalspatial_information.json {}_temporalspatial.json",
    "additional information": "{}_additional_information.json {}_additional.json",
    "user data": "{}_user_data.json {}_userdata.json",
    "image paths": "{}_img_filepath.txt {}_img_path.txt {}_img.txt {}_imgfile.txt",
    "labels": "{}_label.txt",
}
"""File names of each part: first those since 2023, then those of 2020."""

_PLACE = ("Latitude", "Longitude", "Geoaccuracy")
_KEYS = {
    "category": ("Pid", "Uid", "Category", "Subcategory", "Concept"),
    "text": ("Pid", "Uid", "Title", "Mediatype", "Alltags"),
    "time and place": ("Pid", "Uid", "Postdate", *_PLACE),
    "additional information": ("Pid", "Uid", "Pathalias", "Ispublic", "Mediastatus"),
    "user data": (),  # editions differ
}
_OTHER_NAMES = {"Tile": "Title", "timezone_timezone_id": "timezone_id"}

_TEXTS = ("Title", "Alltags")
_CATEGORIES = (
    *("Category", "Subcategory", "Concept", "Mediatype", "Ispublic", "Mediastatus"),
    "timezone_id",
)
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
            One row for each post in time order, columns under the newest names of the
            files. ``image`` holds paths; ``user_description`` and
            ``location_description`` hold vectors of 399 and 400 numbers.
            ``first_taken_days`` are the days from the user's first picture to the post;
            ``meanView`` and the like are totals divided by ``photoCount``.
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
    UserWarning
        If no pictures are found; `roles` then names no image.

    Notes
    -----
    ``photo_count`` and all of ``user_additional.csv`` but the date of joining are
    totals read years after the posts, which include the post itself. ``strict=True``
    drops them. It keeps ``ispro``, ``canbuypro`` and the descriptions, whose time of
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
    places = [place, place / f"{split}_allmetadata_json"]

    def find(part: str) -> Path:
        return find_file(places, _NAMES[part].format(*[split] * 4).split(), part)

    raw = _read_posts(find)
    data = _clean(raw, find("time and place"))
    crawled = [p for p in (p / "user_additional.csv" for p in places) if p.is_file()]
    if crawled:
        data = _with_crawled(data, crawled[0])
    data["image"], has_images = _image_cells(data, places, split, image_folder)
    target = None
    if split == "train":
        path = find("labels")
        lines = pd.Series(_lines(path))
        _check_rows(lines.to_frame(), path, data, find("category"))
        target = finite_numbers(lines, path)
    late = ("photo_count", *_CRAWLED, *_MEANS)
    roles = partial(_roles, has_images=has_images)
    return as_bunch(data, target, "Postdate", late, strict=strict, roles=roles)


def _read_posts(find: Callable[[str], Path]) -> pd.DataFrame:
    """Return all parts of the posts side by side; their rows must match."""
    reference = find("category")
    posts = _read_table(reference, _KEYS["category"])
    check_unique(posts["Pid"], reference)
    for part, needed in list(_KEYS.items())[1:]:
        path = find(part)
        table = _read_table(path, needed)
        _check_rows(table, path, posts, reference)
        posts = posts.join(table[table.columns.difference(posts.columns, sort=False)])
    path = find("image paths")
    files = [PurePosixPath(line.replace("\\", "/")) for line in _lines(path)]
    keys = pd.DataFrame({"Pid": [file.stem for file in files]})
    if all(len(file.parts) > 1 for file in files):
        keys["Uid"] = [file.parent.name for file in files]
    _check_rows(keys, path, posts, reference)
    return posts.assign(image=pd.Series(list(map(str, files)), dtype=object))


def _read_table(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Return a JSON file (a list of rows or an object of columns) as a table."""
    content = read_json(path)
    if isinstance(content, dict):
        table = _from_columns(content, path)
    elif isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        renamed = [_renamed(row) if isinstance(row, dict) else row for row in content]
        table = table_of(renamed, needed or tuple(_renamed(first)), path)
    else:
        raise InvalidInputError(
            f"{path}: expected a list of objects or an object of columns, got "
            f"{content!r:.60}."
        )
    _check_columns(table, needed, path)
    for key in table.columns.intersection(["Pid", "Uid"]):
        table[key] = as_ids(table[key], path)
    return table


def _renamed(cells: dict[str, Any]) -> dict[str, Any]:
    return {_OTHER_NAMES.get(key, key): cell for key, cell in cells.items()}


def _from_columns(content: dict[str, Any], path: Path) -> pd.DataFrame:
    columns = _renamed(content)
    for name, cells in columns.items():
        if isinstance(cells, dict):
            absent = [row for row in range(len(cells)) if str(row) not in cells]
            if absent:
                raise InvalidInputError(
                    f"{path}, column {name!r} has no row {absent[0]}, of "
                    f"{len(cells)}: row numbers must start at 0, without gaps."
                )
            columns[name] = [cells[str(row)] for row in range(len(cells))]
        elif not isinstance(cells, list):
            raise InvalidInputError(
                f"{path}, column {name!r}: expected cells by row, got {cells!r:.60}."
            )
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise InvalidInputError(
            f"{path}: columns must have the same number of rows, at least 1. "
            f"Got {lengths}."
        )
    return pd.DataFrame(columns, dtype=object)


def _check_columns(table: pd.DataFrame, needed: tuple[str, ...], path: Path) -> None:
    absent = [key for key in needed if key not in table]
    if absent:
        raise InvalidInputError(
            f"{path} has no column {absent[0]!r}; it has {sorted(table)}."
        )


def _check_rows(
    table: pd.DataFrame, path: Path, posts: pd.DataFrame, reference: Path
) -> None:
    """Raise unless the rows of a file match the posts."""
    if len(table) != len(posts):
        raise InvalidInputError(
            f"{path} has {len(table)} row(s), {reference} has {len(posts)}: the rows "
            "of all files must match."
        )
    for key in table.columns.intersection(["Pid", "Uid"]):
        differ = np.flatnonzero(table[key] != posts[key])
        if len(differ):
            row = int(differ[0])
            raise InvalidInputError(
                f"{path}, row {row}: {key} is {table[key].iloc[row]!r}, but "
                f"{posts[key].iloc[row]!r} in {reference}. The rows of all files must "
                f"match; {len(differ)} row(s) differ."
            )


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not a text file ({error}).") from error
    return [line.strip() for line in text.rstrip().split("\n")]


def _clean(raw: pd.DataFrame, path: Path) -> pd.DataFrame:
    data = raw[["Pid", "Uid", "image"]].copy()
    data["Pathalias"] = clean_texts(raw["Pathalias"], placeholders=True)
    data["Postdate"] = known_seconds(raw["Postdate"], path)
    known_texts = partial(clean_texts, placeholders=True)
    readers: list[Any] = [
        (clean_texts, _TEXTS),
        (known_texts, [*_CATEGORIES, "timezone_offset"]),
        (clean_numbers, [*_PLACE, *_USER_NUMBERS]),
        (clean_seconds, ["photo_firstdate"]),
        (clean_dates, ["photo_firstdatetaken"]),
        *((partial(clean_vectors, width=n), [name]) for name, n in _VECTORS.items()),
    ]
    for read, columns in readers:
        for column in raw.columns.intersection(columns, sort=False):
            data[column] = read(raw[column])
    if "photo_firstdatetaken" in raw:
        waited = data["Postdate"] - data["photo_firstdatetaken"]
        data["first_taken_days"] = waited / np.timedelta64(1, "D")
    return data


def _with_crawled(data: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Add the statistics of the user with the same Pathalias, if there is one."""
    try:
        crawled = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InvalidInputError(f"{path} is not a table ({error}).") from error
    _check_columns(crawled, ("Pathalias", *_CRAWLED), path)
    crawled["Pathalias"] = clean_texts(crawled["Pathalias"], placeholders=True)
    crawled = crawled.dropna(subset="Pathalias").drop_duplicates()
    check_unique(crawled["Pathalias"], path)
    crawled = crawled.set_index("Pathalias")
    columns = {c: clean_numbers(crawled[c]) for c in _CRAWLED}
    numbers = pd.DataFrame(columns, index=crawled.index)
    photos = numbers["photoCount"]
    for mean, total in _MEANS.items():
        numbers[mean] = (numbers[total] / photos).where(photos != 0, 0)
    if "joinedDate" in crawled:
        numbers["joinedDate"] = clean_dates(crawled["joinedDate"])
    return data.join(numbers.reindex(data["Pathalias"]).set_axis(data.index))


def _image_cells(
    data: pd.DataFrame, places: list[Path], split: str, image_folder: Any
) -> tuple[pd.Series, bool]:
    """Return the paths of the pictures, and whether the first of them exists."""
    own = data["Uid"] + "/" + data["Pid"] + ".jpg"
    if image_folder is not None:
        roots = [(Path(image_folder), data["image"]), (Path(image_folder), own)]
    else:
        roots = [(place, data["image"]) for place in places]
        roots.append((places[0] / f"SMP_{split}_images", own))
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
