"""A corpus of bad and odd images: each is used, or refused with its row named."""

from __future__ import annotations

import io
import os
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from hyperfusion.encoders import ClipImageEncoder
from hyperfusion.exceptions import BadCellError, BadCellWarning
from tests.encoders.clip_reference import SMALL_CLIP, pictures

GOOD = pictures(2)


def encoder(**params):
    return ClipImageEncoder(SMALL_CLIP, pretrained="random", **params)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def huge_png(width=20_000, height=20_000):
    """A valid PNG of 400 million black pixels in some 50 KB."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


PHOTO = Image.fromarray(pictures(1, seed=3)[0]).resize((120, 90))
JPEG = encoded(PHOTO, "JPEG")

BAD = {
    "truncated": JPEG[: len(JPEG) // 2],
    "zero bytes": b"",
    "text": b"this is not a picture",
    "bomb": huge_png(),
    "missing file": "no/such/file.jpg",
    "folder": os.fspath(os.curdir),
    "number": 3.5,
    "array of floats": np.zeros((5, 5, 3)),
    "address": "https://example.org/photo.jpg",
    "null byte": "a\0b.jpg",
    "list in a list": [[GOOD[1]]],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_cell_is_an_error_that_names_the_row(name):
    cells = [GOOD[0], None, BAD[name], GOOD[1]]
    with pytest.raises(BadCellError) as caught:
        encoder(on_error="raise").fit_transform(cells)
    assert caught.value.row == 2
    assert caught.value.reason
    assert "row 2" in str(caught.value)


FILES = {name: cell for name, cell in BAD.items() if isinstance(cell, bytes)}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_named_or_counts_as_missing(name, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(FILES[name])
    column = pd.Series([GOOD[0], None, os.fspath(path), np.nan], name="photo")
    with pytest.raises(BadCellError, match="row 2, column 'photo'"):
        encoder(on_error="raise").fit_transform(column)
    with pytest.warns(BadCellWarning, match="1 cell"):
        found = encoder(on_error="missing").fit_transform(column)
    assert_array_equal(np.isnan(found).all(axis=1), [False, True, True, True])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("cache", [False, True])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, cache):
    pipe = tmp_path / "photo.jpg"
    os.mkfifo(pipe)
    settings = {"cache": tmp_path / "cache" if cache else None, "on_error": "raise"}
    # a writer, so that reading without end fails here instead of hanging
    with open(os.open(pipe, os.O_RDWR), "wb") as writer:
        writer.write(JPEG)
        writer.flush()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(encoder(**settings).fit_transform, [GOOD[0], pipe])
            _, waiting = wait([run], timeout=60)
            writer.close()  # ends what still reads
        assert not waiting
        with pytest.raises(BadCellError, match=r"row 1: not a file"):
            run.result()


def test_the_first_bad_row_is_named():
    # the first is found out when it is decoded, the second when it is opened
    cells = [GOOD[0], BAD["truncated"], *GOOD, BAD["missing file"]]
    for _ in range(5):
        with pytest.raises(BadCellError) as caught:
            encoder(n_jobs=3, batch_size=2, on_error="raise").fit_transform(cells)
        assert caught.value.row == 1


def test_bad_cells_are_missing_and_counted_once():
    cells = [GOOD[0], *BAD.values(), BAD["truncated"], GOOD[1]]
    with pytest.warns(BadCellWarning, match=rf"{len(BAD) + 1} cell.*first row 1") as w:
        found = encoder(on_error="missing").fit_transform(cells)
    assert len([x for x in w if x.category is BadCellWarning]) == 1
    assert np.isnan(found[1:-1]).all()
    alone = encoder().fit_transform(GOOD)
    assert_allclose(found[[0, -1]], alone, atol=1e-6)


def test_a_bad_cell_is_never_kept_in_the_cache(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(BAD["truncated"])
    params = {"cache": tmp_path / "cache", "on_error": "missing"}
    with pytest.warns(BadCellWarning):
        assert np.isnan(encoder(**params).fit_transform([path])).all()
    path.write_bytes(JPEG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(encoder(**params).fit_transform([path])).all()


def odd_images():
    """Pictures that are unusual but good, with the RGB picture that they show."""
    rgb = PHOTO
    gray16 = Image.fromarray(np.asarray(rgb.convert("L"), dtype=np.uint16) * 257)
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    turned = rgb.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    red = Image.new("RGB", rgb.size, "red")
    gif = encoded(palette, "GIF", save_all=True, append_images=[red])
    tiff = encoded(rgb.convert("CMYK"), "TIFF")
    print_jpeg = encoded(rgb.convert("CMYK"), "JPEG")
    return {
        "cmyk of a jpeg": (
            print_jpeg,
            Image.open(io.BytesIO(print_jpeg)).convert("RGB"),
        ),
        "cmyk": (tiff, Image.open(io.BytesIO(tiff)).convert("RGB")),
        "16 bit": (encoded(gray16, "PNG"), rgb.convert("L").convert("RGB")),
        "palette with transparency": (
            encoded(palette, "PNG", transparency=0),
            palette.convert("RGB"),
        ),
        "turned by exif": (encoded(turned, "PNG", exif=exif), rgb),
        "animated gif": (gif, Image.open(io.BytesIO(gif)).convert("RGB")),
        "gray": (encoded(rgb.convert("L"), "PNG"), rgb.convert("L").convert("RGB")),
        "1 x 1": (
            encoded(Image.new("RGB", (1, 1), "teal"), "PNG"),
            Image.new("RGB", (7, 7), "teal"),
        ),
        "alpha": (encoded(rgb.convert("RGBA"), "PNG"), rgb),
    }


ODD = odd_images()


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_counts_as_the_picture_that_it_shows(name):
    cell, shown = ODD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = encoder().fit_transform([cell, np.asarray(shown)])
    assert_allclose(found[0], found[1], atol=1e-5)


HEIC = b"\x00\x00\x00\x1cftypheic" + bytes(40)


def test_heic_without_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "photo.heic"
    path.write_bytes(HEIC)
    for cell in (HEIC, path):
        with pytest.raises(BadCellError, match="pip install pillow-heif"):
            encoder(on_error="raise").fit_transform([cell])


def test_heic_with_its_package():
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
    file = io.BytesIO()
    heif.from_pillow(PHOTO).save(file, quality=-1)
    found = encoder().fit_transform([file.getvalue(), PHOTO])
    assert found[0] @ found[1] > 0.999
    with pytest.raises(BadCellError, match="row 0"):
        encoder(on_error="raise").fit_transform([HEIC])


def test_a_list_of_pictures_is_the_mean_of_their_vectors(tmp_path):
    one, two = encoder().fit_transform(GOOD)
    mean = (one + two) / 2
    path = tmp_path / "one.png"
    Image.fromarray(GOOD[0]).save(path)
    frames = np.stack([GOOD[1], GOOD[1]])
    cells = [[path, GOOD[1]], GOOD[0], (GOOD[1],), [], None, [None, GOOD[0]], frames]
    cells.append(np.array([os.fspath(path), None, ""], dtype=object))
    expected = [mean / np.linalg.norm(mean), one, two, one, two, one]
    for params in ({}, {"cache": tmp_path / "cache", "batch_size": 2}):
        found = encoder(**params).fit_transform(pd.Series(cells, name="photo"))
        assert_allclose(found[[0, 1, 2, 5, 6, 7]], expected, atol=1e-5)
        assert np.isnan(found[[3, 4]]).all()
    raw = encoder(normalize=False)
    vectors = raw.fit_transform(GOOD)
    assert_allclose(raw.transform([GOOD])[0], vectors.mean(axis=0), atol=1e-5)


def test_a_bad_picture_in_a_list_is_named_or_left_out():
    cells = [GOOD[0], [GOOD[0], JPEG[:50]], [b"no", b"picture"], [GOOD[1], None]]
    column = pd.Series(cells, name="photos")
    with pytest.raises(BadCellError, match="row 1, column 'photos'"):
        encoder(on_error="raise").fit_transform(column)
    with pytest.warns(BadCellWarning) as caught:
        found = encoder(on_error="missing").fit_transform(column)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "1 cell(s) of column 'photos'" in messages[0]
    assert "first row 2: not a picture" in messages[0]
    assert "1 picture(s) in lists" in messages[1]
    assert "first row 1:" in messages[1]
    assert {w.filename for w in caught} == {__file__}
    one, two = encoder().fit_transform(GOOD)
    assert_allclose(found[[0, 1, 3]], [one, one, two], atol=1e-5)
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize("n_jobs", [-1, -2, -99, 2])
def test_numbers_of_workers(n_jobs):
    found = encoder(n_jobs=n_jobs).fit_transform(GOOD)
    assert_allclose(found, encoder().fit_transform(GOOD), atol=1e-6)
    with pytest.raises(ValueError, match="'n_jobs'"):
        encoder(n_jobs=0).fit_transform(GOOD)
