"""The three tiers together, on posts whose signal is known."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import OneHotEncoder

from hyperfusion import (
    CatBoostHuberRegressor,
    PostEncoder,
    make_hyperfusion,
    make_posts,
    spearman_score,
    time_split,
)
from hyperfusion.exceptions import BadCellWarning, InvalidInputError
from hyperfusion.table import Schema

NO_CLIP = {"image_encoder": False, "text_encoder": False}
MEMBERS = [
    ("catboost", CatBoostHuberRegressor(iterations=60, depth=4, n_threads=1)),
    ("ridge", Ridge(10.0, solver="svd")),  # the numbers are of very different sizes
]


@pytest.fixture(scope="module")
def posts():
    return make_posts(300, random_state=3)


@pytest.fixture(scope="module")
def small():
    """Texts, numbers, a user and times, without images."""
    rng = np.random.RandomState(0)
    n = 90
    frame = pd.DataFrame(
        {
            "title": rng.choice(["a red fox", "blue whale", "green tree"], n),
            "user": rng.choice(list("abcdef"), n),
            "when": pd.date_range("2024-01-01", periods=n, freq="7h"),
            "likes": rng.poisson(20, n),
        }
    )
    y = frame["likes"] / 5 + 2.0 * (frame["title"] == "a red fox") + rng.normal(size=n)
    return frame, y.to_numpy()


SMALL_ROLES = {"text": "title", "user": "user", "time": "when", "numeric": "likes"}


def small_model(**parameters):
    settings = {"members": MEMBERS, "cv": 3, "random_state": 0, "text_encoder": False}
    return make_hyperfusion(**SMALL_ROLES, **settings | parameters)


@pytest.fixture(scope="module")
def fitted(small):
    return small_model().fit(*small)


def test_finds_the_signal_of_later_posts(posts):
    train, test = time_split(posts.data[posts.roles["time"]], test_size=0.2)
    model = make_hyperfusion(
        **posts.roles, **NO_CLIP, members=MEMBERS, cv=3, random_state=0
    )
    model.fit(posts.data.iloc[train], posts.target[train])
    predicted = model.predict(posts.data.iloc[test])
    assert spearman_score(posts.target[test], predicted) > 0.5


def test_feature_table_has_the_blocks_and_types(posts):
    encoder = PostEncoder(**posts.roles, **NO_CLIP, random_state=0)
    features = encoder.fit_transform(posts.data)
    schema = Schema.of(features)
    assert set(schema.blocks) == {
        *("image", "text", "tags", "user", "time", "geo", "place", "meta")
    }
    assert {"user__vector", "place__vector"} <= set(schema.vectors)
    kinds = {str(t) for t in features.dtypes}
    assert kinds == {"float32", "category"}
    numbers = features.select_dtypes("float32")
    shared = {id(_owner(numbers[c].to_numpy())) for c in numbers.columns[:5]}
    assert len(shared) == 1, "numbers stand in one allocation"


def _owner(values):
    while values.base is not None:
        values = values.base
    return values


def test_prediction_does_not_depend_on_order_or_chunks(small, fitted):
    X, _ = small
    whole = fitted.predict(X)
    order = np.random.RandomState(0).permutation(len(X))
    assert_allclose(fitted.predict(X.iloc[order]), whole[order], rtol=1e-6)
    chunks = [fitted.predict(X.iloc[r]) for r in np.array_split(np.arange(len(X)), 7)]
    assert_allclose(np.concatenate(chunks), whole, rtol=1e-6)


def test_same_seed_same_bits_and_pickle(small):
    X, y = small
    one = small_model().fit(X, y)
    two = clone(one).set_params(predict__n_jobs=2).fit(X, y)
    assert_array_equal(one.predict(X), two.predict(X))
    assert_array_equal(pickle.loads(pickle.dumps(one)).predict(X), one.predict(X))


def test_grid_search_over_a_member(small):
    X, y = small
    search = GridSearchCV(
        small_model(preset="fast"),
        {"predict__catboost__iterations": [1, 90], "predict__members": [MEMBERS[:1]]},
        cv=2,
        error_score="raise",
    )
    search.fit(X, y)
    assert search.best_params_["predict__catboost__iterations"] == 90


def test_std_passes_through(small, fitted):
    X, _ = small
    mean, std = fitted.predict(X, return_std=True)
    assert mean.shape == std.shape == (len(X),)


def test_positions_for_an_array(small):
    X, y = small
    model = make_hyperfusion(
        text=[0], user=1, time=2, numeric=3, text_encoder=False, members=MEMBERS, cv=3
    )
    array = X.to_numpy(dtype=object)
    assert np.isfinite(model.fit(array, y).predict(array)).all()


def test_any_transformer_for_a_role(small):
    X, y = small
    model = small_model()
    model.set_params(
        encode__encoders={
            "text": TfidfVectorizer(),
            "user": OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
            "time": "drop",
        }
    )
    model.fit(X, y)
    names = model[0].get_feature_names_out()
    assert "text__title_whale" in names
    assert "user__user_a" in names
    assert not [n for n in names if n.startswith("time__")]
    with pytest.raises(InvalidInputError, match="unknown roles"):
        model.set_params(encode__encoders={"sound": "drop"}).fit(X, y)


def test_users_are_embedded_when_asked(posts):
    encoder = PostEncoder(user="user", tags="tags", text_encoder=False)
    encoder.set_params(user_embedder=True, random_state=0).fit(posts.data)
    names = encoder.get_feature_names_out()
    assert {"user__svd__0", "user__svd__31", "user__svd_missing"} <= set(names)


def test_extra_columns_and_column_order_do_not_matter_at_predict(small):
    X, y = small
    model = small_model().fit(X.assign(unused="x"), y)
    shuffled = X[["likes", "when", "user", "title"]].assign(other=1)
    assert_array_equal(model.predict(shuffled), model.predict(X.assign(unused="y")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X.iloc[:0], "0 sample"),
        (lambda X: X.drop(columns="likes"), "numeric='likes' is not a column"),
        (lambda X: X.rename(columns={"title": "titles"}), r"Did you mean \['titles'\]"),
        (lambda X: pd.concat([X, X[["likes"]]], axis=1), r"duplicate .*\['likes'\]"),
    ],
)
def test_bad_tables(small, fitted, change, message):
    X, y = small
    with pytest.raises(InvalidInputError, match=message):
        small_model().fit(change(X), y[: len(change(X))])
    with pytest.raises(InvalidInputError, match=message):
        fitted.predict(change(X))


def test_one_row(small, fitted):
    X, y = small
    with pytest.raises(InvalidInputError, match="number of rows, which is 1"):
        small_model().fit(X.iloc[:1], y[:1])
    assert_allclose(fitted.predict(X.iloc[[5]]), fitted.predict(X)[[5]], rtol=1e-6)


def test_bad_targets(small):
    X, y = small
    for bad in (np.inf, np.nan):
        with pytest.raises(InvalidInputError, match="in row 3"):
            small_model().fit(X, np.where(np.arange(len(y)) == 3, bad, y))


@pytest.mark.parametrize("column", ["title", "user", "when", "likes"])
def test_all_missing_column_works(small, column):
    X, y = small
    missing = X.assign(**{column: None})
    with pytest.warns(UserWarning, match=f"'{column}' .* says nothing"):
        model = small_model().fit(missing, y)
    assert np.isfinite(model.predict(missing)).all()
    assert np.isfinite(model.predict(X)).all()


def test_categories_and_cells_never_seen(small, fitted):
    X, _ = small
    new = X.iloc[:3].assign(user="stranger", title="quantum chess")
    assert np.isfinite(fitted.predict(new)).all()
    odd = X.astype(object)
    odd.loc[odd.index[0], "likes"] = "many"
    with pytest.warns(BadCellWarning, match="row 0"):
        assert np.isfinite(fitted.predict(odd)).all()


def test_no_role():
    with pytest.raises(InvalidInputError, match="at least one role"):
        make_hyperfusion()


def test_default_encoders_ask_for_their_weights(small, monkeypatch):
    X, y = small
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="weights"):
        small_model(text_encoder=None).fit(X, y)


def test_naive_times_are_what_is_said_of_them():
    posts = pd.DataFrame({"when": ["2024-07-01 14:00", "2024-01-01 15:00"] * 5})
    hours = {}
    for naive in ("utc", "local"):
        encode = make_hyperfusion(
            time="when", timezone="Europe/Berlin", naive_time=naive, members=[Ridge()]
        )[:1]
        hours[naive] = encode.fit_transform(posts)["time__hour"].iloc[:2].tolist()
    assert hours == {"utc": [16, 16], "local": [14, 15]}
