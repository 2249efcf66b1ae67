import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import CrossModalSimilarity
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._schema import declare

NAN = np.nan


def table(**vectors):
    frames = []
    for stem, rows in vectors.items():
        values = np.asarray(rows, dtype=np.float32)
        names = [f"{stem}__{i}" for i in range(values.shape[1])]
        frames.append(pd.DataFrame(values, columns=names))
    joined = pd.concat(frames, axis=1)
    spaces = {v: "clip" for v in vectors if v.endswith("clip")}
    return declare(joined, spaces)


def test_cosines_by_hand():
    X = table(
        image__clip=[[3, 4], [1, 0], [1, 1]],
        text__title_clip=[[4, 3], [0, 5], [-2, -2]],
        tags__clip=[[0, 2], [7, 0], [1, 0]],
    )
    out = CrossModalSimilarity().fit_transform(X)
    assert list(out.columns) == [
        "image_text_cosine",
        "image_tags_cosine",
        "text_tags_cosine",
        "image_all_cosine",
    ]
    half = np.sqrt(0.5)
    assert_allclose(out["image_text_cosine"], [24 / 25, 0, -1], rtol=1e-6)
    assert_allclose(out["image_tags_cosine"], [4 / 5, 1, half], rtol=1e-6)
    assert_allclose(out["text_tags_cosine"], [3 / 5, 0, -half], rtol=1e-6)
    # all: the mean of (0.8, 0.6) and (0, 1), of (0, 1) and (1, 0), and so on
    directions = np.array([[0.4, 0.8], [0.5, 0.5], [(1 - half) / 2, -half / 2]])
    images = np.array([[0.6, 0.8], [1, 0], [half, half]])
    expected = (images * directions).sum(1) / np.linalg.norm(directions, axis=1)
    assert_allclose(out["image_all_cosine"], expected, rtol=1e-6)
    assert (out.dtypes == np.float32).all()


def test_missing_and_zero_vectors_stay_missing():
    X = table(
        image__clip=[[1, 0], [NAN, NAN], [0, 0], [1, 0], [1, 0]],
        text__title_clip=[[NAN, NAN], [1, 0], [1, 0], [NAN, 1], [NAN, NAN]],
        tags__clip=[[1, 0], [1, 0], [1, 0], [1, 0], [NAN, NAN]],
    )
    out = CrossModalSimilarity().fit_transform(X)
    assert_array_equal(out["image_text_cosine"], [NAN] * 5)
    assert_array_equal(out["image_tags_cosine"], [1, NAN, NAN, 1, NAN])
    assert_array_equal(out["image_all_cosine"], [1, NAN, NAN, 1, NAN])


def test_scale_of_the_vectors_does_not_matter():
    rng = np.random.RandomState(0)
    image, title = rng.normal(size=(2, 20, 8))
    plain = CrossModalSimilarity().fit_transform(
        table(image__clip=image, text__t_clip=title)
    )
    for scale in (1e-20, 1e20, 1e30):
        scaled = table(image__clip=image * scale, text__t_clip=title / scale)
        out = CrossModalSimilarity().fit_transform(scaled)
        assert_allclose(out, plain, atol=1e-5)


def test_names_of_vectors_and_pairs():
    X = table(
        tags__clip=[[1, 0]],
        tags__glove=[[1, 0, 0]],
        text__title_glove=[[0, 1, 0]],
        text__tags_clip=[[0, 1]],
        image__clip=[[1, 0]],
    )
    names = CrossModalSimilarity().fit(X).get_feature_names_out()
    assert list(names) == [
        "image_text_tags_clip_cosine",
        "image_tags_clip_cosine",
        "text_tags_clip_tags_clip_cosine",
        "image_all_cosine",
    ]
    pairs = [("text__title_glove", "tags__glove"), ("tags__clip", "image__clip")]
    similarity = CrossModalSimilarity(pairs=pairs).fit(X)
    assert similarity.transform(X).to_dict("list") == {
        "text_title_glove_tags_glove_cosine": [0.0],
        "tags_clip_image_cosine": [1.0],
    }
    assert similarity.related_ == [("text", "tags"), ("tags", "image")]


def test_vectors_are_compared_by_their_space_not_by_a_word_in_their_names():
    X = table(image__clip=[[1, 0]], text__clip=[[0, 1]], tags__other=[[1, 0]])
    declare(X, {"image__clip": "a", "tags__other": "a", "text__clip": "b"})
    assert list(CrossModalSimilarity().fit_transform(X)) == ["image_tags_cosine"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pairs": [("image__clip", "titel")]}, r"Got \('image__clip', 'titel'\)"),
        ({"pairs": [("image__clip",) * 2]}, r"Got \('image__clip', 'image__clip'\)"),
        ({"pairs": [("image__clip", "text__title_glove")]}, "same model"),
    ],
)
def test_what_cannot_be_compared_is_named(parameters, message):
    X = table(
        image__clip=[[1, 0]], text__title_clip=[[1, 0]], text__title_glove=[[1] * 3]
    )
    with pytest.raises(InvalidInputError, match=message):
        CrossModalSimilarity(**parameters).fit_transform(X)


def test_a_table_without_two_vectors_is_refused():
    X = table(image__clip=[[1, 0]], tags__glove=[[1, 0]])
    with pytest.raises(InvalidInputError, match=r"\['image__clip', 'tags__glove'\]"):
        CrossModalSimilarity().fit(X)
    with pytest.raises(InvalidInputError, match="pass a DataFrame"):
        CrossModalSimilarity().fit(np.ones((3, 4)))


cells = st.one_of(st.floats(width=32), st.sampled_from([0.0, NAN, np.inf, 3e38]))
vectors = st.lists(st.lists(cells, min_size=2, max_size=2), min_size=4, max_size=4)


@settings(max_examples=40, deadline=None)
@given(vectors, vectors)
def test_any_vectors(image, title):
    X = table(image__clip=image, text__title_clip=title)
    out = CrossModalSimilarity().fit_transform(X)
    there = out["image_text_cosine"].notna()
    both = np.isfinite(X.iloc[:, :4]).all(axis=1)
    zero = (X.iloc[:, :2] == 0).all(axis=1) | (X.iloc[:, 2:4] == 0).all(axis=1)
    assert_array_equal(there, both & ~zero)
    assert out["image_text_cosine"][there].between(-1, 1).all()
