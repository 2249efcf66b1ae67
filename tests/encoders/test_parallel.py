"""Cells spread over joblib's jobs: the same outcome as one after another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from joblib import effective_n_jobs, parallel_config
from numpy.testing import assert_array_equal

from hyperfusion import ClipImageEncoder, ImageStatistics, make_posts
from hyperfusion.exceptions import BadCellError


def test_errors_and_missing_cells_stay():
    cells = make_posts(20, random_state=0).data["image"].tolist()
    cells = pd.Series([*cells, b"no picture", None], dtype=object, name="c")
    with pytest.warns(match="1 cell.* of column 'c' .* first row 20"):
        here = ImageStatistics().fit_transform(cells)
    with parallel_config("threading", n_jobs=3):
        assert effective_n_jobs(None) == 3
        with pytest.warns(match="1 cell.* of column 'c' .* first row 20"):
            assert_array_equal(ImageStatistics().fit_transform(cells), here)
        with pytest.raises(BadCellError, match="row 20, column 'c'"):
            ImageStatistics(on_error="raise").fit_transform(cells)


@pytest.mark.parametrize(
    "encoder",
    [ClipImageEncoder("hyperfusion-tiny", batch_size=4), ImageStatistics()],
    ids=lambda e: type(e).__name__,
)
def test_images(encoder):
    cells = make_posts(30, random_state=0).data["image"]
    cells[5], cells[6] = cells[0], None
    here = encoder.fit_transform(cells)
    with parallel_config("threading", n_jobs=2):
        assert_array_equal(encoder.fit_transform(cells), here)
    assert np.isnan(here[6]).any()
