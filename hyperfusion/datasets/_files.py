"""Files of data sets and their cells, with errors that name file, row and key.

Placeholders such as ``None`` or ``0000-00-00`` are missing. Other cells are read like
everywhere in the package, with one `BadCellWarning` per column with bad cells.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from hyperfusion._base import Result
from hyperfusion.cells._columns import Cells, is_missing, shown
from hyperfusion.cells._numbers import read_numbers
from hyperfusion.cells._texts import mend
from hyperfusion.cells._times import read_times
from hyperfusion.exceptions import InvalidInputError

_PLACEHOLDERS = {"", "none", "null", "nan", "n/a", "<na>"}
_NO_DATE = {"0", "0.0", "0000-00-00 00:00:00", "0000-00-00"}
# year, month, day, hour in ten digits, which are seconds since 1970 elsewhere
_HOUR = re.compile(r"((?:18|19|20)\d\d|2100)(\d\d)(\d\d)(\d\d)(?:\.0*)?")


def find_file(folders: list[Path], patterns: list[str], what: str) -> Path:
    """Return the first file that matches a pattern in one of the folders."""
    for pattern in patterns:
        for folder in folders:
            found = sorted(folder.glob(pattern))
            if len(found) > 1:
                names = [path.name for path in found]
                raise InvalidInputError(
                    f"{folder} holds several files of {what}: {names}. Keep one."
                )
            if found:
                return found[0]
    places = " or ".join(str(folder) for folder in folders)
    raise InvalidInputError(
        f"No file of {what} in {places}: looked for {' or '.join(patterns)}."
    )


def check_folder(folder: str | os.PathLike) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise InvalidInputError(f"folder={str(folder)!r} is not a folder.")
    return path


def read_json(path: Path) -> Any:
    """Return the content of a file; equal texts in its objects are one text."""
    same: dict[str, str] = {}

    def share(cells: dict[str, Any]) -> dict[str, Any]:
        for key, cell in cells.items():
            if isinstance(cell, str):
                cells[key] = same.setdefault(cell, cell)
        return cells

    try:
        with path.open("rb") as file:
            encoding = json.detect_encoding(file.read(4))
        text = path.read_text(encoding, errors="surrogatepass")
        return json.loads(text, object_hook=share)
    except (ValueError, RecursionError) as error:
        raise _not_json(path, error) from error


def _not_json(place: object, error: Exception) -> InvalidInputError:
    said = f"{place} is not valid JSON ({error}); the file may be truncated"
    return InvalidInputError(f"{said}: get it again.")


def read_json_lines(path: Path, needed: Iterable[str]) -> pd.DataFrame:
    """Return a file with one JSON object per line as a table of the needed keys."""
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise _not_json(f"{path}, line {number}", error) from error
            if not isinstance(rows[-1], dict):
                raise InvalidInputError(
                    f"{path}, line {number}: expected an object, got {rows[-1]!r:.60}."
                )
    return table_of(rows, needed, path)


def table_of(rows: list[Any], needed: Iterable[str], path: Path) -> pd.DataFrame:
    """Return objects as a table; each object must have the needed keys."""
    if not rows:
        raise InvalidInputError(f"{path} holds no rows.")
    columns: dict[str, list[Any]] = {}
    for key in needed:
        for number, row in enumerate(rows):
            if not isinstance(row, dict) or key not in row:
                has = f"keys {sorted(row)}" if isinstance(row, dict) else f"{row!r:.60}"
                raise InvalidInputError(
                    f"{path}, row {number} has no key {key!r}; it has {has}."
                )
        columns[key] = [row[key] for row in rows]
    return pd.DataFrame(columns, dtype=object)


def finite_numbers(cells: pd.Series, path: Path) -> np.ndarray:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        row = int(bad[0])
        raise InvalidInputError(
            f"{path}, row {row}: {shown(cells.iloc[row], 60)} is not a finite number."
        )
    return numbers


def as_ids(cells: pd.Series, path: Path) -> pd.Series:
    """Return ids as texts, whether the file holds numbers or texts."""
    ids = []
    for row, cell in enumerate(cells):
        is_id = isinstance(cell, (str, Integral)) and not isinstance(cell, bool)
        ids.append(str(cell).strip() if is_id else "")
        if not ids[-1]:
            raise InvalidInputError(
                f"{path}, row {row}: {cells.name} is {cell!r}, not an id."
            )
    return pd.Series(ids, index=cells.index, name=cells.name, dtype=object)


def check_unique(ids: pd.Series, path: Path) -> None:
    twice = ids[ids.duplicated(keep=False)]
    if len(twice):
        rows = twice.index[twice == twice.iloc[0]][:2].tolist()
        raise InvalidInputError(
            f"{path}: {ids.name} {twice.iloc[0]!r} is in rows {rows[0]} and {rows[1]}; "
            "each row needs its own."
        )


def as_bunch(
    data: pd.DataFrame,
    target: np.ndarray | None,
    time: str,
    post_hoc: Iterable[str],
    *,
    strict: bool,
    roles: Callable[[pd.DataFrame], dict[str, Any]],
) -> Bunch:
    """Return posts in time order; `roles` gets the columns that stay."""
    order = np.argsort(data[time].to_numpy(), kind="stable")
    late = [column for column in post_hoc if column in data]
    data = data.iloc[order].reset_index(drop=True)
    if strict:
        data, late = data.drop(columns=late), []
    target = None if target is None else target[order]
    return Result(data=data, target=target, roles=roles(data), post_hoc=late)


def clean_texts(cells: pd.Series, *, placeholders: bool = False) -> pd.Series:
    """Return stripped texts; None if empty or, with `placeholders`, like ``None``."""
    words = _PLACEHOLDERS if placeholders else {""}
    texts = ["" if is_missing(cell) else str(cell).strip() for cell in cells]
    clean = [None if text.lower() in words else mend(text) for text in texts]
    return pd.Series(clean, index=cells.index, dtype=object)


def clean_numbers(cells: pd.Series) -> np.ndarray:
    return read_numbers(_without(cells, _PLACEHOLDERS)).settle("missing")


def clean_seconds(cells: pd.Series) -> np.ndarray:
    """Return times as datetime64[s] (UTC); NaT if missing."""
    return read_times(_without(cells, _PLACEHOLDERS)).settle("missing").moments


def known_seconds(cells: pd.Series, path: Path) -> np.ndarray:
    """Return times of posts as datetime64[s] (UTC), none of which is missing."""
    times = clean_seconds(cells)
    unread = np.flatnonzero(np.isnat(times))
    if len(unread):
        row = int(unread[0])
        raise InvalidInputError(
            f"{path}, row {row}: {cells.name} is {cells.iloc[row]!r}, expected a time "
            "like '2023-07-29 18:21' or seconds since 1970."
        )
    return times


def clean_dates(cells: pd.Series) -> np.ndarray:
    """Return times also of dates like ``1904010100`` (with the hour); 0 is missing."""
    return clean_seconds(_without(cells, _NO_DATE).map(_with_hour))


def _without(cells: pd.Series, words: set[str]) -> pd.Series:
    missing = [str(cell).strip().lower() in words for cell in cells]
    return cells.astype(object).mask(missing, None)


def _with_hour(cell: Any) -> Any:
    found = _HOUR.fullmatch(str(cell).strip())
    return "{}-{}-{}T{}".format(*found.groups()) if found else cell


def clean_vectors(cells: pd.Series, width: int) -> pd.Series:
    """Return vectors of `width` numbers, equal ones kept once; None if missing."""
    joined = [" ".join(map(str, c)) if isinstance(c, list) else c for c in cells]
    codes, different = pd.factorize(np.array([*joined, None], dtype=object)[:-1])
    vectors: list[np.ndarray | None] = [None] * (len(different) + 1)
    bad = np.zeros(len(different) + 1, dtype=bool)
    texts = clean_texts(pd.Series(different, dtype=object), placeholders=True)
    for code, text in enumerate(texts):
        words = (text or "").strip("[]").replace(",", " ").replace(";", " ").split()
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(words, dtype=np.float32)
        except ValueError:
            numbers = np.array([])
        if len(numbers) == width and np.isfinite(numbers).all():
            vectors[code] = numbers
        else:
            bad[code] = len(words) > 0
    rows = np.flatnonzero(bad[codes])
    why = {int(r): f"{shown(cells.iloc[r])} is not {width} numbers" for r in rows}
    values = pd.Series([vectors[code] for code in codes], cells.index, dtype=object)
    return Cells(values, why, cells).settle("missing")
