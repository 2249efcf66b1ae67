"""Main components of the TF-IDF of texts."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval, RealNotInt, StrOptions
from hyperfusion._text_components import TextComponents
from hyperfusion._validation import COUNT, local_generator
from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import of_column, read_cells
from hyperfusion.cells._texts import read_tags, read_text
from hyperfusion.encoders._base import ColumnEncoder
from hyperfusion.exceptions import InvalidInputError


@with_parameters
class TfidfComponents(ColumnEncoder):
    """Main components of the TF-IDF table of a column of texts or tags.

    It combines scikit-learn's ``TfidfVectorizer`` (of the 50,000 most frequent terms; n
    occurrences in a text count as 1 + log(n)) and ``TruncatedSVD`` (latent semantic
    analysis), and reads cells like all encoders of text.

    Parameters
    ----------
    n_components : int, default=20
        Number of features. Where the vocabulary or the number of texts allows fewer
        components, the rest are 0.
    ngram_range : tuple of (int, int), default=(1, 2)
        Shortest and longest sequence of words, of neighboring tags or of characters
        that is a term.
    analyzer : {"word", "tags", "characters"}, default="word"
        What a term is: a word of two and more letters or digits; a tag, as
        `TextStatistics` reads them; or neighboring characters of a word, which finds
        words within hashtags, inflected forms, and words in languages that don't
        separate them (try ``ngram_range=(2, 4)``).
    min_df : int or float, default=2
        A term in fewer texts (or a smaller share of the texts) than this is ignored.
    random_state : int, RandomState instance or None, default=None
        Seed of the randomized decomposition. None draws one from the system.
    %(on_error)s

    Attributes
    ----------
    vectorizer_ : TfidfVectorizer or None
        Fitted on the texts that are not missing; None where no term is frequent
        enough.
    svd_ : TruncatedSVD or None
        Fitted on the vectorizer's table; None where that has no or one column.
    n_components_ : int
        Number of features.
    %(one_column)s

    Raises
    ------
    InvalidInputError
        If `ngram_range` is not an ascending pair of positive integers.

    Notes
    -----
    The features are ``tfidf__0``, ``tfidf__1``, ... A missing or empty text is NaN in
    all of them, a text without a known term 0. Where no term of the column is frequent
    enough, all components are 0, with a warning.

    Terms and components are learned from at most 100,000 texts, drawn at random, which
    takes up to 430 MB. One core fits some 20,000 short texts in a second, with
    characters 5,000.

    Examples
    --------
    >>> from hyperfusion import TfidfComponents
    >>> titles = ["red boat", "boat red", "the red boat", "tree", "old tree", None]
    >>> encoder = TfidfComponents(n_components=2, ngram_range=(1, 1), random_state=0)
    >>> encoder.fit_transform(titles).round(2) + 0.0
    array([[ 1.,  0.],
           [ 1.,  0.],
           [ 1.,  0.],
           [ 0.,  1.],
           [ 0.,  1.],
           [nan, nan]], dtype=float32)
    """

    _parameter_constraints = {
        "n_components": [COUNT],
        "ngram_range": [tuple, list],
        "analyzer": [StrOptions({"word", "tags", "characters"})],
        "min_df": [COUNT, Interval(RealNotInt, 0, 1, closed="both")],
        "random_state": ["random_state"],
    }

    n_components: int = 20
    ngram_range: tuple[int, int] = (1, 2)
    analyzer: str = "word"
    min_df: int | float = 2
    random_state: Any = None
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        self._learn(cells, self._texts(cells))

    def _fit_transform(self, X: Any, y: Any) -> np.ndarray:
        cells = self._read(X, reset=True)
        texts = self._texts(cells)
        terms = self._learn(cells, texts)
        self.n_features_in_ = 1
        return self._components(texts, terms)

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        return self._components(self._texts(cells))

    def _learn(self, cells: pd.Series, texts: list[str | None]) -> Any:
        """Learn from the texts that are not None; return the table of their terms."""
        given = self.ngram_range
        whole = len(given) == 2 and all(isinstance(n, Integral) for n in given)
        if not whole or not 1 <= given[0] <= given[1]:
            raise InvalidInputError(
                "ngram_range must be a pair (shortest, longest) of positive integers, "
                f"for example (1, 2). Got {given!r}."
            )
        known = [text for text in texts if text is not None]
        (self.vectorizer_, self.svd_), terms = TextComponents.learn(
            known,
            self.n_components,
            local_generator(self.random_state),
            analyzer=self.analyzer,
            ngram_range=given,
            min_df=self.min_df,
        )
        self.n_components_ = self.n_components
        if self.vectorizer_ is None and known:
            share = "" if isinstance(self.min_df, Integral) else "the share "
            warn_user(
                f"No term{of_column(cells)} occurs in at least {share}"
                f"min_df={self.min_df} of its {len(known)} texts: all components will "
                "be 0."
            )
        return terms

    def _components(self, texts: list[str | None], terms: Any = None) -> np.ndarray:
        learned = TextComponents(self.vectorizer_, self.svd_)
        out = learned.of(texts, self.n_components_, terms)
        out[[text is None for text in texts]] = np.nan
        return out

    def _feature_names(self, names: Any = None) -> list[str]:
        return [f"tfidf__{i}" for i in range(self.n_components_)]

    def component_terms(self, n_terms: int = 5) -> list[str]:
        """Return the terms that weigh most in each component.

        Parameters
        ----------
        n_terms : int, default=5
            How many terms of each component to return at most. A term that is part of
            another one, as characters often are, is left out.

        Returns
        -------
        list of str
            One text for each component, its terms separated by commas; empty where no
            text was learned from.
        """
        check_is_fitted(self)
        if self.vectorizer_ is None:
            return [""] * self.n_components_
        terms = self.vectorizer_.get_feature_names_out()
        weights = np.ones((1, 1)) if self.svd_ is None else self.svd_.components_
        texts = []
        for row in np.round(np.abs(weights), 5):  # rounding is to decide no tie
            chosen: list[str] = []
            for term in terms[np.argsort(-row, kind="stable")[: 20 * n_terms]]:
                if not any(term in other or other in term for other in chosen):
                    chosen.append(term)
            texts.append(", ".join(term.strip() for term in chosen[:n_terms]))
        return texts + [""] * (self.n_components_ - len(texts))

    def _texts(self, cells: pd.Series) -> list[str | None]:
        read = _join_tags if self.analyzer == "tags" else read_text
        return read_cells(cells, read, self.on_error)


def _join_tags(cell: Any) -> str | None:
    tags = read_tags(cell)
    return None if tags is None else "\n".join(" ".join(t.split()) for t in tags)
