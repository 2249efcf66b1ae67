"""Texts as components of their TF-IDF table, for encoders and relations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

MOST_TEXTS = 100_000
"""Texts that terms and components are learned from."""

_MOST_TERMS = 50_000
_PATTERNS = {"word": r"(?u)\b\w\w+\b", "tags": r"[^\n]+"}

ROWS = 20_000
"""Texts that are turned into components at a time."""


class CharacterTfidf(TfidfVectorizer):
    """`TfidfVectorizer(analyzer="char_wb")` that analyzes each distinct word once."""

    def _count_vocab(
        self, raw_documents: Iterable[str], fixed_vocab: bool
    ) -> tuple[dict[str, int], Any]:
        prepare = self.build_preprocessor()
        texts = [prepare(text).split() for text in raw_documents]
        flat = np.array([*chain.from_iterable(texts)], dtype=object)
        codes, words = pd.factorize(flat)
        vocabulary, terms = super()._count_vocab(words.tolist(), fixed_vocab)
        ends = np.cumsum([0, *map(len, texts)])
        ones = np.ones(len(codes), dtype=terms.dtype)
        shape = len(texts), len(words)
        table = sp.csr_matrix((ones, codes, ends), shape=shape) @ terms
        table.sort_indices()
        return vocabulary, table


class TextComponents(NamedTuple):
    """Terms learned from texts, and the components of their table."""

    vectorizer: TfidfVectorizer | None
    svd: TruncatedSVD | None

    @classmethod
    def learn(
        cls,
        texts: list[str],
        n_components: int,
        rng: np.random.RandomState,
        *,
        analyzer: str,
        ngram_range: Sequence[int],
        min_df: int | float,
    ) -> tuple[Self, sp.csr_matrix | None]:
        """Learn from texts, or from a random 100,000 of them; return also their table.

        The table is None where nothing, or not all, was learned from.
        """
        characters = analyzer == "characters"
        kind = CharacterTfidf if characters else TfidfVectorizer
        vectorizer = kind(
            analyzer="char_wb" if characters else "word",
            ngram_range=tuple(ngram_range),
            token_pattern=_PATTERNS.get(analyzer),
            min_df=min_df,
            max_features=_MOST_TERMS,
            sublinear_tf=True,
            dtype=np.float32,
        )
        n_texts = len(texts)
        if n_texts > MOST_TEXTS:
            drawn = rng.choice(len(texts), MOST_TEXTS, replace=False)
            texts = [texts[i] for i in drawn]
        fewest = min_df if isinstance(min_df, Integral) else 1
        if len(texts) < int(fewest):
            return cls(None, None), None
        try:
            terms = vectorizer.fit_transform(texts)
        except ValueError as error:
            # this is how the vectorizer says that no term is left
            if "empty vocabulary" in str(error) or "no terms remain" in str(error):
                return cls(None, None), None
            raise
        svd = None
        if terms.shape[1] > 1:
            svd = TruncatedSVD(min(n_components, *terms.shape), random_state=rng)
            # equal texts have no variance to explain
            with np.errstate(divide="ignore", invalid="ignore"):
                svd.fit(terms)
        terms.sort_indices()  # as in what the vectorizer's transform returns
        return cls(vectorizer, svd), terms if n_texts == len(texts) else None

    def of(
        self,
        texts: Sequence[str | None],
        n_components: int,
        terms: sp.csr_matrix | None = None,
    ) -> np.ndarray:
        """Return the components of texts as float32, padded with zeros.

        `terms` is the table of the texts that are not None, where it is known.
        """
        out = np.zeros((len(texts), n_components), dtype=np.float32)
        if self.vectorizer is None:
            return out
        there = np.flatnonzero([text is not None for text in texts])
        for start in range(0, len(there), ROWS):
            batch = slice(start, start + ROWS)
            rows = there[batch]
            if terms is None:
                some = self.vectorizer.transform([texts[row] for row in rows])
            else:
                some = terms[batch]
            found = some.toarray() if self.svd is None else self.svd.transform(some)
            out[rows, : found.shape[1]] = found
        return out
