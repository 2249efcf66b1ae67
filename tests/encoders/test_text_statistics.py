"""Known answers of TextStatistics."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfusion import TextStatistics
from hyperfusion.exceptions import BadCellError, BadCellWarning

NAMES = list(TextStatistics().fit([None]).get_feature_names_out())
SHARES = [name for name in NAMES if name.endswith("_share")]


def measure(cell, **params):
    row = TextStatistics(on_error="raise", **params).fit_transform([cell])[0]
    return dict(zip(NAMES, row.astype(float), strict=True))


def test_a_sentence_by_hand():
    row = measure("  Don't panic! DON'T panic, it is 42...\n(really?) ")
    expected = {
        "characters": 47,
        "words": 8,  # don't panic don't panic it is 42 really
        "mean_word_length": 32 / 8,
        "unique_word_share": 6 / 8,
        "tags": 0,
        "capitals_share": 5 / 28,
        "caps_words": 1,
        "digits": 2,
        "punctuation": 10,  # two apostrophes, ! and ?, a comma, ..., two brackets
        "exclamations": 1,
        "questions": 1,
        "line_breaks": 1,
        "non_ascii_share": 0,
        "latin_share": 1,
        "is_missing": 0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_tags_mentions_and_links():
    row = measure(
        "#sun #sea_side @ann.b see www.x.org/#top?a=1! me@mail.org &#39; C# #"
    )
    assert row["tags"] == 2
    assert row["mentions"] == 1
    assert row["links"] == 1
    assert row["exclamations"] == 0
    assert measure("HTTPS://A.B/C and http://d.e/f")["links"] == 2


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("\U0001f600\U0001f600", 2),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", 1),  # a family
        ("\U0001f44d\U0001f3fd", 1),  # with a skin tone
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 2),  # two flags
        ("1\ufe0f\u20e3 2", 1),  # a keycap, and a plain digit
        ("\u2764\ufe0f \u2764", 2),  # as picture and as text
        ("\u00a9 \u00ae \u2122 5 # *", 0),
    ],
)
def test_emoji(text, count):
    assert measure(text)["emoji"] == count


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Grüße", "latin"),
        ("привет", "cyrillic"),
        ("γειά", "greek"),
        ("مرحبا", "arabic"),
        ("שלום", "hebrew"),
        ("नमस", "devanagari"),
        ("สวสด", "thai"),
        ("日本ごカナ", "cjk"),
        ("안녕", "hangul"),
    ],
)
def test_scripts(text, script):
    row = measure(text)
    assert row[f"{script}_share"] == 1
    other = [n for n in SHARES if n.split("_")[0] in ("latin", "cyrillic", "cjk")]
    assert sum(row[n] for n in other if n != f"{script}_share") == 0
    assert measure(f"{text} {'x' * len(text)}")[f"{script}_share"] in (0.5, 1)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("this is what you have to do with the dog", "english"),
        ("el perro que vive en la casa de mi amigo", "spanish"),
        ("o cachorro não é mais do que um amigo", "portuguese"),
        ("je suis dans la maison avec les enfants et nous", "french"),
        ("der Hund und die Katze sind nicht auf dem Dach", "german"),
        ("il cane che vive nella casa è più di un gatto", "italian"),
        ("saya dan kamu tidak akan pergi ke rumah itu", "indonesian"),
        ("bu ev çok daha güzel ve o kadar ucuz ama", "turkish"),
        ("я не знаю, что это такое, но мы все тут", "russian"),
    ],
)
def test_most_stop_words_are_those_of_the_language(text, language):
    row = measure(text)
    languages = NAMES[NAMES.index("english_share") : NAMES.index("is_missing")]
    assert max(languages, key=row.get) == f"{language}_share"


def test_lists_are_tags():
    row = measure(["summer", "Sea X"])
    assert row["tags"] == 2
    assert row["words"] == 3
    assert row["characters"] == len("summer Sea X")
    assert measure(("a", " ", "b"))["tags"] == 2


@pytest.mark.parametrize(
    "cell",
    ["summer, Black Forest,,x", "#summer|Black Forest|#x", ["summer", "#x", "B F"]],
)
def test_texts_that_are_tags(cell):
    row = measure(cell, analyzer="tags")
    assert row["tags"] == 3
    assert row["words"] == 4
    assert measure("sea  #sun wind", analyzer="tags")["tags"] == 3
    assert measure(" , ", analyzer="tags")["is_missing"] == 1


def test_missing_and_bad_cells():
    cells = pd.Series(["a", None, np.nan, pd.NA, "  \n", [], 5], name="title")
    with pytest.warns(BadCellWarning, match=r"1 cell\(s\) of column 'title'.*row 6"):
        out = TextStatistics().fit_transform(cells)
    assert out[:, -1].tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert np.isnan(out[1:, :-1]).all()
    assert not np.isnan(out[0]).any()
    with pytest.raises(BadCellError, match="row 6, column 'title': expected text"):
        TextStatistics(on_error="raise").fit_transform(cells)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=80))
def test_any_texts(text):
    row = measure(text)
    if not text.strip():
        assert row["is_missing"] == 1
        return
    values = np.array(list(row.values()))
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert all(row[name] <= 1 for name in SHARES)
    assert row["characters"] == len(text.strip())
    assert row["caps_words"] <= row["words"]


@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_rows_do_not_depend_on_each_other(texts):
    together = TextStatistics().fit_transform(texts)
    alone = [TextStatistics().fit_transform([text])[0] for text in texts]
    np.testing.assert_array_equal(together, alone)


def test_half_an_emoji_is_a_sign_like_others():
    assert measure("sun \ud83d\ude00")["emoji"] == 1
    assert measure("sun \ud83d")["characters"] == 5


def test_a_table_of_two_columns_is_refused():
    with pytest.raises(ValueError, match="takes one column"):
        TextStatistics().fit(pd.DataFrame({"a": ["x"], "b": ["y"]}))
