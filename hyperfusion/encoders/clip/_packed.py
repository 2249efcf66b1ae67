"""Transformer blocks in the form that a CPU computes fastest.

In full precision torch multiplies matrices with MKL, which leaves half of an AMD
processor's arithmetic unused. oneDNN, which is part of torch as well, uses it, on
weights that are put in its own order once. The numbers are the same up to rounding:
each block is tried before and after, and stays as it was where they differ.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

AGREEMENT = 1e-5
TYPICAL_ROWS = 1024  # oneDNN may choose the order of the weights by it


def pack_blocks(network: nn.Module) -> None:
    """Put the plain transformer blocks of a network on the CPU in packed form."""
    if not _can_pack():
        return
    blocks = [m for m in network.modules() if type(m) is ResidualAttentionBlock]
    with torch.inference_mode():
        for block in blocks:
            if _is_plain(block):
                _pack(block)


def _can_pack() -> bool:
    operations = ("_linear_pointwise", "_reorder_linear_weight")
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in operations
    )


def _is_plain(block: Any) -> bool:
    attention = block.attn
    return (
        not hasattr(block, "ln_1_kv")
        and type(attention) is nn.MultiheadAttention
        and attention.batch_first
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
        and type(block.mlp.c_fc) is nn.Linear
        and type(block.mlp.c_proj) is nn.Linear
    )


def _pack(block: Any) -> None:
    width = block.attn.embed_dim
    probe = torch.linspace(0, 1000, 2 * 3 * width).sin().reshape(2, 3, width)
    expected = block(probe)
    whole = block.attn, block.mlp.c_fc, block.mlp.c_proj
    block.attn = PackedAttention(block.attn)
    block.mlp.c_fc = PackedLinear(block.mlp.c_fc.weight, block.mlp.c_fc.bias)
    block.mlp.c_proj = PackedLinear(block.mlp.c_proj.weight, block.mlp.c_proj.bias)
    error = (block(probe) - expected).norm(dim=-1) / expected.norm(dim=-1)
    if not bool((error <= AGREEMENT).all()):
        block.attn, block.mlp.c_fc, block.mlp.c_proj = whole


class PackedLinear(nn.Module):
    """`torch.nn.Linear` with weights in oneDNN's order.

    Parameters
    ----------
    weight : Tensor of shape (n_outputs, n_inputs)
        float32, on the CPU.
    bias : Tensor of shape (n_outputs,) or None
        What is added.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = weight.new_empty(0)  # open_clip asks for its dtype
        self.bias = bias
        contiguous = weight.detach().contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(contiguous, TYPICAL_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's outputs."""
        return torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self.bias, "none", [], ""
        )


class PackedAttention(nn.Module):
    """`torch.nn.MultiheadAttention` for inference, with packed projections.

    Parameters
    ----------
    attention : MultiheadAttention
        Batch first, with one width for queries, keys and values.
    """

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
        """Return the attended values, and None in place of the weights."""
        heads = [
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.query(query), self.key(key), self.value(value))
        ]
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.unflatten(0, (len(query), self.num_heads))
        attended = nn.functional.scaled_dot_product_attention(
            *heads, attn_mask=attn_mask
        )
        return self.out(attended.transpose(1, 2).flatten(2)), None
