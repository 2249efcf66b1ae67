"""CLIP features of texts (equation 3 of the paper)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders.cache._cache import EmbeddingCache, item_key, open_cache
from hyperfusion.encoders.clip._base import ClipEncoder, Session, progress_bar
from hyperfusion.encoders.clip._models import BatchRunner, ClipModel
from hyperfusion.encoders.clip._tokens import word_tokens

TOKENS_ON_CPU = 2048
TOKENS_ON_GPU = 65_536
TEXTS_AT_ONCE = 8192


class ClipTextEncoder(ClipEncoder):
    """Features of texts from the text tower of a CLIP model.

    The features are named ``clip__0``, ``clip__1``, ... and can be compared with those of
    `ClipImageEncoder` for the same model; after PCA they are ``clip_pca__0``, ... and
    can't. A missing cell is NaN in all of them (``clip_is_missing`` is 1).

    Parameters
    ----------
    model_name : str or path, default="ViT-B-32"
        An architecture of open_clip, ``"hyperfusion-tiny"`` (a small model that comes
        with the package and was trained on synthetic posts), or a folder with
        ``open_clip_config.json`` and weights.
    pretrained : str or path, optional
        The weights: a tag of open_clip, the path of a checkpoint file (safetensors, or
        a torch file that holds tensors only; no code in it is run), or ``"random"``.
        None means ``"laion2b_s34b_b79k"`` for ViT-B-32 and the weights that belong to
        ``"hyperfusion-tiny"`` or to a folder; other architectures need a tag.
    normalize : bool, default=True
        Whether embeddings get length 1, as cosine similarities want it.
    tokens : int, optional
        Emit word tokens beside the embedding: this many, each the mean over one part
        of the text (parts of a text with fewer words overlap), as ``clip_token__0_0``,
        ``clip_token__0_1``, ... After PCA, one for all tokens, they are
        ``clip_token__0_pca__0``, ... They are what `CoAttentionRegressor` attends to, and
        they are not cheap; see the notes.
    n_components : int or float, optional
        Reduce the embeddings by PCA to this many components, or to as many as explain
        this share of their variance. It is learned at fit, on the cells that are not
        missing. The components of images and of texts can't be compared.
    add_indicator : bool, default=False
        Whether a last column says which cells are missing.
    device : str, default="auto"
        A device of torch. "auto" takes a GPU where there is one. A device that is not
        there (after loading on another machine) gives a warning and the CPU is used.
    precision : {"auto", "fp32", "fp16", "bf16"}, default="auto"
        What the model computes in; "auto" is "fp16" on an NVIDIA GPU and "fp32"
        elsewhere. The output is float32 always. In a cache each precision has entries
        of its own, which a CPU and a GPU share.
    batch_size : int or "auto", default="auto"
        Texts at once; "auto" is as many as make 2,048 tokens on a CPU and 65,536 on a
        GPU. When the memory does not suffice, batches are halved.
    cache : str, path or EmbeddingCache, optional
        Where to keep embeddings between calls, see `EmbeddingCache`. They are kept
        as they are made, so that a run that was stopped goes on where it was.
    on_error : {"raise", "missing"}, default="missing"
        What to do with a cell that can't be used: raise a `BadCellError` that names
        the row, or count it as missing and warn once.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    n_embedding_ : int
        Length of the model's embeddings (512 for ViT-B-32).
    n_tokens_, token_size_ : int
        Number of tokens beside the embedding, and how many numbers each has.
    pca_, token_pca_ : PCA or None
        The fitted reductions of embeddings and of tokens.
    n_features_in_ : int
        Always 1.

    Raises
    ------
    WeightsNotFoundError
        If the weights are not on this machine and can't be downloaded; the message
        says which file to bring and where to put it.
    BadCellError
        If a cell can't be used and `on_error="raise"`.

    Warns
    -----
    UserWarning
        If texts are longer than the model reads (77 tokens, some 50 words); the
        message counts them.

    See Also
    --------
    ClipImageEncoder : The same for images.
    EmbeddingCache : Where embeddings are kept.

    Notes
    -----
    Cells are texts, or lists of words or tags, which are joined by spaces. A cell
    without any text is missing. Equal texts are encoded once a call.

    This is the first part of equation 3 of the paper, section 3.3.

    Texts are sorted by length, and a batch is as long as its longest text, not as the
    model's context. In a causal text tower this changes nothing but the time; it is
    tried against open_clip's own `encode_text` when a model is first used, and where
    the two do not agree, or the tower is not causal, the full context is used.

    Tokens are the tower's last normalized states before it picks one and projects it,
    so they can't be compared with images. One of ViT-B-32 has 512 numbers: ``tokens=8``
    is 16 kB a post in float32, eight times the embedding (8 GB for 486,000 posts).
    They take little more time. ``n_components=32`` makes them 16 times smaller. In a
    cache they are kept whole, apart from embeddings. Towers must be causal.

    A model is loaded when the first text needs it, once in a process, and is shared by
    all encoders (`clear_model_cache` lets go of it). It is never pickled. Weights are
    looked for in ``~/.cache/hyperfusion/weights`` (or the folder that the environment
    variable ``HYPERFUSION_WEIGHTS`` names), then among those that open_clip downloaded
    before; only then is the network asked.

    References
    ----------
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021.

    Examples
    --------
    >>> from hyperfusion.encoders import ClipTextEncoder
    >>> encoder = ClipTextEncoder("hyperfusion-tiny")
    >>> features = encoder.fit_transform(["a red bicycle", "a dog at the sea"])
    >>> features.shape == (2, encoder.n_embedding_)
    True
    """

    _tower: ClassVar[str] = "text"

    def __init__(
        self,
        model_name: str | os.PathLike[str] = "ViT-B-32",
        *,
        pretrained: str | os.PathLike[str] | None = None,
        normalize: bool = True,
        tokens: int | None = None,
        n_components: int | float | None = None,
        add_indicator: bool = False,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | str = "auto",
        cache: str | os.PathLike[str] | EmbeddingCache | None = None,
        on_error: str = "missing",
        verbose: int = 0,
    ):
        self.model_name = model_name
        self.pretrained = pretrained
        self.normalize = normalize
        self.tokens = tokens
        self.n_components = n_components
        self.add_indicator = add_indicator
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

    def _embed(self, cells: pd.Series) -> np.ndarray:
        texts = read_cells(cells, read_text, self.on_error)
        unique = [t for t in dict.fromkeys(texts) if t is not None]
        with (
            open_cache(self.cache) as cache,
            progress_bar(len(unique), self, "text") as bar,
        ):
            parts = {} if self.tokens is None else {"tokens": int(self.tokens)}
            kept = _Run(self, Session(self, **parts), cache, bar).embed(unique)
        row_of = {text: row for row, text in enumerate(unique)}
        rows = np.array([row_of.get(text, -1) for text in texts])
        vectors = np.full((len(texts), kept.shape[1]), np.nan, dtype=np.float32)
        vectors[rows >= 0] = kept[rows[rows >= 0]]
        _warn_of_cut(vectors[:, -1])
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
        cache: EmbeddingCache | None,
        bar: Any,
    ):
        self._session = session
        self._cache = cache
        self._bar = bar
        self._width = encoder._raw_width(session.source) + 1
        self._tokens = encoder.tokens
        automatic = encoder.batch_size == "auto"
        budget = TOKENS_ON_GPU if session.on_gpu else TOKENS_ON_CPU
        self._budget = budget if automatic else None
        self._runner = BatchRunner(budget if automatic else int(encoder.batch_size))

    def embed(self, texts: list[str]) -> np.ndarray:
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        keys: list[bytes] = []
        missing = list(range(len(texts)))
        if self._cache is not None:
            keys = _keys(texts, self._session.fingerprint())
            missing = _fill_from_cache(self._cache, keys, vectors)
        self._bar.update(len(texts) - len(missing))
        for start in range(0, len(missing), TEXTS_AT_ONCE):
            rows = missing[start : start + TEXTS_AT_ONCE]
            for some, values in self._encode([texts[r] for r in rows]):
                done = [rows[i] for i in some]
                vectors[done] = values
                if self._cache is not None:
                    self._cache.put({keys[r]: vectors[r] for r in done})
                self._bar.update(len(done))
        return vectors

    def _encode(self, texts: list[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield batches of texts of about the same length, the longest first."""
        model = self._session.model()
        tokens, n_cut = tokenize(model, texts)
        order = sorted(range(len(texts)), key=lambda i: -len(tokens[i]))
        start = 0
        while start < len(order):
            longest = len(tokens[order[start]])
            some = order[start : start + self._size(longest)]
            batch = [tokens[i] for i in some]
            values = self._runner.run(lambda t: self._vectors(model, t), batch)
            yield some, np.column_stack([values, [n_cut[i] for i in some]])
            start += len(some)

    def _vectors(self, model: ClipModel, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        if self._tokens is None:
            return encode_tokens(model, tokens)
        return word_tokens(model, tokens, self._tokens)

    def _size(self, longest: int) -> int:
        """How many texts of a length to encode at once."""
        if self._budget is None:
            return self._runner.size
        return min(self._runner.size, max(1, self._budget // longest))


def _warn_of_cut(n_cut: np.ndarray) -> None:
    known = n_cut[~np.isnan(n_cut)]
    if known.any():
        warnings.warn(
            f"{int((known > 0).sum())} of {len(n_cut)} texts are longer than the "
            f"model reads: {int(known.sum())} tokens at their ends have no effect.",
            UserWarning,
            stacklevel=6,
        )


def _keys(texts: Sequence[str], fingerprint: str) -> list[bytes]:
    return [item_key(fingerprint, t.encode("utf-8", "surrogatepass")) for t in texts]


def _fill_from_cache(
    cache: EmbeddingCache, keys: Sequence[bytes], vectors: np.ndarray
) -> list[int]:
    """Write the known embeddings into their rows; return the rows that are left."""
    missing = []
    for start in range(0, len(keys), TEXTS_AT_ONCE):
        some = keys[start : start + TEXTS_AT_ONCE]
        found = cache.get(some)
        for row, key in enumerate(some, start):
            vector = found.get(key)
            if vector is not None and len(vector) == vectors.shape[1]:
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
    plain = type(tokenizer) is SimpleTokenizer and tokenizer.reduction_fn is None
    if not plain:
        return _tokenize_padded(tokenizer, texts, context)
    tokens, n_cut = [], []
    for text in texts:
        ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
        n_cut.append(max(0, len(ids) - context))
        if len(ids) > context:
            ids = [*ids[: context - 1], tokenizer.eot_token_id]
        tokens.append(ids)
    return tokens, n_cut


def _tokenize_padded(
    tokenizer: Any, texts: Sequence[str], context: int
) -> tuple[list[list[int]], list[int]]:
    """Tokenize with a tokenizer that pads; more positions show what is cut off."""
    longer = tokenizer(list(texts), context_length=4 * context)
    padding = tokenizer([""], context_length=4 * context)[0, -1]
    n_cut = ((longer != padding).sum(dim=1) - context).clamp(min=0)
    return tokenizer(list(texts), context_length=context).tolist(), n_cut.tolist()


def encode_tokens(model: ClipModel, tokens: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the raw embeddings of tokenized texts."""
    from hyperfusion.encoders.clip import _towers

    return _towers.encode_tokens(model, tokens, model.tokenizer.context_length)
