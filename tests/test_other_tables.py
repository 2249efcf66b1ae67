"""Tables, columns and parameters as others have them: a result or a named error."""

import io
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn
from PIL import Image
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline

import hyperfusion.encoders.image._statistics as statistics
from hyperfusion import (
    BlockImputer,
    BlockScaler,
    CatBoostHuberRegressor,
    CategoryEncoder,
    ClipImageEncoder,
    GeoEncoder,
    HyperFusionRegressor,
    ImageStatistics,
    IQRFilter,
    NumberEncoder,
    NumericTable,
    PostEncoder,
    RelationEncoder,
    TfidfComponents,
    UserProfileEncoder,
    VectorEncoder,
    load_model,
    make_hyperfusion,
    make_posts,
    save_model,
    time_split,
)
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError
from hyperfusion.table import describe_table, feature_table

POSTS = make_posts(40, random_state=0)
X, Y = POSTS.data, np.asarray(POSTS.target, dtype=float)
READ = ["caption", "user", "posted_at", "category", "n_photos", "latitude", "longitude"]
TABLE = X[READ].assign(latitude=X["latitude"].fillna(1), longitude=2.0)
MEMBERS = [("ridge", make_pipeline(NumericTable(impute=True), Ridge(100)))]


def pipeline(**changes):
    roles = {
        "text": "caption",
        "user": "user",
        "time": "posted_at",
        "categorical": "category",
        "numeric": "n_photos",
        "latitude": "latitude",
        "longitude": "longitude",
    }
    rest = {"image_encoder": False, "text_encoder": False, "cv": 2, "random_state": 0}
    return make_hyperfusion(**roles | rest | {"members": MEMBERS} | changes)


def picture(width=9, height=7):
    content = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def fitted():
    return pipeline().fit(TABLE, Y)


ALIKE = {
    "dict of lists": lambda t: {c: t[c].tolist() for c in t},
    "dict of arrays": lambda t: {c: t[c].to_numpy() for c in t},
    "list of dicts": lambda t: t.to_dict("records"),
    "record array": lambda t: t.to_records(),
    "polars": pl.from_pandas,
    "arrow": lambda t: pa.Table.from_pandas(t, preserve_index=False),
    "arrow dtypes": lambda t: t.convert_dtypes(dtype_backend="pyarrow"),
    "nullable dtypes": lambda t: t.convert_dtypes(),
}


@pytest.mark.parametrize("form", ALIKE)
def test_posts_of_every_form_are_predicted_alike(fitted, form):
    expected = fitted.predict(TABLE)
    np.testing.assert_allclose(fitted.predict(ALIKE[form](TABLE)), expected, rtol=1e-6)


def test_array_after_a_table_is_taken_by_position(fitted):
    with pytest.warns(UserWarning, match="fitted with feature names"):
        predicted = fitted.predict(TABLE.to_numpy())
    np.testing.assert_allclose(predicted, fitted.predict(TABLE), rtol=1e-6)
    one = fitted.predict(TABLE.iloc[0].to_dict())
    np.testing.assert_allclose(one, predicted[:1], rtol=1e-5)


