"""Suggest the roles of a table's columns, before anything is fitted."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from pprint import pformat
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hyperfusion._validation import inferred
from hyperfusion.cells._columns import as_column, is_blank, shown
from hyperfusion.cells._images import signs_of_images
from hyperfusion.cells._levels import signs_of_levels
from hyperfusion.cells._numbers import signs_of_numbers
from hyperfusion.cells._texts import is_list, signs_of_tags, signs_of_texts
from hyperfusion.cells._times import signs_of_times
from hyperfusion.cells._vectors import signs_of_vectors
from hyperfusion.cells._zones import signs_of_zones
from hyperfusion.encoders.post._roles import ROLES
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._leaks import sounds_later, words_of
from hyperfusion.table._frames import as_frame, check_frame

__all__ = ["RoleGuess", "guess_roles"]

_SAMPLE = 1000
_SHORTEST_VECTOR = 32

# words of columns' names, in the singular
_USER = {"user", "author", "account", "channel", "seller", "owner", "creator", "host"}
_USER |= {"uploader", "shop", "profile", "uid", "vendor", "username", "publisher"}
_USER |= {"writer", "byline", "reporter", "journalist", "photographer", "artist"}
_CALLED = re.compile(
    r"@[\w.]+|/?u/[\w-]+|by\s+\w\S*(?:\s+\S+){0,3}", re.IGNORECASE
)  # not a text that begins with "by"
_ID = {"id", "name", "hash", "key", "handle", "number", "code", "uuid", "title"}
_ROW_IDS = {"id", "uuid", "pid", "sku", "index"}
_JOINED = {"joined", "registered", "signup", "since"}
_FANS = {"follower", "following", "follow", "subscriber", "friend", "fan"}
_POSTED = {"post", "posted", "publish", "published", "upload", "uploaded", "listed"}
_TIME = {"time", "date", "datetime", "timestamp", "created", "when", "day", "year"}
_PLACE = {"place", "city", "location", "country", "region", "town", "venue", "state"}
_TAGS = {"tag", "hashtag", "keyword", "label"}
_CODE = {"code", "type", "category", "class", "format", "kind", "language", "status"}
_CODE |= {"zip", "zipcode", "postcode", "postal"}
_BLOCKS = {
    "image": {"image", "img", "photo", "picture", "clip", "visual", "vit", "resnet"},
    "text": {"text", "title", "caption", "description", "sentence", "bert", "word"},
    "tags": _TAGS,
    "user": _USER,
    "place": _PLACE,
    "meta": {"embedding", "emb", "vector", "vec", "latent"},
}
_KINDS = {"str": "text", "int": "number", "float": "number"}
_NEUTRAL = {"snippet", "meta", "data", "info", "node"}  # levels of JSON
_SPOKEN = frozenset().union(*_BLOCKS.values())


def _words(label: Hashable) -> frozenset[str]:
    """Return the words of a column's name, in lower case and in the singular."""
    words = (re.sub("(?<![su])s$", "", word) for word in words_of(str(label)))
    return frozenset(words) - _NEUTRAL


class _Column(NamedTuple):
    """A column, a sample of its non-missing cells, and the words of its name."""

    label: Hashable
    words: frozenset[str]
    cells: pd.Series
    n_levels: int
    n_known: int
    n_rows: int

    @classmethod
    def of(cls, label: Hashable, column: pd.Series) -> _Column:
        known = column.dropna()
        try:
            n_levels = known.nunique()
        except TypeError:  # lists
            n_levels = len(known)
        rows = np.unique(np.linspace(0, len(known) - 1, _SAMPLE).astype(int))
        cells = as_column(known.iloc[rows] if len(known) else known)
        cells = cells[[not is_blank(cell) for cell in cells]]
        if cells.dtype == object:
            cells = inferred(cells)
        return cls(label, _words(label), cells, n_levels, len(known), len(column))

    @property
    def is_numeric(self) -> bool:
        return self.cells.dtype.kind in "iuf"

    @property
    def is_whole(self) -> bool:
        return self.is_numeric and bool((self.cells == np.floor(self.cells)).all())

    def within(self, limit: float) -> bool:
        return self.is_numeric and bool((self.cells.abs() <= limit).all())


