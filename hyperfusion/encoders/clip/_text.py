"""CLIP features of texts (equation 3 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from hyperfusion._warnings import warn_user
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders.cache._cache import item_key, open_cache
from hyperfusion.encoders.clip._base import ClipEncoder, Session
from hyperfusion.encoders.clip._models import BatchRunner, ClipModel

TOKENS_ON_CPU = 2048
TOKENS_ON_GPU = 65_536
TEXTS_AT_ONCE = 8192


class ClipTextEncoder(ClipEncoder):
    """Features of texts from the text tower of a CLIP model.

    The features, ``clip__0``, ``clip__1``, ..., can be compared with those of
    `ClipImageEncoder` for the same model. A missing cell is NaN in all of them.

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

    Notes
    -----
    Cells are texts, or lists of words or tags, which are joined by spaces. A cell
    without any text is missing. Equal texts are encoded once per call. This is the
    first part of equation 3 of the paper.

    Texts are sorted by length, and a batch is as long as its longest text, unless the
    tower is not causal, or a trial does not agree with open_clip's own `encode_text`.

    %(loading)s

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
        codes, unique = pd.factorize(np.array(texts, dtype=object))
        kept, there = self._embed_unique(unique.tolist()), codes >= 0
        vectors = np.full((len(texts), kept.shape[1]), np.nan, dtype=np.float32)
        vectors[there] = kept[codes[there]]
        n_cut = vectors[there, -1]
        if n_cut.any():
            warn_user(
                f"{np.count_nonzero(n_cut)} of {len(texts)} texts are longer than the "
                f"model reads: {int(n_cut.sum())} tokens at their ends have no effect."
            )
        return np.ascontiguousarray(vectors[:, :-1])

    def _embed_unique(self, texts: list[str]) -> np.ndarray:
        """Return embeddings and, as a last number, how many tokens were cut off."""
        session = Session(self)
        width = session.source.width + 1
        vectors = np.empty((len(texts), width), dtype=np.float32)
        name = session.fingerprint()
        keys = [item_key(name, t.encode("utf-8", "surrogatepass")) for t in texts]
        budget = TOKENS_ON_GPU if session.on_gpu else TOKENS_ON_CPU
        automatic = self.batch_size == "auto"
        runner = BatchRunner(budget if automatic else int(self.batch_size))
        with open_cache(self.cache) as cache, self._progress(len(texts), "text") as bar:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                rows = range(len(texts))[start : start + TEXTS_AT_ONCE]
                found = cache.get([keys[row] for row in rows])
                known = {r for r in rows if len(found.get(keys[r], ())) == width}
                for row in known:
                    vectors[row] = found[keys[row]]
                bar.step(len(known))
                rest = [row for row in rows if row not in known]
                some = [texts[row] for row in rest]
                most = budget if automatic else None
                for places, values in _encode(session, runner, some, most):
                    done = [rest[place] for place in places]
                    vectors[done] = values
                    cache.put({keys[row]: vectors[row] for row in done})
                    bar.step(len(done))
        return vectors


def _encode(
    session: Session, runner: BatchRunner, texts: list[str], most_tokens: int | None
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield batches of texts of about the same length, the longest first."""
    if not texts:
        return
    from hyperfusion.encoders.clip import _towers

    model = session.model()
    tokens, n_cut = tokenize(model, texts)
    order = sorted(range(len(texts)), key=lambda i: -len(tokens[i]))
    start = 0
    while start < len(order):
        size = runner.size
        if most_tokens is not None:
            size = min(size, max(1, most_tokens // len(tokens[order[start]])))
        some = order[start : start + size]
        batch = [tokens[i] for i in some]
        values = runner.run(lambda part: _towers.encode_tokens(model, part), batch)
        yield some, np.column_stack([values, [n_cut[i] for i in some]])
        start += len(some)


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
