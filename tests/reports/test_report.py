"""The report is one whole page that says what is true."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
    evaluate,
    make_hyperfusion,
    make_posts,
    time_split,
)
from hyperfusion.exceptions import (
    BadCellWarning,
    InvalidInputError,
    MissingDependencyError,
)
from hyperfusion.reports import make_report

pytest.importorskip("jinja2", reason="needs jinja2")
pytest.importorskip("matplotlib", reason="needs matplotlib")

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Reads titles and addresses, and fails where tags don't match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.titles, self.sources, self.texts = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        named = dict(attributes)
        self.sources += [named[k] for k in ("src", "href") if k in named]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open[-1:] == ["h2"]:
            self.titles.append(data)


@pytest.fixture(scope="module")
def fitted():
    posts = make_posts(120, random_state=0)
    train, test = time_split(posts.data[posts.roles["time"]], test_size=0.25)
    data = posts.data.copy()
    data["caption"] = data["caption"].astype(object)
    data.loc[data.index[test], "caption"] = "<script>alert('<b>&')</script> " * 20
    model = make_hyperfusion(
        **posts.roles,
        image_encoder=False,
        text_encoder=False,
        members=[("catboost", CatBoostHuberRegressor(iterations=10)), ("r", Ridge())],
        cv=3,
        random_state=0,
    ).fit(data.iloc[train], posts.target[train])
    return model, data.iloc[test].copy(), np.asarray(posts.target[test])


def test_page_of_a_pipeline(fitted, tmp_path):
    model, X, y = fitted
    page = make_report(model, X, y, n_worst=3, title="Posts & <more>")
    page.save(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    read = Page(html)
    assert read.titles == [
        "Scores",
        "Distribution",
        "Intervals",
        "Calibration",
        "Members",
        "Importance",
        "Largest errors",
    ]
    assert all(source.startswith("data:image/") for source in read.sources)
    assert len(read.sources) == 4 + 3  # figures, and images of posts
    assert "<script" not in html
    assert "Posts &amp; &lt;more&gt;" in html
    mae = mean_absolute_error(y, model.predict(X))
    assert f"{mae:.3f}" in read.texts


def test_worst_posts_come_first(fitted):
    model, X, y = fitted
    html = make_report(model, X, y, n_worst=2).html
    order = np.argsort(-np.abs(model.predict(X) - y))[:2]
    assert re.findall(r"<dt>row</dt><dd>(\d+)</dd>", html) == [str(i) for i in order]


def test_unreadable_images_are_left_out(fitted):
    model, X, y = fitted
    X = X.assign(image=["no such file.jpg", b"", None] * (len(X) // 3))
    with pytest.warns(BadCellWarning):
        html = make_report(model, X, y, n_worst=3).html
    assert "data:image/jpeg" not in html


def test_splits_side_by_side(fitted):
    model, X, y = fitted
    ridge = Ridge()
    numbers = np.random.RandomState(0).normal(size=(60, 3))
    target = numbers[:, 0]
    evaluation = evaluate(
        ridge, numbers, target, times=np.arange(60), n_bootstrap=20, random_state=0
    )
    html = make_report(model, X, y, evaluation=evaluation).html
    read = Page(html)
    assert "Splits side by side" in read.titles
    assert {"random", "time"} <= set(read.texts)


def test_lone_regressor_has_no_ensemble_to_show():
    X = np.random.RandomState(0).normal(size=(40, 3))
    y = X[:, 0]
    read = Page(make_report(Ridge().fit(X, y), X, y).html)
    assert read.titles == ["Scores", "Distribution", "Calibration", "Largest errors"]


def test_frame_in_notebooks_holds_the_page():
    X = pd.DataFrame({"a": np.arange(30.0), "b": 1.0})
    y = np.arange(30.0)
    model = HyperFusionRegressor([Ridge()], cv=3, random_state=0).fit(X, y)
    shown = make_report(model, X, y)._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<h1" not in shown


def test_wrong_length_of_targets(fitted):
    model, X, y = fitted
    with pytest.raises(InvalidInputError, match="y"):
        make_report(model, X, y[:-1])


def test_matplotlib_state_is_untouched(fitted):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    make_report(*fitted, n_worst=0)
    assert plt.get_fignums() == before


def test_template_engine_missing(fitted, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"hyperfusion\[report\]"):
        make_report(*fitted)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_draws_the_page(fitted, tmp_path):
    make_report(*fitted).save(tmp_path / "report.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--disable-background-networking", "--disable-component-update"]
    options += [f"--user-data-dir={tmp_path}/profile", "--window-size=900,1200"]
    options += [f"--screenshot={tmp_path}/page.png"]
    page = (tmp_path / "report.html").as_uri()
    subprocess.run(["chromium", *options, page], check=True, timeout=120)
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    assert pixels.std() > 10  # something is drawn
