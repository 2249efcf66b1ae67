"""What several files of tests ask for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_MEASURE = """<script>
addEventListener("load", () => {
  document.title = `${innerWidth} ${document.documentElement.scrollWidth}`;
});
</script>"""


@pytest.fixture
def layout_of(tmp_path):
    """Measure a page in a browser: the window's width, and that of the page in it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")

    def measure(page: Path, width: int) -> tuple[int, int]:
        copy = page.with_name(f"{page.stem}-measured.html")
        copy.write_text(page.read_text("utf-8") + _MEASURE, "utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += ["--disable-background-networking", "--disable-component-update"]
        options += [f"--user-data-dir={tmp_path}/profile"]
        options += [f"--window-size={width},1200", "--dump-dom", copy.as_uri()]
        try:
            run = subprocess.run(
                [browser, *options],
                check=True,
                timeout=120,
                capture_output=True,
                text=True,
            )
        finally:
            copy.unlink()
        window, content = re.search(r"<title>(\d+) (\d+)<", run.stdout).groups()
        return int(window), int(content)

    return measure
