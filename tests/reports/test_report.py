"""The report is one whole page that says what is true."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
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
        members=[
            ("catboost", CatBoostHuberRegressor(iterations=10)),
            ("r", Ridge(solver="lsqr")),
        ],
        cv=3,
        random_state=0,
    ).fit(data.iloc[train], posts.target[train])
    return model, data.iloc[test].copy(), np.asarray(posts.target[test])


@pytest.fixture(scope="module")
def page(fitted):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    page = make_report(*fitted, n_worst=3, title="Posts & <more>")
    assert plt.get_fignums() == before
    return page


def test_page_of_a_pipeline(fitted, page, tmp_path):
    model, X, y = fitted
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
    assert len(read.sources) == 3 + 3  # figures, and images of posts
    assert "<script" not in html
    assert "Posts &amp; &lt;more&gt;" in html
    mae = mean_absolute_error(y, model.predict(X))
    assert f"{mae:.3f}" in read.texts


def test_page_names_target_date_version_and_terms(fitted):
    model, X, y = fitted
    page = make_report(model, X, pd.Series(y, name="log2 of views"), n_worst=0)
    assert len(repr(page)) < 80
    assert "Target: log2 of views. Model: HyperFusionRegressor. 30 posts." in page.html
    assert re.search(
        r"Written on \d{4}-\d\d-\d\d .* with scikit-hyperfusion \d", page.html
    )
    assert 'class="warning"' not in page.html
    components = model[0].components_
    tfidf = next(c.encoder for c in components if hasattr(c.encoder, "component_terms"))
    cells = Page(page.html).texts
    assert "terms" in cells
    assert any(terms in cells for terms in tfidf.component_terms() if terms)


@pytest.mark.parametrize("shuffled", [False, True])
def test_page_of_fitted_posts_warns(shuffled):
    X = np.random.RandomState(0).normal(size=(80, 3))
    y = X[:, 0] ** 3
    model = HyperFusionRegressor([Ridge()], cv=3, random_state=0).fit(X, y)
    rows = np.random.RandomState(1).permutation(80) if shuffled else np.arange(30, 70)
    with pytest.warns(UserWarning, match="fitted on"):
        page = make_report(model, X[rows], y[rows], n_worst=0)
    assert "look like those that the model was fitted on" in page.html
    assert "posts have changed" not in page.html  # they are covered too well


def test_weights_that_folds_share_are_a_table_only(fitted, page):
    assert np.ptp(fitted[0][-1].weights_, axis=0).max() == 0
    # distribution, intervals, importance
    assert page.html.count("data:image/png") == 3


def test_worst_posts_come_first(fitted, page):
    model, X, y = fitted
    rows = re.findall(r"<dt>row</dt><dd>(\d+)</dd>", page.html)
    order = np.argsort(-np.abs(model.predict(X) - y))[:3]
    assert rows == [str(i) for i in order]


def test_unreadable_images_are_left_out(fitted):
    model, X, y = fitted
    X = X.assign(image=["no such file.jpg", b"", None] * (len(X) // 3))
    with pytest.warns(BadCellWarning):
        html = make_report(model, X, y, n_worst=3).html
    assert "data:image/jpeg" not in html


def test_members_without_importances_are_permuted(fitted):
    y = fitted[2]
    table = pd.DataFrame(
        {"user__followers": y, "geo__latitude": np.arange(len(y)) % 7.0}
    )
    model = HyperFusionRegressor([Ridge()], cv=3, random_state=0).fit(table, y)
    with pytest.warns(UserWarning, match="fitted on"):
        read = Page(make_report(model, table, y, n_worst=0).html)
    assert read.titles[-1] == "Importance"
    assert any(text.startswith("Drop of SRC on 30 of these") for text in read.texts)
    assert read.texts.index("user") < read.texts.index("geo")


def test_lone_regressor_has_no_ensemble_to_show():
    X = np.random.RandomState(0).normal(size=(40, 3))
    y = X[:, 0]
    read = Page(make_report(Ridge().fit(X, y), X, y).html)
    assert read.titles == ["Scores", "Distribution", "Calibration", "Largest errors"]


def test_frame_in_notebooks_holds_the_page():
    X = pd.DataFrame({"a": np.arange(30.0), "b": 1.0})
    y = np.arange(30.0)
    model = HyperFusionRegressor([Ridge()], cv=3, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match="fitted on"):
        shown = make_report(model, X, y)._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<h1" not in shown


def test_wrong_length_of_targets(fitted):
    model, X, y = fitted
    with pytest.raises(InvalidInputError, match="y"):
        make_report(model, X, y[:-1])


def test_template_engine_missing(fitted, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"hyperfusion\[report\]"):
        make_report(*fitted)


def test_page_fits_a_screen_and_a_phone(page, tmp_path, layout_of):
    page.save(tmp_path / "report.html")
    for width in (1400, 400):
        assert layout_of(tmp_path / "report.html", width) == (width, width)
