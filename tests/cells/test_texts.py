import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfusion.cells._columns import read_each
from hyperfusion.cells._levels import read_levels
from hyperfusion.cells._texts import read_tags, read_text


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("#sea  #sun\t🙂", ["sea", "sun", "🙂"]),
        ("at sea, #sun,,", ["at sea", "sun"]),
        ("a,b;c", ["a", "b;c"]),
        ("a b;c|d", ["a b", "c|d"]),
        ("a b|c", ["a b", "c"]),
        (["at sea", " #sun ", "", "#"], ["at sea", "sun"]),
        (np.array(["a, b", "c"]), ["a, b", "c"]),
        ((["a", "b"], "c"), ["a b", "c"]),
        ("['sun', 'at sea']", ["sun", "at sea"]),
        (
            '["at sea", "it\'s \\"so\\"", "caf\\u00e9"]',
            ["at sea", 'it\'s "so"', "café"],
        ),
        ('["\\ud83d\\ude00"]', ["😀"]),
        ("['a' 'b c'\n 'd']", ["a", "b c", "d"]),
        ("[np.str_('a'), None]", ["a"]),
        ("{'a', 'b'}", ["a", "b"]),
        ("[]", None),
        ("[none]", None),
        ("[sun, at sea]", ["sun", "at sea"]),
        ("[OC] cute, dog", ["[OC] cute", "dog"]),
        ('sun|"at sea"|beach', ["sun", "at sea", "beach"]),
        ("#sun#sea wind", ["sun", "sea", "wind"]),
        ("#日本、#東京", ["日本", "東京"]),
        ("#日本#東京 ＃大阪", ["日本", "東京", "大阪"]),  # noqa: RUF001
        ("#شمس#बाघ#😀#😁", ["شمس", "बाघ", "😀", "😁"]),
        ("#话题##旅行# C#", ["话题", "旅行", "C#"]),
        (["#sun#sea", "at #sea"], ["sun", "sea", "at #sea"]),
        ("شمس، بحر", ["شمس", "بحر"]),
        ('{sun,NULL,"at \\"sea\\", far"}', ["sun", 'at "sea", far']),
        ("['sun', 1, nan]", ["sun", "1"]),
        ('"[\\"at sea\\"]"', ["at sea"]),
        (
            """'sun', "at sea, far", '90s, rock'n'roll""",
            ["sun", "at sea, far", "'90s", "rock'n'roll"],
        ),
        ('"at sea" sun', ["at sea", "sun"]),
        ("Index(['sun', 'sea'], dtype='str')", ["sun", "sea"]),
        ("['sun', 'at sea', 'bea", ["sun", "at sea"]),
        ('((), ("\'",))', ["'"]),
        ("日本，東京 都", ["日本", "東京 都"]),  # noqa: RUF001
        ("#at sea, #sun", ["at sea", "sun"]),
        ("sun\ud83d sea", ["sun\ufffd", "sea"]),
        ("array(['at sea', 'sun'], dtype='<U6')", ["at sea", "sun"]),
        ("[list(['a', 'b']), array(['c'], dtype=object)]", ["a", "b", "c"]),
        ('[["a", "b"], ["dtype=x"]]', ["a", "b", "dtype=x"]),
        ("['a' 'b' ... 'z']", ["a", "b", "z"]),
        (["a", None, np.nan], ["a"]),
        ("", None),
        (" # ,", None),
        ([], None),
    ],
)
def test_tags_of_a_cell(cell, tags):
    assert read_tags(cell) == tags


@pytest.mark.parametrize(
    "cell", ['[{"name": "sun"}]', "{'id': 3}", '[{"a": {"b": 1}}]']
)
def test_objects_are_no_tags(cell):
    with pytest.raises(TypeError, match="got objects"):
        read_tags(cell)


@pytest.mark.parametrize("item", ["'a')", "np.str_('a'), ", "nan ", "[(", "'a'u"])
def test_long_texts_that_are_almost_lists_end(item):
    # a pattern with two ways to read an item would try all 2 ** 5000 of them
    text = "[" + 5000 * item + "x]"
    assert read_tags(text)


def test_missing_words_in_a_list_are_none():
    assert read_text(["a", None, np.nan, "b"]) == "a b"


def test_texts_of_a_cell():
    assert read_text("  two words\n") == "two words"
    assert read_text(["two ", "", "words"]) == "two words"
    assert read_text(" ") is None
    assert read_text([]) is None
    # halves of one emoji are joined, others replaced
    assert read_text("a\ud83d\ude00 \ud83d") == "a😀 \ufffd"
    assert read_text(["\ude00"]) == "\ufffd"


@pytest.mark.parametrize("cell", ["nan", "None", "<NA>", "NaT"])
def test_missing_cells_that_became_text_are_told(cell):
    for column in (["a", cell], pd.Series(["a", cell], dtype="string")):
        assert (
            f"1 cell(s) are texts such as {cell!r}"
            in read_each(column, read_tags).doubt
        )
    # None is a fair name of a category
    assert (read_levels(["a", cell]).doubt is None) == (cell == "None")


@pytest.mark.parametrize("cell", [3, 2.5, None, float("nan"), b"sea", {"a": 1}, [3]])
def test_what_is_no_text_is_named(cell):
    for read in (read_text, read_tags):
        with pytest.raises(TypeError, match="expected text, got"):
            read(cell)


def test_sets_are_read_in_an_order_of_their_own():
    # Python shuffles them anew in each process: d, a, b, c in that of this seed
    code = (
        "from hyperfusion.cells._texts import read_text\n"
        "print(read_text({'c', 'a', 'b', 'd'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a b c d\n"
    assert read_tags(frozenset("ba")) == ["a", "b"]


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.text(alphabet="abé 🙂#", max_size=4), max_size=5))
def test_joining_and_splitting_come_back(cell):
    tags = read_tags(cell) or []
    assert all(tag.strip().lstrip("#") == tag != "" for tag in tags)
    assert read_tags(tags) == (tags or None)
    assert read_tags(",".join(["first", *tags, ""])) == ["first", *tags]