@pytest.mark.parametrize("encoder", [NumberEncoder(), CategoryEncoder()])
@pytest.mark.parametrize("labels", [["a", "b"], [3, 5], [("a", 1), ("a", 2)], [0, 1]])
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
def test_encoders_take_tables_by_position_where_labels_differ(encoder, labels):
    table = pd.DataFrame([[1, 2], [3, 1]], columns=labels)
    expected = encoder.fit_transform(table)
    np.testing.assert_array_equal(encoder.transform(table.to_numpy()), expected)
    encoder.fit(table.to_numpy())
    np.testing.assert_array_equal(encoder.transform(table), expected)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.from_pandas(TABLE).lazy(), r"\.collect\(\)"),
        (sp.csr_matrix(np.eye(40)), r"sparse csr_matrix.*from_spmatrix"),
        (TABLE.iloc[0], r"X\.to_frame\(\)\.T for one row"),
        ("posts.csv", r"pd\.read_csv"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_table_is_named_without_its_rows(fitted, table, message):
    for method in (fitted.predict, lambda t: pipeline().fit(t, Y)):
        with pytest.raises(InvalidInputError, match=message) as error:
            method(table)
        assert len(str(error.value)) < 500


def test_columns_of_several_levels(fitted):
    table = TABLE.set_axis(pd.MultiIndex.from_product([["post"], READ]), axis=1)
    with pytest.raises(InvalidInputError, match="levels as tuples"):
        fitted.predict(table)
    roles = {"numeric": [("post", "n_photos")], "categorical": [("post", "category")]}
    none = dict.fromkeys(("user", "time", "latitude", "longitude"))
    model = pipeline(text=(), **none | roles).fit(table, Y)
    assert model.predict(table).shape == (40,)
    numbers = table[[("post", "n_photos"), ("post", "latitude")]]
    for regressor in (CatBoostHuberRegressor(iterations=2), NumericTable()):
        regressor.fit(numbers, Y)


@pytest.mark.parametrize("form", ["default", "pandas", "polars"])
def test_output_of_every_form_gives_the_same_predictions(fitted, form):
    expected = fitted.predict(TABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = pipeline().set_output(transform=form).fit(TABLE, Y).predict(TABLE)
        with sklearn.config_context(transform_output=form):
            before = fitted.predict(TABLE)
            anew = pipeline().fit(TABLE, Y).predict(TABLE)
            back = load_again(fitted).predict(TABLE)
    for predicted in (chosen, before, anew, back):
        np.testing.assert_allclose(predicted, expected, atol=1e-3)


def load_again(model):
    import pickle

    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("form", ["default", "pandas", "polars"])
@pytest.mark.parametrize(
    ("encoder", "columns"),
    [
        (PostEncoder(text="caption", text_encoder=False), READ),
        (GeoEncoder(), ["latitude", "longitude"]),
        (CategoryEncoder(), ["category", "user"]),
        (UserProfileEncoder(user="user", numeric="n_photos"), ["user", "n_photos"]),
        (NumberEncoder(), ["n_photos"]),
        (TfidfComponents(n_components=2), "caption"),
        (make_pipeline(NumberEncoder(), BlockImputer(), BlockScaler()), ["n_photos"]),
    ],
)
def test_every_encoder_gives_the_form_that_is_asked_for(encoder, columns, form):
    table = TABLE[columns]
    encoder = sklearn.base.clone(encoder).fit(table, Y)
    with sklearn.config_context(transform_output=form):
        output = encoder.transform(table)
    kinds = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
    assert isinstance(output, kinds.get(form, (np.ndarray, pd.DataFrame)))
    assert output.shape == (40, len(encoder.get_feature_names_out()))


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
        ({"cv": 100}, "n_splits=100.*number of rows, which is 40"),
        ({"neighbors": 5}, "neighbors.*Got 5"),
        ({"random_state": "a"}, "random_state.*Got 'a'"),
        ({"timezone": "Mars"}, "timezone='Mars' is neither"),
        ({"word_vectors": "no file.txt"}, "no such file"),
        ({"members": [CatBoostHuberRegressor(iterations=-3)]}, "iterations.*Got -3"),
        ({"members": [make_pipeline(BlockScaler(method="x"), Ridge())]}, "method.*'x'"),
        ({"members": [Ridge(alpha=-4)]}, "alpha.*Got -4"),
        ({"relate__similarity": 5}, "similarity.*Got 5"),
        ({"predict__weighting": "x"}, "weighting.*Got 'x'"),
        ({"encode__encoders__image__statistics__n_colors": -1}, "n_colors.*Got -1"),
        ({"encode__encoders__text__tfidf__ngram_range": (3, 1)}, "ngram_range"),
        ({"text": "captoin"}, "Did you mean"),
        ({"y": Y[:-1]}, "y has 39"),
        ({"y": np.where(np.arange(40) == 3, np.nan, Y)}, "nan in row 3"),
        ({"y": ["high"] * 40}, "must be numbers"),
        ({"y": np.full(40, 1e300)}, "too large to learn"),
        ({"y": np.full(40, np.nan), "unlabeled": True}, "number of rows, which is 0"),
        ({"predict__sample_weight": np.ones(4)}, "sample_weight"),
        ({"predict__sample_weight": -np.ones(40)}, "Negative values"),
    ],
)
def test_everything_is_checked_before_the_first_picture(changes, message, monkeypatch):
    def read_image(*_):
        raise AssertionError("a picture was read")

    monkeypatch.setattr(statistics, "read_image", read_image)
    y = changes.pop("y", Y)
    params = {k: v for k, v in changes.items() if k.endswith("sample_weight")}
    nested = {k: v for k, v in changes.items() if "__" in k and k not in params}
    own = {k: v for k, v in changes.items() if "__" not in k}
    posts = TABLE.assign(image=[picture()] * 40)
    model = pipeline(image="image", **own).set_params(**nested)
    with pytest.raises(ValueError, match=message):
        model.fit(posts, y, **params)


