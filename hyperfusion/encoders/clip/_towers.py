"""Forward passes that take less time than open_clip's own, with the same numbers.

- In a causal text tower no position sees a later one, so texts are cut at the longest
  of their batch instead of padded to the model's context.
- An embedding is read off one position of the last block, so that block computes no
  other.
- In full precision torch multiplies matrices with MKL, which leaves half of an AMD
  processor's arithmetic unused. torch's oneDNN uses it, on weights in its own order.

Each is tried when a model is loaded or first used; where the numbers do not agree with
open_clip's up to rounding, open_clip's own code is used.
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
from torch import Tensor, nn

from hyperfusion.encoders.clip._models import ClipModel

AGREEMENT = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}
PROBE_LENGTHS = (2, 3, 7, 30)
TYPICAL_ROWS = 1024  # oneDNN may choose the order of the weights by it


def encode_images(model: ClipModel, batch: Tensor) -> np.ndarray:
    with model.lock:
        if model.short_images is None:
            model.short_images = _shorten_image_tower(model)
    return _encode_images(model, batch)


def encode_tokens(model: ClipModel, tokens: Sequence[Sequence[int]]) -> np.ndarray:
    context = model.tokenizer.context_length
    with model.lock:
        if model.short_texts is None:
            model.short_texts = _short_texts_agree(model, context)
    if model.short_texts:
        return _encode_short_texts(model, _pad(tokens, max(map(len, tokens))))
    return _encode_texts(model, _pad(tokens, context))


def _encode_images(model: ClipModel, batch: Tensor) -> np.ndarray:
    with model.inference():
        return model.to_numpy(model.network.encode_image(batch, normalize=False))


def _encode_texts(model: ClipModel, tokens: np.ndarray) -> np.ndarray:
    with model.inference():
        batch = torch.from_numpy(tokens).to(model.device)
        return model.to_numpy(model.network.encode_text(batch, normalize=False))


def _encode_short_texts(model: ClipModel, tokens: np.ndarray) -> np.ndarray:
    """Do what `encode_text` does, for fewer positions than the context has."""
    tower = _causal_tower(model.network)
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
        # of the last block, only the position of each text's end is needed
        later = torch.arange(length, device=x.device) > ends[:, None]
        mask = torch.zeros_like(later, dtype=x.dtype).masked_fill(later, float("-inf"))
        mask = mask[:, None].repeat_interleave(last.attn.num_heads, dim=0)
        at = x[torch.arange(len(x), device=x.device), ends][:, None]
        x = tower.ln_final(_one_position(last, x, at, mask)[:, 0])
        projection = tower.text_projection
        if isinstance(projection, nn.Linear):
            x = projection(x)
        elif projection is not None:
            x = x @ projection
        return model.to_numpy(x)


def _one_position(block: Any, x: Tensor, at: Tensor, mask: Tensor | None) -> Tensor:
    """Run a residual attention block with all of `x` as keys and `at` as queries."""
    keys = block.ln_1(x)
    attended = block.attention(block.ln_1(at), keys, keys, attn_mask=mask)
    at = at + block.ls_1(attended)
    return at + block.ls_2(block.mlp(block.ln_2(at)))


class _FirstPosition(nn.Module):
    """A residual attention block whose result for the class token alone is needed."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
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


def _causal_tower(network: Any) -> Any:
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
    tower = _causal_tower(model.network)
    if tower is None:
        return False
    end = tower.token_embedding.num_embeddings - 1
    lengths = [n for n in PROBE_LENGTHS if n <= context]
    tokens = [[*range(1, n), end] for n in lengths]
    expected = _encode_texts(model, _pad(tokens, context))
    short = _encode_short_texts(model, _pad(tokens, max(lengths)))
    return _agree(expected, short, model)


def _agree(expected: np.ndarray, found: np.ndarray, model: ClipModel) -> bool:
    error = np.abs(expected - found) / np.linalg.norm(expected, axis=1, keepdims=True)
    return bool(error.max() <= AGREEMENT[model.precision])


def _pad(tokens: Sequence[Sequence[int]], length: int) -> np.ndarray:
    return np.array([[*ids, *[0] * (length - len(ids))] for ids in tokens], np.int64)


def pack_blocks(network: nn.Module) -> None:
    with torch.inference_mode():
        for block in [*network.modules()] if _can_pack() else ():
            if type(block) is ResidualAttentionBlock:
                _pack(block)


def _can_pack() -> bool:
    operations = ("_linear_pointwise", "_reorder_linear_weight")
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in operations
    )


def _pack(block: Any) -> None:
    whole = block.attn, block.mlp.c_fc, block.mlp.c_proj
    attention, *linear = whole
    plain = type(attention) is nn.MultiheadAttention and attention.batch_first
    plain = plain and not hasattr(block, "ln_1_kv")
    if not plain or any(type(part) is not nn.Linear for part in linear):
        return
    probe = torch.linspace(0, 1000, 6 * attention.embed_dim).sin().reshape(2, 3, -1)
    expected = block(probe)
    try:
        block.attn = PackedAttention(attention)
        block.mlp.c_fc, block.mlp.c_proj = (
            PackedLinear(p.weight, p.bias) for p in linear
        )
        error = (block(probe) - expected).norm(dim=-1) / expected.norm(dim=-1)
        agrees = bool((error <= AGREEMENT["fp32"]).all())
    except (TypeError, RuntimeError):  # separate projections, or none with a bias
        agrees = False
    if not agrees:
        block.attn, block.mlp.c_fc, block.mlp.c_proj = whole


class PackedLinear(nn.Module):
    """`torch.nn.Linear` with weights (float32, on the CPU) in oneDNN's order."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = weight.new_empty(0)  # open_clip asks for its dtype
        self.bias = bias
        contiguous = weight.detach().contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(contiguous, TYPICAL_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self.bias, "none", [], ""
        )


class PackedAttention(nn.Module):
    """`torch.nn.MultiheadAttention` for inference, with packed projections."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        width = self.embed_dim = attention.embed_dim
        self.num_heads = attention.num_heads
        self.batch_first = True
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        self.query = PackedLinear(weight[:width], bias[:width])
        self.key = PackedLinear(weight[width : 2 * width], bias[width : 2 * width])
        self.value = PackedLinear(weight[2 * width :], bias[2 * width :])
        out = attention.out_proj
        self.out = PackedLinear(out.weight, out.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        queries, keys, values = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.query(query), self.key(key), self.value(value))
        )
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.unflatten(0, (len(query), self.num_heads))
        attended = nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=attn_mask
        )
        return self.out(attended.transpose(1, 2).flatten(2)), None
