"""Patch and word tokens: those of open_clip's own towers, exactly."""

from __future__ import annotations

import pickle

import numpy as np
import open_clip
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from hyperfusion.encoders import ClipImageEncoder, ClipTextEncoder, clear_model_cache
from hyperfusion.exceptions import InvalidInputError
from tests.encoders.clip_reference import (
    CONFIG,
    PREPROCESS,
    make_network,
    pictures,
    write_model,
)

PICTURES = pictures(6)
TEXTS = ["a dog", "red bicycle in a rainy street", "sea", "dog " * 100, "!?"]
CLOSE = {"rtol": 0, "atol": 1e-5}
pytestmark = pytest.mark.filterwarnings("ignore:.*longer than the model reads")


def patches_of(network):
    """Patch tokens (n, side, side, width) as the image tower itself puts them out."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(size=32, **PREPROCESS), is_train=False)
    batch = torch.stack([transform(Image.fromarray(p)) for p in PICTURES])
    network.visual.output_tokens = True
    try:
        with torch.inference_mode():
            _, tokens = network.visual(batch)
    finally:
        network.visual.output_tokens = False
    return tokens.unflatten(1, (4, 4)).numpy()


def words_of(network, texts):
    """Each text's word tokens (n_words + 1, width) as the text tower makes them."""
    seen = []
    hook = network.ln_final.register_forward_hook(lambda *args: seen.append(args[2]))
    tokens = open_clip.SimpleTokenizer(context_length=77)(texts)
    try:
        with torch.inference_mode():
            network.encode_text(tokens)
    finally:
        hook.remove()
    ends = tokens.argmax(dim=1)
    return [x[1 : end + 1].numpy() for x, end in zip(seen[0], ends, strict=True)]


def split(encoder, features):
    """Embeddings, and tokens of shape (n_cells, n_tokens, size)."""
    pooled, tokens = np.split(features, [encoder.n_embedding_], axis=1)
    return pooled, tokens.reshape(len(tokens), encoder.n_tokens_, encoder.token_size_)


@pytest.mark.parametrize("used_before", [False, True])
def test_patch_tokens_are_those_of_open_clips_tower(folder, network, used_before):
    clear_model_cache()
    plain = ClipImageEncoder(folder, normalize=False)
    if used_before:  # the shared model's last block then computes one position only
        plain.fit_transform(PICTURES)
    encoder = ClipImageEncoder(folder, normalize=False, tokens=4, batch_size=4)
    pooled, tokens = split(encoder.fit(PICTURES), encoder.transform(PICTURES))
    assert_allclose(tokens, patches_of(network).reshape(6, 16, 64), **CLOSE)
    assert_allclose(pooled, plain.fit_transform(PICTURES), **CLOSE)


@pytest.mark.parametrize("side", [1, 2])
def test_fewer_patch_tokens_are_means_over_a_coarser_grid(folder, network, side):
    encoder = ClipImageEncoder(folder, normalize=False, tokens=side).fit(PICTURES)
    _, tokens = split(encoder, encoder.transform(PICTURES))
    size = 4 // side
    cells = patches_of(network).reshape(6, side, size, side, size, 64)
    assert_allclose(tokens, cells.mean(axis=(2, 4)).reshape(6, -1, 64), **CLOSE)


@pytest.mark.parametrize("batch_size", [1, 2, "auto"])
def test_word_tokens_are_those_of_open_clips_tower(folder, network, batch_size):
    words = words_of(network, TEXTS)
    plain = ClipTextEncoder(folder, normalize=False).fit_transform(TEXTS)
    for text, expected, pooled in zip(TEXTS, words, plain, strict=True):
        encoder = ClipTextEncoder(
            folder, normalize=False, tokens=len(expected), batch_size=batch_size
        )
        found, tokens = split(encoder.fit(TEXTS), encoder.transform(TEXTS))
        row = TEXTS.index(text)
        assert_allclose(tokens[row], expected, **CLOSE)
        assert_allclose(found[row], pooled, **CLOSE)


def test_parts_of_a_text_are_means_and_overlap_where_it_is_short(folder, network):
    encoder = ClipTextEncoder(folder, normalize=False, tokens=3).fit(TEXTS)
    _, tokens = split(encoder, encoder.transform(TEXTS))
    words = words_of(network, TEXTS)
    seven = words[1]  # six words and the end: two parts of three share their borders
    parts = [seven[0:3], seven[2:5], seven[4:7]]
    assert_allclose(tokens[1], [part.mean(axis=0) for part in parts], **CLOSE)
    dog = words[2]
    assert len(dog) == 2
    assert_allclose(tokens[2], [dog[0], dog.mean(axis=0), dog[1]], **CLOSE)


