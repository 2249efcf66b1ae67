"""Categories, ids and users: their levels as texts, and codes for them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import (
    COLLECTIONS,
    MISSING_AS_TEXT,
    Cells,
    as_column,
    doubt_of_words,
    is_blank,
    of_column,
    shown,
)
from hyperfusion.cells._numbers import lost_digits
from hyperfusion.cells._texts import mend
from hyperfusion.exceptions import BadCellWarning

_WORDS = MISSING_AS_TEXT - {"None"}
_BOOLEANS = ({"true", "false"}, {"0", "1"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})


def read_levels(column: Any) -> Cells:
    """Read a column of categories as texts; missing, blank and bad cells are None."""
    cells = as_column(column)
    bad: dict[int, str] = {}
    if cells.dtype != object or infer_dtype(cells, skipna=True) == "string":
        codes, different = pd.factorize(cells)
        found = np.array([*map(_level, different), None], dtype=object)
        levels = found[codes]
        doubt = lost_digits(np.asarray(different), of_column(cells))
    else:  # pandas can't tell 1 from True, or hash lists
        for row, cell in enumerate(cells):
            if isinstance(cell, COLLECTIONS):
                bad[row] = f"expected one category, got a {type(cell).__name__}"
        levels = [_level(cell) for cell in cells]
        doubt = lost_digits(cells, of_column(cells))
    values = pd.Series(levels, index=cells.index, dtype=object, name=cells.name)
    words = [level for level in levels if level in _WORDS]
    return Cells(values, bad, cells, doubt or doubt_of_words(words, cells))


def _level(cell: Any) -> str | None:
    if isinstance(cell, COLLECTIONS) or is_blank(cell):
        return None
    if isinstance(cell, (float, np.floating, Decimal)) and float(cell).is_integer():
        cell = int(cell)
    if isinstance(cell, bytes):
        cell = cell.decode(errors="replace")
    return mend(str(cell).strip())


def number_levels(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's level (-1 if missing), and the levels."""
    return pd.factorize(read_levels(column).clean)


def common_levels(levels: pd.Series, min_frequency: int) -> list[str]:
    counts = Counter(levels.dropna())
    return sorted(level for level, count in counts.items() if count >= min_frequency)


class KnownLevels:
    """The levels known from fit, in the forms that look-ups need."""

    def __init__(self, levels: list[str]):
        self.index = pd.Index(levels, dtype=object)
        self.dtype = pd.CategoricalDtype(levels)

    def __getstate__(self) -> dict[str, Any]:
        return {"levels": self.index.tolist()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(vars(KnownLevels(state["levels"])))


def as_category(
    levels: pd.Series, known: KnownLevels, *, expect_new: bool = False
) -> pd.Series:
    """Return levels as ``category`` dtype; warn if all of them are unknown."""
    codes = known.index.get_indexer(levels)
    if (codes < 0).all():
        warn_of_unknown(levels, known.index.tolist(), expect_new=expect_new)
    values = pd.Categorical.from_codes(codes, dtype=known.dtype)
    return pd.Series(values, index=levels.index)


def warn_of_unknown(
    levels: pd.Series, known: list[str], *, expect_new: bool = False
) -> None:
    """Warn of levels none of which is known; of new ones only if they are misread."""
    there = list(levels.dropna().unique())
    if not known or not there:
        return
    cause, new, old = _cause(there, known)
    if cause or not expect_new:
        warn_user(
            f"No cell of column {levels.name!r} has a level known from fit, so all "
            f"{int(levels.notna().sum())} count as unknown: here is {new!r}, at "
            f"fit was {old!r}. {cause or 'Is it the same column?'}",
            BadCellWarning,
        )


def _cause(seen: list[str], known: list[str]) -> tuple[str | None, str, str]:
    """Return why no level is known, with an example of each side."""
    sides = [{level.lower() for level in side} for side in (seen, known)]
    if all(any(side <= form for form in _BOOLEANS) for side in sides):
        cause = "These are yes and no in two forms: use one form for both."
        return cause, seen[0], known[0]
    ways = {
        "These are numbers written in two ways, as when ids become floats (which lose "
        "the digits of long ones): read the column as text at both times, such as "
        "pd.read_csv(path, dtype={column: str}).": _number,
        "They differ in upper and lower case.": str.casefold,
        "They differ in spaces or other signs.": _letters,
    }
    for cause, key in ways.items():
        forms = {key(level): level for level in known}
        forms.pop(None, None)
        pairs = [(level, forms.get(key(level))) for level in seen]
        alike = [(new, old) for new, old in pairs if old and not _differ(new, old)]
        if alike and 4 * len(alike) >= len(seen):  # a few are alike by chance
            return cause, *alike[0]
    return None, seen[0], known[0]


def _differ(new: str, old: str) -> bool:
    """Whether levels are long ids that are equal as floats alone."""
    ids = new.isdecimal() and old.isdecimal()
    return ids and f"{float(new):.0f}" not in (new, old)


def _letters(level: str) -> str | None:
    text = unicodedata.normalize("NFKC", level).casefold()
    return "".join(c for c in text if unicodedata.category(c)[0] in "LNM") or None


def _number(level: str) -> float | None:
    try:
        number = float(level)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def signs_of_levels(cells: pd.Series) -> str | None:
    """Describe a column that can hold categories; None if most cells differ."""
    found = read_levels(cells)
    levels = found.clean.dropna()
    if found.bad or len(levels) == 0:
        return None
    n_levels = levels.nunique()
    if n_levels > max(0.8 * len(levels), 12):
        return None
    return f"{n_levels} levels such as {shown(levels.mode()[0], 30)}"
