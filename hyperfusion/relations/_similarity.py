"""The agreement of a post's image, texts and tags."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._nested import NestedEncoders
from hyperfusion._transformer import TableTransformer
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._vectors import (
    ALL,
    Pair,
    best_and_mean,
    check_widths,
    choose_pairs,
    cosine,
    flatten_tags,
    input_of,
    mean_direction,
    unit,
    vectors_of,
)
from hyperfusion.table._features import Features, read_features, take_columns
from hyperfusion.table._frames import check_columns, check_table
from hyperfusion.table._schema import block_of_vector

_ROWS = 4096

Reader = Callable[[slice], dict[str, np.ndarray]]


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
    tags : hashable, default=None
        The column of `encoders` whose cells hold tags: each tag is also encoded
        separately and compared with the other side of each pair.

    Attributes
    ----------
    pairs_ : list of (str, str)
        The pairs that are compared.
    sides_ : dict of {str: ndarray or hashable}
        The compared vectors: the positions of their columns among the numbers of a
        feature table, or the raw column.
    aligned_ : list of str
        The vectors in "all", which leaves out the one it is compared with.
    encoders_ : dict of {str: transformer}
        The fitted encoders.
    names_ : dict of {str: str}
        Names of the compared vectors in the output: the block if it has one vector,
        otherwise block and vector.
    related_ : list of tuple of str
        For each column of the output, the blocks that it relates.
    %(columns_seen)s

    See Also
    --------
    ClipImageEncoder, ClipTextEncoder : Encode images and texts in one space.
    HierarchicalClusterEncoder : Agreement of clusters of images and texts.

    Notes
    -----
    The output has the columns

    - ``<a>_<b>_cosine`` for each pair;
    - ``<a>_<b>_best_cosine`` and ``<a>_<b>_mean_cosine`` for each pair with the tags:
      the largest and the mean cosine of the single tags.

    The result is NaN if either side is missing or a vector of zeros. The target is not
    used. The cost is one pass over the vectors: on one core a quarter of a second for
    100,000 posts and one pair of vectors of 512 numbers.

    The paper's equation uses the textual vector of its equation 3, which consists of
    CLIP, GloVe and statistics. Only the CLIP part has the right dimensions, so only
    that part is compared.

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

    _parameter_constraints = {
        "pairs": [list, tuple, None],
        "encoders": [dict, None],
        "tags": "no_validation",
    }

    pairs: Sequence[tuple[str, str]] | None = None
    encoders: Mapping[Hashable, Any] | None = None
    tags: Hashable | None = None

    def _fit(self, X: Any, y: Any) -> None:
        if self.encoders is None:
            self._fit_sides(self._read(X, reset=True))
            return
        table = check_table(self, X, reset=True)
        self._fit_raw_sides(table)
        for name, encoder in self.encoders_.items():
            encoder.fit(input_of(encoder, table[self.sides_[name]]))

    def _fit_transform(self, X: Any, y: Any) -> pd.DataFrame:
        if self.encoders is None:
            features = self._read(X, reset=True)
            self._fit_sides(features)
            return self._compare(features)
        table = check_table(self, X, reset=True)
        self._fit_raw_sides(table)
        return self._compare_raw(table, "fit_transform")

    def _transform(self, X: Any) -> pd.DataFrame:
        if self.encoders is None:
            return self._compare(self._read(X, reset=False))
        return self._compare_raw(check_table(self, X, reset=False), "transform")

    def _feature_names(self, names: Any) -> list[str]:
        found = [f"{a}_{b}_cosine" for a, b in map(self._short, self.pairs_)]
        for a, b in map(self._short, self._tag_pairs()):
            found += [f"{a}_{b}_best_cosine", f"{a}_{b}_mean_cosine"]
        return found

    def _short(self, pair: Pair) -> Pair:
        return self.names_[pair[0]], self.names_.get(pair[1], pair[1])

    def _read(self, X: Any, *, reset: bool) -> Features:
        features = read_features(self, X, reset=reset, infinite="missing")
        if not features.is_frame:
            raise InvalidInputError(
                f"{type(self).__name__} finds vectors by their columns' names: pass a "
                "DataFrame (a feature table), or give encoders and raw columns."
            )
        return features

    def _fit_sides(self, features: Features) -> None:
        if self.tags is not None:
            raise InvalidInputError(
                f"tags={self.tags!r} needs encoders: a feature table has no tags."
            )
        schema = features.schema
        aligned = next(iter(schema.aligned().values()), [])
        if self.pairs is None and not aligned:
            raise InvalidInputError(
                "There are no two vectors to compare: no space is declared for two of "
                f"the table's vectors, which are {sorted(schema.vectors)}. Name them "
                "in pairs, or build the table with feature_table(..., spaces=...)."
            )
        self.pairs_ = choose_pairs(self.pairs, schema.vectors, aligned)
        self.encoders_: dict[str, Any] = {}
        used = {name for pair in self.pairs_ for name in pair}
        if ALL in used:
            used |= set(aligned)
        self.sides_: dict[str, Any] = {
            name: columns for name, columns in schema.vectors.items() if name in used
        }
        self.aligned_ = aligned
        widths = {name: len(c) for name, c in self.sides_.items()}
        check_widths(self.pairs_, aligned, widths)
        self.names_ = {n: s for n, s in schema.short_names().items() if n in used}
        self.related_ = []
        for pair in self.pairs_:
            sides = aligned if pair[1] == ALL else pair
            self.related_.append(tuple(dict.fromkeys(map(block_of_vector, sides))))

    def _fit_raw_sides(self, table: pd.DataFrame) -> None:
        """Choose the pairs, and clone the encoders."""
        columns = check_columns(table, list(self.encoders or {}), "encoders")
        self.sides_ = {str(column): column for column in columns}
        if self.tags is not None and self.tags not in columns:
            raise InvalidInputError(
                f"tags={self.tags!r} must be one of the columns of encoders: {columns}."
            )
        if self.pairs is None and len(columns) < 2:
            raise InvalidInputError(
                f"encoders must name at least two columns to compare. Got {columns}."
            )
        self.aligned_ = list(self.sides_)
        self.pairs_ = choose_pairs(self.pairs, self.sides_, self.aligned_)
        self.names_ = {name: name for name in self.sides_}
        self.encoders_ = {n: clone(e) for n, e in self._named_encoders().items()}
        self.related_ = []

    def _compare(self, features: Features) -> pd.DataFrame:
        def read(rows: slice) -> dict[str, np.ndarray]:
            numbers = features.numbers[rows]
            return {n: take_columns(numbers, c) for n, c in self.sides_.items()}

        cosines = self._cosines(read, len(features.numbers))
        return self._frame(cosines, features.categories.index)

    def _cosines(self, read: Reader, n: int) -> np.ndarray:
        cosines = np.empty((n, len(self.pairs_)), dtype=np.float32)
        for rows in gen_batches(n, _ROWS):
            units = {name: unit(vectors) for name, vectors in read(rows).items()}
            for i, (a, b) in enumerate(self.pairs_):
                if b == ALL:
                    others = [units[o] for o in self.aligned_ if o != a]
                    other = mean_direction(others)
                else:
                    other = units[b]
                cosines[rows, i] = cosine(units[a], other)
        return cosines

    def _compare_raw(self, table: pd.DataFrame, method: str) -> pd.DataFrame:
        vectors = {n: self._encode(n, table[c], method) for n, c in self.sides_.items()}
        widths = {name: v.shape[1] for name, v in vectors.items()}
        check_widths(self.pairs_, self.aligned_, widths)

        def read(rows: slice) -> dict[str, np.ndarray]:
            return {name: v[rows] for name, v in vectors.items()}

        parts = [self._cosines(read, len(table))]
        pairs = self._tag_pairs()
        if pairs:
            tag = str(self.tags)
            rows, numbers, texts = flatten_tags(table[self.tags])
            cells = pd.Series(texts, name=self.tags, dtype=object)
            singles = self._encode(tag, cells) if len(texts) else np.empty((0, 1))
            parts += [
                best_and_mean(vectors[a if b == tag else b], rows, numbers, singles)
                for a, b in pairs
            ]
        return self._frame(np.column_stack(parts), table.index)

    def _tag_pairs(self) -> list[tuple[str, str]]:
        if self.tags is None:
            return []
        return [p for p in self.pairs_ if str(self.tags) in p and ALL not in p]

    def _encode(
        self, name: str, cells: pd.Series, method: str = "transform"
    ) -> np.ndarray:
        encoder = self.encoders_[name]
        output = getattr(encoder, method)(input_of(encoder, cells))
        return vectors_of(encoder, output)

    def _frame(self, cosines: np.ndarray, index: pd.Index) -> pd.DataFrame:
        return pd.DataFrame(cosines, index=index, columns=self.get_feature_names_out())

    def _named_encoders(self) -> dict[str, Any]:
        return {str(column): e for column, e in (self.encoders or {}).items()}

    def _put_encoder(self, name: str, encoder: Any) -> None:
        given = self.encoders or {}
        self.encoders = {c: encoder if str(c) == name else e for c, e in given.items()}

    def __sklearn_clone__(self) -> Any:
        # scikit-learn would deep-copy the dict with all that its encoders share
        stand_in = object.__new__(type(self))
        stand_in.__dict__.update(vars(self), encoders=None)
        twin = super(CrossModalSimilarity, stand_in).__sklearn_clone__()
        if self.encoders is not None:
            twin.encoders = {c: clone(e) for c, e in self.encoders.items()}
        return twin

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "pairs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = self.encoders is not None
        return tags