def test_other_towers(tmp_path):
    resnet = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "image_size": 64}
    own = make_network(config={**CONFIG, "vision_cfg": resnet}, kind="CustomTextCLIP")
    config = {**CONFIG, "vision_cfg": resnet, "custom_text": True}
    folder = write_model(tmp_path / "model", own, config)
    encoder = ClipImageEncoder(folder, tokens=2).fit(PICTURES)
    pooled, tokens = split(encoder, encoder.transform(PICTURES))
    assert tokens.shape == (6, 4, 256)
    assert_allclose(pooled, ClipImageEncoder(folder).fit_transform(PICTURES), **CLOSE)
    text = ClipTextEncoder(folder, normalize=False, tokens=1).fit(TEXTS)
    own.text.output_tokens = True
    ids = open_clip.SimpleTokenizer(context_length=77)(["dog"])
    with torch.inference_mode():
        _, expected = own.text(ids)
    _, tokens = split(text, text.transform(["dog"]))
    assert_allclose(tokens[0, 0], expected[0, 1:3].numpy().mean(axis=0), **CLOSE)


def test_names_and_lengths(folder):
    encoder = ClipImageEncoder(folder, tokens=2, add_indicator=True).fit(PICTURES)
    names = list(encoder.get_feature_names_out())
    assert names[31:34] == ["clip__31", "clip_token__0_0", "clip_token__0_1"]
    assert names[-2:] == ["clip_token__3_63", "clip_is_missing"]
    features = encoder.transform([PICTURES[0], None])
    assert features.shape == (2, len(names))
    assert np.isnan(features[1, :-1]).all()
    pooled, tokens = split(encoder, features[:1, :-1])
    assert_allclose(np.linalg.norm(pooled, axis=-1), 1, rtol=1e-5)
    assert_allclose(np.linalg.norm(tokens, axis=-1), 1, rtol=1e-5)


def test_one_pca_for_all_tokens(folder):
    whole = ClipTextEncoder(folder, tokens=2).fit(TEXTS)
    reduced = ClipTextEncoder(folder, tokens=2, n_components=3)
    features = reduced.fit_transform([*TEXTS, None])
    assert list(reduced.get_feature_names_out()) == [
        f"{stem}_pca__{i}"
        for stem in ("clip", "clip_token__0", "clip_token__1")
        for i in range(3)
    ]
    assert np.isnan(features[-1]).all()
    assert_allclose(reduced.transform(TEXTS), features[:-1], **CLOSE)
    _, tokens = split(whole, whole.transform(TEXTS))
    flat = tokens.reshape(-1, 64)
    u, s, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    found = features[:-1, 3:].reshape(-1, 3)
    assert_allclose(np.abs(found), np.abs(u[:, :3] * s[:3]), atol=1e-4)


def test_a_cache_keeps_tokens_and_embeddings_apart(folder, tmp_path):
    for kind, cells in ((ClipImageEncoder, PICTURES), (ClipTextEncoder, TEXTS)):
        plain, two, one = (
            kind(folder, tokens=tokens, cache=tmp_path / "cache")
            for tokens in (None, 2, 1)
        )
        first = [encoder.fit_transform(cells) for encoder in (plain, two, one)]
        assert len({features.shape for features in first}) == 3
        for encoder, expected in zip((plain, two, one), first, strict=True):
            assert_array_equal(encoder.transform(cells), expected)
            copy = pickle.loads(pickle.dumps(encoder))
            assert_array_equal(copy.transform(cells), expected)
        assert_allclose(two.transform(cells)[:, :32], first[0], **CLOSE)


def test_what_can_not_be_read_is_said(folder, tmp_path):
    with pytest.raises(InvalidInputError, match=r"at most 4, the side .* Got 5"):
        ClipImageEncoder(folder, tokens=5).fit(PICTURES)
    with pytest.raises(InvalidInputError, match="none of open_clip's own"):
        ClipImageEncoder("ViT-B-16-SigLIP", pretrained="random", tokens=2).fit([None])
    with pytest.raises(ValueError, match="'tokens'"):
        ClipTextEncoder(folder, tokens=0).fit(TEXTS)
    text = {**CONFIG["text_cfg"], "no_causal_mask": True}
    network = make_network(config={**CONFIG, "text_cfg": text}, kind="CustomTextCLIP")
    config = {**CONFIG, "text_cfg": text, "custom_text": True}
    other = write_model(tmp_path / "model", network, config)
    with pytest.raises(InvalidInputError, match="not causal"):
        ClipTextEncoder(other, tokens=2).fit_transform(TEXTS)
