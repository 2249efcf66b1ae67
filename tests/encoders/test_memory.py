"""What encoders remember in memory: the same results without the work, bounded."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.inspection import partial_dependence
from sklearn.linear_model import Ridge

from hyperfusion import (
    ClipImageEncoder,
    ClipTextEncoder,
    ImageStatistics,
    clear_model_cache,
    make_hyperfusion,
    make_posts,
)
from hyperfusion.encoders.cache import _cache as _memory
from hyperfusion.encoders.clip import _image, _towers
from hyperfusion.encoders.image import _statistics


@pytest.fixture(autouse=True)
def remembers(nothing_is_remembered, monkeypatch):
    monkeypatch.setattr(_memory, "MAX_BYTES", 2**20)
    yield
    _memory.MEMORY.clear()


@pytest.fixture
def encoded(monkeypatch):
    """How many pictures and texts went through a model, or were measured."""
    counts = {"images": 0, "texts": 0, "measured": 0}

    def counted(name, work, n_of):
        def run(*args):
            counts[name] += n_of(args)
            return work(*args)

        return run

    for name, module, function in (
        ("images", _image, "encode_pixels"),
        ("texts", _towers, "encode_tokens"),
    ):
        work = counted(name, getattr(module, function), lambda args: len(args[1]))
        monkeypatch.setattr(module, function, work)
    work = counted("measured", _statistics._measures, lambda args: 1)
    monkeypatch.setattr(_statistics, "_measures", work)
    return counts


def test_least_recently_used_leave_first(monkeypatch):
    memory = _memory.MemoryCache()
    vectors = {bytes([i]): np.full(10, i, np.float32) for i in range(4)}
    size = vectors[b"\0"].nbytes + _memory._OVERHEAD
    monkeypatch.setattr(_memory, "MAX_BYTES", 3 * size)
    memory.put({key: vectors[key] for key in (b"\0", b"\1", b"\2")})
    memory.get([b"\0"])
    memory.put({b"\3": vectors[b"\3"]})
    assert set(memory.get(vectors)) == {b"\0", b"\2", b"\3"}
    memory.put(vectors)
    vectors[b"\3"][:] = 9
    assert_array_equal(memory.get([b"\3"])[b"\3"], np.full(10, 3, np.float32))


def test_encoders_give_the_same_without_the_work(encoded):
    posts = make_posts(6, random_state=0).data
    for encoder, column in (
        (ClipImageEncoder("hyperfusion-tiny"), "image"),
        (ImageStatistics(), "image"),
        (ClipTextEncoder("hyperfusion-tiny"), "caption"),
    ):
        first = encoder.fit_transform(posts[column])
        work = dict(encoded)
        assert_array_equal(encoder.transform(posts[column][::-1]), first[::-1])
        assert encoded == work
    assert min(encoded.values()) > 0
    clear_model_cache()
    ClipImageEncoder("hyperfusion-tiny").fit_transform(posts["image"])
    assert encoded["images"] > work["images"]


def test_a_changed_file_is_read_again(tmp_path, encoded):
    from PIL import Image

    path = tmp_path / "picture.png"
    found = []
    for color in ("red", "blue"):
        Image.new("RGB", (8, 8), color).save(path)
        found.append(ImageStatistics().fit_transform([str(path)]))
    assert encoded["measured"] == 2
    assert not np.array_equal(*found, equal_nan=True)


def test_partial_dependence_encodes_pictures_once(encoded):
    posts = make_posts(40, random_state=0)
    numeric = posts.roles["numeric"]
    posts.data[numeric] = posts.data[numeric].astype(float)
    roles = {"image": "image", "numeric": numeric}
    model = make_hyperfusion(
        **roles, image_encoder="hyperfusion-tiny", members=[Ridge(solver="lsqr")], cv=2
    ).fit(posts.data, posts.target)
    work = dict(encoded)
    partial_dependence(model, posts.data, numeric[:1], grid_resolution=5)
    assert encoded == work
