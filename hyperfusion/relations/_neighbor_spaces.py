"""The contents that neighbors are compared by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from hyperfusion._base import with_parameters
from hyperfusion._text_components import CharacterTfidf, TextComponents
from hyperfusion._validation import local_generator
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.cells._vectors import holds_vectors, vector_size, write_vectors
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._neighbor_search import on_grid
from hyperfusion.table._features import as_float32
from hyperfusion.table._frames import check_columns
from hyperfusion.table._schema import Schema

_MOST_TERMS = 50_000


@with_parameters
class TextSpace(BaseEstimator):
    """Components of the characters in the joined texts of some columns."""

    columns: list[Hashable]
    n_components: int
    random_state: Any

    def fit(self, table: pd.DataFrame) -> Self:
        """Learn terms and components."""
        texts = [text for text in self._texts(table, "missing", warn=False) if text]
        vectorizer = CharacterTfidf(
            analyzer="char_wb",
            ngram_range=(2, 4),
            min_df=min(2, max(len(texts), 1)),
            max_features=_MOST_TERMS,
            sublinear_tf=True,
            dtype=np.float32,
        )
        rng = local_generator(self.random_state)
        self.learned_ = TextComponents.learn(vectorizer, texts, self.n_components, rng)
        return self

    def read(self, table: pd.DataFrame, on_error: str) -> np.ndarray:
        """Return the vectors of the rows, on the grid."""
        svd = self.learned_.svd
        size = 1 if svd is None else svd.n_components
        return on_grid(self.learned_.of(self._texts(table, on_error), size))

    def _texts(
        self, table: pd.DataFrame, on_error: str, *, warn: bool = True
    ) -> list[str | None]:
        columns = [
            read_cells(table[column], read_text, on_error, warn=warn)
            for column in self.columns
        ]
        rows = zip(*columns, strict=True)
        return [" ".join(text for text in row if text) or None for row in rows]


@with_parameters
class VectorSpace(BaseEstimator):
    """Ready-made vectors, joined from columns of numbers or arrays."""

    columns: list[Hashable]

    def fit(self, table: pd.DataFrame) -> Self:
        """Learn the lengths of the arrays in each column."""
        self.sizes_ = {
            column: vector_size(table[column])
            for column in self.columns
            if holds_vectors(table[column])
        }
        return self

    def read(self, table: pd.DataFrame, on_error: str) -> np.ndarray:
        """Return the vectors of the rows, on the grid."""
        numbers = [c for c in self.columns if c not in self.sizes_]
        parts = [as_float32(table[numbers])] if numbers else []
        for column, size in self.sizes_.items():
            parts.append(np.empty((len(table), size), dtype=np.float32))
            write_vectors(table[column], parts[-1])
        return on_grid(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))


Space = TextSpace | VectorSpace


def find_spaces(
    table: pd.DataFrame,
    text: Any,
    vectors: Any,
    taken: list[Hashable],
    n_components: int,
    random_state: Any,
) -> dict[str, Space]:
    """Return the unfitted spaces by name.

    If neither `text` nor `vectors` is given, all columns that aren't `taken` by users
    and times are one space.
    """
    spaces: dict[str, Space] = {}
    for name, value in _by_name(text, "text").items():
        columns = check_columns(table, value, "text")
        spaces[name] = TextSpace(
            columns=columns, n_components=n_components, random_state=random_state
        )
    known = Schema.of(table).vectors
    for name, value in _by_name(vectors, "vectors").items():
        if name in spaces:
            raise InvalidInputError(f"text and vectors both name a space {name!r}.")
        labels = [value] if isinstance(value, str) and value in known else value
        columns = []
        for label in labels if isinstance(labels, list) else [labels]:
            if isinstance(label, str) and label in known:
                columns += [table.columns[i] for i in known[label]]
            else:
                columns += check_columns(table, label, "vectors")
        spaces[name] = VectorSpace(columns=columns)
    if not spaces:
        columns = [column for column in table if column not in taken]
        spaces["vectors"] = VectorSpace(columns=columns)
    empty = [name for name, space in spaces.items() if not space.columns]
    if empty:
        raise InvalidInputError(
            f"The space {empty[0]!r} has no column: name some with text= or vectors=."
        )
    return spaces


def _by_name(value: Any, default: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(name): columns for name, columns in value.items()}
    return {} if value is None else {default: value}
