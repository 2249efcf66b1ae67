"""Roles and parameters that are wrong, odd or together: what happens, and when."""

import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

import hyperfusion.encoders.image._statistics as statistics
from hyperfusion import (
    CatBoostHuberRegressor,
    ClipImageEncoder,
    IQRFilter,
    NumberEncoder,
    PostEncoder,
    RelationEncoder,
    compare_drafts,
    drift_report,
    evaluate,
    feature_importance,
    grouped_permutation_importance,
    guess_roles,
    labeled_scorer,
    make_hyperfusion,
    spearman_score,
    time_split,
    what_if,
    within_user_spearman,
    write_submission,
)
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table import feature_table
from tests.odd_posts import MEMBERS, READ, TABLE, Y, picture, pipeline

TINY = "hyperfusion-tiny"


@pytest.mark.parametrize(
    "roles",
    [
        {"latitude": "latitude", "longitude": "latitude"},
        {"time": "posted_at", "user_created": "posted_at"},
        {"image": "caption", "text": "caption"},
        {"user": "user", "user_numeric": "user"},
        {"numeric": "n_photos", "categorical": "n_photos"},
        {"time": "posted_at", "timezone": "posted_at"},
        {"tags": "caption", "numeric": "caption"},
    ],
)
def test_roles_that_one_column_cannot_have_together(roles):
    with pytest.raises(InvalidInputError, match=r"can't be both .* and .*: name an"):
        PostEncoder(**roles, text_encoder=False).fit(TABLE)


@pytest.mark.parametrize(
    "roles",
    [
        {"text": "caption", "tags": "caption"},
        {"user": "user", "categorical": "user"},
        {"user": "user", "text": "user"},
        {"latitude": "latitude", "longitude": "longitude", "numeric": "latitude"},
    ],
)
def test_roles_that_one_column_can_have_together(roles):
    encoder = PostEncoder(**roles, text_encoder=False).fit(TABLE)
    assert encoder.n_features_in_ == len(READ)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_jobs": 0}, r"n_jobs.*\(-inf, -1\].*Got 0"),
        ({"cache": 5}, "cache.*Got 5"),
        ({"image_folder": 5}, "image_folder.*Got 5"),
        ({"image_encoder": 5}, "image_encoder must be.*Got 5"),
        ({"image_encoder": Ridge()}, r"image_encoder must be.*Got Ridge\(\)"),
        ({"image_encoder": "hyperfusion-tinny"}, "Close to it are"),
        ({"image_encoder": ClipImageEncoder(TINY, pretrained="no.pt")}, "no such file"),
        ({"text_encoder": "ViT-B32"}, "Close to it are"),
        ({"cv": {"a": 1}}, "cv must be .*pairs"),
        ({"n_jobs": True}, "n_jobs.*Got True"),
        ({"members": [CatBoostHuberRegressor(depth=True)]}, "depth.*Got True"),
        ({"cv": [1]}, r"cv must be .*pairs.*gives 1"),
        ({"cv": ["abc"]}, r"cv must be .*pairs.*gives 'abc'"),
        ({"cv": ["ab"]}, "integer positions"),
        ({"cv": [([0, 1], [2, 99])]}, "position 99"),
        ({"predict__cv": [([0, 1], ["a"])]}, "integer positions"),
        ({"predict__cv": [([0], [1], [2])]}, r"gives \(\[0\], \[1\], \[2\]\)"),
        ({"cv": 100}, "n_splits=100.*number of rows, which is 40"),
        ({"neighbors": 5}, "neighbors.*Got 5"),
        ({"random_state": "a"}, "random_state.*Got 'a'"),
        ({"timezone": "Mars"}, "timezone='Mars' is neither"),
        ({"word_vectors": "no file.txt"}, "no such file"),
        ({"members": [CatBoostHuberRegressor(iterations=-3)]}, "iterations.*Got -3"),
        ({"members": [make_pipeline(IQRFilter(factor=-1), Ridge())]}, "factor.*-1"),
        ({"members": [Ridge(alpha=-4)]}, "alpha.*Got -4"),
        ({"relate__similarity": 5}, "similarity.*Got 5"),
        ({"predict__weighting": "x"}, "weighting.*Got 'x'"),
        ({"encode__encoders__geo__geo__cell_size": -1}, "cell_size.*Got -1"),
        ({"encode__encoders__text__tfidf__ngram_range": (3, 1)}, "ngram_range"),
        ({"text": "captoin"}, "Did you mean"),
        ({"y": Y[:-1]}, "y has 39"),
        ({"y": np.where(np.arange(40) == 3, np.nan, Y)}, "nan in row 3"),
        ({"y": ["high"] * 40}, "must be numbers"),
        ({"y": np.full(40, 1e300)}, "too large to learn"),
        ({"y": np.full(40, np.nan), "unlabeled": True}, "number of rows, which is 0"),
        ({"predict__sample_weight": np.ones(4)}, "sample_weight"),
        ({"predict__sample_weight": -np.ones(40)}, "Negative values"),
        ({"predict__groups": np.ones(4)}, "inconsistent numbers"),
        ({"predict__groups": np.ones(40)}, "number of groups, which is 1"),
        ({"members": [CatBoostHuberRegressor(device="cuda:99")]}, "not available"),
        ({"vectors": {"text": "caption"}}, "row 0, column 'caption'"),
    ],
)
def test_everything_is_checked_before_the_first_picture(changes, message, monkeypatch):
    def read_image(*_):
        raise AssertionError("a picture was read")

    monkeypatch.setattr(statistics, "read_image", read_image)
    y = changes.pop("y", Y)
    params = {k: v for k, v in changes.items() if k.endswith(("_weight", "groups"))}
    nested = {k: v for k, v in changes.items() if "__" in k and k not in params}
    own = {k: v for k, v in changes.items() if "__" not in k}
    posts = TABLE.assign(image=[picture()] * 40)
    model = pipeline(image="image", **own).set_params(**nested)
    with pytest.raises(ValueError, match=message):
        model.fit(posts, y, **params)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("unlabeled", "yes"), ("preset", "fats"), ("members", 5)],
        ("members", [("a", Ridge(), 1)]),
    ],
)
def test_arguments_are_checked_at_once(name, value):
    message = f"{name} must be.*Got {re.escape(repr(value))}"
    with pytest.raises(InvalidInputError, match=message):
        pipeline(**{name: value})