@pytest.mark.parametrize(("name", "value"), [("unlabeled", "yes"), ("members", 5)])
def test_arguments_are_checked_at_once(name, value):
    with pytest.raises(InvalidInputError, match=f"{name} must be.*Got {value!r}"):
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


def test_pictures_of_every_kind_and_several_in_a_cell(tmp_path):
    content = picture(9, 7)
    (tmp_path / "a.png").write_bytes(content)
    small = np.zeros((2, 3, 3), np.uint8)
    cells = [
        content,
        io.BytesIO(content),
        {"bytes": content, "path": None},
        {"bytes": None, "path": str(tmp_path / "a.png")},
        [content, small],
        (content, None, Image.fromarray(small)),
        np.array([content, str(tmp_path / "a.png")], dtype=object),
        np.stack([small, small]),
        [],
        [None],
    ]
    measured = ImageStatistics().fit_transform(cells)
    nan = np.nan
    assert np.array_equal(
        measured[:, 0], [9, 9, 9, 9, 6, 6, 9, 3, nan, nan], equal_nan=True
    )
    np.testing.assert_array_equal(measured[:, -1], [0] * 8 + [1] * 2)
    vectors = ClipImageEncoder("hyperfusion-tiny").fit_transform(cells)
    np.testing.assert_array_equal(np.isnan(vectors[:, 0]), measured[:, -1])
    mean = vectors[0] + vectors[7]
    np.testing.assert_allclose(vectors[4], mean / np.linalg.norm(mean), atol=1e-5)


def test_bad_pictures_beside_good_ones():
    cells = pd.Series([[picture(), b"none"], [b"none"]], name="pictures")
    for encoder in (ImageStatistics(), ClipImageEncoder("hyperfusion-tiny")):
        with pytest.warns(BadCellWarning) as caught:
            features = encoder.fit_transform(cells)
        assert np.isnan(features[:, 0]).tolist() == [False, True]
        messages = [str(warning.message) for warning in caught]
        assert any("first row 1" in message for message in messages)
        assert any("1 picture(s) in lists" in message for message in messages)
        with pytest.raises(BadCellError, match="row 0, column 'pictures'"):
            encoder.set_params(on_error="raise").fit_transform(cells)


@pytest.mark.parametrize("wrap", [str, lambda n: {"path": n}, lambda n: [n, n]])
def test_names_of_files_in_a_folder(wrap, tmp_path):
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(picture())
    table = pd.DataFrame({"photo": [wrap(name) for name in names] + [None]})
    encoder = PostEncoder(image="photo", image_encoder=False)
    with pytest.warns(BadCellWarning, match="image_folder= of make_hyperfusion"):
        encoder.fit(table)
    encoder.set_params(image_folder=tmp_path).fit(table)
    features = encoder.transform(table)
    assert features["image__width"].fillna(0).tolist() == [9, 9, 9, 0]
    assert table["photo"].iloc[0] == wrap(names[0])
    full = pd.DataFrame({"photo": [str(tmp_path / names[0])] * 2})
    assert encoder.transform(full)["image__width"].tolist() == [9, 9]


