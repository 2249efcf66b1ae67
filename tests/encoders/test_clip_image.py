"""CLIP features of images: agreement with open_clip, and good cells in any form."""

from __future__ import annotations

import io
import pickle
import random
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone

from hyperfusion.encoders import ClipImageEncoder, clear_model_cache
from hyperfusion.encoders.clip import _image as _clip_image
from hyperfusion.encoders.clip import _models as _clip_models
from hyperfusion.encoders.clip import _towers as _clip_towers
from hyperfusion.encoders.clip._models import load_model
from hyperfusion.encoders.clip._weights import find_source
from hyperfusion.exceptions import BadCellError, BadCellWarning
from tests.encoders.clip_reference import (
    CONFIG,
    SMALL_CLIP,
    CallCounter,
    make_network,
    open_clip_images,
    pictures,
    write_model,
)

PICTURES = pictures(23)
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def expected(network):
    return open_clip_images(network, [Image.fromarray(p) for p in PICTURES])


@pytest.fixture
def counter(monkeypatch):
    counter = CallCounter(_clip_image.encode_pixels)
    monkeypatch.setattr(_clip_image, "encode_pixels", counter)
    return counter


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("batch_size", [1, 4, 23, "auto"])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_agrees_with_open_clip(folder, expected, batch_size, n_jobs):
    encoder = ClipImageEncoder(folder, batch_size=batch_size, n_jobs=n_jobs)
    found = encoder.fit_transform(PICTURES)
    assert found.dtype == np.float32
    assert_allclose(found, expected, **CLOSE)
    order = np.random.RandomState(1).permutation(len(PICTURES))
    shuffled = encoder.transform([PICTURES[i] for i in order])
    assert_allclose(shuffled, expected[order], **CLOSE)


def test_any_form_of_a_cell_gives_the_same(folder, expected, tmp_path):
    first = PICTURES[0]
    path = tmp_path / "first.png"
    path.write_bytes(png(first))
    cells = [
        first,
        Image.fromarray(first),
        png(first),
        bytearray(png(first)),
        path,
        str(path),
        np.dstack([first, np.full(first.shape[:2], 255, np.uint8)]),
    ]
    found = ClipImageEncoder(folder).fit_transform(cells)
    assert_allclose(found, np.repeat(expected[:1], len(cells), axis=0), **CLOSE)


@pytest.mark.parametrize(
    "X",
    [
        pd.Series(PICTURES[:3]),
        pd.DataFrame({"photo": PICTURES[:3]}),
        np.array([*PICTURES[:3], None], dtype=object)[:3],
    ],
)
def test_takes_columns_of_any_kind(folder, expected, X):
    assert_allclose(ClipImageEncoder(folder).fit_transform(X), expected[:3], **CLOSE)


def test_takes_one_array_of_images(folder):
    images = np.random.RandomState(0).randint(0, 256, (3, 40, 40, 3)).astype(np.uint8)
    encoder = ClipImageEncoder(folder)
    assert_array_equal(encoder.fit_transform(images), encoder.transform(list(images)))


def test_raw_embeddings_differ_by_their_length_only(folder, expected):
    raw = ClipImageEncoder(folder, normalize=False).fit_transform(PICTURES)
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(norms - 1).min() > 0.01
    assert_allclose(raw / norms, expected, **CLOSE)


def test_names_and_missing_cells(folder):
    encoder = ClipImageEncoder(folder)
    found = encoder.fit_transform([PICTURES[0], None, np.nan, pd.NA, " "])
    names = [f"clip__{i}" for i in range(32)]
    assert list(encoder.get_feature_names_out()) == names
    assert np.isnan(found[1:]).all()
    assert np.isfinite(found[0]).all()


def test_all_cells_missing(folder):
    found = ClipImageEncoder(folder).fit_transform([None, None])
    assert found.shape == (2, 32)
    assert np.isnan(found).all()


def test_equal_images_are_encoded_once(folder, expected, counter, tmp_path):
    path = tmp_path / "same.png"
    path.write_bytes(png(PICTURES[0]))
    cells = [path, png(PICTURES[0]), str(path), PICTURES[1], PICTURES[1].copy()] * 3
    found = ClipImageEncoder(folder).fit_transform(cells)
    assert counter.items == 2
    assert_allclose(found, expected[[0, 0, 0, 1, 1] * 3], **CLOSE)


def test_one_pil_object_in_many_rows(folder, expected, tmp_path):
    path = tmp_path / "lazy.png"
    path.write_bytes(png(PICTURES[0]))
    with Image.open(path) as lazy:  # its pixels are read when a thread asks for them
        found = ClipImageEncoder(folder, n_jobs=4).fit_transform([lazy] * 30)
    assert_allclose(found, np.repeat(expected[:1], 30, axis=0), **CLOSE)


