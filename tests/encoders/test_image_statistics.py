"""Known answers of ImageStatistics."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hyperfusion import ImageStatistics
from hyperfusion.exceptions import BadCellError, BadCellWarning
from tests.encoders.test_images import encode, noise

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def measure(cell, **params):
    encoder = ImageStatistics(**params).set_output(transform="pandas")
    return encoder.fit_transform([cell]).iloc[0]


def halves(left, right, height=8, width=8):
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:, : width // 2], picture[:, width // 2 :] = left, right
    return picture


def checkerboard(side=10):
    board = (np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return np.repeat(board[:, :, None], 3, axis=2)


def test_form():
    row = measure(np.zeros((20, 30, 3), np.uint8))
    assert row[["width", "height", "pixels"]].tolist() == [30, 20, 600]
    assert row["aspect_ratio"] == pytest.approx(1.5)
    assert row["is_missing"] == 0


def test_file_sizes_are_left_out_where_no_picture_is_a_file():
    picture, file = np.zeros((20, 30, 3), np.uint8), encode(noise())
    decoded = ImageStatistics().set_output(transform="pandas").fit([picture, None])
    assert "log_file_size" not in decoded.transform([file])
    some = ImageStatistics().set_output(transform="pandas").fit([picture, file])
    sizes = some.transform([picture, file])["log_file_size"]
    assert sizes.isna().tolist() == [True, False]
    assert "log_file_size" in some.fit([{"bytes": file}]).get_feature_names_out()


def test_colorfulness_of_two_colors():
    # red - green is 255 and 0, yellow - blue is 127.5 and -255
    expected = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    row = measure(halves(RED, BLUE))
    assert row["colorfulness"] == pytest.approx(expected, rel=1e-5)
    assert row["colorfulness"] == pytest.approx(272.62, abs=0.01)
    assert measure(checkerboard())["colorfulness"] == 0


def test_light_of_two_halves():
    row = measure(halves(BLACK, WHITE))
    assert row["brightness"] == pytest.approx(0.5)
    assert row["contrast"] == pytest.approx(0.5)
    assert row["saturation"] == 0
    assert measure(halves(RED, WHITE))["saturation"] == pytest.approx(0.5)
    # 128 of 255 are missing from the lowest of the three
    half_red = halves((255, 127, 127), (255, 127, 127))
    assert measure(half_red)["saturation"] == pytest.approx(128 / 255)


def test_sharpness_of_a_checkerboard():
    # each pixel has four neighbors of the other color: the Laplacian is +-4 * 255
    assert measure(checkerboard())["sharpness"] == pytest.approx(1020**2)
    assert measure(np.full((9, 9, 3), 77, np.uint8))["sharpness"] == 0


def test_sharpness_agrees_with_a_plain_loop():
    image = noise(12, 9)
    gray = np.asarray(image.convert("L"), dtype=float)
    p = np.pad(gray, 1, mode="reflect")
    laplacian = [
        p[i - 1, j] + p[i + 1, j] + p[i, j - 1] + p[i, j + 1] - 4 * p[i, j]
        for i in range(1, 10)
        for j in range(1, 13)
    ]
    assert measure(image)["sharpness"] == pytest.approx(np.var(laplacian), rel=1e-5)


def test_main_colors_of_a_flag():
    flag = np.zeros((6, 10, 3), dtype=np.uint8)
    flag[:, :5], flag[:, 5:8], flag[:, 8:] = RED, WHITE, BLUE
    row = measure(flag)
    assert row["color_1_red":"color_1_share"].tolist() == [1, 0, 0, 0.5]
    second, third = row["color_2_red":"color_2_share"], row["color_3_red":]
    plain = measure(flag[:, :5])
    assert second.tolist() == pytest.approx([1, 1, 1, 0.3])
    assert third[:4].tolist() == pytest.approx([0, 0, 1, 0.2])
    assert plain["color_2_red":"color_2_blue"].isna().all()
    assert plain["color_2_share"] == 0


def test_mode_flags_and_file_size():
    content = encode(noise().convert("L"))
    gray = measure(content)
    assert gray["mode_gray"] == 1
    assert gray["mode_alpha"] == 0
    assert gray["log_file_size"] == pytest.approx(np.log1p(len(content)))
    assert measure(encode(noise().convert("RGBA")))["mode_alpha"] == 1
    palette = measure(encode(noise().quantize(4), "GIF"))
    assert palette["mode_palette"] == 1


def test_mirrored_picture_measures_the_same():
    image = noise(40, 30)
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    measures = ["brightness", "contrast", "colorfulness", "sharpness", "saturation"]
    np.testing.assert_allclose(
        measure(mirrored)[measures], measure(image)[measures], rtol=1e-5
    )


def test_resolution_hardly_matters_for_large_pictures():
    scene = noise(16, 12).resize((1600, 1200), Image.Resampling.BICUBIC)
    half = scene.reduce(2)
    measures = ["brightness", "contrast", "colorfulness", "saturation"]
    np.testing.assert_allclose(
        measure(scene)[measures], measure(half)[measures], rtol=0.02
    )
    assert measure(scene)["sharpness"] == pytest.approx(
        measure(half)["sharpness"], rel=0.2
    )


def test_bad_cells_are_missing_and_counted_once(tmp_path):
    whole = encode(noise(100, 100), "JPEG")
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(whole[: len(whole) // 2])
    cells = pd.Series([whole, str(truncated), None, b"text", "gone.jpg", ""], name="p")
    with pytest.warns(
        BadCellWarning, match=r"3 cell\(s\) of column 'p'.*row 1"
    ) as seen:
        out = ImageStatistics().fit_transform(cells)
    assert len(seen) == 1
    assert out[:, -1].tolist() == [0, 1, 1, 1, 1, 1]
    assert np.isnan(out[1:, :-1]).all()


def test_errors_name_row_and_column():
    cells = pd.Series([noise(), None, "http://example.org/a.png"], name="photo")
    with pytest.raises(BadCellError, match=r"row 2, column 'photo': .*download"):
        ImageStatistics(on_error="raise").fit_transform(cells)


def test_bad_parameters():
    with pytest.raises(ValueError, match="on_error"):
        ImageStatistics(on_error="ignore").fit([None])


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("HYPERFUSION_DATA"), reason="no real posts")
def test_real_thumbnails():
    folder = Path(os.environ["HYPERFUSION_DATA"]) / "youtube_thumbnails" / "images"
    paths = sorted(folder.glob("*.jpg"))[:100]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = ImageStatistics().fit_transform(paths)
    names = list(ImageStatistics().fit(paths[:1]).get_feature_names_out())
    assert not np.isnan(out[:, : names.index("color_1_red")]).any()
    assert (out[:, names.index("width")] >= 100).all()
