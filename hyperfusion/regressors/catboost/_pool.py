"""Tables as CatBoost reads them: numbers, categories, texts and embeddings."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._features import vector_groups
from hyperfusion.table._frames import as_frame
from hyperfusion.table._old import split_name

MISSING = "__missing__"


@dataclass(frozen=True)
class Columns:
    """Which columns of a table CatBoost takes as what.

    Attributes
    ----------
    every : list
        Labels of all columns, in the table's order.
    numbers : list
        Labels of the columns that are numbers, members of embeddings among them.
    categories, texts : list
        Labels of the categories and of the texts.
    embeddings : dict of {str: list}
        For each embedding's stem the labels of its columns.
    """

    every: list[Hashable]
    numbers: list[Hashable]
    categories: list[Hashable]
    texts: list[Hashable]
    embeddings: dict[str, list[Hashable]]

    @classmethod
    def of(
        cls,
        every: Sequence[Hashable],
        categories: Sequence[Hashable],
        texts: Sequence[Hashable],
        stems: Sequence[str],
    ) -> Self:
        """Sort columns by kind; `categories` holds the texts' labels as well."""
        apart = set(categories)
        numbers = [c for c in every if c not in apart]
        vectors = vector_groups(numbers)
        for stem in stems:
            if stem not in vectors:
                raise InvalidInputError(
                    f"embedding_features={stem!r} is not the stem of a vector. Vectors "
                    f"of X (columns numbered from 0) are {list(vectors)[:20]}."
                )
        return cls(
            every=list(every),
            numbers=numbers,
            categories=[c for c in categories if c not in set(texts)],
            texts=list(texts),
            embeddings={stem: [numbers[i] for i in vectors[stem]] for stem in stems},
        )

    @property
    def single(self) -> list[Hashable]:
        """Labels of the numbers that belong to no embedding."""
        inside = {c for columns in self.embeddings.values() for c in columns}
        return [c for c in self.numbers if c not in inside]

    @property
    def sources(self) -> dict[Hashable, list[int]]:
        """For each of CatBoost's features, in its order, the positions it is from."""
        place = {column: i for i, column in enumerate(self.every)}
        single = [*self.single, *self.categories, *self.texts]
        found = {column: [place[column]] for column in single}
        for stem, columns in self.embeddings.items():
            found[stem] = [place[column] for column in columns]
        return found

    def vector_weights(self, weight: float | str) -> dict[int, float]:
        """Return the weights of vectors' columns, by position among the features.

        Only columns of blocks can be vectors. Numbered columns of no block may be
        anything, so each of them counts for itself.

        Parameters
        ----------
        weight : float or "auto"
            Weight of each column; "auto" falls with the length of its vector.
        """
        weights: dict[int, float] = {}
        for stem, positions in vector_groups(self.single).items():
            each = _weight_of(len(positions)) if weight == "auto" else float(weight)
            if each < 1 and split_name(stem)[0] is not None:
                weights |= dict.fromkeys(positions.tolist(), each)
        return weights


def _weight_of(n_columns: int) -> float:
    """Return the automatic weight of the columns of a vector so long.

    It ends at a half: in long vectors that do tell something, ranks get worse below.
    """
    return float(np.clip(4 / np.sqrt(n_columns), 0.5, 1))


