"""What several files of tests ask for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

# a browser's window is never narrower than 500 pixels: the page stands in a frame
_FRAME = """<!doctype html><iframe width="{width}" height="1200" src="{page}"
 style="border: 0"></iframe><script>
document.querySelector("iframe").onload = (event) => {{
  const content = event.target.contentWindow;
  const page = content.document;
  // what is cut off doesn't widen the page; code and tables scroll by themselves
  const texts = [...page.querySelectorAll("h1, h2, p, dt, dd, li, figure")]
    .filter((text) => text.checkVisibility() && !text.closest("pre, table, dialog"));
  const places = texts.map((text) => text.getBoundingClientRect());
  const inside = places.filter((place) => place.left < content.innerWidth);
  const ends = inside.map((place) => Math.floor(place.right));
  const widest = Math.max(page.documentElement.scrollWidth, ...ends);
  document.title = `${{content.innerWidth}} ${{widest}}`;
}};
</script>"""


@pytest.fixture
def layout_of(tmp_path):
    """Measure a page in a browser: the widths of its window and of its content."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")

    def measure(page: Path, width: int) -> tuple[int, int]:
        frame = page.with_name(f"{page.stem}-{width}.html")
        frame.write_text(_FRAME.format(width=width, page=page.name), "utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += ["--disable-background-networking", "--disable-component-update"]
        options += [f"--user-data-dir={tmp_path}/profile"]
        options += ["--allow-file-access-from-files", "--virtual-time-budget=20000"]
        options += ["--window-size=1600,1300", "--dump-dom", frame.as_uri()]
        try:
            run = subprocess.run(
                [browser, *options],
                check=True,
                timeout=120,
                capture_output=True,
                text=True,
            )
        finally:
            frame.unlink()
        found = re.search(r"<title>(\d+) (\d+)<", run.stdout)
        assert found, run.stderr[-2000:]
        return int(found[1]), int(found[2])

    return measure
