"""Feature tables built from parts, in one allocation."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer

from hyperfusion import CrossModalSimilarity, RelationEncoder, TextStatistics
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table import Schema, describe_table, feature_table
from hyperfusion.table._build import Part, join_parts


def test_join_writes_numbers_once_and_keeps_categories_and_index():
    index = pd.Index([7, 3])
    time = pd.DataFrame({"hour": [1, 2]}, index=index)
    user = pd.DataFrame({"user": pd.Categorical(["a", None]), "fans": [0.5, np.nan]})
    table = join_parts(
        [Part.of(["time__hour"], time), Part.of(["user__user", "user__fans"], user)],
        index,
        2,
    )
    assert table.columns.tolist() == ["time__hour", "user__fans", "user__user"]
    assert table.dtypes.astype(str).tolist() == ["float32", "float32", "category"]
    assert table.index.equals(index)
    assert table["user__user"].tolist()[0] == "a"
    one, two = (table[c].to_numpy() for c in ("time__hour", "user__fans"))
    assert np.may_share_memory(one, two) or one.base is two.base


def test_same_name_twice():
    part = pd.DataFrame({"x": [1.0]})
    with pytest.raises(InvalidInputError, match=r"meta__x"):
        join_parts([Part.of(["meta__x"], part)] * 2, part.index, 2)


def test_parts_become_blocks_and_vectors():
    frame = pd.DataFrame(
        {"likes": [1, 2], "v__3": [3, 4], "kind": pd.Categorical(["a", None])},
        index=[5, 9],
    )
    table = feature_table(
        {
            "image__clip": np.ones((2, 3)),
            "meta": frame,
            "time": pd.Series([1.0, 2.0], name="hour", index=frame.index),
        }
    )
    schema = Schema.of(table)
    assert schema.vectors.keys() == {"image__clip"}
    assert list(table)[3:] == [
        *("meta__likes", "meta__v_3", "time__hour", "meta__kind")
    ]
    assert table.index.tolist() == [5, 9]
    assert table["meta__kind"].dtype == "category"


def test_a_column_transformers_output_is_said_what_it_is():
    posts = pd.DataFrame({"photo": [[1.0, 0.0], [0.0, 2.0]], "title": ["a b", "c"]})
    to_array = FunctionTransformer(lambda X: np.stack(X.iloc[:, 0]))
    words = FunctionTransformer(lambda X: np.array([[1.0, 0.0], [3.0, 4.0]]))
    joined = ColumnTransformer(
        [("img", to_array, ["photo"]), ("txt", words, ["title"])]
    ).fit_transform(posts)
    assert describe_table(joined)["kind"].tolist() == ["number"] * 4
    table = feature_table(
        {"image__clip": joined[:, :2], "text__clip": joined[:, 2:]},
        spaces={"clip": ["image__clip", "text__clip"]},
    )
    assert describe_table(table)["space"].tolist() == ["clip", "clip"]
    assert "cross__image_text_cosine" in RelationEncoder().fit_transform(table)
    assert list(CrossModalSimilarity().fit_transform(table)) == ["image_text_cosine"]


def test_blocks_as_names_of_a_column_transformers_parts_need_nothing_else():
    posts = pd.DataFrame({"title": ["a b", "c"], "body": ["d", "e f g"]})
    joined = ColumnTransformer([("text", TextStatistics(), "title")])
    table = joined.set_output(transform="pandas").fit_transform(posts)
    assert set(describe_table(table)["block"]) == {"text"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "parts is empty"),
        ({"sound": np.ones(2)}, "parts has the name 'sound'"),
        ({None: np.ones(2)}, "parts has the name None"),
        ({"img__clip": np.ones(2)}, "parts has the name 'img__clip'"),
        ({"image__clip": np.ones((2, 2, 2))}, "one or two dimensions"),
        ({"image__clip": np.ones((2, 2)), "meta": np.ones(3)}, "differ in their"),
        ({"meta": pd.DataFrame({"a": ["x"]})}, "'a' has dtype"),
        (
            {"image__v": pd.DataFrame({"a": pd.Categorical(["x"])})},
            "'a' holds categories",
        ),
    ],
)
def test_wrong_parts_are_named(parts, message):
    with pytest.raises(InvalidInputError, match=message):
        feature_table(parts)


def test_wrong_spaces_are_named():
    with pytest.raises(InvalidInputError, match=r"\['text__clip'\]"):
        feature_table({"image__clip": np.ones((2, 2))}, spaces={"a": ["text__clip"]})


def test_numbers_of_one_part_with_a_name_twice_are_kept_apart():
    frame = pd.DataFrame({"v__3": [1.0], "v_3": [2.0]})
    table = feature_table({"meta": frame})
    assert len(set(table)) == 2
    assert_array_equal(np.sort(table.to_numpy()[0]), [1, 2])


def test_a_table_that_lost_its_spaces_says_so():
    table = feature_table(
        {"image__a": np.eye(3), "text__b": np.eye(3)},
        spaces={"s": ["image__a", "text__b"]},
    )
    assert "cross__image_text_cosine" in RelationEncoder().fit_transform(table)
    lost = pd.DataFrame(table.to_numpy(), columns=table.columns)
    with pytest.warns(UserWarning, match="image__a and text__b may be"):
        RelationEncoder().fit(lost)
