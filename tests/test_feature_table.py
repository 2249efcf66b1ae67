"""The feature table: names, blocks, one allocation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table import BLOCKS, MODALITIES
from hyperfusion.table._names import column_name
from hyperfusion.table._old import (
    block_columns,
    category_columns,
    join_blocks,
    split_name,
)


@given(st.sampled_from(BLOCKS), st.text(max_size=20))
def test_names_split_as_they_were_made(block, feature):
    assert split_name(column_name(block, feature)) == (block, feature)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text__a__b", ("text", "a__b")),
        ("user__3", ("vectors_user", "3")),
        ("vectors__3", (None, "vectors__3")),
        ("image", (None, "image")),
        (4, (None, "4")),
    ],
)
def test_names_at_the_edge(name, expected):
    assert split_name(name) == expected


def test_unknown_block():
    with pytest.raises(InvalidInputError, match="block must be one of"):
        column_name("sound", "pitch")


def test_modalities_are_known_blocks():
    for blocks in MODALITIES.values():
        assert set(blocks) <= set(BLOCKS)


def test_join_writes_numbers_once_and_keeps_categories_and_index():
    index = pd.Index([7, 3])
    time = pd.DataFrame({"hour": [1, 2]}, index=index)
    user = pd.DataFrame({"user": pd.Categorical(["a", None]), "fans": [0.5, np.nan]})
    table = join_blocks([("time", time), ("user", user)], index, n_numbers=2)
    assert table.columns.tolist() == ["time__hour", "user__fans", "user__user"]
    assert table.dtypes.astype(str).tolist() == ["float32", "float32", "category"]
    assert table.index.equals(index)
    assert table["user__user"].tolist()[0] == "a"
    assert category_columns(table) == ["user__user"]
    assert block_columns(table) == {
        "time": ["time__hour"],
        "user": ["user__fans", "user__user"],
    }
    one, two = (table[c].to_numpy() for c in ("time__hour", "user__fans"))
    assert np.may_share_memory(one, two) or one.base is two.base


def test_same_name_twice():
    part = pd.DataFrame({"x": [1.0]})
    with pytest.raises(InvalidInputError, match=r"meta__x"):
        join_blocks([("meta", part), ("meta", part)], part.index, n_numbers=2)


def test_array_has_one_unnamed_block():
    assert block_columns(np.ones((2, 3))) == {None: [0, 1, 2]}
