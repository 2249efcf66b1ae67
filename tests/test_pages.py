"""Built pages of the documentation fit a screen and a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

BUILT = Path(__file__).parents[1] / "docs/_build/html"


@pytest.mark.skipif(not BUILT.exists(), reason="needs the pages: nox -s docs")
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize(
    "page",
    [
        "index",
        "quick_start",
        "user_guide/feature_table",
        "generated/hyperfusion.make_hyperfusion",
        "generated/hyperfusion.ensemble.HyperFusionRegressor",
    ],
)
def test_page_is_no_wider_than_its_window(page, width, layout_of):
    assert layout_of(BUILT / f"{page}.html", width) == (width, width)