@pytest.mark.parametrize(
    ("estimator", "parameter"),
    [
        (PostEncoder(), "user_embedder__n_components"),
        (PostEncoder(), "neighbors__half_life"),
        (RelationEncoder(), "similarity__pairs"),
        (RelationEncoder(clusters=True), "clusters__levels"),
    ],
)
def test_parameters_of_what_is_not_there_yet(estimator, parameter):
    name = parameter.partition("__")[0]
    message = rf"{parameter} can't be set: .* Set {name} to an estimator first"
    with pytest.raises(InvalidInputError, match=message):
        estimator.set_params(**{parameter: 1})


@pytest.mark.parametrize(
    "column", ["caption", "user", "posted_at", "category", "n_photos"]
)
@pytest.mark.parametrize("nothing", [None, np.nan])
def test_a_role_without_any_cell_is_told_in_one_line(column, nothing):
    with pytest.warns(UserWarning, match="says nothing") as caught:
        model = pipeline().fit(TABLE.assign(**{column: nothing}), Y)
    messages = [str(w.message) for w in caught if repr(column) in str(w.message)]
    assert len(messages) == 1
    assert "says nothing: all its 40 cells are missing" in messages[0]
    assert np.isfinite(model.predict(TABLE)).all()


def test_a_ready_vector_without_any_cell():
    encoder = PostEncoder(numeric="n_photos", vectors={"text": "vector"})
    with pytest.warns(UserWarning, match="'vector'.*says nothing"):
        features = encoder.fit_transform(TABLE.assign(vector=None))
    assert list(features) == ["meta__n_photos"]


@pytest.mark.parametrize("role", ["categorical", "place"])
def test_roles_of_categories_alone(role):
    model = make_hyperfusion(**{role: "category"}, preset="fast", cv=2)
    model.set_params(predict__boosting__max_iter=2)
    assert np.isfinite(model.fit(TABLE, Y).predict(TABLE)).all()


def test_weights_with_metadata_routing():
    weight = np.linspace(0.5, 1.5, 40)
    params = {"sample_weight": weight}
    with sklearn.config_context(enable_metadata_routing=True):
        for unlabeled in (False, True):
            model = pipeline(unlabeled=unlabeled)
            assert model.fit(TABLE, Y, **params).predict(TABLE).shape == (40,)
            if not unlabeled:
                search = GridSearchCV(model, {"predict__refit": ["folds"]}, cv=2)
                assert np.isfinite(search.fit(TABLE, Y, **params).best_score_)
        scores = cross_validate(pipeline(), TABLE, Y, cv=2, params=params)
        assert np.isfinite(scores["test_score"]).all()


