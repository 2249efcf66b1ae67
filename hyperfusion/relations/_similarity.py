"""The agreement of a post's image, texts and tags."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._transformer import TableTransformer
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._tree import unit
from hyperfusion.table._features import read_features, take_columns
from hyperfusion.table._names import BLOCKS
from hyperfusion.table._schema import Schema, block_of_vector

ALL = "all"
_ROWS = 4096


@with_parameters
class CrossModalSimilarity(TableTransformer):
    """Cosines between the image, the texts and the tags of each post.

    Equation 5 of the paper, for each pair of vectors of a feature table in the same
    declared space, such as those of the CLIP encoders for one model. Name other vectors
    in `pairs`.

    Parameters
    ----------
    pairs : list of (str, str), default=None
        Which vectors to compare, such as ``("image__clip", "text__title_clip")``. The
        second name can be ``"all"``: the mean of the other vectors of the same space,
        each of length 1. None means all pairs, and the first vector (the image) with
        all others if there are several.

    Attributes
    ----------
    pairs_ : list of (str, str)
        The pairs that are compared.
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

    _parameter_constraints = {"pairs": [list, tuple, None]}

    pairs: Sequence[tuple[str, str]] | None = None

    def _fit(self, X: Any, y: Any) -> None:
        features = read_features(self, X, reset=True, infinite="missing")
        if not features.is_frame:
            raise InvalidInputError(
                f"{type(self).__name__} finds vectors by their columns' names: pass a "
                "DataFrame (a feature table)."
            )
        schema = features.schema
        aligned = next(iter(schema.aligned().values()), [])
        self.pairs_ = self._choose_pairs(schema, aligned)
        self.related_: list[tuple[str, ...]] = []
        self._others: list[list[str]] = []  # what the first of each pair is compared to
        self._vectors: dict[str, np.ndarray] = {}
        for a, b in self.pairs_:
            others = [o for o in aligned if o != a] if b == ALL else [b]
            sides = {name: schema.vectors[name] for name in (a, *others)}
            sizes = {name: len(columns) for name, columns in sides.items()}
            if not others or len(set(sizes.values())) > 1:
                raise InvalidInputError(
                    f"{a} and {b} can't be compared: the vectors have {sizes} numbers. "
                    "Encode both sides with the same model."
                )
            self.related_.append(tuple(dict.fromkeys(map(block_of_vector, sides))))
            self._others.append(others)
            self._vectors |= sides
        # a vector that is alone in its block goes by the block's name
        self._names = {v: v.replace("__", "_") for v in schema.vectors} | {ALL: ALL}
        for block in BLOCKS:
            vectors = schema.vectors_in(block)
            self._names |= {v: block for v in vectors if len(vectors) == 1}

    def _choose_pairs(self, schema: Schema, aligned: list[str]) -> list[Any]:
        """Return the pairs to compare: the user's, or all pairs of aligned vectors."""
        names = sorted(schema.vectors)
        if self.pairs is None and not aligned:
            raise InvalidInputError(
                "There are no two vectors to compare: no space is declared for two of "
                f"the table's vectors, which are {names}. Name them in pairs, or build "
                "the table with feature_table(..., spaces=...)."
            )
        if self.pairs is None:
            several = [(aligned[0], ALL)] if len(aligned) > 2 else []
            return [*combinations(aligned, 2), *several]
        for pair in self.pairs:
            is_pair = isinstance(pair, Sequence) and len(pair) == 2
            known = is_pair and pair[0] in names
            if not known or pair[1] not in [*names, ALL] or pair[0] == pair[1]:
                raise InvalidInputError(
                    f"pairs must hold pairs of two of {names}, or of one of them and "
                    f"'all'. Got {pair!r}."
                )
        return [(a, b) for a, b in self.pairs]

    def _transform(self, X: Any) -> pd.DataFrame:
        features = read_features(self, X, reset=False, infinite="missing")
        n_rows = len(features.numbers)
        cosines = np.empty((n_rows, len(self.pairs_)), dtype=np.float32)
        for rows in gen_batches(n_rows, _ROWS):
            part = features.numbers[rows]
            units = {v: unit(take_columns(part, c)) for v, c in self._vectors.items()}
            for i, (a, b) in enumerate(self.pairs_):
                if b == ALL:  # a missing vector does not count in the mean
                    others = (np.nan_to_num(units[o]) for o in self._others[i])
                    other = unit(sum(others))
                else:
                    other = units[b]
                products = np.einsum("ij,ij->i", units[a], other)
                cosines[rows, i] = np.clip(products, -1.0, 1.0)
        index, names = features.categories.index, self.get_feature_names_out()
        return pd.DataFrame(cosines, index=index, columns=names)

    def _feature_names(self, names: Any) -> list[str]:
        return [f"{self._names[a]}_{self._names[b]}_cosine" for a, b in self.pairs_]