def _rules(column: _Column) -> Iterator[tuple[str | None, str | None]]:
    """Yield likely roles of a column, each with a reason; None if it doesn't fit."""
    cells, words = column.cells, column.words
    if len(cells) == 0:
        yield None, "no cell holds anything"
    if column.n_levels == 1 < column.n_known == column.n_rows:
        yield None, "all cells are the same"
    yield "image", signs_of_images(cells)
    yield "vectors", signs_of_vectors(cells)
    if cells.dtype == bool:
        yield "categorical", "yes or no"
    if words & {"lat", "latitude"} and column.within(90):
        yield "latitude", "the name, and numbers within 90"
    if words & {"lon", "lng", "long", "longitude"} and column.within(180):
        yield "longitude", "the name, and numbers within 180"
    if "accuracy" in words and column.is_numeric:
        yield "geo_accuracy", "the name, and numbers"
    if words & {"timezone", "tz", "zone", "offset"}:
        yield "timezone", signs_of_zones(cells)
    yield from _rules_of_users(column)
    few_twice = column.n_levels > max(0.9 * column.n_known, 1)
    if few_twice and column.is_whole and column.n_levels == np.ptp(cells) + 1:
        yield None, "row numbers"
    if few_twice and {*words_of(str(column.label))[-1:]} & _ROW_IDS:
        yield None, "few values occur twice, and the name is that of an id"
    named = bool(words & (_TIME | _POSTED | _JOINED))
    if named or not column.is_numeric:
        joined = words & _JOINED or (words & _USER and words & _TIME)
        found = signs_of_times(cells, named=named)
        yield "user_created" if joined else "time", found
    if numbers := signs_of_numbers(cells):
        if words & (_FANS | _USER):
            yield "user_numeric", f"the name, and {numbers}"
        if sounds_later(column.label) and (column.is_whole or "total" not in words):
            reason = "the name of a count that grows after the post: give it a role"
            yield None, f"{reason} only if it was known before"
        padded = (c[:1] == "0" and c[1:].isdigit() for c in cells.astype(str))
        coded = words & (_CODE | {"id"}) and (column.is_whole or not column.is_numeric)
        if coded or any(padded):
            yield "categorical", f"{column.n_levels} different codes"
        yield "numeric", numbers
    if words & _PLACE and not words & _USER:
        yield "place", signs_of_levels(cells)
    yield from _rules_of_texts(column)


def _rules_of_users(column: _Column) -> Iterator[tuple[str | None, str | None]]:
    """Yield the role of users where names or cells are theirs."""
    cells, words = column.cells, column.words
    ids = {word for word in words if word.endswith("id")}  # steamid
    names_user = words & _USER and words <= _USER | _ID | ids  # not something of theirs
    are_ids = column.is_whole or not (column.is_numeric or cells.map(is_list).any())
    users = f"{column.n_levels} users in {column.n_known} rows"
    if names_user and are_ids:
        yield "user", f"the name, and {users}"
    if all(isinstance(cell, str) and _CALLED.fullmatch(cell.strip()) for cell in cells):
        yield "user", f"names such as {shown(cells.iloc[0], 30)}, and {users}"


def _rules_of_texts(column: _Column) -> Iterator[tuple[str | None, str | None]]:
    """Yield roles of what is neither number, time nor picture."""
    cells, words = column.cells, column.words
    tags = signs_of_tags(cells)
    if tags is None and words & _TAGS and signs_of_texts(cells):
        tags = "the name, and texts of several words"
    if tags and str(cells.iloc[0]).lstrip("[('\" ").startswith("http"):
        yield None, "lists of URLs: download what they point to and use the paths"
    yield "tags", tags
    if words & _CODE:
        yield "categorical", signs_of_levels(cells)
    yield "text", signs_of_texts(cells)
    yield "categorical", signs_of_levels(cells)
    kind = type(cells.iloc[0]).__name__
    if is_list(cells.iloc[0]) or isinstance(cells.iloc[0], dict):
        yield None, f"a {kind} of objects: extract what you need, such as their names"
    yield None, f"a different {_KINDS.get(kind, kind)} in each row, as ids have"


class _Guess(NamedTuple):
    """A column, or several that form a vector, with its role and the reason."""

    columns: list[Hashable]
    role: str | None
    reason: str
    block: str | None = None

    def __str__(self) -> str:
        first, *rest = map(str, self.columns)
        name = f"{first} ... {rest[-1]}" if rest else first
        role = f"vectors[{self.block!r}]" if self.block else self.role or "-"
        return f"{name:<24} {role:<18} {self.reason}"


class RoleGuess:
    """Roles that `guess_roles` suggests; it prints one line per column, and the call.

    Attributes
    ----------
    roles : dict
        The roles and their columns, as `make_hyperfusion` and `PostEncoder` take them.
    left_out : dict
        The columns without a role, each with the reason.
    call : str
        The call of `make_hyperfusion` with these roles, to paste and edit.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import guess_roles
    >>> table = pd.DataFrame({"weight": [9.5, 8.0, 9.0], "color": list("rbr")})
    >>> guess_roles(table).roles
    {'numeric': ['weight'], 'categorical': ['color']}
    """

    def __init__(self, guesses: list[_Guess]):
        self._guesses = guesses
        self.roles: dict[str, Any] = {}
        for role, limit in ROLES.items():
            columns = [guess.columns[0] for guess in guesses if guess.role == role]
            if columns:
                self.roles[role] = columns[0] if limit == 1 else columns
        for guess in guesses:
            if guess.block:
                vectors = self.roles.setdefault("vectors", {})
                one = guess.columns if len(guess.columns) > 1 else guess.columns[0]
                vectors.setdefault(guess.block, []).append(one)
        self.left_out = {g.columns[0]: g.reason for g in guesses if g.role is None}
        lines = []
        for role, value in self.roles.items():
            text = pformat(value, width=70, compact=True, sort_dicts=False)
            lines.append(f"    {role}={text.replace(chr(10), chr(10) + ' ' * 8)},\n")
        self.call = f"make_hyperfusion(\n{''.join(lines)})"

    def __repr__(self) -> str:
        header = _Guess(["column"], "role", "why")
        lines = "\n".join(map(str, [header, *self._guesses]))
        return f"{lines}\n\n{self.call}"


