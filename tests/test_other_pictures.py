"""Pictures as others have them: a result or a named error."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hyperfusion import (
    ClipImageEncoder,
    ImageStatistics,
    PostEncoder,
)
from hyperfusion.exceptions import BadCellError, BadCellWarning
from tests.odd_posts import picture


def test_pictures_of_every_kind_and_several_in_a_cell(tmp_path):
    content = picture(9, 7)
    (tmp_path / "a.png").write_bytes(content)
    small = np.zeros((2, 3, 3), np.uint8)
    cells = [
        content,
        io.BytesIO(content),
        {"bytes": content, "path": None},
        {"bytes": float("nan"), "path": str(tmp_path / "a.png")},
        [content, small],
        (content, None, Image.fromarray(small)),
        np.array([content, str(tmp_path / "a.png")], dtype=object),
        np.stack([small, small]),
        np.array([str(tmp_path / "a.png")] * 2),
        [],
        [None],
    ]
    measured = ImageStatistics().fit_transform(cells)
    nan = np.nan
    assert np.array_equal(
        measured[:, 0], [9, 9, 9, 9, 6, 6, 9, 3, 9, nan, nan], equal_nan=True
    )
    np.testing.assert_array_equal(measured[:, -1], [0] * 9 + [1] * 2)
    vectors = ClipImageEncoder("hyperfusion-tiny").fit_transform(cells)
    np.testing.assert_array_equal(np.isnan(vectors[:, 0]), measured[:, -1])
    mean = vectors[0] + vectors[7]
    np.testing.assert_allclose(vectors[4], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_program_is_no_picture(tmp_path, monkeypatch):
    """Pillow would have Ghostscript run it."""
    run = tmp_path / "run"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {run}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    opened = Image.open(io.BytesIO(content))
    for cell in (content, opened, [opened]):
        for encoder in (ImageStatistics(), ClipImageEncoder("hyperfusion-tiny")):
            cells = np.empty(1, dtype=object)
            cells[0] = cell  # pandas 2 would load the picture
            with pytest.warns(BadCellWarning, match="EPS files are programs"):
                encoder.fit_transform(pd.Series(cells))
    assert not run.exists()


def test_bad_pictures_beside_good_ones():
    cells = pd.Series([[picture(), b"none"], [b"none"]], name="pictures")
    for encoder in (ImageStatistics(), ClipImageEncoder("hyperfusion-tiny")):
        with pytest.warns(BadCellWarning) as caught:
            features = encoder.fit_transform(cells)
        assert np.isnan(features[:, 0]).tolist() == [False, True]
        messages = [str(warning.message) for warning in caught]
        assert any("first row 1" in message for message in messages)
        assert any("1 picture(s) in lists" in message for message in messages)
        with pytest.raises(BadCellError, match="row 0, column 'pictures'"):
            encoder.set_params(on_error="raise").fit_transform(cells)


@pytest.mark.parametrize("wrap", [str, lambda n: {"path": n}, lambda n: [n, n]])
def test_names_of_files_in_a_folder(wrap, tmp_path):
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(picture())
    table = pd.DataFrame({"photo": [wrap(name) for name in names] + [None]})
    encoder = PostEncoder(image="photo", image_encoder=False)
    with pytest.warns(BadCellWarning, match="image_folder= of make_hyperfusion"):
        encoder.fit(table)
    encoder.set_params(image_folder=tmp_path).fit(table)
    features = encoder.transform(table)
    assert features["image__width"].fillna(0).tolist() == [9, 9, 9, 0]
    assert table["photo"].iloc[0] == wrap(names[0])
    full = pd.DataFrame({"photo": [str(tmp_path / names[0])] * 2})
    assert encoder.transform(full)["image__width"].tolist() == [9, 9]


def test_base64_text_is_not_shown_in_full():
    import base64

    for content in (picture(), np.random.RandomState(0).bytes(3000)):
        for head in ("", "data:image/png;base64,"):
            text = head + base64.b64encode(content).decode()
            with pytest.raises(BadCellError, match="as base64 text") as error:
                ImageStatistics(on_error="raise").fit_transform([text])
            assert len(str(error.value)) < 300