@dataclass(frozen=True)
class Rows:
    """Rows of a table, sorted by kind.

    Attributes
    ----------
    numbers : ndarray of shape (n_samples, n_single), float32
        Numbers that belong to no embedding, NaN where missing.
    levels, texts : DataFrame
        Categories and texts, both of ``category`` dtype.
    embeddings : dict of {str: ndarray of shape (n_samples, size)}
        Embeddings, float32.
    """

    numbers: np.ndarray
    levels: pd.DataFrame
    texts: pd.DataFrame
    embeddings: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, numbers: np.ndarray, categories: pd.DataFrame, columns: Columns
    ) -> Self:
        """Sort what `split_features` returns."""
        place = {column: i for i, column in enumerate(columns.numbers)}

        def some(labels: Sequence[Hashable]) -> np.ndarray:
            return numbers[:, [place[c] for c in labels]]

        return cls(
            numbers=some(columns.single) if columns.embeddings else numbers,
            levels=categories[columns.categories],
            texts=categories[columns.texts],
            embeddings={stem: some(c) for stem, c in columns.embeddings.items()},
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(
            self.numbers[rows],
            self.levels.iloc[rows],
            self.texts.iloc[rows],
            {stem: values[rows] for stem, values in self.embeddings.items()},
        )

    def means(self) -> dict[str, np.ndarray]:
        """Return the mean of each embedding over the rows where it is known."""
        found = {}
        for stem, values in self.embeddings.items():
            known = values[~np.isnan(values).any(axis=1)]
            found[stem] = known.mean(axis=0) if len(known) else 0 * values[0]
        return {stem: np.nan_to_num(mean) for stem, mean in found.items()}

    def filled(self, means: dict[str, np.ndarray]) -> Rows:
        """Put `means` where an embedding is missing, which CatBoost refuses."""
        embeddings = {
            stem: np.where(np.isnan(values).any(axis=1, keepdims=True), mean, values)
            for (stem, values), mean in zip(
                self.embeddings.items(), means.values(), strict=True
            )
        }
        return Rows(self.numbers, self.levels, self.texts, embeddings)

    def is_constant(self) -> bool:
        """Whether all rows are the same, so that there is nothing to learn."""
        levels = [*self.levels.items(), *self.texts.items()]
        return all(
            _same(part) for part in (self.numbers, *self.embeddings.values())
        ) and all(np.ptp(column.cat.codes) == 0 for _, column in levels)

    def pool(
        self, y: np.ndarray | None = None, weight: np.ndarray | None = None
    ) -> Any:
        """Return the rows as a ``catboost.Pool``."""
        from catboost import Pool

        if self.texts.shape[1] or self.embeddings:
            return Pool(
                self._frame(),
                label=y,
                weight=weight,
                cat_features=[f"level {i}" for i in range(self.levels.shape[1])],
                text_features=[f"text {i}" for i in range(self.texts.shape[1])],
                embedding_features=[f"vector {i}" for i in range(len(self.embeddings))],
            )
        return Pool(self._compact(), label=y, weight=weight)

    def _compact(self) -> Any:
        """Return numbers and categories in CatBoost's form that needs least memory."""
        from catboost import FeaturesData

        levels = [_bytes(self.levels[c]) for c in self.levels]
        return FeaturesData(
            num_feature_data=(
                np.ascontiguousarray(self.numbers) if self.numbers.shape[1] else None
            ),
            cat_feature_data=np.column_stack(levels) if levels else None,
        )

    def _frame(self) -> pd.DataFrame:
        """Return a frame with names of its own, in the order of `Columns.sources`."""
        parts: dict[str, Any] = {
            f"number {i}": column for i, column in enumerate(self.numbers.T)
        }
        for i, name in enumerate(self.levels):
            parts[f"level {i}"] = _words(self.levels[name], MISSING)
        for i, name in enumerate(self.texts):
            parts[f"text {i}"] = _words(self.texts[name], "")
        for i, values in enumerate(self.embeddings.values()):
            parts[f"vector {i}"] = list(values)
        return pd.DataFrame(parts)


def _same(numbers: np.ndarray) -> bool:
    first = numbers[:1]
    same = (numbers == first) | (np.isnan(numbers) & np.isnan(first))
    return bool(same.all())


def _words(column: pd.Series, missing: str) -> np.ndarray:
    """Return a category column as strings, with one for what is missing."""
    levels = [str(level) for level in column.cat.categories]
    return np.array([*levels, missing], dtype=object)[column.cat.codes]


def _bytes(column: pd.Series) -> np.ndarray:
    """Return a category column as the byte strings of its levels."""
    levels = [str(level) for level in column.cat.categories] + [MISSING]
    coded = [level.encode("utf-8", "surrogatepass") for level in levels]
    return np.array(coded, dtype=object)[column.cat.codes]


def text_processing(min_word_count: int) -> dict[str, Any]:
    """Return CatBoost's settings for texts: which of the frequent words they hold."""
    return {
        "tokenizers": [
            {
                "tokenizer_id": "Words",
                "separator_type": "BySense",
                "lowercasing": "true",
                "token_types": ["Word", "Number", "Unknown"],
            }
        ],
        "dictionaries": [
            {
                "dictionary_id": "Word",
                "gram_order": "1",
                "occurrence_lower_bound": str(min_word_count),
            }
        ],
        "feature_processing": {
            "default": [
                {
                    "tokenizers_names": ["Words"],
                    "dictionaries_names": ["Word"],
                    "feature_calcers": ["BoW"],
                }
            ]
        },
    }


def texts_as_categories(X: Any, names: Sequence[Hashable]) -> Any:
    """Return the table with its texts as categories, which is how they travel."""
    if len(names) == 0:
        return X
    columns = list(getattr(X, "columns", ()))
    for name in names:
        if name not in columns:
            raise InvalidInputError(
                f"text_features={name!r} is not a column of X. Its columns are "
                f"{columns[:20]}."
            )
    table = as_frame(X).copy(deep=False)
    for name in names:
        table[name] = table[name].astype("category")
    return table


def check_device(estimator: Any) -> None:
    """Refuse, or warn of, what CatBoost can't do on a GPU."""
    if estimator.device != "cuda":
        return
    if len(estimator.embedding_features):
        raise InvalidInputError(
            "CatBoost's embeddings crash on a GPU: use device='cpu', or leave "
            f"embedding_features={estimator.embedding_features!r} out, and the vectors "
            "are taken as numbers."
        )
    if estimator.max_time is not None:
        raise InvalidInputError(
            "CatBoost can't be stopped by the clock on a GPU: use device='cpu', or "
            f"limit iterations instead of max_time={estimator.max_time!r}."
        )
    if estimator.colsample != "auto" and estimator.colsample < 1:
        warnings.warn(
            "CatBoost looks at all features on a GPU: "
            f"colsample={estimator.colsample!r} has no effect.",
            UserWarning,
            stacklevel=3,
        )


@contextmanager
def named_errors(estimator: Any) -> Iterator[None]:
    """Say which parameter is meant where CatBoost finds no word, or no GPU."""
    from catboost import CatBoostError

    try:
        yield
    except CatBoostError as error:
        if estimator.device == "cuda" and "cuda" in str(error).lower():
            raise InvalidInputError(
                f"device='cuda' can't be used here: {error}. Use 'auto' or 'cpu'."
            ) from error
        if "Dictionary size is 0" not in str(error):
            raise
        raise InvalidInputError(
            f"A column of text_features={list(estimator.text_features)} has no word "
            f"that occurs min_word_count={estimator.min_word_count} times in the rows "
            "trained on: lower min_word_count or leave the column out."
        ) from error


class Deadline:
    """CatBoost callback that stops training when the time is up."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def after_iteration(self, info: Any) -> bool:
        """Return whether to go on."""
        return time.monotonic() < self.end


def to_bytes(model: Any) -> bytes:
    """Return a model in CatBoost's own binary format."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.cbm")
        model.save_model(path)
        with open(path, "rb") as file:
            return file.read()
