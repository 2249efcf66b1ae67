"""The grammar of names, and the schema that it spells."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table import BLOCKS, MODALITIES, Schema
from hyperfusion.table._names import (
    FAMILIES,
    column_name,
    parse,
    single_name,
    unique_names,
    vector_columns,
)
from hyperfusion.table._schema import declare

TEXTS = st.text(max_size=20)


@given(st.sampled_from(BLOCKS), TEXTS.filter(bool))
def test_features_are_read_as_they_were_written(block, feature):
    name = parse(column_name(block, single_name(feature)))
    assert (name.block, name.feature) == (block, single_name(feature))
    assert name.vector is None


@given(st.sampled_from(BLOCKS), TEXTS.filter(bool), st.integers(1, 30))
def test_vectors_are_read_as_they_were_written(block, vector, size):
    columns = vector_columns(column_name(block, vector), size)
    schema = Schema(columns[::-1])
    assert schema.vectors.keys() == {f"{block}__{vector}"}
    positions = schema.vectors[f"{block}__{vector}"].tolist()
    assert positions == list(range(size))[::-1]


@given(TEXTS)
def test_names_that_mean_nothing_stay_as_they_are_where_they_can(name):
    single = single_name(name)
    assert single_name(single) == single
    if not name[-1:].isdigit():
        assert single == name


@pytest.mark.parametrize(
    "name",
    [
        *("q_0", "last_7", "v__3", "clip_1", "clip__0", "img__clip__0", "image"),
        *("image__", "__3", "vectors__3", "Image__clip__0", 3, 2.5, None),
        ("image__clip__0",),
    ],
)
def test_any_other_name_is_a_column_of_no_block(name):
    assert parse(name).block is None
    assert parse(name).vector is None


@pytest.mark.parametrize(
    "name", ["meta__v__03", "meta__v__+3", "meta__v__\u0663", "meta____3", "meta__3"]
)
def test_only_plain_numbers_count(name):
    assert parse(name).block == "meta"
    assert parse(name).vector is None


def test_unrelated_numbers_of_a_block_are_no_vector():
    assert Schema(["meta__q_0", "meta__q_1", "meta__q_2"]).vectors == {}


def test_gaps_and_order_of_a_vectors_columns():
    columns = ["image__v__7", "meta__x", "image__v__0", "image__v__12"]
    schema = Schema(columns)
    assert schema.vectors["image__v"].tolist() == [2, 0, 3]
    assert schema.singles.tolist() == [1]


def test_categories_are_never_numbers_of_a_vector():
    X = pd.DataFrame({"user__v__0": [1.0], "user__v__1": pd.Categorical(["a"])})
    schema = Schema.of(X)
    assert schema.vectors["user__v"].tolist() == [0]
    assert schema.numbers().columns == ("user__v__0",)


def test_arrays_and_plain_frames_are_one_unnamed_block():
    for X in (np.ones((2, 3)), pd.DataFrame(np.ones((2, 3)))):
        schema = Schema.of(X)
        assert schema.columns == (0, 1, 2)
        assert schema.blocks == (None, None, None)
        assert schema.vectors == {}
        assert not schema.is_category.any()


def table():
    columns = {
        "image__clip": 2,
        "text__title_clip": 2,
        "text__body_clip": 2,
        "tags__clip": 3,
        "user__e": 2,
    }
    names = [
        n for vector, size in columns.items() for n in vector_columns(vector, size)
    ]
    frame = pd.DataFrame(np.ones((2, len(names))), columns=names)
    frame["time__hour"] = 1.0
    frame["cross__image_text"] = 1.0
    frame["cluster__joint_8"] = 1.0
    frame["likes"] = 1.0
    spaces = {v: "clip" for v in columns if v != "user__e"}
    related = {"cross__image_text": ("image", "text")}
    return declare(frame, spaces, related)


def test_spaces_hold_vectors_of_one_length_in_the_blocks_order():
    expected = ["image__clip", "text__title_clip", "text__body_clip"]
    assert Schema.of(table()).aligned() == {"clip": expected}
    assert Schema.of(table().drop(columns=["image__clip__0"])).aligned() == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.iloc[[0]],
        lambda X: X.loc[:, X.columns],
        lambda X: X.copy(),
        lambda X: X.take([1, 0]),
        lambda X: X.reset_index(drop=True),
    ],
)
def test_what_was_declared_stays_with_the_table(change):
    schema = Schema.of(change(table()))
    assert schema.spaces == Schema.of(table()).spaces
    assert schema.related == Schema.of(table()).related


def test_a_column_taken_out_shares_what_was_declared_and_pickles_are_plain():
    table = declare(pd.DataFrame(columns=["image__clip__0"]), {"image__clip": "clip"})
    declared = table.attrs["hyperfusion"]
    assert table["image__clip__0"].attrs["hyperfusion"] is declared
    assert type(pickle.loads(pickle.dumps(declared))) is dict


def test_what_leaves_with_a_part():
    schema = Schema.of(table())
    visual = schema.leaving_with("visual")
    assert {"image__clip__0", "cross__image_text", "cluster__joint_8"} <= set(visual)
    assert "text__title_clip__0" not in visual
    assert "cross__image_text" not in schema.leaving_with("tags")
    assert "cluster__joint_8" in schema.leaving_with("tags")
    assert schema.leaving_with("time") == ["time__hour"]
    assert "likes" not in schema.leaving_with("metadata")


def test_groups():
    schema = Schema.of(table())
    assert schema.group_names("feature") == list(schema.columns)
    assert schema.group_names("vector")[:2] == ["image__clip"] * 2
    assert schema.group_names("block")[-1] == "other"
    assert schema.group_names("family")[0] == "visual"
    with pytest.raises(InvalidInputError, match="by must be one of"):
        schema.group_names("kind")


def test_every_block_has_a_family_and_modalities_are_blocks():
    assert set(FAMILIES) == set(BLOCKS)
    for blocks in MODALITIES.values():
        assert set(blocks) <= set(BLOCKS)


def test_unknown_block():
    with pytest.raises(InvalidInputError, match="block must be one of"):
        column_name("sound", "pitch")


@given(st.lists(st.sampled_from(["a", "b", "a_2", "a_3"]), max_size=8))
def test_unique_names(names):
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    assert all(u.startswith(n) for u, n in zip(unique, names, strict=True))
    firsts = {n: unique[names.index(n)] for n in names}
    assert all(first == name for name, first in firsts.items())