@pytest.mark.parametrize("shape", [(1, 40000), (40000, 1), (3, 5)])
def test_extreme_shapes(folder, network, shape):
    ramp = np.linspace(0, 255, shape[0] * shape[1]).astype(np.uint8)
    picture = np.dstack([ramp.reshape(shape)] * 3)
    found = ClipImageEncoder(folder).fit_transform([picture])
    reference = open_clip_images(network, [Image.fromarray(picture)])
    assert_allclose(found, reference, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_jpeg_draft_reduces_photos_and_nothing_else(folder, tmp_path, monkeypatch):
    photos = []
    for i in range(4):
        picture = Image.fromarray(PICTURES[i]).resize((400 + i, 300))
        exif = Image.Exif()
        exif[0x0112] = 6 if i == 3 else 1  # the last one stands on its side
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90, exif=exif)
        photos.append(file.getvalue())
    others = [png(PICTURES[0]), PICTURES[1]]
    params = {"cache": tmp_path, "on_error": "missing"}
    exact = ClipImageEncoder(folder, **params)
    draft = ClipImageEncoder(folder, jpeg_draft=True, **params)
    expected, found = exact.fit_transform(photos + others), draft.fit_transform(photos)
    assert (found * expected[:4]).sum(axis=1).min() > 0.999
    assert np.abs(found - expected[:4]).max() > 1e-5
    assert_allclose(draft.transform(others), expected[4:], **CLOSE)
    with pytest.warns(BadCellWarning, match="truncated"):
        draft.transform([photos[0][:2000]])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    with pytest.raises(BadCellError, match="MAX_IMAGE_PIXELS"):
        draft.set_params(cache=None, on_error="raise").transform(photos)


def test_pictures_are_prepared_as_the_description_says(network, tmp_path):
    other = {"mean": [0, 0, 0], "std": [1, 1, 1], "resize_mode": "squash"}
    folder = write_model(tmp_path / "model", network, preprocess=other)
    found = ClipImageEncoder(folder).fit_transform(PICTURES[:5])
    images = [Image.fromarray(p) for p in PICTURES[:5]]
    assert_allclose(found, open_clip_images(network, images, other), **CLOSE)


TOWERS = {
    "plain": ({}, True),
    "norm after pooling": ({"final_ln_after_pool": True}, True),
    "mean of the patches": ({"pool_type": "avg"}, False),
    "one layer": ({"layers": 1}, False),
    "attentional pooling": ({"attentional_pool": True}, False),
    "blocks of its own": ({"scale_heads": True, "block_type": "custom"}, False),
    "convolutions": ({"layers": [1, 1, 1, 1], "width": 16}, False),
}


@pytest.mark.parametrize("name", TOWERS)
def test_other_image_towers_agree_too(name, tmp_path):
    changes, is_short = TOWERS[name]
    config = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], **changes}}
    try:
        network = make_network(config=config)
    except TypeError:
        pytest.skip("this open_clip has no such towers")
    folder = write_model(tmp_path / "model", network, config)
    found = ClipImageEncoder(folder).fit_transform(PICTURES)
    images = [Image.fromarray(p) for p in PICTURES]
    assert_allclose(found, open_clip_images(network, images), **CLOSE)
    model = load_model(find_source(str(folder), None), "cpu", "fp32")
    assert model.short_images is is_short


def test_the_whole_tower_where_the_short_way_does_not_agree(
    folder, expected, monkeypatch
):
    monkeypatch.setattr(_clip_towers, "_one_position", lambda b, x, at, mask: at)
    clear_model_cache()
    assert_allclose(ClipImageEncoder(folder).fit_transform(PICTURES), expected, **CLOSE)
    assert (
        load_model(find_source(str(folder), None), "cpu", "fp32").short_images is False
    )
    clear_model_cache()


def test_does_not_depend_on_the_random_state_and_leaves_it(folder):
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    clear_model_cache()
    first = ClipImageEncoder(SMALL_CLIP, pretrained="random").fit_transform(PICTURES)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert torch.get_num_threads() == before[2]
    torch.manual_seed(4)
    clear_model_cache()
    again = ClipImageEncoder(SMALL_CLIP, pretrained="random").fit_transform(PICTURES)
    assert_array_equal(first, again)


def test_half_precision_is_close_and_comes_out_as_float32(folder, expected):
    found = ClipImageEncoder(folder, precision="bf16").fit_transform(PICTURES)
    assert found.dtype == np.float32
    cosines = (found * expected).sum(axis=1)
    assert cosines.min() > 0.999
    assert np.abs(found - expected).max() > 1e-5


def test_pickle_is_small_and_holds_no_weights(folder):
    encoder = ClipImageEncoder(folder).fit(PICTURES)
    data = pickle.dumps(encoder)
    assert len(data) < 5_000
    clear_model_cache()
    again = pickle.loads(data)
    assert_array_equal(again.transform(PICTURES), encoder.transform(PICTURES))


@pytest.mark.parametrize("method", ["fit_transform", "transform"])
def test_warnings_show_the_line_of_the_user(folder, method):
    encoder = ClipImageEncoder(folder, on_error="missing").fit(PICTURES)
    with pytest.warns(BadCellWarning) as caught:
        getattr(encoder, method)([*PICTURES[:3], b"no picture"])
    assert caught[0].filename == __file__


def test_clones_share_the_model(folder):
    clear_model_cache()
    encoder = ClipImageEncoder(folder).fit(PICTURES)
    encoder.transform(PICTURES)
    clone(encoder).fit_transform(PICTURES)
    ClipImageEncoder(folder, normalize=False, on_error="missing").fit_transform(
        PICTURES
    )
    assert len(_clip_models._MODELS) == 1


def test_several_threads_use_one_encoder(folder, expected):
    encoder = ClipImageEncoder(folder, batch_size=5).fit(PICTURES)
    clear_model_cache()
    results = {}

    def work(i):
        results[i] = encoder.transform(PICTURES)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(6):
        assert_allclose(results[i], expected, **CLOSE)


def test_progress_is_shown_where_asked_for(folder, capsys):
    ClipImageEncoder(folder, verbose=1).fit_transform(PICTURES)
    assert "23/23" in capsys.readouterr().err
    ClipImageEncoder(folder).fit_transform(PICTURES)
    assert capsys.readouterr().err == ""
