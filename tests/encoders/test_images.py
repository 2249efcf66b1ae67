"""Reading the image of a cell."""

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hyperfusion.cells._images import open_image, read_image


def encode(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def noise(width=30, height=20):
    values = np.random.RandomState(0).randint(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def png_header(width, height):
    """A PNG that says how large it is, and holds next to nothing."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def test_every_form_of_a_cell_gives_the_same_pixels(tmp_path):
    image = noise()
    content = encode(image)
    path = tmp_path / "a b.png"
    path.write_bytes(content)
    cells = [str(path), path, content, bytearray(content), image, np.asarray(image)]
    cells += [io.BytesIO(content), {"bytes": content, "path": "of old.png"}]
    cells += [{"bytes": None, "path": str(path)}, {"path": path}]
    for cell in cells:
        opened = open_image(cell)
        assert opened.mode == "RGB"
        assert np.array_equal(np.asarray(opened), np.asarray(image))


def test_size_and_mode_are_those_of_the_file(tmp_path):
    content = encode(noise().convert("L"))
    path = tmp_path / "gray.png"
    path.write_bytes(content)
    from_file, from_bytes = read_image(path), read_image(content)
    assert from_file.n_bytes == from_bytes.n_bytes == len(content)
    assert from_file.mode == "L"
    assert read_image(noise()).n_bytes is None


def test_picture_is_turned_upright():
    image = noise(30, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown after a quarter turn clockwise
    opened = open_image(encode(image, exif=exif.tobytes()))
    assert opened.size == (20, 30)
    upright = np.rot90(np.asarray(image), k=-1)
    assert np.array_equal(np.asarray(opened), upright)


def test_damaged_exif_only_loses_the_orientation():
    image = noise()
    content = encode(image, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert open_image(content).size == image.size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_modes_become_rgb_without_a_warning(mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(noise().convert("RGB").convert(mode)).mode == "RGB"


def test_transparency_of_a_palette():
    content = encode(noise().quantize(4), transparency=bytes([0, 128, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_image(content)
    assert read.mode == "P"
    assert read.has_transparency
    assert not read_image(noise()).has_transparency


def test_sixteen_bits_are_scaled_not_clipped():
    gray = np.array([[0, 32_768, 65_535]], dtype=np.uint16)
    opened = np.asarray(open_image(encode(Image.fromarray(gray))))
    assert opened[0, :, 0].tolist() == [0, 127, 255]


def test_blank_text_is_no_picture():
    assert open_image("  ") is None
    assert open_image({"bytes": None, "path": None}) is None


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("https://example.org/a.jpg", ValueError, "download"),
        ("s3://bucket/a.jpg", ValueError, "download"),
        ("data:image/png;base64,AAAA", ValueError, "base64.b64decode"),
        (
            "iVBORw0KGgo" * 1000,
            ValueError,
            r"^'.{,90}\.\.\. is a picture as base64 text",
        ),
        ("a b" * 1000, OSError, r"^no such file: '.{,310}\.\.\. in '.*image_folder="),
        (Image.new("RGB", (0, 5)), ValueError, "0 x 5 pixels is empty"),
        ({"a": b""}, TypeError, "got dict"),
        ({"bytes": b"x", "path": None}, ValueError, "not a picture"),
        ("missing.jpg", OSError, "no such file: 'missing.jpg'"),
        (".", OSError, r"not a file: '\.'"),
        (b"no picture", ValueError, "not a picture"),
        (b"", ValueError, "not a picture"),
        (3.5, TypeError, "got float"),
        (np.zeros((2, 2)), TypeError, "uint8, got float64"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "shape"),
        (np.zeros((4, 4, 2), np.uint8), ValueError, "shape"),
        (Image.new("F", (2, 2)), ValueError, "floating-point"),
        (encode(noise(), "EPS"), ValueError, "EPS"),
    ],
)
def test_what_is_no_picture_says_so(cell, error, message):
    with pytest.raises(error, match=message):
        open_image(cell)


def test_truncated_files_are_refused():
    content = encode(noise(200, 200), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        open_image(content[: len(content) // 2])


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bombs_are_refused_before_they_are_decoded(side):
    with pytest.raises(ValueError, match=r"MAX_IMAGE_PIXELS|DecompressionBomb"):
        open_image(png_header(side, side))


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_pillows_limit_is_one_for_every_form(monkeypatch):
    image = noise(30, 20)
    for cell in (image, np.asarray(image), encode(image)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
        assert open_image(cell) is not None
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)
        with pytest.raises(ValueError, match=r"30 x 20 .*MAX_IMAGE_PIXELS \(599\)"):
            open_image(cell)


FORMS = {f: encode(noise(), f) for f in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")}


@settings(deadline=None)
@given(
    st.sampled_from(sorted(FORMS)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=20),
    st.integers(1, 10_000),
)
def test_damaged_files_raise_only_what_counts_as_a_bad_cell(form, changes, end):
    content = bytearray(FORMS[form])
    for place, value in changes:
        content[place % len(content)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ValueError, TypeError, OSError):
            assert open_image(bytes(content[:end])).mode == "RGB"
