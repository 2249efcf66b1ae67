"""CLIP encoders with a cache: what is new is encoded, and nothing else."""

from __future__ import annotations

import pickle
import sqlite3

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from hyperfusion.encoders import (
    ClipImageEncoder,
    ClipTextEncoder,
    EmbeddingCache,
    clear_model_cache,
)
from hyperfusion.encoders.clip import _image as _clip_image
from hyperfusion.encoders.clip import _towers as _clip_towers
from hyperfusion.exceptions import InvalidInputError
from tests.encoders.clip_reference import (
    SMALL_CLIP,
    CallCounter,
    make_network,
    pictures,
    write_model,
)

PICTURES = pictures(12)
TEXTS = [f"a picture of {n} dogs" for n in range(12)]
CLOSE = {"rtol": 0, "atol": 1e-5}


def make(kind, **params):
    if kind == "image":
        return ClipImageEncoder(SMALL_CLIP, pretrained="random", **params), PICTURES
    return ClipTextEncoder(SMALL_CLIP, pretrained="random", **params), TEXTS


@pytest.fixture
def counter(monkeypatch):
    """Counts the items that reach a model, images and texts."""
    counter = CallCounter(None)
    for module, name in (
        (_clip_image, "encode_pixels"),
        (_clip_towers, "encode_tokens"),
    ):
        function = getattr(module, name)

        def counting(model, items, *more, function=function):
            counter.sizes.append(len(items))
            return function(model, items, *more)

        monkeypatch.setattr(module, name, counting)
    return counter


both = pytest.mark.parametrize("kind", ["image", "text"])


@both
@pytest.mark.parametrize("form", ["path", "text", "object"])
def test_the_second_time_nothing_is_encoded(kind, form, tmp_path, counter):
    cache = {
        "path": tmp_path,
        "text": str(tmp_path),
        "object": EmbeddingCache(tmp_path),
    }
    encoder, X = make(kind, cache=cache[form])
    plain, _ = make(kind)
    first = encoder.fit_transform(X)
    assert_allclose(first, plain.fit_transform(X), **CLOSE)
    counter.sizes.clear()
    assert_array_equal(encoder.transform(X), first)
    assert_array_equal(clone(encoder).fit_transform(X), first)
    assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), first)
    assert counter.items == 0


@both
def test_no_model_is_loaded_when_all_is_known(kind, tmp_path, monkeypatch):
    encoder, X = make(kind, cache=tmp_path)
    first = encoder.fit_transform(X)
    clear_model_cache()

    def forbidden(*args):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("hyperfusion.encoders.clip._models._build", forbidden)
    assert_array_equal(encoder.transform(X), first)


@both
def test_a_shuffled_split_or_grown_table_costs_only_what_is_new(
    kind, tmp_path, counter
):
    encoder, X = make(kind, cache=tmp_path)
    plain, _ = make(kind)
    expected = plain.fit_transform(X)
    counter.sizes.clear()
    encoder.fit_transform(X[:8])
    assert counter.items == 8
    assert_allclose(encoder.transform(X[:8][::-1]), expected[:8][::-1], **CLOSE)
    assert_allclose(encoder.transform(X[2:5]), expected[2:5], **CLOSE)
    assert counter.items == 8
    assert_allclose(encoder.transform(X[4:]), expected[4:], **CLOSE)
    assert counter.items == 12


@both
@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"model_name": "other"}])
def test_another_model_or_precision_never_hits(kind, change, tmp_path, counter):
    encoder, X = make(kind, cache=tmp_path / "cache")
    encoder.fit_transform(X)
    if change.get("model_name"):
        folder = write_model(tmp_path / "other", make_network(seed=9))
        change = {"model_name": folder, "pretrained": None}
    counter.sizes.clear()
    other = clone(encoder).set_params(**change)
    found = other.fit_transform(X)
    assert counter.items == 12
    expected = clone(other).set_params(cache=None).fit_transform(X)
    assert_allclose(found, expected, **CLOSE)


def test_images_and_texts_do_not_meet_in_one_cache(tmp_path, counter):
    image, _ = make("image", cache=tmp_path)
    text, _ = make("text", cache=tmp_path)
    file = tmp_path / "photo.png"
    Image.fromarray(PICTURES[0]).save(file)
    image.fit_transform([file.read_bytes()])
    text.fit_transform([str(file)])
    assert counter.items == 2