@pytest.mark.parametrize("value", [5, "x", [1], TfidfVectorizer(), None])
@pytest.mark.parametrize("name", ["user_embedder", "place_embedder"])
def test_embedders_that_are_none(name, value):
    encoder = PostEncoder(user="user", place="category", numeric="n_photos")
    encoder.set_params(**{name: value})
    assert encoder.get_params()
    with pytest.raises(ValueError, match=f"'{name}' parameter.*SVDUserEmbedder"):
        encoder.fit(TABLE)


FITTED = CatBoostHuberRegressor(iterations=2).fit(TABLE[["n_photos"]], Y)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda: time_split([1, 2, 3], test_size="a"), "test_size.*Got 'a'"),
        (lambda: time_split([1, 2, 3], test_size=np.nan), "test_size.*Got nan"),
        (lambda: time_split(5), "Expected a column of cells. Got 5"),
        (lambda: what_if(5, TABLE.iloc[0], {}), "model must be.*Got 5"),
        (lambda: what_if(FITTED, TABLE[["n_photos"]][:1], 5), "grid must be.*Got 5"),
        (lambda: what_if(FITTED, TABLE[["n_photos"]][:1], [5]), "grid must be"),
        (lambda: compare_drafts(FITTED, None), "makes no table"),
        (lambda: feature_importance(FITTED, by=np.ones(2)), "by must be one of"),
        (lambda: evaluate(FITTED, None, Y), "X must be a table"),
        (lambda: drift_report(None, TABLE, TABLE, exclude=[[1]]), "exclude names"),
        (lambda: drift_report(TABLE, TABLE, TABLE), "'model' parameter"),
        (lambda: spearman_score([1, np.nan], [1, 2]), "y_true contains NaN"),
        (lambda: spearman_score([1, 2], [1, 2], sample_weight=[0, 0]), "sample_weight"),
        (lambda: spearman_score(5, [1, 2]), "y_true.*Got 5"),
        (lambda: within_user_spearman([1], [1], 5), "users.*Got 5"),
        (lambda: write_submission("a", [1], [1], prefix=5), "prefix.*Got 5"),
        (lambda: feature_table(5), "parts.*Got 5"),
        (lambda: labeled_scorer("x"), "scoring.*Got 'x'"),
        (lambda: guess_roles(TABLE, target=[]), r"target=\[\]"),
        (lambda: drift_report(None, TABLE, TABLE, n_jobs=10**9), "n_jobs.*10000"),
        (
            lambda: grouped_permutation_importance(FITTED, TABLE[["n_photos"]], Y[1:]),
            "X has 40 rows, y has 39",
        ),
        (
            lambda: NumberEncoder().fit(
                pd.DataFrame([[1]], columns=pd.Index(["\ud83d"], dtype=object))
            ),
            "half an emoji in the name of a column",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.AssociationWarning")
def test_functions_name_what_is_wrong(give, message):
    with pytest.raises(ValueError, match=message) as error:
        give()
    assert len(str(error.value)) < 4000


@pytest.mark.parametrize("value", [5, "x", [1]])
def test_encoders_that_are_no_dict(value):
    with pytest.raises(ValueError, match="'encoders' parameter of PostEncoder"):
        pipeline().set_params(encode__encoders=value).fit(TABLE, Y)


def test_neighbors_of_another_kind():
    with pytest.raises(InvalidInputError, match="neighbors must be NeighborTargets"):
        pipeline(neighbors=TfidfVectorizer()).fit(TABLE, Y)


def test_a_role_that_names_no_label():
    with pytest.raises(InvalidInputError, match=r"numeric=\[\] is not a column"):
        pipeline(numeric=[[]]).fit(TABLE, Y)


@pytest.mark.parametrize("routed", [False, True])
def test_the_preset_of_the_paper_without_any_vector(routed):
    model = pipeline(preset="paper", text=(), members=MEMBERS)
    assert model["relate"].clusters
    params = {"sample_weight": np.linspace(0.5, 1.5, 40)} if routed else {}
    with sklearn.config_context(enable_metadata_routing=routed):
        model.fit(TABLE, Y, **params)
    assert np.isfinite(model.predict(TABLE)).all()
    assert model["relate"].relations_ == []
