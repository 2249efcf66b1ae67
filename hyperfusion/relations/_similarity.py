"""The agreement of a post's image, texts and tags."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import gen_batches

from hyperfusion._base import clone_with, with_parameters
from hyperfusion._nested import NestedEncoders, takes_one_column
from hyperfusion._transformer import TableTransformer
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._tree import unit
from hyperfusion.table._features import read_features, take_columns
from hyperfusion.table._frames import check_columns, check_table
from hyperfusion.table._schema import block_of_vector, vectors_alone

ALL = "all"
_ROWS = 4096


@with_parameters
class CrossModalSimilarity(NestedEncoders, TableTransformer):
    """Cosines between the image, the texts and the tags of each post.

    Equation 5 of the paper, for each pair of vectors in the same space. They come from
    a feature table, or from raw columns and their encoders.

    In a feature table it compares vectors with the same declared space, such as those
    of the CLIP encoders for one model. Name other vectors in `pairs`.

    Parameters
    ----------
    pairs : list of (str, str), default=None
        Which vectors to compare, such as ``("image__clip", "text__title_clip")``, or
        which raw columns. The second name can be ``"all"``: the mean of the other
        vectors of the same space, each of length 1. None means all pairs, and the first
        vector (the image) with all others if there are several.
    encoders : dict of {column: transformer}, default=None
        Encoders of raw columns, such as ``{"image": ClipImageEncoder(), "title":
        ClipTextEncoder()}``; they are cloned and fitted. None means a feature table.

    Attributes
    ----------
    pairs_ : list of (str, str)
        The pairs that are compared.
    encoders_ : dict of {str: transformer}
        The fitted encoders.
    related_ : list of tuple of str
        For each column of the output, the blocks that it relates.
    %(columns_seen)s

    Notes
    -----
    The output has one column ``<a>_<b>_cosine`` for each pair: NaN if either side is
    missing or a vector of zeros. 100,000 posts and one pair of vectors of 512 numbers
    take a quarter of a second. Of the textual vector in the paper's equation 3 only the
    CLIP part has the right dimensions, so only that part is compared.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperfusion import CrossModalSimilarity
    >>> from hyperfusion.table import feature_table
    >>> X = feature_table(
    ...     {"image__clip": np.array([[1, 0], [0, 2]]),
    ...      "text__title": np.array([[1, 0], [3, 4]])},
    ...     spaces={"clip": ["image__clip", "text__title"]},
    ... )
    >>> CrossModalSimilarity().fit_transform(X)
       image_text_cosine
    0                1.0
    1                0.8
    """

    _parameter_constraints = {"pairs": [list, tuple, None], "encoders": [dict, None]}

    pairs: Sequence[tuple[str, str]] | None = None
    encoders: Mapping[Hashable, Any] | None = None

    def _fit(self, X: Any, y: Any) -> None:
        self.encoders_: dict[str, Any] = {}
        self.related_: list[tuple[str, ...]] = []
        if self.encoders is not None:
            self._fit_encoders(check_table(self, X, reset=True))
            return
        features = read_features(self, X, reset=True, infinite="missing")
        if not features.is_frame:
            raise InvalidInputError(
                f"{type(self).__name__} finds vectors by their columns' names: pass a "
                "DataFrame (a feature table), or give encoders and raw columns."
            )
        schema = features.schema
        self._aligned = next(iter(schema.aligned().values()), [])
        if self.pairs is None and not self._aligned:
            raise InvalidInputError(
                "There are no two vectors to compare: no space is declared for two of "
                f"the table's vectors, which are {sorted(schema.vectors)}. Name them "
                "in pairs, or build the table with feature_table(..., spaces=...)."
            )
        self.pairs_ = self._choose_pairs(schema.vectors)
        used = {name for pair in self.pairs_ for name in pair}
        used |= set(self._aligned if ALL in used else ())
        self._sides: dict[str, Any] = {
            name: columns for name, columns in schema.vectors.items() if name in used
        }
        self._check_widths({name: len(c) for name, c in self._sides.items()})
        self._names = {n: s for n, s in schema.short_names().items() if n in used}
        for pair in self.pairs_:
            sides = self._aligned if pair[1] == ALL else pair
            self.related_.append(tuple(dict.fromkeys(map(block_of_vector, sides))))

    def _fit_encoders(self, table: pd.DataFrame) -> None:
        columns = check_columns(table, list(self.encoders or {}), "encoders")
        if self.pairs is None and len(columns) < 2:
            raise InvalidInputError(
                f"encoders must name at least two columns to compare. Got {columns}."
            )
        self._sides = {str(column): column for column in columns}
        self._aligned = list(self._sides)
        self._names = {name: name for name in self._sides}
        self.pairs_ = self._choose_pairs(self._sides)
        for name, encoder in self._named_encoders().items():
            cells = _input_of(encoder, table[self._sides[name]])
            self.encoders_[name] = clone(encoder).fit(cells)

    def _choose_pairs(self, names: Collection[str]) -> list[tuple[str, str]]:
        """Return the pairs to compare: the user's, or all pairs of aligned vectors."""
        if self.pairs is None:
            several = [(self._aligned[0], ALL)] if len(self._aligned) > 2 else []
            return [*combinations(self._aligned, 2), *several]
        for pair in self.pairs:
            is_pair = isinstance(pair, Sequence) and len(pair) == 2
            known = is_pair and pair[0] in names
            if not known or pair[1] not in {*names, ALL} or pair[0] == pair[1]:
                raise InvalidInputError(
                    f"pairs must hold pairs of two of {sorted(names)}, or of one of "
                    f"them and 'all'. Got {pair!r}."
                )
        return [(a, b) for a, b in self.pairs]

    def _check_widths(self, widths: Mapping[str, int]) -> None:
        """Raise if the vectors of a pair differ in length."""
        for a, b in self.pairs_:
            others = [o for o in self._aligned if o != a] if b == ALL else [b]
            if not others or any(widths[a] != widths[other] for other in others):
                raise InvalidInputError(
                    f"{a} and {b} can't be compared: the vectors have "
                    f"{ {name: widths[name] for name in (a, *others)} } numbers. "
                    "Encode both sides with the same model."
                )

    def _transform(self, X: Any) -> pd.DataFrame:
        if self.encoders is None:
            features = read_features(self, X, reset=False, infinite="missing")
            numbers, sides = features.numbers, self._sides
            index = features.categories.index
        else:
            table = check_table(self, X, reset=False)
            encoded = []
            for name, encoder in self.encoders_.items():
                output = encoder.transform(_input_of(encoder, table[self._sides[name]]))
                sparse = hasattr(output, "toarray")
                vectors = output.toarray() if sparse else np.asarray(output)
                # without other columns, such as flags
                with suppress(AttributeError, ValueError, TypeError):
                    named = vectors_alone(encoder.get_feature_names_out())
                    if len(named) == 1:
                        vectors = vectors[:, next(iter(named.values()))]
                encoded.append(vectors)
            widths = {n: v.shape[1] for n, v in zip(self._sides, encoded, strict=True)}
            self._check_widths(widths)
            numbers, index = np.hstack(encoded), table.index
            ends = np.cumsum([*widths.values()])
            places = np.split(np.arange(numbers.shape[1]), ends[:-1])
            sides = dict(zip(widths, places, strict=True))
        cosines = np.empty((len(numbers), len(self.pairs_)), dtype=np.float32)
        for rows in gen_batches(len(numbers), _ROWS):
            part = numbers[rows]
            units = {name: unit(take_columns(part, c)) for name, c in sides.items()}
            for i, (a, b) in enumerate(self.pairs_):
                others = [units[o] for o in self._aligned if o != a] if b == ALL else []
                # a missing vector does not count in the mean of the others
                other = unit(sum(map(np.nan_to_num, others))) if others else units[b]
                products = np.einsum("ij,ij->i", units[a], other)
                cosines[rows, i] = np.clip(products, -1.0, 1.0)
        return pd.DataFrame(cosines, index=index, columns=self.get_feature_names_out())

    def _feature_names(self, names: Any) -> list[str]:
        short = self._names | {ALL: ALL}
        return [f"{short[a]}_{short[b]}_cosine" for a, b in self.pairs_]

    def _named_encoders(self) -> dict[str, Any]:
        return {str(column): e for column, e in (self.encoders or {}).items()}

    def _put_encoder(self, name: str, encoder: Any) -> None:
        given = self.encoders or {}
        self.encoders = {c: encoder if str(c) == name else e for c, e in given.items()}

    def __sklearn_clone__(self) -> Any:
        # scikit-learn would deep-copy the dict with all that its encoders share
        given = self.encoders
        own = None if given is None else {c: clone(e) for c, e in given.items()}
        return clone_with(self, "encoders", own)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = self.encoders is not None
        return tags


def _input_of(encoder: Any, cells: pd.Series) -> Any:
    """Return a column in the form an encoder takes: cells, or a one-column table."""
    return cells if takes_one_column(encoder) else cells.to_frame()
