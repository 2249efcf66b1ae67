"""Forward passes that leave out what has no effect on an embedding.

Two things are left out. In a causal text tower no position sees a later one, so
texts are cut at the longest of their batch instead of padded to the model's context.
And an embedding is read off one position of the last block, so that block computes
no other. Both are tried against open_clip's own `encode_image` and `encode_text` when
a model is first used, and where the numbers do not agree, open_clip's way is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from open_clip import CLIP
from open_clip.transformer import (
    ResidualAttentionBlock,
    TextTransformer,
    VisionTransformer,
)

from hyperfusion.encoders.clip._models import ClipModel

AGREEMENT = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}
PROBE_LENGTHS = (2, 3, 7, 30)


def encode_images(model: ClipModel, batch: torch.Tensor) -> np.ndarray:
    """Return the raw embeddings of images that are ready for the model."""
    with model.lock:
        if model.short_images is None:
            model.short_images = _shorten_image_tower(model)
    return _encode_images(model, batch)


def encode_tokens(
    model: ClipModel, tokens: Sequence[Sequence[int]], context: int
) -> np.ndarray:
    """Return the raw embeddings of tokenized texts."""
    with model.lock:
        if model.short_texts is None:
            model.short_texts = _short_texts_agree(model, context)
    if model.short_texts:
        return _encode_short_texts(model, pad(tokens, max(map(len, tokens))))
    return _encode_texts(model, pad(tokens, context))


def _encode_images(model: ClipModel, batch: torch.Tensor) -> np.ndarray:
    with model.inference():
        return model.to_numpy(model.network.encode_image(batch, normalize=False))


def _encode_texts(model: ClipModel, tokens: np.ndarray) -> np.ndarray:
    with model.inference():
        batch = torch.from_numpy(tokens).to(model.device)
        return model.to_numpy(model.network.encode_text(batch, normalize=False))


def _encode_short_texts(model: ClipModel, tokens: np.ndarray) -> np.ndarray:
    """Do what `encode_text` does, for fewer positions than the context has."""
    tower = causal_tower(model.network)
    length = tokens.shape[1]
    with model.inference():
        batch = torch.from_numpy(tokens).to(model.device)
        # the end of a text is the token with the highest number
        ends = batch.argmax(dim=-1)
        kind = tower.transformer.get_cast_dtype()
        x = tower.token_embedding(batch).to(kind)
        x = x + tower.positional_embedding[:length].to(kind)
        *blocks, last = tower.transformer.resblocks
        for block in blocks:
            x = block(x, attn_mask=tower.attn_mask[:length, :length])
        return model.to_numpy(project(tower, tower.ln_final(_at_ends(last, x, ends))))


def project(tower: Any, x: torch.Tensor) -> torch.Tensor:
    """Take a text tower's outputs to the space that images and texts share."""
    projection = tower.text_projection
    if isinstance(projection, torch.nn.Linear):
        return projection(x)
    return x if projection is None else x @ projection


def _at_ends(block: Any, x: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Return what a block makes of one position of every row."""
    rows = torch.arange(len(x), device=x.device)
    later = torch.arange(x.shape[1], device=x.device) > ends[:, None]
    mask = torch.zeros_like(later, dtype=x.dtype).masked_fill(later, float("-inf"))
    mask = mask[:, None].repeat_interleave(block.attn.num_heads, dim=0)
    return _one_position(block, x, x[rows, ends][:, None], mask)[:, 0]


def _one_position(
    block: Any, x: torch.Tensor, at: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Run a residual attention block with all of `x` as keys and `at` as queries."""
    keys = block.ln_1(x)
    attended = block.attention(block.ln_1(at), keys, keys, attn_mask=mask)
    at = at + block.ls_1(attended)
    return at + block.ls_2(block.mlp(block.ln_2(at)))


class _FirstPosition(torch.nn.Module):
    """A residual attention block whose result for the class token alone is needed."""

    def __init__(self, block: torch.nn.Module):
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return _one_position(self.block, x, x[:, :1], None)


def _is_plain(transformer: Any) -> bool:
    """Whether the last block is one that can be run for a single position."""
    blocks = transformer.resblocks
    plain = len(blocks) > 1 and type(blocks[-1]) is ResidualAttentionBlock
    return plain and not hasattr(blocks[-1], "ln_1_kv") and transformer.batch_first


def _shorten_image_tower(model: ClipModel) -> bool:
    """Let the last block compute the class token only, where that is all it is for."""
    tower = model.network.visual
    if not (
        isinstance(tower, VisionTransformer)
        and tower.pool_type == "tok"
        and tower.attn_pool is None
        and not tower.output_tokens
        and _is_plain(tower.transformer)
    ):
        return False
    height, width = tower.image_size
    waves = torch.linspace(0, 1000, 2 * 3 * height * width, device=model.device).sin()
    probes = waves.reshape(2, 3, height, width)
    expected = _encode_images(model, probes)
    blocks = tower.transformer.resblocks
    whole = blocks[-1]
    blocks[-1] = _FirstPosition(whole)
    if _agree(expected, _encode_images(model, probes), model):
        return True
    blocks[-1] = whole
    return False


def causal_tower(network: Any) -> Any:
    """Return the text tower if it is one that texts can be cut for, otherwise None."""
    tower = network if isinstance(network, CLIP) else getattr(network, "text", None)
    if not isinstance(tower, (CLIP, TextTransformer)):
        return None
    pooling = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    causal = getattr(tower, "attn_mask", None) is not None
    simple = getattr(tower, "cls_emb", None) is None and pooling == "argmax"
    return tower if causal and simple and _is_plain(tower.transformer) else None


def _short_texts_agree(model: ClipModel, context: int) -> bool:
    """Whether cut texts give the numbers that `encode_text` gives at full context."""
    tower = causal_tower(model.network)
    if tower is None:
        return False
    end = tower.token_embedding.num_embeddings - 1
    lengths = [n for n in PROBE_LENGTHS if n <= context]
    tokens = [[*range(1, n), end] for n in lengths]
    expected = _encode_texts(model, pad(tokens, context))
    short = _encode_short_texts(model, pad(tokens, max(lengths)))
    return _agree(expected, short, model)


def _agree(expected: np.ndarray, found: np.ndarray, model: ClipModel) -> bool:
    error = np.abs(expected - found) / np.linalg.norm(expected, axis=1, keepdims=True)
    return bool(error.max() <= AGREEMENT[model.precision])


def pad(tokens: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Return tokenized texts as a table, with zeros behind their ends."""
    padded = np.zeros((len(tokens), length), dtype=np.int64)
    for row, ids in enumerate(tokens):
        padded[row, : len(ids)] = ids
    return padded
