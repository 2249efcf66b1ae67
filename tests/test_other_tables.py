"""Tables and columns as others have them: a result or a named error."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline

from hyperfusion import (
    BlockImputer,
    BlockPCA,
    BlockScaler,
    CatBoostHuberRegressor,
    CategoryEncoder,
    ClipImageEncoder,
    CoAttentionRegressor,
    CrossModalSimilarity,
    GeoEncoder,
    HierarchicalClusterEncoder,
    HyperFusionRegressor,
    IQRFilter,
    NeighborTargets,
    NumberEncoder,
    NumericTable,
    PostEncoder,
    PseudoLabelWrapper,
    RelationEncoder,
    TfidfComponents,
    UserHistory,
    UserProfileEncoder,
    VectorEncoder,
    evaluate,
    load_model,
    save_model,
    time_split,
)
from hyperfusion.exceptions import BadCellWarning, InvalidInputError
from hyperfusion.table import describe_table, feature_table
from tests.odd_posts import READ, TABLE, X, Y, picture, pipeline


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


def test_categories_without_levels_stay_categories_in_polars():
    with sklearn.config_context(transform_output="polars"):
        table = GeoEncoder().fit_transform(TABLE[["latitude", "longitude"]][:3])
        for step in (BlockScaler(), IQRFilter()):
            table = step.fit_transform(table)
    assert describe_table(table).set_index("name")["kind"]["cell"] == "category"


@pytest.mark.parametrize("text", ["same", "a", "#", "🙂"])
def test_texts_that_are_all_alike(text):
    assert np.isfinite(pipeline().fit(TABLE.assign(caption=text), Y).predict(TABLE)[0])


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
    told = [w.filename for w in caught if "column-vector" in str(w.message)]
    assert told == [__file__]


@pytest.mark.parametrize("text", ["12,5", "1.234,56", "-0,25", ",5"])
def test_commas_that_are_decimal_points(text):
    table = TABLE.assign(price=text)
    with pytest.warns(BadCellWarning, match=r"comma is a decimal point.*decimal=','"):
        NumberEncoder().fit_transform(table[["price"]])
    with pytest.raises(InvalidInputError, match="comma is a decimal point"):
        pipeline().fit(table, table["price"])


REVERSED = pd.Series(Y, TABLE.index[::-1])


@pytest.mark.parametrize(
    "give",
    [
        lambda t: CatBoostHuberRegressor(iterations=2).fit(t[["n_photos"]], REVERSED),
        lambda t: CoAttentionRegressor(max_iter=1).fit(t[["n_photos"]], REVERSED),
        lambda t: PostEncoder(numeric="n_photos").fit(t, REVERSED),
        lambda t: PostEncoder(numeric="n_photos").fit_transform(t, REVERSED),
        lambda t: UserHistory().fit(t[["user", "posted_at"]], REVERSED),
        lambda t: (
            UserHistory()
            .fit(t[["user", "posted_at"]], Y)
            .update(t[["user", "posted_at"]], REVERSED)
        ),
        lambda t: NumericTable().fit_transform(t[["n_photos"]], REVERSED),
        lambda t: IQRFilter(max_share=1.0).fit_resample(t[["n_photos"]], REVERSED),
        lambda t: HyperFusionRegressor([Ridge()], cv=2).fit(t[["n_photos"]], REVERSED),
        lambda t: pipeline().fit(t, REVERSED),
        lambda t: evaluate(pipeline(), t, REVERSED, splits=("random",)),
        lambda t: PseudoLabelWrapper(HyperFusionRegressor([Ridge()], cv=2)).fit(
            t[["n_photos"]], REVERSED
        ),
    ],
)
def test_targets_whose_labels_are_in_another_order(give):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        give(TABLE)
    found = [w for w in caught if "in another order" in str(w.message)]
    assert len(found) == 1
    assert "y.loc[X.index]" in str(found[0].message)
    assert found[0].filename == __file__


def test_arrays_have_no_order_of_labels():
    shuffled = pd.Series(Y, np.arange(40)[::-1])
    numbers = TABLE[["n_photos"]].to_numpy(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CatBoostHuberRegressor(iterations=2).fit(numbers, shuffled)
        PostEncoder(numeric=0).fit(numbers, shuffled)
        NumericTable().fit(numbers, shuffled)
        IQRFilter(max_share=1.0).fit_resample(numbers, shuffled)


@pytest.mark.parametrize(
    "give",
    [
        lambda model, t: model.predict(t[["latitude"]]),
        lambda model, t: model.predict(t.iloc[:, ::-1]),
        lambda model, t: model.predict(t.assign(more=1)),
        lambda model, t: model.predict(t.to_numpy()[:, :1]),
        lambda model, t: model.predict(t.to_numpy() * np.inf),
        lambda model, t: model.fit(sp.eye_array(40), Y),
        lambda model, t: model.fit(np.matrix(np.eye(40)), Y),
        lambda model, t: model.fit(np.eye(40)[:0], Y[:0]),
    ],
)
@pytest.mark.parametrize(
    "model",
    [
        CatBoostHuberRegressor(iterations=2),
        HyperFusionRegressor([CatBoostHuberRegressor(iterations=2)], cv=2),
    ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass", "ignore:X does not have")
def test_tables_that_do_not_fit_the_model_are_errors_of_ours(model, give):
    table = TABLE[["n_photos", "latitude"]].astype(float)
    model = sklearn.base.clone(model).fit(table, Y)
    with pytest.raises(InvalidInputError):
        give(model, table)


def test_dicts_of_columns_and_of_one_post(fitted):
    expected = fitted.predict(TABLE)
    columns = dict(zip(TABLE, pl.from_pandas(TABLE), strict=True))
    np.testing.assert_allclose(fitted.predict(columns), expected, rtol=1e-6)
    columns = {c: pa.array(TABLE[c]) for c in TABLE}
    np.testing.assert_allclose(fitted.predict(columns), expected, rtol=1e-6)
    # a list of tags makes no column of a post
    post = TABLE.iloc[0].to_dict() | {"tags": ["sun", "sea", "sand"]}
    np.testing.assert_allclose(fitted.predict(post), expected[:1], rtol=1e-5)
    with pytest.raises(InvalidInputError, match="same length"):
        fitted.predict({c: list(TABLE[c])[: 3 + i] for i, c in enumerate(TABLE)})
    masked = np.ma.masked_array(TABLE.to_numpy(dtype=object))
    with pytest.warns(UserWarning, match="fitted with feature names"):
        np.testing.assert_allclose(fitted.predict(masked), expected, rtol=1e-6)


TEXTS = np.array([["52,13", 1.0], ["sun", 2.0]] * 20, dtype=object)


@pytest.mark.parametrize(
    "estimator",
    [
        RelationEncoder(),
        RelationEncoder(clusters=True),
        NeighborTargets(),
        CrossModalSimilarity(),
        HierarchicalClusterEncoder(),
        BlockPCA(),
        BlockImputer(),
        BlockScaler(),
        NumericTable(),
        IQRFilter(),
        CatBoostHuberRegressor(iterations=2),
        CoAttentionRegressor(max_iter=1),
        HyperFusionRegressor([Ridge()], cv=2),
        HyperFusionRegressor([CatBoostHuberRegressor(iterations=2)], cv=2),
        PseudoLabelWrapper(HyperFusionRegressor([Ridge()], cv=2)),
    ],
)
def test_arrays_with_texts_say_how_to_keep_categories(estimator):
    estimator = sklearn.base.clone(estimator)
    give = getattr(estimator, "fit_transform", estimator.fit)
    with pytest.raises(InvalidInputError, match=r"set_output\(transform='pandas'\)"):
        give(TEXTS, Y)


@pytest.mark.parametrize("empty", [{}, [{}], [{}, {}], pd.DataFrame(index=range(3))])
def test_tables_without_columns(fitted, empty):
    with pytest.raises(InvalidInputError, match=r"not a column|takes a DataFrame"):
        fitted.predict(empty)


def test_masked_cells_are_missing():
    numbers = np.ma.masked_array([[1.0, 5.0], [2.0, 6.0]], mask=[[0, 1], [0, 0]])
    expected = [[1, np.nan], [2, 6]]
    np.testing.assert_array_equal(NumericTable().fit_transform(numbers), expected)
    encoder = NumberEncoder(log=False)
    np.testing.assert_array_equal(encoder.fit_transform(numbers), expected)
    with pytest.raises(InvalidInputError, match="nan in row 1"):
        CatBoostHuberRegressor().fit(np.eye(2), np.ma.masked_array([1, 2], mask=[0, 1]))


@pytest.mark.parametrize("half", ["\ud83d", "sun \ude00"])
@pytest.mark.parametrize(
    "form",
    [
        lambda cells: {"a": cells, "b": [1, 2]},
        lambda cells: [{"a": cell, "b": i} for i, cell in enumerate(cells)],
        lambda cells: np.array([cells, [1, 2]], dtype=object).T,
        lambda cells: np.array([(cell, 1) for cell in cells], [("a", "O"), ("b", "i")]),
        lambda cells: pd.DataFrame({"a": cells, "b": [1, 2]}, dtype=object),
    ],
)
def test_half_an_emoji_in_tables_of_every_form(form, half):
    table = form([half, "b"])
    levels = CategoryEncoder().set_output(transform="pandas").fit_transform(table)
    expected = ["b", half.replace(half[-1], "\ufffd")]
    assert levels.iloc[:, 0].cat.categories.tolist() == sorted(expected)
