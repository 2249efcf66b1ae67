"""Packed transformer blocks give the numbers of torch's own."""

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

from hyperfusion.encoders.clip import _towers as module
from hyperfusion.encoders.clip._towers import (
    PackedAttention,
    PackedLinear,
    pack_blocks,
)

pytestmark = pytest.mark.skipif(
    not module._can_pack(), reason="this torch has no oneDNN"
)


@pytest.fixture
def block():
    torch.manual_seed(0)
    return ResidualAttentionBlock(32, 4).eval().requires_grad_(False)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("n_rows", [1, 7, 3000])
def test_linear(has_bias, n_rows):
    layer = torch.nn.Linear(24, 40, bias=has_bias).requires_grad_(False)
    x = draw(2, n_rows, 24)
    packed = PackedLinear(layer.weight, layer.bias)
    torch.testing.assert_close(packed(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask", ["none", "causal", "per head"])
@pytest.mark.parametrize("n_queries", [5, 1])
def test_attention(block, mask, n_queries):
    x = draw(3, 5, 32)
    masks = {
        "none": None,
        "causal": torch.full((5, 5), float("-inf")).triu(1)[-n_queries:],
        "per head": draw(3 * 4, n_queries, 5),
    }
    expected, _ = block.attn(
        x[:, -n_queries:], x, x, need_weights=False, attn_mask=masks[mask]
    )
    found, weights = PackedAttention(block.attn)(
        x[:, -n_queries:], x, x, need_weights=False, attn_mask=masks[mask]
    )
    assert weights is None
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_whole_tower():
    torch.manual_seed(0)
    tower = VisionTransformer(32, 8, 32, 3, 4, 4.0, output_dim=16).eval()
    images = draw(4, 3, 32, 32)
    with torch.inference_mode():
        expected = tower(images)
        pack_blocks(tower)
        found = tower(images)
    kinds = {type(b.attn) for b in tower.transformer.resblocks}
    assert kinds == {PackedAttention}
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_block_that_would_differ_stays_as_it_was(block, monkeypatch):
    wrong = PackedLinear.forward
    monkeypatch.setattr(PackedLinear, "forward", lambda self, x: wrong(self, x) * 1.001)
    before = block.attn, block.mlp.c_fc, block.mlp.c_proj
    pack_blocks(block)
    assert (block.attn, block.mlp.c_fc, block.mlp.c_proj) == before


def test_without_onednn_nothing_changes(block, monkeypatch):
    monkeypatch.setattr(module, "_can_pack", lambda: False)
    attention = block.attn
    pack_blocks(block)
    assert block.attn is attention


def test_cross_attention_stays_as_it_was():
    block = ResidualAttentionBlock(32, 4, is_cross_attention=True)
    attention = block.attn
    pack_blocks(block)
    assert block.attn is attention
