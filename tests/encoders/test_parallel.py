"""Cells spread over joblib's jobs: the same outcome as one after another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from joblib import effective_n_jobs, parallel_config
from numpy.testing import assert_array_equal

from hyperfusion import ClipImageEncoder, ImageStatistics, make_posts
from hyperfusion.cells._columns import read_cells
from hyperfusion.encoders.image._statistics import read_ahead
from hyperfusion.exceptions import BadCellError


def root(cell):
    if cell < 0:
        raise ValueError(f"{cell} has no root")
    return cell**0.5


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_order_errors_and_missing_cells_stay(n):
    cells = pd.Series([4.0, None, -1.0, 9.0] * n, dtype=object, name="c")
    with pytest.warns(match=f"{n} cell.* first row 2: -1.0 has no root"):
        here = read_cells(cells, root, "missing")
    with parallel_config("threading", n_jobs=3):
        assert effective_n_jobs(None) == 3
        there = read_ahead(cells, root)
    with pytest.warns(match=f"{n} cell.* of column 'c' .* first row 2: -1.0 has no"):
        assert read_cells(*there, "missing") == here
    with pytest.raises(BadCellError, match="row 2, column 'c'"):
        read_cells(*there, "raise")


def test_nothing_is_spread_unless_asked_for():
    cells = pd.Series([1.0])
    assert effective_n_jobs(None) == 1
    assert read_ahead(cells, root) == (cells, root)


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