@both
def test_normalizing_shares_the_same_entries(kind, tmp_path, counter):
    encoder, X = make(kind, cache=tmp_path)
    encoder.fit_transform(X)
    raw = clone(encoder).set_params(normalize=False).fit_transform(X)
    assert counter.items == 12
    plain, _ = make(kind, normalize=False)
    assert_allclose(raw, plain.fit_transform(X), atol=1e-4)


def test_a_changed_file_is_encoded_again(tmp_path, counter):
    path = tmp_path / "photo.png"
    encoder, _ = make("image", cache=tmp_path / "cache")
    Image.fromarray(PICTURES[0]).save(path)
    before = encoder.fit_transform([path])
    Image.fromarray(PICTURES[1]).save(path)
    after = encoder.transform([path])
    assert counter.items == 2
    assert np.abs(before - after).max() > 0.01
    path.rename(tmp_path / "moved.png")
    assert_array_equal(encoder.transform([tmp_path / "moved.png"]), after)
    assert counter.items == 2


def test_grid_search_encodes_each_image_once(tmp_path, counter):
    paths = []
    for i, picture in enumerate(pictures(30, seed=5)):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(picture).save(paths[-1])
    X = pd.Series(paths, name="photo")
    y = np.arange(30.0)
    encoder, _ = make("image", cache=tmp_path / "cache")
    search = GridSearchCV(
        make_pipeline(encoder, Ridge()), {"ridge__alpha": [0.1, 1, 10]}, cv=5
    )
    search.fit(X, y)
    assert counter.items == 30
    assert len(pickle.dumps(search.best_estimator_[0])) < 100_000


@pytest.mark.slow
def test_grid_search_in_a_process(tmp_path):
    encoder, X = make("text", cache=tmp_path)
    split = [(np.arange(8), np.arange(8, 12))]  # one process, which loads torch
    search = GridSearchCV(
        make_pipeline(encoder, Ridge()), {"ridge__alpha": [1.0]}, cv=split, n_jobs=2
    )
    search.fit(pd.Series(X), np.arange(12.0))
    with EmbeddingCache(tmp_path) as cache:
        assert cache.entries == 12


@both
def test_an_entry_of_another_width_is_not_used(kind, tmp_path):
    encoder, X = make(kind, cache=tmp_path)
    first = encoder.fit_transform(X)
    with EmbeddingCache(tmp_path) as cache:
        found = cache._connection or cache._open()
        keys = [k for (k,) in found.execute("SELECT key FROM embeddings")]
        cache.put({k: np.zeros(5, dtype=np.float32) for k in keys})
    assert_allclose(encoder.transform(X), first, **CLOSE)


@both
def test_a_cache_that_can_not_be_is_not_a_bad_cell(kind, tmp_path):
    (tmp_path / "file").write_text("here already")
    encoder, X = make(kind, cache=tmp_path / "file", on_error="missing")
    with pytest.raises(InvalidInputError, match="can't be created as a folder"):
        encoder.fit_transform(X)
    # a fitted encoder may come from another machine
    encoder.set_params(cache=tmp_path / "good").fit(X)
    expected = encoder.transform(X)
    encoder.set_params(cache=tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match="can't be (read|kept)"):
        assert_allclose(encoder.transform(X), expected, **CLOSE)


@both
def test_a_full_disk_does_not_stop_a_run(kind, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    encoder, X = make(kind, cache=tmp_path, batch_size=2)
    plain, _ = make(kind)
    monkeypatch.setattr("hyperfusion.encoders.cache._cache._insert", full)
    with pytest.warns(RuntimeWarning, match="can't be kept .*full") as caught:
        found = encoder.fit_transform(X)
    assert len(caught) == 1
    assert_allclose(found, plain.fit_transform(X), **CLOSE)


def test_what_is_done_is_kept_when_a_run_stops(tmp_path, monkeypatch, counter):
    encoder, X = make("image", cache=tmp_path, batch_size=3)
    encode = _clip_image.encode_pixels

    def interrupted(model, items, *more):
        if counter.items >= 6:
            with EmbeddingCache(tmp_path) as cache:
                # even a killed process keeps all but the batch that had just begun
                assert cache.entries >= 3
            raise KeyboardInterrupt
        return encode(model, items, *more)

    monkeypatch.setattr(_clip_image, "encode_pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encoder.fit_transform(X)
    monkeypatch.setattr(_clip_image, "encode_pixels", encode)
    counter.sizes.clear()
    plain, _ = make("image")
    found = encoder.fit_transform(X)
    assert counter.items == 6
    assert_allclose(found, plain.fit_transform(X), **CLOSE)
