"""The files of the SMP Challenge's image track: names, formats and rows."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion.datasets._cells import clean_texts
from hyperfusion.datasets._files import (
    as_ids,
    check_unique,
    find_file,
    finite_numbers,
    read_json,
    table_of,
)
from hyperfusion.exceptions import InvalidInputError

NAMES = {
    "category": ("{}_category.json",),
    "text": ("{}_text.json", "{}_tags.json"),
    "time and place": tuple(
        f"{{}}_temporalspatial{end}.json" for end in ("_information", "")
    ),
    "additional information": ("{}_additional_information.json", "{}_additional.json"),
    "user data": ("{}_user_data.json", "{}_userdata.json"),
    "image paths": tuple(
        f"{{}}_img{end}.txt" for end in ("_filepath", "_path", "", "file")
    ),
    "labels": ("{}_label.txt",),
}
"""File names of each part: first those since 2023, then those of 2020."""

KEYS = {
    "category": ("Category", "Subcategory", "Concept"),
    "text": ("Title", "Mediatype", "Alltags"),
    "time and place": ("Postdate", "Latitude", "Longitude", "Geoaccuracy"),
    "additional information": ("Pathalias", "Ispublic", "Mediastatus"),
}
_OTHER_NAMES = {"Tile": "Title", "timezone_timezone_id": "timezone_id"}


def find_part(folder: Path, split: str, part: str) -> Path:
    """Return the file of a part, from the folder or the one of the split's metadata."""
    names = [name.format(split) for name in NAMES[part]]
    return find_file(_places(folder, split), names, part)


def find_crawled(folder: Path, split: str) -> Path | None:
    paths = [place / "user_additional.csv" for place in _places(folder, split)]
    return next((path for path in paths if path.is_file()), None)


def _places(folder: Path, split: str) -> list[Path]:
    return [folder, folder / f"{split}_allmetadata_json"]


def read_posts(folder: Path, split: str) -> pd.DataFrame:
    """Return all parts of the posts side by side; their rows must match."""
    posts, reference = pd.DataFrame(), None
    for part, keys in KEYS.items():
        path = find_part(folder, split, part)
        table = read_table(path, ("Pid", "Uid", *keys))
        if reference is None:
            check_unique(table["Pid"], path)
            posts, reference = table, path
        else:
            check_rows(table, path, posts, reference)
            posts = posts.join(table[list(keys)])
    path = find_part(folder, split, "user data")
    users = read_table(path)
    check_rows(users, path, posts, reference)
    posts = posts.join(users[users.columns.difference(posts.columns, sort=False)])
    path = find_part(folder, split, "image paths")
    files = [PurePosixPath(line.replace("\\", "/")) for line in _lines(path)]
    paths = pd.Series([str(file) for file in files], dtype=object)
    keys = pd.DataFrame({"Pid": [file.stem for file in files]})
    if all(len(file.parts) > 1 for file in files):
        keys["Uid"] = [file.parent.name for file in files]
    check_rows(keys, path, posts, reference)
    return posts.assign(image=paths)


def read_table(path: Path, needed: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a JSON file (a list of rows or an object of columns) as a table."""
    content = read_json(path)
    if isinstance(content, dict):
        table = _from_columns(content, path)
    elif isinstance(content, list):
        rows = [_renamed(row) for row in content]
        first = rows[0] if rows and isinstance(rows[0], dict) else {}
        table = table_of(rows, needed or tuple(first), path)
    else:
        raise InvalidInputError(
            f"{path}: expected a list of objects or an object of columns, got "
            f"{content!r:.60}."
        )
    _check_columns(table, needed, path)
    for key in table.columns.intersection(["Pid", "Uid"]):
        table[key] = as_ids(table[key], path)
    return table


def _check_columns(table: pd.DataFrame, needed: tuple[str, ...], path: Path) -> None:
    absent = [key for key in needed if key not in table]
    if absent:
        raise InvalidInputError(
            f"{path} has no column {absent[0]!r}; it has {sorted(table)}."
        )


def _renamed(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {_OTHER_NAMES.get(key, key): cell for key, cell in row.items()}


def _from_columns(content: dict[str, Any], path: Path) -> pd.DataFrame:
    columns = {}
    for name, cells in _renamed(content).items():
        if isinstance(cells, dict):
            absent = [row for row in range(len(cells)) if str(row) not in cells]
            if absent:
                raise InvalidInputError(
                    f"{path}, column {name!r} has no row {absent[0]}, of "
                    f"{len(cells)}: row numbers begin at 0 and leave none out."
                )
            cells = [cells[str(row)] for row in range(len(cells))]
        if not isinstance(cells, list):
            raise InvalidInputError(
                f"{path}, column {name!r}: expected cells by row, got {cells!r:.60}."
            )
        columns[name] = cells
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise InvalidInputError(
            f"{path}: columns must have the same number of rows, at least 1. "
            f"Got {lengths}."
        )
    return pd.DataFrame(columns, dtype=object)


def read_labels(path: Path, posts: pd.DataFrame, reference: Path) -> np.ndarray:
    lines = pd.Series(_lines(path))
    check_rows(lines.to_frame(), path, posts, reference)
    return finite_numbers(lines, path)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not a text file ({error}).") from error
    return [line.strip() for line in text.rstrip().split("\n")]


def check_rows(
    table: pd.DataFrame, path: Path, posts: pd.DataFrame, reference: Path | None
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


def read_crawled(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InvalidInputError(f"{path} is not a table ({error}).") from error
    _check_columns(table, ("Pathalias", *columns), path)
    table["Pathalias"] = clean_texts(table["Pathalias"], placeholders=True)
    table = table.dropna(subset="Pathalias").drop_duplicates()
    check_unique(table["Pathalias"], path)
    return table.set_index("Pathalias")
