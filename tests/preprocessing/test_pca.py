import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from hyperfusion import BlockPCA
from hyperfusion.table import feature_table
from tests.any_posts import feature_tables

RNG = np.random.RandomState(0)


def vectors(n, p, rank=None):
    rank = rank or p
    return (RNG.normal(size=(n, rank)) @ RNG.normal(size=(rank, p))).astype(np.float32)


def table(**stems):
    frames = [
        pd.DataFrame(v, columns=[f"{stem}__{i}" for i in range(v.shape[1])])
        for stem, v in stems.items()
    ]
    return pd.concat(frames, axis=1)


@pytest.mark.parametrize("shape", [(100, 8), (100, 60), (20, 60)])
def test_agrees_with_scikit_learn(shape):
    values = vectors(*shape) + 1000
    ours = BlockPCA(n_components=3).fit_transform(values)
    reference = PCA(3, svd_solver="full")
    theirs = reference.fit_transform(values.astype(np.float64))
    scale = np.abs(theirs).max()
    assert_allclose(ours / scale, theirs / scale, atol=2e-4)
    assert ours.dtype == np.float32


def test_each_vector_has_its_own_pca_and_the_rest_passes():
    image, title = vectors(50, 6), vectors(50, 5)
    X = table(image__clip=image, text__title_clip=title)
    X["time__hour"] = np.float32(3)
    X["meta__kind"] = pd.Categorical(["a"] * 50)
    out = BlockPCA(n_components=2).fit_transform(X)
    assert list(out.columns) == [
        "time__hour",
        "image__clip_pca__0",
        "image__clip_pca__1",
        "text__title_clip_pca__0",
        "text__title_clip_pca__1",
        "meta__kind",
    ]
    for stem, values in (("image__clip", image), ("text__title_clip", title)):
        part = out[[f"{stem}_pca__0", f"{stem}_pca__1"]]
        reference = PCA(2, svd_solver="full").fit_transform(values.astype(float))
        assert_allclose(part, reference, atol=1e-4)


def test_columns_in_any_order():
    values = vectors(40, 4)
    X = table(image__clip=values)
    shuffled = X[
        ["image__clip__2", "image__clip__0", "image__clip__3", "image__clip__1"]
    ]
    pca = BlockPCA(n_components=2)
    assert_allclose(pca.fit_transform(X), pca.fit_transform(shuffled), atol=1e-5)


def test_narrow_vectors_and_numbered_columns_with_gaps_are_left():
    X = table(image__clip=vectors(30, 3))
    X["user__last_3"], X["user__last_5"] = np.float32(1), np.float32(2)
    for size in (3, 64):
        assert_array_equal(BlockPCA(n_components=size).fit_transform(X), X)


def test_missing_rows_stay_missing_and_teach_nothing():
    values = vectors(60, 5)
    X = table(image__clip=values)
    X.iloc[7] = np.nan
    X.iloc[9, 2] = np.nan
    pca = BlockPCA(n_components=2).fit(X)
    out = pca.transform(X)
    assert np.flatnonzero(out.isna().all(axis=1)).tolist() == [7, 9]
    assert np.flatnonzero(out.isna().any(axis=1)).tolist() == [7, 9]
    complete = X.drop(index=[7, 9])
    reference = PCA(2).fit(complete.to_numpy(np.float64))
    assert_allclose(
        out.drop(index=[7, 9]), reference.transform(complete.to_numpy()), atol=1e-4
    )
    one = pca.transform(X.iloc[[7]])
    assert one.shape == (1, 2)
    assert one.isna().all(axis=None)


def test_declared_vectors_alone():
    parts = {"image__clip": vectors(40, 6), "image__glove": vectors(40, 6)}
    X = feature_table(parts, spaces={"clip": ["image__clip"]})
    assert list(BlockPCA(n_components=2, blocks="declared").fit(X).pcas_) == [
        "image__clip"
    ]


@pytest.mark.parametrize("fill", [np.nan, 0.3])
def test_a_vector_with_nothing_to_learn_from_is_left(fill):
    X = table(image__clip=np.full((10, 4), fill, np.float32))
    assert_array_equal(BlockPCA(n_components=2).fit_transform(X), X)


def test_differences_whose_squares_underflow():
    X = np.float32([[1, 0], [1, 1e-25], [1, 2e-25]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(BlockPCA(n_components=1).fit_transform(X)).all()


def test_no_more_components_than_complete_rows():
    X = table(image__clip=vectors(5, 10))
    X.iloc[3:] = np.nan
    assert BlockPCA(n_components=8).fit_transform(X).shape == (5, 3)


def test_the_number_of_threads_does_not_matter():
    X = vectors(5000, 64)
    outputs = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            outputs.append(BlockPCA(n_components=8).fit_transform(X))
    assert_array_equal(*outputs)


def test_array_in_array_out():
    out = BlockPCA(n_components=2).fit(vectors(20, 4))
    assert out.transform(vectors(3, 4)).shape == (3, 2)
    assert list(out.get_feature_names_out()) == ["pca__0", "pca__1"]


@settings(max_examples=15, deadline=None)
@given(feature_tables(st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32))))
def test_any_tables(X):
    pca = BlockPCA(n_components=2).fit(X)
    out = pca.transform(X)
    assert list(out.columns) == list(pca.get_feature_names_out())
    vector = (
        X[["image__clip__0", "image__clip__1", "image__clip__2"]].isna().any(axis=1)
    )
    if "image__clip" in pca.pcas_:
        assert_array_equal(out["image__clip_pca__0"].isna(), vector)
    assert_array_equal(out["meta__price"], X["meta__price"])


@pytest.mark.parametrize("size", [1e20, 1e30, 3e38])
def test_huge_numbers_are_reduced_as_others_are(size):
    rng = np.random.RandomState(0)
    small = rng.uniform(-1, 1, (20, 6)).astype(np.float32)
    factor = np.exp2(np.floor(np.log2(size))).astype(np.float32)
    for rows in (20, 4):
        expected = BlockPCA(n_components=2).fit_transform(
            table(image__clip=small[:rows])
        )
        huge = BlockPCA(n_components=2).fit_transform(
            table(image__clip=small[:rows] * factor)
        )
        assert_allclose(huge / factor, expected, rtol=1e-5, atol=1e-6)
