"""CLIP features of texts (equation 3 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from hyperfusion._progress import Progress
from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders.cache._cache import EmbeddingCache, item_key, open_cache
from hyperfusion.encoders.cache._memory import MemoryCache
from hyperfusion.encoders.clip._base import ClipEncoder, Session, progress_bar
from hyperfusion.encoders.clip._models import BatchRunner, ClipModel

TOKENS_ON_CPU = 2048
TOKENS_ON_GPU = 65_536
TEXTS_AT_ONCE = 8192


class ClipTextEncoder(ClipEncoder):
    """Features of texts from the text tower of a CLIP model.

    The features, ``clip__0``, ``clip__1``, ..., can be compared with those of
    `ClipImageEncoder` for the same model; after PCA they are ``clip_pca__0``, ... and
    can't. A missing cell is NaN in all of them (``clip_is_missing`` is 1).

    Parameters
    ----------
    %(model)s
    %(vectors)s
    batch_size : int or "auto", default="auto"
        Texts per batch; "auto" fills 2,048 tokens on a CPU and 65,536 on a GPU. Batches
        are halved if memory runs out.
    %(cache)s
    %(on_error)s
    %(verbose)s

    Attributes
    ----------
    %(attributes)s

    Warns
    -----
    UserWarning
        If texts are longer than the model reads (77 tokens, about 50 words); the
        message counts them.

    See Also
    --------
    ClipImageEncoder : The same for images.
    EmbeddingCache : Stores embeddings.

    Notes
    -----
    Cells are texts, or lists of words or tags, which are joined by spaces. A cell
    without any text is missing. Equal texts are encoded once per call. This is the
    first part of equation 3 of the paper, section 3.3.

    Texts are sorted by length, and a batch is as long as its longest text. In a causal
    text tower this only saves time. If the tower is not causal, or a trial does not
    agree with open_clip's own `encode_text`, the full context is used.

    %(loading)s

    %(references)s

    Examples
    --------
    >>> from hyperfusion.encoders import ClipTextEncoder
    >>> encoder = ClipTextEncoder("hyperfusion-tiny")
    >>> features = encoder.fit_transform(["a red bicycle", "a dog at the sea"])
    >>> features.shape == (2, encoder.n_embedding_)
    True
    """

    _tower: ClassVar[str] = "text"

    def _embed(self, cells: pd.Series) -> np.ndarray:
        texts = read_cells(cells, read_text, self.on_error)
        unique = [t for t in dict.fromkeys(texts) if t is not None]
        with (
            open_cache(self.cache) as cache,
            progress_bar(len(unique), self, "text") as bar,
        ):
            kept = _Run(self, Session(self), cache, bar).embed(unique)
        row_of = {text: row for row, text in enumerate(unique)}
        rows = np.array([row_of.get(text, -1) for text in texts])
        vectors = np.full((len(texts), kept.shape[1]), np.nan, dtype=np.float32)
        vectors[rows >= 0] = kept[rows[rows >= 0]]
        n_cut = vectors[rows >= 0, -1]
        if n_cut.any():
            warn_user(
                f"{np.count_nonzero(n_cut)} of {len(texts)} texts are longer than the "
                f"model reads: {int(n_cut.sum())} tokens at their ends have no effect."
            )
        return np.ascontiguousarray(vectors[:, :-1])


class _Run:
    """One pass over texts that are all different.

    What is kept of a text is its embedding and, as a last number, how many of its
    tokens were cut off, so that a text from the cache is counted as well.
    """

    def __init__(
        self,
        encoder: ClipTextEncoder,
        session: Session,
        cache: EmbeddingCache | MemoryCache,
        bar: Progress,
    ):
        self._session = session
        self._cache = cache
        self._bar = bar
        self._width = session.source.width + 1
        automatic = encoder.batch_size == "auto"
        budget = TOKENS_ON_GPU if session.on_gpu else TOKENS_ON_CPU
        self._budget = budget if automatic else None
        self._runner = BatchRunner(budget if automatic else int(encoder.batch_size))

    def embed(self, texts: list[str]) -> np.ndarray:
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        name = self._session.fingerprint()
        keys = [item_key(name, t.encode("utf-8", "surrogatepass")) for t in texts]
        missing = self._fill_from_cache(keys, vectors)
        self._bar.step(len(texts) - len(missing))
        for start in range(0, len(missing), TEXTS_AT_ONCE):
            rows = missing[start : start + TEXTS_AT_ONCE]
            for some, values in self._encode([texts[r] for r in rows]):
                done = [rows[i] for i in some]
                vectors[done] = values
                self._cache.put({keys[r]: vectors[r] for r in done})
                self._bar.step(len(done))
        return vectors

    def _encode(self, texts: list[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield batches of texts of about the same length, the longest first."""
        model = self._session.model()
        tokens, n_cut = tokenize(model, texts)
        order = sorted(range(len(texts)), key=lambda i: -len(tokens[i]))
        start = 0
        while start < len(order):
            longest = len(tokens[order[start]])
            size = self._runner.size
            if self._budget is not None:
                size = min(size, max(1, self._budget // longest))
            some = order[start : start + size]
            batch = [tokens[i] for i in some]
            values = self._runner.run(lambda t: encode_tokens(model, t), batch)
            yield some, np.column_stack([values, [n_cut[i] for i in some]])
            start += len(some)

    def _fill_from_cache(self, keys: list[bytes], vectors: np.ndarray) -> list[int]:
        """Write the known embeddings into their rows; return the rows that are left."""
        missing = []
        for start in range(0, len(keys), TEXTS_AT_ONCE):
            some = keys[start : start + TEXTS_AT_ONCE]
            found = self._cache.get(some)
            for row, key in enumerate(some, start):
                vector = found.get(key)
                if vector is not None and len(vector) == self._width:
                    vectors[row] = vector
                else:
                    missing.append(row)
        return missing


def tokenize(
    model: ClipModel, texts: Sequence[str]
) -> tuple[list[list[int]], list[int]]:
    """Return the tokens of texts without padding, and how many were cut off."""
    from open_clip import SimpleTokenizer

    tokenizer = model.tokenizer
    context = tokenizer.context_length
    if type(tokenizer) is not SimpleTokenizer or tokenizer.reduction_fn is not None:
        # it pads; more positions show what is cut off
        longer = tokenizer(list(texts), context_length=4 * context)
        padding = tokenizer([""], context_length=4 * context)[0, -1]
        too_many = ((longer != padding).sum(dim=1) - context).clamp(min=0)
        padded = tokenizer(list(texts), context_length=context)
        return padded.tolist(), too_many.tolist()
    tokens, n_cut = [], []
    for text in texts:
        ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
        n_cut.append(max(0, len(ids) - context))
        if len(ids) > context:
            ids = [*ids[: context - 1], tokenizer.eot_token_id]
        tokens.append(ids)
    return tokens, n_cut


def encode_tokens(model: ClipModel, tokens: Sequence[Sequence[int]]) -> np.ndarray:
    from hyperfusion.encoders.clip import _towers

    return _towers.encode_tokens(model, tokens, model.tokenizer.context_length)