def test_base64_text_is_not_shown_in_full():
    import base64

    for content in (picture(), np.random.RandomState(0).bytes(3000)):
        for head in ("", "data:image/png;base64,"):
            text = head + base64.b64encode(content).decode()
            with pytest.raises(BadCellError, match="as base64 text") as error:
                ImageStatistics(on_error="raise").fit_transform([text])
            assert len(str(error.value)) < 300


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


@pytest.mark.parametrize("text", ["same", "a", "#", "🙂"])
def test_texts_that_are_all_alike(text):
    assert np.isfinite(pipeline().fit(TABLE.assign(caption=text), Y).predict(TABLE)[0])


@pytest.mark.parametrize("role", ["categorical", "place"])
def test_roles_of_categories_alone(role):
    model = make_hyperfusion(**{role: "category"}, preset="fast", cv=2)
    model.set_params(predict__boosting__max_iter=2)
    assert np.isfinite(model.fit(TABLE, Y).predict(TABLE)).all()


@pytest.mark.parametrize(
    "encoder",
    [
        GeoEncoder(latitude="latitude", longitude="longitude", min_frequency=1),
        CategoryEncoder(),
        UserProfileEncoder(user="user"),
    ],
)
@pytest.mark.parametrize(
    "regressor",
    [
        CatBoostHuberRegressor(iterations=2),
        make_pipeline(NumericTable(impute=True), Ridge()),
        HyperFusionRegressor([CatBoostHuberRegressor(iterations=2)], cv=2),
    ],
)
def test_categories_in_an_array_of_a_column_transformer(encoder, regressor):
    columns = getattr(encoder, "latitude", None) and ["latitude", "longitude"]
    columns = columns or [getattr(encoder, "user", None) or "category"]
    model = make_pipeline(make_column_transformer((encoder, columns)), regressor)
    with pytest.raises(InvalidInputError, match=r"set_output\(transform='pandas'\)"):
        model.fit(TABLE, Y)
    model[:1].set_output(transform="pandas")
    assert model.fit(TABLE, Y).predict(TABLE).shape == (40,)


@pytest.mark.parametrize("vectorizer", [TfidfVectorizer, CountVectorizer])
def test_vectorizers_of_scikit_learn_meet_missing_texts(vectorizer):
    table = TABLE.assign(caption=TABLE["caption"].where(TABLE.index != 3, None))
    encoder = PostEncoder(text="caption", encoders={"text": vectorizer()})
    features = encoder.fit_transform(table)
    assert not features.iloc[3].any()
    encoder.set_params(encoders={"text": vectorizer(min_df=50)})
    with pytest.raises(InvalidInputError, match=r"failed on \['caption'\].*min_df"):
        encoder.fit(table)


@pytest.mark.parametrize(
    ("encoder", "table"),
    [
        (NumberEncoder(on_error="raise"), pd.DataFrame({"a": [1, np.float32("inf")]})),
        (NumberEncoder(on_error="raise"), pd.DataFrame({"a": [[np.float64(2)], 1]})),
        (
            VectorEncoder(),
            pd.DataFrame({"a": [1], "b": [np.complex64(1)]}, dtype=object),
        ),
        (TfidfComponents(on_error="raise"), [np.int64(3)]),
        (
            UserProfileEncoder(numeric="a", on_error="raise"),
            {"a": [np.float64("-inf")]},
        ),
    ],
)
def test_messages_show_numbers_as_people_write_them(encoder, table):
    with pytest.raises(ValueError, match=r".") as error:
        encoder.fit_transform(table)
    assert "np." not in str(error.value)


