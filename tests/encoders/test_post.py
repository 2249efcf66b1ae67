"""PostEncoder: ready-made vectors, and encoders replaced or set in place."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hyperfusion import (
    CategoryEncoder,
    HyperFusionRegressor,
    NeighborTargets,
    NumberEncoder,
    PostEncoder,
    SVDUserEmbedder,
    TextStatistics,
    TfidfComponents,
    UserHistory,
    VectorEncoder,
    make_hyperfusion,
)
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.table import Schema

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def object_arrays(values):
    return pd.Series(list(values), dtype=object)


def lists(values):
    return pd.Series([list(map(float, row)) for row in values], dtype=object)


def texts(values):
    return pd.Series([str([float(v) for v in row]) for row in values])


def arrow_lists(values):
    cells = pa.array([list(map(float, row)) for row in values])
    return pd.Series(pd.arrays.ArrowExtensionArray(cells))


def arrow_fixed_size(values):
    flat = pa.array(np.ravel(values).astype(np.float32))
    cells = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pd.Series(pd.arrays.ArrowExtensionArray(cells))


FORMS = [object_arrays, lists, texts, arrow_lists, arrow_fixed_size]


@pytest.mark.parametrize("form", FORMS)
def test_one_column_of_vectors(form):
    table = pd.DataFrame({"emb": form(VALUES)})
    features = PostEncoder(vectors={"image": "emb"}).fit_transform(table)
    assert Schema.of(features).vectors.keys() == {"image__emb"}
    assert_array_equal(features, VALUES)
    assert (features.dtypes == np.float32).all()


@pytest.mark.parametrize("form", FORMS)
def test_missing_vectors(form):
    cells = form(VALUES)
    cells[1] = None
    table = pd.DataFrame({"emb": cells})
    features = PostEncoder(vectors={"text": ["emb"]}).fit_transform(table)
    expected = VALUES.copy()
    expected[1] = np.nan
    assert_array_equal(features, expected)


@pytest.mark.parametrize("form", FORMS)
def test_slices_of_a_column(form):
    cells = form(VALUES)
    encoder = PostEncoder(vectors={"text": "emb"}).fit(pd.DataFrame({"emb": cells}))
    part = pd.DataFrame({"emb": cells[2:]})
    assert_array_equal(encoder.transform(part), VALUES[2:])


@pytest.mark.parametrize("form", [object_arrays, lists, texts, arrow_lists])
def test_ragged_vectors_are_an_error_that_names_the_cell(form):
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0]]
    if form is object_arrays:
        cells = pd.Series([np.array(r) for r in rows], dtype=object)
    else:
        cells = form(rows)
    table = pd.DataFrame({"emb": cells})
    with pytest.raises(BadCellError, match=r"row 2, column 'emb'.*2 numbers.*got 1"):
        PostEncoder(vectors={"image": "emb"}).fit(table)
    encoder = PostEncoder(vectors={"image": "emb"}).fit(table.head(2))
    with pytest.raises(BadCellError, match="row 0, column 'emb'"):
        encoder.transform(table.tail(1))


def test_cells_that_are_no_vectors():
    table = pd.DataFrame({"emb": [[1.0, 2.0], ["a", "b"]]})
    with pytest.raises(BadCellError, match=r"row 1, column 'emb'.*\['a', 'b'\]"):
        PostEncoder(vectors={"image": "emb"}).fit(table)
    table = pd.DataFrame({"v1": [1.0, 2.0], "v2": [1.0, "x"]})
    with pytest.raises(BadCellError, match=r"row 1, column 'v2'.*'x'"):
        PostEncoder(vectors={"user": ["v1", "v2"]}).fit(table)


def test_columns_of_numbers_are_one_vector():
    table = pd.DataFrame(VALUES, columns=["v1", "v2", "v3"])
    features = PostEncoder(vectors={"user": ["v1", "v2", "v3"]}).fit_transform(table)
    assert list(features) == ["user__vector__0", "user__vector__1", "user__vector__2"]
    assert_array_equal(features, VALUES)


def test_several_vectors_of_a_block():
    table = pd.DataFrame(VALUES, columns=["a", "b", "c"]).assign(
        one=lists(VALUES), two=lists(VALUES[:, :2])
    )

    def vectors(value):
        features = PostEncoder(vectors={"text": value}).fit_transform(table)
        found = Schema.of(features).vectors
        return {vector: len(columns) for vector, columns in found.items()}

    assert vectors(["one", "two"]) == {"text__one": 3, "text__two": 2}
    assert vectors([["a", "b"], ["c", "a"]]) == {
        "text__vector": 2,
        "text__vector_2": 2,
    }
    assert vectors([["one"], ["a", "b"]]) == {"text__one": 3, "text__vector": 2}
    named = {"e5": "one", "counts": ["a", "b", "c"]}
    assert vectors(named) == {"text__e5": 3, "text__counts": 3}
    with pytest.raises(InvalidInputError, match=r"'one'.*single numbers.*'a'"):
        vectors(["one", "a"])


def test_wrong_blocks_columns_and_lengths_of_vectors():
    table = pd.DataFrame({"emb": lists(VALUES), "none": None})
    with pytest.raises(InvalidInputError, match="'picture'"):
        PostEncoder(vectors={"picture": "emb"}).fit(table)
    with pytest.raises(InvalidInputError, match="'embb' is not a column"):
        PostEncoder(vectors={"image": "embb"}).fit(table)
    with pytest.raises(InvalidInputError, match="two vectors 'emb'"):
        PostEncoder(vectors={"image": [["emb"], ["emb"]]}).fit(table)


def test_vectors_are_written_once():
    n, size = 20_000, 256
    flat = pa.array(np.zeros(n * size, dtype=np.float32))
    cells = pa.FixedSizeListArray.from_arrays(flat, size)
    table = pd.DataFrame({"emb": pd.arrays.ArrowExtensionArray(cells)})
    encoder = PostEncoder(vectors={"image": "emb"})
    tracemalloc.start()
    features = encoder.fit_transform(table)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert features.shape == (n, size)
    assert peak < 1.5 * 4 * n * size


@pytest.mark.parametrize("form", FORMS)
def test_alone(form):
    cells = form(VALUES)
    assert_array_equal(VectorEncoder("e").fit_transform(cells.to_frame("x")), VALUES)
    assert_array_equal(VectorEncoder().fit_transform(cells), VALUES)
    names = VectorEncoder("e").fit(cells).get_feature_names_out()
    assert list(names) == ["e__0", "e__1", "e__2"]


@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("form", [object_arrays, np.asarray, "arrow"])
def test_vectors_beyond_float32_name_their_row(form, number):
    values = VALUES.astype(np.float64)
    values[2, 1], values[0, 0] = number, np.nan
    if form == "arrow":
        kind = pd.ArrowDtype(pa.list_(pa.float64()))
        table = pd.DataFrame({"v": pd.Series(list(values), dtype=kind)})
    elif form is np.asarray:
        table = pd.DataFrame(values, columns=["u", "v", "w"])
    else:
        table = pd.DataFrame({"v": form(values)})
    with pytest.raises(BadCellError, match="beyond the range of float32") as error:
        VectorEncoder().fit_transform(table)
    assert (error.value.row, error.value.column) == (2, "v")


def posts(n=60):
    rng = np.random.RandomState(0)
    return pd.DataFrame(
        {
            "title": rng.choice(["a red fox", "blue whale", "green tree"], n),
            "body": rng.choice(["run", "swim", "grow up"], n),
            "user": rng.choice(list("abc"), n),
            "when": pd.date_range("2024-01-01", periods=n, freq="7h"),
            "kind": rng.choice(["x", "y"], n),
            "size": rng.choice(["s", "m"], n),
            "likes": rng.poisson(9, n),
        }
    )


TEXTS = {"text": ["title", "body"], "text_encoder": False}


def test_parameters_of_the_roles_own_encoders_are_set_in_place():
    encoder = PostEncoder(**TEXTS, user="user", time="when")
    assert "encoders__text__tfidf__n_components" in encoder.get_params()
    assert isinstance(encoder.get_params()["encoders__text__tfidf"], TfidfComponents)
    encoder.set_params(
        encoders__text__tfidf__n_components=2, encoders__user__history__shrinkage=3.0
    )
    twin = clone(encoder)
    twin.fit(posts(), np.arange(60.0))
    sizes = {c.encoder.n_components for c in twin.components_ if c.name == "tfidf"}
    assert sizes == {2}
    history = next(c.encoder for c in twin.components_ if c.name == "history")
    assert isinstance(history, UserHistory)
    assert history.shrinkage == 3.0
    assert history.user == "user"
    names = twin.get_feature_names_out()
    assert "text__title_tfidf__1" in names
    assert "text__body_tfidf__2" not in names
    assert "text__title_n_words" in names or any("title_" in n for n in names)


def test_an_encoder_is_dropped_or_replaced_by_name():
    encoder = PostEncoder(**TEXTS, encoders={"text": {"statistics": "drop"}})
    encoder.fit(posts())
    assert {c.name for c in encoder.components_} == {"tfidf"}
    encoder.set_params(encoders__text__statistics=TextStatistics())
    assert {c.name for c in encoder.fit(posts()).components_} == {"tfidf", "statistics"}
    replaced = PostEncoder(**TEXTS, encoders={"text": {"tfidf": TfidfVectorizer()}})
    assert "text__title_fox" in replaced.fit(posts()).get_feature_names_out()
    with pytest.raises(InvalidInputError, match=r"names.*'tf'.*own encoders are"):
        PostEncoder(**TEXTS, encoders={"text": {"tf": "drop"}}).fit(posts())


def test_parameters_of_replacements():
    encoder = PostEncoder(**TEXTS, encoders={"text": TfidfVectorizer()})
    encoder.set_params(encoders__text__tfidfvectorizer__min_df=30)
    assert encoder.encoders["text"].min_df == 30
    encoder.set_params(encoders={"text": [TfidfVectorizer(), TextStatistics()]})
    encoder.set_params(encoders__text__tfidfvectorizer__min_df=3)
    assert encoder.encoders["text"][0].min_df == 3


def test_a_wrong_name_is_told_what_there_is():
    with pytest.raises(
        InvalidInputError, match=r"no encoder 'text__tf__x'.*text__tfidf"
    ):
        PostEncoder(**TEXTS).set_params(encoders__text__tf__x=1)
    with pytest.raises(ValueError, match="n_component"):
        PostEncoder(**TEXTS).set_params(encoders__text__tfidf__n_component=1)


def test_a_search_over_an_encoder_inside_the_pipeline():
    X = posts()
    y = 3.0 * (X["title"] == "a red fox") + X["likes"] / 9
    model = make_hyperfusion(
        **TEXTS, numeric="likes", members=[("ridge", Ridge())], cv=3, random_state=0
    )
    grid = {
        "encode__encoders__text__tfidf__n_components": [1, 4],
        "predict__ridge__alpha": [1.0],
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    key = "encode__encoders__text__tfidf__n_components"
    assert search.best_params_[key] in (1, 4)
    assert len(search.cv_results_["params"]) == 2


class OneColumn(TransformerMixin, BaseEstimator):
    """Counts letters; takes a column of cells, and has no names."""

    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def transform(self, X):
        return np.array([[len(str(c)), ord(str(c)[0])] for c in X])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


def test_a_replacement_that_takes_one_column_gets_each_column():
    encoder = PostEncoder(
        categorical=["kind", "size"], encoders={"categorical": OneColumn()}
    )
    features = encoder.fit_transform(posts())
    assert list(features) == [
        "meta__kind_onecolumn__0",
        "meta__kind_onecolumn__1",
        "meta__size_onecolumn__0",
        "meta__size_onecolumn__1",
    ]
    table = PostEncoder(
        categorical=["kind", "size"], encoders={"categorical": CategoryEncoder()}
    ).fit_transform(posts())
    assert list(table) == ["meta__kind", "meta__size"]


def test_numbers_of_a_pca_are_a_vector():
    X = posts().assign(**{f"n{i}": np.arange(60.0) * i for i in range(4)})
    columns = [f"n{i}" for i in range(4)]
    encoder = PostEncoder(
        numeric=columns, encoders={"numeric": make_pipeline(PCA(2, random_state=0))}
    )
    schema = Schema.of(encoder.fit_transform(X))
    assert list(schema.vectors) == ["meta__pipeline"]


def test_encoders_of_a_role_without_a_column_are_an_error():
    with pytest.raises(InvalidInputError, match=r"encoders\['image'\].*image='...'"):
        PostEncoder(**TEXTS, encoders={"image": OneColumn()}).fit(posts())


def test_a_replacement_that_returns_texts_is_named():
    upper = FunctionTransformer(lambda X: X.map(str.upper).to_numpy())
    with pytest.raises(InvalidInputError, match=r"encoders\['categorical'\].*'X'|'Y'"):
        PostEncoder(categorical=["kind"], encoders={"categorical": upper}).fit(posts())


@pytest.mark.parametrize("role", ["numeric", "user_numeric"])
def test_names_of_numbers_mean_nothing(role):
    rng = np.random.RandomState(0)
    values = rng.normal(size=(40, 3))
    for names in (["q_0", "q_1", "q_2"], ["v__0", "v__1", "v__2"], ["a", "b", "c"]):
        X = pd.DataFrame(values, columns=names)
        features = PostEncoder(**{role: names}).fit_transform(X)
        assert Schema.of(features).vectors == {}


def test_named_numbers_do_not_meet():
    X = pd.DataFrame({"fans": [1, 10, 100000, 1], "fans_log": [0.0, 1.0, 2.0, 3.0]})
    for role in ("numeric", "user_numeric"):
        features = PostEncoder(**{role: ["fans", "fans_log"]}).fit_transform(X)
        block = "meta" if role == "numeric" else "user"
        assert {f"{block}__fans", f"{block}__fans_log"} <= set(features)
        assert features.columns.is_unique
    assert NumberEncoder().fit_transform(X).shape == (4, 2)


def test_unrelated_numbers_reach_the_ensemble():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(80, 3)), columns=["q_0", "q_1", "q_2"])
    y = X["q_0"] - 2 * X["q_1"]
    encode = PostEncoder(numeric=list(X))
    model = make_pipeline(
        encode, HyperFusionRegressor([("ridge", Ridge(0.1))], cv=3, random_state=0)
    )
    assert model.fit(X, y).score(X, y) > 0.95


def test_a_set_parameter_leaves_the_rest_of_the_encoder_open():
    encoder = PostEncoder(text="title", text_encoder=False)
    encoder.set_params(encoders__text__tfidf__n_components=2)
    encoder.set_params(random_state=7, on_error="raise")
    encoder.set_params(encoders__text__tfidf__min_df=1)
    tfidf = encoder.get_params()["encoders__text__tfidf"]
    fitted = clone(encoder).fit(posts()).components_
    for found in (tfidf, next(c.encoder for c in fitted if c.name == "tfidf")):
        assert (found.n_components, found.min_df) == (2, 1)
        assert (found.random_state, found.on_error) == (7, "raise")


def test_two_replacements_of_one_class_are_told_apart():
    several = [TfidfVectorizer(), TfidfVectorizer(analyzer="char")]
    encoder = PostEncoder(text="title", encoders={"text": several})
    encoder.set_params(encoders__text__tfidfvectorizer_2__max_features=5)
    first, second = encoder.encoders["text"]
    assert first.max_features is None
    assert (second.analyzer, second.max_features) == ("char", 5)


def test_scikit_learns_own_transformers_name_no_vectors():
    X = pd.DataFrame({"v__3": [1.0, 2.0], "v__4": [3.0, 5.0]})
    encoder = PostEncoder(
        numeric=["v__3", "v__4"], encoders={"numeric": StandardScaler()}
    )
    assert Schema.of(encoder.fit_transform(X)).vectors == {}
    X = pd.DataFrame({"t": ["x__3 y__4", "x__3 z__5"]})
    words = PostEncoder(text="t", encoders={"text": CountVectorizer()})
    assert Schema.of(words.fit_transform(X)).vectors == {}


def test_a_profile_column_called_user_leaves_the_user_its_name():
    X = posts().assign(who=list("abc") * 20)
    X["user"] = np.arange(60)
    features = PostEncoder(user="who", user_numeric="user").fit_transform(X)
    assert features["user__user"].dtype == "category"
    assert "user__user_2" in features


def test_a_column_of_vectors_without_any_is_named():
    X = posts().assign(e=None)
    with (
        pytest.warns(UserWarning, match=r"Column 'e' \(role vectors\) says nothing"),
        pytest.raises(InvalidInputError, match="has nothing to encode"),
    ):
        PostEncoder(vectors={"image": "e"}).fit(X)


@pytest.mark.parametrize("cells", [[["a"], ["b"]], [[[1.0]], [[2.0]]], [[], []]])
def test_arrow_lists_of_no_numbers_name_the_cell(cells):
    column = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(cells)))
    with pytest.raises(BadCellError, match="row 0, column 'e'"):
        PostEncoder(vectors={"image": "e"}).fit(pd.DataFrame({"e": column}))


def test_replacements_that_return_texts_or_other_rows_are_named():
    for step in (FunctionTransformer(), FunctionTransformer(lambda X: X.to_numpy())):
        encoder = PostEncoder(categorical=["kind"], encoders={"categorical": step})
        with pytest.raises(InvalidInputError, match=r"encoders\['categorical'\]"):
            encoder.fit(posts())
    fewer = FunctionTransformer(lambda X: np.ones((3, 1)), validate=False)
    encoder = PostEncoder(numeric="likes", encoders={"numeric": fewer})
    with pytest.raises(InvalidInputError, match=r"shape \(3, 1\) for 60 posts"):
        encoder.fit(posts())


def test_embedders_read_the_columns_that_they_name():
    posts = pd.DataFrame({"who": list("aabbc"), "town": ["x", "y", "y", "z", "x"]})
    own = SVDUserEmbedder(items="town", split=False, n_components=2, random_state=0)
    encoder = PostEncoder(
        user="who", user_embedder=own, place="town", place_embedder=True
    )
    features = encoder.fit_transform(posts)
    assert Schema.of(features).vectors.keys() == {"user__svd", "place__item_svd"}
    expected = clone(own).set_params(user="who").fit_transform(posts[["who", "town"]])
    assert_array_equal(features[["user__svd__0", "user__svd__1"]], expected[:, :2])
    # a column of no role is read as well
    alone = PostEncoder(user="who", user_embedder=own).fit(posts)
    assert_array_equal(alone.transform(posts)["user__svd__0"], expected[:, 0])
    with pytest.raises(InvalidInputError, match="city"):
        PostEncoder(user="who", user_embedder=SVDUserEmbedder(items="city")).fit(posts)
    with pytest.raises(InvalidInputError, match="place_embedder=True"):
        PostEncoder(user="who", encoders={"place": "drop"}).fit(posts)


@pytest.mark.parametrize("name", ["tfidf", "clip"])
def test_ready_vectors_may_be_called_as_those_of_encoders(name):
    table = pd.DataFrame({"t": ["a boat", "a cat"] * 2, name: object_arrays(VALUES)})
    clip = CountVectorizer()  # a stand-in
    encoder = PostEncoder(tags="t", text_encoder=clip, vectors={"tags": name})
    features = encoder.fit_transform(table)
    vector = Schema.of(features).vectors[f"tags__{name}_2"]
    assert_array_equal(features.iloc[:, vector], VALUES)
    assert list(encoder.transform(table)) == list(features)


@pytest.mark.parametrize("roles", [{}, {"text": "t", "text_encoder": False}])
def test_neighbors_are_compared_by_vectors(roles):
    times = pd.date_range("2020", periods=4)
    table = pd.DataFrame({"t": ["a", "b"] * 2, "e": object_arrays(VALUES), "n": times})
    search = NeighborTargets(vectors={"pic": "e"}, n_neighbors=(1,), n_components=2)
    encoder = PostEncoder(
        **roles, time="n", vectors={"image": "e"}, neighbors=search, random_state=0
    )
    features = encoder.fit_transform(table, [1.0, 2.0, 3.0, 4.0])
    alone = clone(search).set_params(time="n").fit(table, [1.0, 2.0, 3.0, 4.0])
    found = features[[f"neighbors__{name}" for name in alone.get_feature_names_out()]]
    assert_array_equal(found, alone.transform(table))
    assert {*found} <= {*Schema.of(features).leaving_with("image")}
    assert list(encoder.transform(table)) == list(features)
