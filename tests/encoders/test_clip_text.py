"""CLIP features of texts: agreement with `encode_text` at every length."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion.encoders import ClipTextEncoder, clear_model_cache
from hyperfusion.encoders.clip import _text as _clip_text
from hyperfusion.encoders.clip import _towers as _clip_towers
from hyperfusion.encoders.clip._models import load_model
from hyperfusion.encoders.clip._weights import find_source
from hyperfusion.exceptions import BadCellError, BadCellWarning
from tests.encoders.clip_reference import (
    CONFIG,
    SMALL_CLIP,
    CallCounter,
    make_network,
    open_clip_texts,
    write_model,
)

WORDS = ["sunset", "sea", "dog", "red", "bicycle", "in", "a", "rainy", "street"]
RNG = np.random.RandomState(0)
TEXTS = [" ".join(RNG.choice(WORDS, n)) for n in [1, 1, 2, 3, 5, 8, 13, 20, 40, 60, 74]]
ODD = [
    "",
    "!!!",
    "ÀÉÎ 日本語 🎉🎉",
    "<end_of_text> hidden",
    "a\n\tb",
    "word " * 400,
    "\x00",
]
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def counter(monkeypatch):
    counter = CallCounter(_clip_towers.encode_tokens)
    monkeypatch.setattr(_clip_towers, "encode_tokens", counter)
    return counter


def loaded(folder):
    return load_model(find_source(str(folder), None, tower="text"), "cpu", "fp32")


@pytest.mark.parametrize("batch_size", [1, 3, 11, "auto"])
def test_agrees_with_encode_text(folder, network, batch_size):
    expected = open_clip_texts(network, TEXTS)
    encoder = ClipTextEncoder(folder, batch_size=batch_size)
    found = encoder.fit_transform(TEXTS)
    assert found.dtype == np.float32
    assert_allclose(found, expected, **CLOSE)
    order = RNG.permutation(len(TEXTS))
    shuffled = encoder.transform([TEXTS[i] for i in order])
    assert_allclose(shuffled, expected[order], **CLOSE)


@pytest.mark.filterwarnings("ignore:.*longer than the model reads")
def test_agrees_on_odd_texts(folder, network):
    texts = [t for t in ODD if t.strip()]
    found = ClipTextEncoder(folder).fit_transform(texts)
    assert_allclose(found, open_clip_texts(network, texts), **CLOSE)


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_agrees_on_any_text(texts):
    texts = [t.strip() for t in texts if t.strip()] or ["a"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        encoder = ClipTextEncoder(SMALL_CLIP, pretrained="random", normalize=False)
        found = encoder.fit_transform(texts)
    source = find_source(SMALL_CLIP, "random", tower="text")
    network = load_model(source, "cpu", "fp32").network
    assert_allclose(found, open_clip_texts(network, texts, normalize=False), atol=1e-4)


def test_batches_are_as_long_as_their_texts(folder, monkeypatch):
    shapes = []
    cut = _clip_towers._encode_short_texts

    def spy(model, tokens):
        shapes.append(tokens.shape)
        return cut(model, tokens)

    encoder = ClipTextEncoder(folder, batch_size=2).fit(TEXTS)
    encoder.transform(["a"])  # the comparison with encode_text is over
    monkeypatch.setattr(_clip_towers, "_encode_short_texts", spy)
    encoder.transform(["a dog", "dog " * 50, "a cat", "cat " * 50])
    assert shapes == [(2, 52), (2, 4)]


VARIANTS = {
    "causal": ({}, "CLIP", True),
    "text tower of its own": ({}, "CustomTextCLIP", True),
    "no causal mask": ({"no_causal_mask": True}, "CustomTextCLIP", False),
    "last position": ({"pool_type": "last"}, "CustomTextCLIP", False),
    "class token": ({"embed_cls": True}, "CustomTextCLIP", False),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_text_towers_agree_too(name, tmp_path):
    changes, kind, cuts = VARIANTS[name]
    config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **changes}}
    network = make_network(config=config, kind=kind)
    described = {**config, "custom_text": kind == "CustomTextCLIP"}
    folder = write_model(tmp_path / "model", network, described)
    found = ClipTextEncoder(folder).fit_transform(TEXTS)
    assert_allclose(found, open_clip_texts(network, TEXTS), **CLOSE)
    assert loaded(folder).short_texts is cuts


def test_full_context_where_the_short_way_does_not_agree(folder, network, monkeypatch):
    monkeypatch.setattr(
        _clip_towers,
        "_encode_short_texts",
        lambda model, tokens: np.ones((len(tokens), 32)),
    )
    clear_model_cache()
    found = ClipTextEncoder(folder).fit_transform(TEXTS)
    assert_allclose(found, open_clip_texts(network, TEXTS), **CLOSE)
    assert loaded(folder).short_texts is False
    clear_model_cache()


def test_equal_texts_are_encoded_once(folder, counter):
    texts = ["a dog", " a dog ", "a cat", "a dog", None]
    found = ClipTextEncoder(folder).fit_transform(texts)
    assert counter.items == 2
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[3])


def test_missing_cells_and_lists_of_words(folder):
    encoder = ClipTextEncoder(folder)
    cells = pd.Series(["a red dog", ["a", "red", "dog"], None, np.nan, " ", [], pd.NA])
    found = encoder.fit_transform(cells)
    assert_array_equal(found[0], found[1])
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2:]).all()


def test_bad_cells(folder):
    cells = ["a dog", 3, "a cat"]
    with pytest.raises(BadCellError, match=r"row 1: expected text"):
        ClipTextEncoder(folder, on_error="raise").fit_transform(cells)
    with pytest.warns(BadCellWarning, match="1 cell"):
        found = ClipTextEncoder(folder).fit_transform(cells)
    assert_array_equal(np.isnan(found).all(axis=1), [False, True, False])


def test_only_missing_cells(folder):
    assert np.isnan(ClipTextEncoder(folder).fit_transform([None, ""])).all()


def test_what_is_cut_off_is_counted(folder, tmp_path):
    # 100 words are 100 tokens, and two more mark the begin and the end: 25 too many
    cells = ["dog " * 100, "dog " * 75, None, "dog " * 76, "dog " * 100]
    encoder = ClipTextEncoder(folder, cache=tmp_path)
    message = r"3 of 5 texts are longer .* 51 tokens"
    with pytest.warns(UserWarning, match=message):
        first = encoder.fit_transform(cells)
    with pytest.warns(UserWarning, match=message):  # the cache knows it, too
        again = encoder.transform(cells)
    assert_array_equal(first, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform(["dog " * 75])


class PaddingTokenizer:
    """A tokenizer as those of Hugging Face: it only returns padded tables."""

    def __init__(self, context_length=77):
        self.context_length = context_length
        self._plain = open_clip.SimpleTokenizer(context_length=context_length)

    def __call__(self, texts, context_length=None):
        return self._plain(texts, context_length or self.context_length)


def test_tokenizers_that_pad(folder, network):
    model = loaded(folder)
    plain = _clip_text.tokenize(model, TEXTS)
    model._tokenizer = PaddingTokenizer()
    try:
        found = ClipTextEncoder(folder).fit_transform(TEXTS)
        assert_allclose(found, open_clip_texts(network, TEXTS), **CLOSE)
        assert plain[1] == [0] * len(TEXTS)
        with pytest.warns(UserWarning, match="1 of 2 texts .* 25 tokens"):
            ClipTextEncoder(folder).fit_transform(["dog " * 100, "dog " * 75])
    finally:
        clear_model_cache()


def test_halves_batches_when_the_memory_does_not_suffice(folder, network, monkeypatch):
    sizes = []
    encode = _clip_towers.encode_tokens

    def small_memory(model, tokens):
        sizes.append(len(tokens))
        if len(tokens) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(model, tokens)

    monkeypatch.setattr(_clip_towers, "encode_tokens", small_memory)
    found = ClipTextEncoder(folder, batch_size=8).fit_transform(TEXTS)
    assert_allclose(found, open_clip_texts(network, TEXTS), **CLOSE)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]

    def no_memory(model, tokens):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    monkeypatch.setattr(_clip_towers, "encode_tokens", no_memory)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        ClipTextEncoder(folder).fit_transform(TEXTS)


def test_numbers_that_overflow_are_an_error(tmp_path):
    network = make_network()
    with torch.no_grad():
        network.text_projection.fill_(float("inf"))
    folder = write_model(tmp_path / "model", network)
    with pytest.raises(ValueError, match="precision='fp32'"):
        ClipTextEncoder(folder).fit_transform(TEXTS)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision(folder, network, precision, tolerance):
    found = ClipTextEncoder(folder, precision=precision).fit_transform(TEXTS)
    assert found.dtype == np.float32
    assert_allclose(found, open_clip_texts(network, TEXTS), atol=tolerance)
    source = find_source(str(folder), None, tower="text")
    assert load_model(source, "cpu", precision).short_texts is True


@pytest.mark.parametrize("method", ["fit_transform", "transform"])
def test_warnings_show_the_line_of_the_user(folder, method):
    encoder = ClipTextEncoder(folder, on_error="missing").fit(TEXTS)
    with pytest.warns(UserWarning, match="cell|longer") as caught:
        getattr(encoder, method)(["a dog", 3, "a cat", "dog " * 100])
    assert {w.category for w in caught} == {UserWarning, BadCellWarning}
    assert {w.filename for w in caught} == {__file__}


def test_pickle_is_small(folder):
    data = pickle.dumps(ClipTextEncoder(folder).fit(TEXTS))
    assert len(data) < 5_000
    assert_allclose(
        pickle.loads(data).transform(TEXTS),
        ClipTextEncoder(folder).fit_transform(TEXTS),
        **CLOSE,
    )