def test_warnings_point_at_the_users_line_and_come_once():
    posts = TABLE.assign(n_photos="many", posted_at=["soon", *TABLE["posted_at"][1:]])
    with pytest.warns(BadCellWarning) as caught:
        model = pipeline(numeric=["n_photos"], user_numeric="n_photos").fit(posts, Y)
    with pytest.warns(BadCellWarning) as later:
        model.predict(posts)
    for records in (caught, later):
        messages = [str(record.message) for record in records]
        assert len(messages) == len(set(messages)) == 2
        assert {record.filename for record in records} == {__file__}
    for give in (
        lambda: pipeline().fit(TABLE, np.ones(40)),
        lambda: pipeline().fit(TABLE[:6], Y[:6]),
        lambda: pipeline().fit(TABLE, np.where(np.arange(40) == 7, 1e7, Y)),
        lambda: pipeline().fit(TABLE, pd.Series(Y, TABLE.index[::-1])),
        lambda: TfidfComponents(min_df=0.99).fit(TABLE["caption"]),
    ):
        with pytest.warns(UserWarning, match=r".") as caught:
            give()
        ours = [w for w in caught if w.filename == __file__ or "hyper" in w.filename]
        assert [warning.filename for warning in ours] == [__file__]


def test_weights_with_metadata_routing():
    weight = np.linspace(0.5, 1.5, 40)
    params = {"sample_weight": weight}
    with sklearn.config_context(enable_metadata_routing=True):
        for unlabeled in (False, True):
            model = pipeline(unlabeled=unlabeled)
            assert model.fit(TABLE, Y, **params).predict(TABLE).shape == (40,)
            if not unlabeled:
                search = GridSearchCV(model, {"predict__delta": [0.5]}, cv=2)
                assert np.isfinite(search.fit(TABLE, Y, **params).best_score_)
        scores = cross_validate(pipeline(), TABLE, Y, cv=2, params=params)
        assert np.isfinite(scores["test_score"]).all()


def test_filter_of_rows_in_a_pipeline():
    model = make_pipeline(NumberEncoder(), IQRFilter(), NumericTable(), Ridge())
    assert model.fit(TABLE[["n_photos"]], Y).predict(TABLE[["n_photos"]]).shape == (40,)


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e9])
def test_split_by_times_of_several_units(factor):
    seconds = 1.4e9 + 1e5 * np.arange(20)
    mixed = np.where(np.arange(20) % 2, seconds, seconds * factor)
    assert sorted(time_split(mixed, test_size=0.2)[1]) == [16, 17, 18, 19]


def test_vectors_in_a_table_of_features():
    for vectors in ([np.ones(3), np.zeros(3)], [[1.0], None], [(1, 2), (3, 4)]):
        with pytest.raises(InvalidInputError, match="VectorEncoder"):
            feature_table({"image__clip": pd.Series(vectors)})
        with pytest.raises(InvalidInputError, match="VectorEncoder"):
            CatBoostHuberRegressor().fit(pd.DataFrame({"a": vectors}), [1, 2])
    assert describe_table(pd.Series([1, 2], name="a"))["name"].tolist() == ["a"]
    for nothing in ([1, 2], 5, None, "a"):
        with pytest.raises(InvalidInputError, match="describe_table takes a table"):
            describe_table(nothing)


def test_dictionaries_of_arrow_are_categories():
    kind = pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    table = pd.DataFrame({"a": ["x", None, "y", "x"] * 10, "b": range(40)})
    table = table.astype({"a": kind})
    assert describe_table(table)["kind"].tolist() == ["category", "number"]
    for model in (CatBoostHuberRegressor(iterations=2), NumericTable()):
        model.fit(table, Y)


