"""How well a post's image, texts and tags agree."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin, clone
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._sklearn_compat import _fit_context
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._pairs import ALL, check_widths, choose_pairs, others_of
from hyperfusion.relations._ranks import fit_distributions, ranks_within
from hyperfusion.relations._vectors import (
    best_and_mean,
    cosine,
    flatten_tags,
    input_of,
    mean_direction,
    sides_of,
    unit,
    vectors_of,
)
from hyperfusion.table._features import Features, read_features, take_columns
from hyperfusion.table._frames import check_columns, check_table

_ROWS = 4096

Reader = Callable[[slice], dict[str, np.ndarray]]


class CrossModalSimilarity(TransformerMixin, HyperFusionEstimator):
    """Cosines between the image, the texts and the tags of each post.

    Equation 5 of the paper, for each pair of vectors that one model has put into the
    same space. They come from the columns of a feature table, or from raw columns and
    the encoders given for them.

    In a feature table the vectors with the stem ``clip`` are compared: ``image__clip``
    is called image, ``tags__clip`` tags, ``text__title_clip`` title. Other vectors can
    be compared by naming them in `pairs` (``text__title_glove`` is text_title_glove).

    Parameters
    ----------
    pairs : list of (str, str), default=None
        Which vectors to compare. The second name can be ``"all"``: the mean of the
        other vectors of the same space, each of length 1. None compares each with
        each, and the first (the image) with all others where there are several.
    encoders : dict of {column: transformer}, default=None
        Encoders of raw columns, such as ``{"image": ClipImageEncoder(), "title":
        ClipTextEncoder()}``; they are cloned and fitted. None reads a feature table.
    tags : hashable, default=None
        The one of the encoders' columns whose cells hold tags (a list, or text as
        `GloveTextVectorizer` splits it): each tag is encoded on its own as well, and
        compared with the other side of each pair.
    category : hashable, default=None
        A column with categories. Each cosine gets a rank within the post's category.

    Attributes
    ----------
    pairs_ : list of (str, str)
        The pairs that are compared.
    sides_ : dict of {str: ndarray or hashable}
        The compared vectors: their columns' positions among the numbers of a feature
        table, or the raw column.
    aligned_ : list of str
        The vectors that "all" stands for, but for the one it is compared with.
    encoders_ : dict of {str: transformer}
        The fitted encoders.
    levels_ : list
        The categories seen at fit.
    distributions_ : list of list of ndarray
        The sorted cosines of each category, and last of all posts.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    ClipImageEncoder, ClipTextEncoder : Put images and texts into one space.
    HierarchicalClusterEncoder : Whether clusters of images and texts agree.

    Notes
    -----
    The output has the columns

    - ``<a>_<b>_cosine`` for each pair;
    - ``<a>_<b>_best_cosine`` and ``<a>_<b>_mean_cosine`` for each pair with the tags:
      the largest and the mean cosine over the single tags;
    - ``<a>_<b>_rank`` and so on, with `category`: the share of the posts of the same
      category at fit with a smaller cosine, equal ones counting half. A category that
      is missing, or was not seen at fit, is compared with all posts.

    What is missing on either side, or a vector of zeros, gives NaN. Labels play no
    part. The cost is one pass over the vectors: a quarter of a second a core for
    100,000 posts and one pair of vectors of 512 numbers.

    The paper's equation takes a textual vector that its equation 3 joins from CLIP,
    GloVe and statistics; the dimensions only fit for the CLIP part, which is what is
    compared here.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import CrossModalSimilarity
    >>> X = pd.DataFrame({
    ...     "image__clip__0": [1.0, 0.0], "image__clip__1": [0.0, 2.0],
    ...     "text__title_clip__0": [1.0, 3.0], "text__title_clip__1": [0.0, 4.0],
    ... })
    >>> CrossModalSimilarity().fit_transform(X)
       image_title_cosine
    0                 1.0
    1                 0.8
    """

    _parameter_constraints: dict = {
        "pairs": [list, tuple, None],
        "encoders": [dict, None],
        "tags": "no_validation",
        "category": "no_validation",
    }

    def __init__(
        self,
        *,
        pairs: Sequence[tuple[str, str]] | None = None,
        encoders: Mapping[Hashable, Any] | None = None,
        tags: Hashable | None = None,
        category: Hashable | None = None,
    ):
        self.pairs = pairs
        self.encoders = encoders
        self.tags = tags
        self.category = category

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the vectors; with `category`, learn how similar its posts are.

        Parameters
        ----------
        X : DataFrame of shape (n_posts, n_columns)
            A feature table, or raw columns for the encoders.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted transformer.
        """
        self._fit(X, needs_cosines=self.category is not None)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        """Fit and return the similarities; each cell is encoded once.

        Parameters
        ----------
        X : DataFrame of shape (n_posts, n_columns)
            A feature table, or raw columns for the encoders.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        DataFrame of shape (n_posts, n_similarities), float32
            The similarities, with the index of `X`.
        """
        table, cosines = self._fit(X, needs_cosines=True)
        return self._with_ranks(table, cosines)

    def transform(self, X: Any) -> pd.DataFrame:
        """Return the similarities of posts.

        Parameters
        ----------
        X : DataFrame of shape (n_posts, n_columns)
            Columns as at fit.

        Returns
        -------
        DataFrame of shape (n_posts, n_similarities), float32
            The similarities, with the index of `X`.
        """
        check_is_fitted(self)
        if self.encoders is None:
            features = self._read(X, reset=False)
            table, cosines = features.categories, self._compare(features)
        else:
            table = check_table(self, X, reset=False)
            cosines = self._compare_raw(table, self._encode)
        return self._with_ranks(table, cosines)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the similarities.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str
            One name for each column of the output.
        """
        check_is_fitted(self)
        pairs = [f"{a}_{b}" for a, b in self.pairs_]
        for a, b in self._tag_pairs():
            pairs += [f"{a}_{b}_best", f"{a}_{b}_mean"]
        names = [f"{pair}_cosine" for pair in pairs]
        if self.category is not None:
            names += [f"{pair}_rank" for pair in pairs]
        return np.asarray(names, dtype=object)

    def _fit(self, X: Any, *, needs_cosines: bool) -> tuple[pd.DataFrame, Any]:
        cosines = None
        if self.encoders is None:
            features = self._read(X, reset=True)
            self._fit_sides(features)
            table = features.categories
            if needs_cosines:
                cosines = self._compare(features)
        else:
            table = check_table(self, X, reset=True)
            self._fit_raw_sides(table)
            if needs_cosines:
                cosines = self._compare_raw(table, self._fit_encode)
            else:
                for name, column in self.sides_.items():
                    self._fit_encoder(name, table[column])
        if self.category is not None and cosines is not None:
            self.levels_, self.distributions_ = fit_distributions(
                cosines, self._categories(table)
            )
        return table, cosines

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
                f"tags={self.tags!r} needs encoders: a feature table holds no single "
                "tags."
            )
        sides, aligned = sides_of(features.names)
        if self.pairs is None and len(aligned) < 2:
            raise InvalidInputError(
                "There are no two vectors to compare: the table needs at least two "
                "with the stem 'clip', such as image__clip__0, ... and "
                f"text__title_clip__0, .... It has {aligned or 'none'}. Name others in "
                f"pairs: {sorted(sides)}."
            )
        self.pairs_ = choose_pairs(self.pairs, sides, aligned)
        self.encoders_: dict[str, Any] = {}
        used = {name for pair in self.pairs_ for name in pair}
        if ALL in used:
            used |= set(aligned)
        self.sides_: dict[str, Any] = {n: c for n, c in sides.items() if n in used}
        self.aligned_ = aligned
        widths = {name: len(c) for name, c in self.sides_.items()}
        check_widths(self.pairs_, aligned, widths)

    def _fit_raw_sides(self, table: pd.DataFrame) -> None:
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
        self.encoders_ = {}

    def _compare(self, features: Features) -> np.ndarray:
        def read(rows: slice) -> dict[str, np.ndarray]:
            numbers = features.numbers[rows]
            return {n: take_columns(numbers, c) for n, c in self.sides_.items()}

        return self._cosines(read, len(features.numbers))

    def _cosines(self, read: Reader, n: int) -> np.ndarray:
        cosines = np.empty((n, len(self.pairs_)), dtype=np.float32)
        for rows in gen_batches(n, _ROWS):
            units = {name: unit(vectors) for name, vectors in read(rows).items()}
            for i, (a, b) in enumerate(self.pairs_):
                if b == ALL:
                    others = others_of(a, self.aligned_)
                    other = mean_direction([units[o] for o in others])
                else:
                    other = units[b]
                cosines[rows, i] = cosine(units[a], other)
        return cosines

    def _compare_raw(self, table: pd.DataFrame, encode: Callable) -> np.ndarray:
        vectors = {
            name: encode(name, table[column]) for name, column in self.sides_.items()
        }
        widths = {name: v.shape[1] for name, v in vectors.items()}
        check_widths(self.pairs_, self.aligned_, widths)
        cosines = self._cosines(
            lambda rows: {name: v[rows] for name, v in vectors.items()}, len(table)
        )
        pairs = self._tag_pairs()
        if not pairs:
            return cosines
        rows, numbers, texts = flatten_tags(table[self.tags])
        singles = np.empty((0, 1))
        if len(texts):
            cells = pd.Series(texts, name=self.tags, dtype=object)
            singles = self._encode(str(self.tags), cells)
        parts = [
            best_and_mean(
                vectors[a if b == str(self.tags) else b], rows, numbers, singles
            )
            for a, b in pairs
        ]
        return np.column_stack([cosines, *parts])

    def _tag_pairs(self) -> list[tuple[str, str]]:
        if self.tags is None:
            return []
        return [p for p in self.pairs_ if str(self.tags) in p and ALL not in p]

    def _fit_encoder(self, name: str, cells: pd.Series) -> None:
        encoder = clone((self.encoders or {})[self.sides_[name]])
        self.encoders_[name] = encoder.fit(input_of(encoder, cells))

    def _fit_encode(self, name: str, cells: pd.Series) -> np.ndarray:
        encoder = clone((self.encoders or {})[self.sides_[name]])
        output = encoder.fit_transform(input_of(encoder, cells))
        self.encoders_[name] = encoder
        return vectors_of(encoder, output)

    def _encode(self, name: str, cells: pd.Series) -> np.ndarray:
        encoder = self.encoders_[name]
        return vectors_of(encoder, encoder.transform(input_of(encoder, cells)))

    def _categories(self, table: pd.DataFrame) -> pd.Series:
        return table[check_columns(table, self.category, "category", max_columns=1)[0]]

    def _with_ranks(self, table: pd.DataFrame, cosines: np.ndarray) -> pd.DataFrame:
        if self.category is not None:
            ranks = ranks_within(
                cosines, self._categories(table), self.levels_, self.distributions_
            )
            cosines = np.column_stack([cosines, ranks])
        return pd.DataFrame(
            cosines, index=table.index, columns=self.get_feature_names_out()
        )

    def __sklearn_clone__(self) -> Any:
        # scikit-learn would copy a dict deeply, with all that its encoders share.
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
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = self.encoders is not None
        tags.transformer_tags.preserves_dtype = []
        return tags