def guess_roles(table: Any, target: Hashable = None) -> RoleGuess:
    """Guess what the columns of a table are, and say why.

    It looks at dtypes, names and up to 1,000 cells of each column, and fits nothing.
    Check every line before you use the result: cells don't tell what a column means, or
    whether it was known when the post was published. Constants, ids, counts that grow
    after the post (views, likes), URLs of images, numbers with units, and unclear dates
    get no role; the reason says what to do.

    Parameters
    ----------
    table : DataFrame
        Posts, products or listings, one per row.
    target : column, default=None
        The column to predict, which gets no role.

    Returns
    -------
    RoleGuess
        It prints one line for each column, with its role and the reason, and the call
        to paste. Or use ``make_hyperfusion(**guess.roles)``.

    Raises
    ------
    InvalidInputError
        If `table` is not a table, or the target is not one of its columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import guess_roles
    >>> table = pd.DataFrame({
    ...     "title": ["Red chair of oak", "A blue table", "Small green lamp"],
    ...     "listed_on": ["2024-03-01", "2024-03-02", "2024-03-05"],
    ...     "seller": ["ann", "bob", "ann"],
    ...     "views": [10, 20, 30],
    ... })
    >>> guess = guess_roles(table)
    >>> print(guess.call)
    make_hyperfusion(
        text=['title'],
        user='seller',
        time='listed_on',
    )
    >>> guess.left_out["views"][:46]
    'the name of a count that grows after the post:'
    """
    frame = as_frame(table)
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInputError(
            f"guess_roles needs a DataFrame, whose columns have names. Got "
            f"{type(table).__name__}."
        )
    check_frame(frame, "guess_roles")
    is_column = isinstance(target, Hashable) and target in frame.columns
    if target is not None and not is_column:
        raise InvalidInputError(f"target={target!r} is not a column of the table.")
    labels = [label for label in frame.columns if label != target]
    of_vectors = _numbered_columns(frame[labels])
    in_vectors = {label for group in of_vectors for label in group}
    columns = {c: _Column.of(c, frame[c]) for c in labels if c not in in_vectors}
    guesses = []
    for label, column in columns.items():
        try:
            role, reason = next((r, str(why)) for r, why in _rules(column) if why)
        except ValueError as error:
            role, reason = None, str(error)
        block = _block(column.words) if role == "vectors" else None
        guesses.append(_Guess([label], role, reason, block))
    for group in of_vectors:
        reason = f"{len(group)} numbered columns of numbers: one vector"
        guesses.append(_Guess(group, "vectors", reason, _block(_words(group[0]))))
    if target is not None:
        guesses.append(_Guess([target], None, "the target"))
    return RoleGuess(_one_for_each(guesses, columns))


def _block(words: frozenset[str]) -> str:
    """Return the block that a vector's name refers to, or "meta"."""
    return next((block for block, own in _BLOCKS.items() if words & own), "meta")


def _numbered_columns(frame: pd.DataFrame) -> list[list[Hashable]]:
    """Return groups of numeric columns whose names differ in their last number."""
    groups: dict[str, dict[int, Hashable]] = {}
    for label, dtype in frame.dtypes.items():
        name = re.fullmatch(r"(.*\D)(\d+)", str(label))
        if name and pd.api.types.is_float_dtype(dtype):
            groups.setdefault(name[1], {})[int(name[2])] = label
    return [
        [group[number] for number in sorted(group)]
        for name, group in groups.items()
        if max(group) - min(group) < len(group) > 3
        and (len(group) >= _SHORTEST_VECTOR or _words(name) & _SPOKEN)
    ]


def _one_for_each(
    guesses: list[_Guess], columns: dict[Hashable, _Column]
) -> list[_Guess]:
    """Give a role of one column to the likeliest one, and others to the rest."""
    settled = list(guesses)
    for role, limit in ROLES.items():
        places = [i for i, guess in enumerate(guesses) if guess.role == role]
        if limit != 1 or len(places) < 2:
            continue
        words = {"time": _POSTED, "user": {"id", "uid"}, "tags": _TAGS}.get(role, set())
        rivals = {i: columns[guesses[i].columns[0]] for i in places}
        strength = {i: (len(c.words & words), c.n_levels) for i, c in rivals.items()}
        best = max(places, key=strength.__getitem__)
        for i in set(places) - {best}:
            other = {"tags": "text", "place": "categorical"}.get(role)
            if role == "time" and rivals[i].is_numeric and rivals[i].within(3000):
                other = "numeric"  # the year of a car
            why = f"{guesses[i].reason}; {role} is already {guesses[best].columns[0]!r}"
            settled[i] = _Guess(guesses[i].columns, other, why)
    return settled