@pytest.mark.parametrize("cv", [KFold(2), ShuffleSplit(2, random_state=0)])
def test_splitters_are_loaded_without_being_trusted(cv, tmp_path):
    pytest.importorskip("skops")
    save_model(HyperFusionRegressor([Ridge()], cv=cv), tmp_path / "model.skops")
    assert repr(load_model(tmp_path / "model.skops").cv) == repr(cv)


def test_other_rows_change_a_prediction_by_rounding_alone():
    posts = TABLE.assign(image=X["image"])
    clip = {"image_encoder": "hyperfusion-tiny", "text_encoder": "hyperfusion-tiny"}
    model = pipeline(image="image", **clip).fit(posts, Y)
    whole = model.predict(posts)
    alone = np.concatenate([model.predict(posts.iloc[[i]]) for i in range(4)])
    np.testing.assert_allclose(alone, whole[:4], rtol=0, atol=1.4e-5)


def test_vectors_made_again_agree_with_the_stored_ones(tmp_path):
    pictures = X["image"]
    stored = ClipImageEncoder("hyperfusion-tiny", cache=tmp_path / "store")
    first = stored.fit_transform(pictures)
    np.testing.assert_array_equal(stored.transform(pictures), first)
    for part in (pictures[:1], pictures[:7], pictures[::-1]):
        again = ClipImageEncoder("hyperfusion-tiny").fit(part).transform(part)
        kept = first[[pictures.index.get_loc(i) for i in part.index]]
        np.testing.assert_allclose(again, kept, rtol=0, atol=2e-7)


@pytest.mark.parametrize("label", [7, None, pd.Timestamp("2020"), ("a", "b")])
@pytest.mark.parametrize(
    "estimator",
    [PostEncoder(numeric="latitude"), NumberEncoder(), BlockScaler(), NumericTable()],
)
def test_names_of_columns_that_are_partly_texts(label, estimator):
    table = TABLE[["latitude"]].copy()
    table[label] = 1.0
    with pytest.raises(InvalidInputError, match="names that are not strings") as error:
        sklearn.base.clone(estimator).fit(table, Y)
    assert "X.columns.astype(str)" in str(error.value)


@pytest.mark.parametrize("value", [5, "x", [1], TfidfVectorizer(), None])
@pytest.mark.parametrize("name", ["user_embedder", "place_embedder"])
def test_embedders_that_are_none(name, value):
    encoder = PostEncoder(user="user", place="category", numeric="n_photos")
    encoder.set_params(**{name: value})
    assert encoder.get_params()
    with pytest.raises(ValueError, match=f"'{name}' parameter.*SVDUserEmbedder"):
        encoder.fit(TABLE)


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


@pytest.mark.parametrize("form", ["pandas", "polars"])
def test_similarity_whatever_output_is_chosen(form):
    table = TABLE.assign(image=[picture()] * 40)
    model = pipeline(image="image", image_encoder="hyperfusion-tiny")
    model.set_params(encode__text_encoder="hyperfusion-tiny", encode__neighbors=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = sklearn.base.clone(model).set_output(transform=form).fit(table, Y)
        with sklearn.config_context(transform_output=form):
            model.fit(table, Y)
            outputs = [model[:-1].transform(table), chosen[:-1].transform(table)]
    for output in outputs:
        assert any(name.startswith("cross__") for name in output.columns)
        assert isinstance(
            output, {"pandas": pd.DataFrame, "polars": pl.DataFrame}[form]
        )


def test_one_warning_of_a_target_in_a_frame():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline().fit(TABLE, pd.DataFrame({"y": Y}))
    assert len([w for w in caught if "column-vector" in str(w.message)]) == 1


@pytest.mark.parametrize("text", ["12,5", "1.234,56", "-0,25", ",5"])
def test_commas_that_are_decimal_points(text):
    table = TABLE.assign(price=text)
    with pytest.warns(BadCellWarning, match=r"comma is a decimal point.*decimal=','"):
        NumberEncoder().fit_transform(table[["price"]])
    with pytest.raises(InvalidInputError, match="comma is a decimal point"):
        pipeline().fit(table, table["price"])
