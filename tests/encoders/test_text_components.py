"""TfidfComponents against scikit-learn's own pipeline."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state

from hyperfusion import TfidfComponents, _text_components
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError

WORDS = ["sun", "sea", "dog", "cat", "food", "coffee", "run", "city", "night", "art"]


def make_texts(n_texts=60, seed=0):
    rng = np.random.RandomState(seed)
    return [" ".join(rng.choice(WORDS, rng.randint(2, 9))) for _ in range(n_texts)]


def test_equals_the_pipeline_of_scikit_learn():
    texts, others = make_texts(), make_texts(seed=1)
    encoder = TfidfComponents(n_components=5, random_state=0).fit(texts)
    reference = make_pipeline(
        TfidfVectorizer(
            ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32
        ),
        TruncatedSVD(5, random_state=0),
    ).fit(texts)
    for rows in (texts, others):
        np.testing.assert_array_equal(
            encoder.transform(rows), reference.transform(rows).astype(np.float32)
        )


def test_characters_equal_the_pipeline_of_scikit_learn():
    texts, others = make_texts(), make_texts(seed=1)
    encoder = TfidfComponents(
        n_components=5, analyzer="characters", ngram_range=(2, 4), random_state=0
    ).fit(texts)
    reference = make_pipeline(
        TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 4),
            min_df=2,
            sublinear_tf=True,
            dtype=np.float32,
        ),
        TruncatedSVD(5, random_state=0),
    ).fit(texts)
    np.testing.assert_array_equal(
        encoder.transform(others), reference.transform(others).astype(np.float32)
    )


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text("ab \u00a0\u0130\u00df\u4e2d\n", max_size=9), min_size=1))
def test_terms_of_characters_are_those_of_scikit_learn(texts):
    given_to = {"analyzer": "char_wb", "ngram_range": (1, 3), "max_features": 6}
    ours, theirs = (
        kind(**given_to) for kind in (_text_components.CharacterTfidf, TfidfVectorizer)
    )
    try:
        expected = theirs.fit_transform(texts)
    except ValueError:
        with pytest.raises(ValueError, match="empty vocabulary"):
            ours.fit(texts)
        return
    np.testing.assert_array_equal(
        ours.fit_transform(texts).todense(), expected.todense()
    )
    assert ours.vocabulary_ == theirs.vocabulary_
    others = [text[::-1] for text in texts]
    found, expected = (model.transform(others).todense() for model in (ours, theirs))
    np.testing.assert_array_equal(found, expected)


def test_characters_find_words_in_hashtags():
    texts = ["#skatepark", "skate park", "#goodcoffee", "good coffee"] * 3
    near = {}
    for analyzer in ("word", "characters"):
        encoder = TfidfComponents(n_components=4, analyzer=analyzer, random_state=0)
        hashtag, words, other, _ = encoder.fit_transform(texts)[:4]
        near[analyzer] = hashtag @ words - hashtag @ other
    assert near["word"] < 0.1
    assert near["characters"] > 0.5


def test_lists_of_tags_may_be_read_as_characters():
    lists = [["redboat", "sea"], ("boat", "red"), None, ["tree"]] * 2
    texts = ["redboat sea", "boat red", None, "tree"] * 2
    encoder = TfidfComponents(n_components=2, analyzer="characters", random_state=0)
    np.testing.assert_array_equal(
        encoder.fit_transform(lists), encoder.fit_transform(texts)
    )


def test_batches_change_nothing(monkeypatch):
    texts = [*make_texts(), None]
    encoder = TfidfComponents(n_components=3, random_state=0).fit(texts)
    whole = encoder.transform(texts)
    monkeypatch.setattr(_text_components, "ROWS", 7)
    np.testing.assert_array_equal(encoder.transform(texts), whole)
    np.testing.assert_array_equal(encoder.fit_transform(texts), whole)


@pytest.mark.parametrize("analyzer", ["word", "tags", "characters"])
@pytest.mark.parametrize("most", [1000, 20])
def test_terms_are_counted_once_at_fit(analyzer, most, monkeypatch):
    monkeypatch.setattr(_text_components, "MOST_TEXTS", most)
    texts = [None, *make_texts(), "", None]
    cells = [t and t.split() for t in texts] if analyzer == "tags" else texts
    encoder = TfidfComponents(n_components=4, analyzer=analyzer, random_state=0)
    twin = clone(encoder).fit(cells)
    np.testing.assert_array_equal(encoder.fit_transform(cells), twin.transform(cells))
    assert encoder.n_features_in_ == twin.n_features_in_ == 1


def test_bad_cells_are_told_of_once():
    encoder = TfidfComponents(n_components=1, min_df=1, random_state=0)
    with pytest.warns(BadCellWarning) as said:
        encoder.fit_transform(["red boat", b"\xff\xfe", "tree"])
    assert len(said) == 1


def test_many_texts_are_learned_from_a_sample(monkeypatch):
    texts = [f"word{i}" for i in range(50)]
    monkeypatch.setattr(_text_components, "MOST_TEXTS", 20)
    encoder = TfidfComponents(n_components=2, min_df=1, random_state=0).fit(texts)
    known = encoder.vectorizer_.vocabulary_
    assert len(known) == 20
    assert set(known) != set(texts[:20])
    again = TfidfComponents(n_components=2, min_df=1, random_state=0).fit(texts)
    assert again.vectorizer_.vocabulary_ == known


def test_signs_and_spaces_do_not_depend_on_the_seed():
    texts = ["sun sea"] * 9 + ["dog cat"] * 4 + ["train city"] * 2
    one, two = (
        TfidfComponents(n_components=3, random_state=seed).fit_transform(texts)
        for seed in (0, 1)
    )
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert (one.sum(axis=0) > 0).all()


def test_without_a_seed_the_global_state_is_left_alone():
    global_state = check_random_state(None).get_state
    before = global_state()
    TfidfComponents(n_components=2).fit(make_texts())
    np.testing.assert_array_equal(global_state()[1], before[1])
    assert global_state()[2:] == before[2:]


def test_missing_texts_are_missing_and_unknown_words_are_the_origin():
    encoder = TfidfComponents(n_components=3, random_state=0).fit(make_texts())
    out = encoder.transform([None, "", "zebra", "sun"])
    assert np.isnan(out[:2]).all()
    assert (out[2] == 0).all()
    assert np.abs(out[3]).max() > 0


def test_missing_texts_do_not_count_at_fit():
    texts = make_texts()
    plain = TfidfComponents(n_components=3, random_state=0).fit(texts)
    holes = TfidfComponents(n_components=3, random_state=0).fit([None, *texts, " "])
    np.testing.assert_array_equal(plain.transform(texts), holes.transform(texts))


@pytest.mark.parametrize(
    "texts",
    [
        ["every word here", "occurs only once"],
        ["a b c", "a b c"],  # words of one letter are none
        ["one text alone"],
        ["?!", "..."],
    ],
)
def test_no_usable_word(texts):
    message = r"No term of column 'title' occurs .* min_df=2"
    with pytest.warns(UserWarning, match=message):
        encoder = TfidfComponents(n_components=4).fit(pd.Series(texts, name="title"))
    out = encoder.transform(texts)
    assert out.shape == (len(texts), 4)
    assert list(encoder.get_feature_names_out()) == [f"tfidf__{i}" for i in range(4)]
    there = [isinstance(t, str) and bool(t.strip()) for t in texts]
    np.testing.assert_array_equal(np.isnan(out).all(axis=1), ~np.array(there))
    assert (out[there] == 0).all()


def test_no_text_at_all_is_missing():
    out = TfidfComponents(n_components=4).fit_transform([None, "", np.nan])
    assert out.shape == (3, 4)
    assert np.isnan(out).all()


def test_small_vocabularies_are_padded():
    texts = ["sun sea", "sea sun", "sun"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = TfidfComponents(n_components=20, random_state=0).fit(texts)
        out = encoder.transform(texts)
    assert out.shape == (3, 20)
    assert encoder.svd_.n_components == 2
    assert (out[:, 2:] == 0).all()


@pytest.mark.parametrize("text", ["sun", "sun sea"])
def test_equal_texts_have_one_component(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = TfidfComponents(n_components=2, min_df=1, random_state=0).fit_transform(
            [text] * 5
        )
    np.testing.assert_allclose(out, [[1, 0]] * 5, atol=1e-6)


def test_tags_are_whole():
    tags = ["black forest, Sea", ["Black Forest", "#sea"], "sea|lake", ["lake", "x"]]
    encoder = TfidfComponents(
        analyzer="tags", n_components=2, min_df=1, ngram_range=(1, 1), random_state=0
    ).fit(tags)
    assert set(encoder.vectorizer_.vocabulary_) == {"black forest", "sea", "lake", "x"}
    out = encoder.transform(tags)
    np.testing.assert_array_equal(out[0], out[1])


def test_bad_cells():
    cells = pd.Series(["sun", 7, "sun"], name="title")
    with pytest.warns(BadCellWarning, match=r"1 cell\(s\) of column 'title'") as seen:
        out = TfidfComponents(n_components=1, random_state=0).fit_transform(cells)
    assert len(seen) == 1
    assert np.isnan(out[1]).all()
    with pytest.raises(BadCellError, match="row 1, column 'title'"):
        TfidfComponents(on_error="raise").fit(cells)


@pytest.mark.parametrize("ngram_range", [(2, 1), (0, 1), (1,), (1, 2.5), ("a", "b")])
def test_bad_ngrams(ngram_range):
    with pytest.raises(InvalidInputError, match="ngram_range must be a pair"):
        TfidfComponents(ngram_range=ngram_range).fit(make_texts())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=30) | st.none(), min_size=1, max_size=8))
def test_any_texts(texts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        encoder = TfidfComponents(n_components=3, min_df=1, random_state=0).fit(texts)
        out = encoder.transform(texts)
        alone = [encoder.transform([text])[0] for text in texts]
    assert out.shape == (len(texts), 3)
    np.testing.assert_allclose(out, alone, atol=1e-6)
    missing = [text is None or not text.strip() for text in texts]
    np.testing.assert_array_equal(np.isnan(out).any(axis=1), missing)


@pytest.mark.parametrize("analyzer", ["word", "tags", "characters"])
@pytest.mark.parametrize("min_df", [1, 5, 0.5, 1.0])
@pytest.mark.parametrize("text", ["hello", "hello world", "日本", "red, red"])
def test_equal_texts(text, min_df, analyzer):
    encoder = TfidfComponents(min_df=min_df, analyzer=analyzer, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = encoder.fit_transform([text] * 5)
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out, out[[0] * 5])


@pytest.mark.parametrize("seed", range(20))
def test_terms_of_equal_weight_stand_in_their_order(seed):
    titles = ["red boat", "boat red", "tree", "old tree"]
    given = {"n_components": 2, "min_df": 1, "ngram_range": (1, 1)}
    encoder = TfidfComponents(**given, random_state=seed)
    assert encoder.fit(titles).component_terms(n_terms=2) == ["boat, red", "tree, old"]
