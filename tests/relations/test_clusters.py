import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score, euclidean_distances
from threadpoolctl import threadpool_limits

from hyperfusion import HierarchicalClusterEncoder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations._tree import share_out

RNG = np.random.RandomState(0)
SMALL = {"levels": (2, 6), "min_cluster_size": 2, "random_state": 0}


def table(**vectors):
    frames = []
    for stem, values in vectors.items():
        values = np.asarray(values, dtype=np.float32)
        names = [f"{stem}__{i}" for i in range(values.shape[1])]
        frames.append(pd.DataFrame(values, columns=names))
    return pd.concat(frames, axis=1)


def nested(n=240, width=8):
    """Directions in six small groups of two large ones."""
    large = np.eye(width)[:2] * 3
    small = np.repeat(large, 3, axis=0) + np.eye(width)[2:8]
    groups = np.arange(n) % 6
    return small[groups] + RNG.normal(size=(n, width)) * 0.05, groups


def random_table(n=200):
    return table(
        image__clip=RNG.normal(size=(n, 8)), text__title_clip=RNG.normal(size=(n, 8))
    )


def test_planted_clusters_are_found_at_both_levels():
    vectors, groups = nested()
    out = HierarchicalClusterEncoder(**SMALL).fit_transform(table(image__clip=vectors))
    assert adjusted_rand_score(out["image_2"], groups // 3) == 1
    assert adjusted_rand_score(out["image_6"], groups) == 1
    assert isinstance(out["image_6"].dtype, pd.CategoricalDtype)
    assert_allclose(out["image_2_size"], 0.5)
    assert_allclose(out["image_6_size"], 1 / 6)


def test_a_child_has_one_parent_for_new_posts_too():
    encoder = HierarchicalClusterEncoder(
        levels=(3, 9, 30), min_cluster_size=2, random_state=0
    ).fit(random_table())
    out = encoder.transform(random_table(500))
    for view in ("image", "text", "joint"):
        assert encoder.levels_[view] == [3, 9, 30]
        for i, (coarse, fine) in enumerate([(3, 9), (9, 30)], start=1):
            parents = encoder.parents_[view][i]
            expected = parents[out[f"{view}_{fine}"].to_numpy()]
            assert_array_equal(out[f"{view}_{coarse}"], expected)


def test_distances_margins_and_sizes_by_hand():
    X = random_table()
    encoder = HierarchicalClusterEncoder(blocks=["image"], **SMALL).fit(X)
    out = encoder.transform(X)
    points = encoder.reducers_["image"].transform(X.to_numpy())
    first = np.sort(euclidean_distances(points, encoder.centers_["image"][0]), axis=1)
    assert_allclose(out["image_2_distance"], first[:, 0], rtol=1e-4)
    assert_allclose(out["image_2_margin"], first[:, 1] - first[:, 0], atol=1e-5)
    second = euclidean_distances(points, encoder.centers_["image"][1])
    own = out["image_6"].to_numpy()
    assert_allclose(out["image_6_distance"], second[range(200), own], rtol=1e-4)
    second[range(200), own] = np.inf
    margin = second.min(axis=1) - out["image_6_distance"]
    assert_allclose(out["image_6_margin"], margin, atol=1e-5)
    share = out["image_6"].value_counts(normalize=True)
    assert_allclose(out["image_6_size"], share.loc[own].to_numpy(), rtol=1e-6)


def test_missing_vectors_have_no_cluster():
    X = random_table(60)
    X.iloc[3, :8] = np.nan
    X.iloc[4, :8] = 0
    X.iloc[5] = np.nan
    out = HierarchicalClusterEncoder(**SMALL).fit_transform(X)
    image, text = out.filter(regex="^image_[26]"), out.filter(regex="^text_[26]")
    joint = out.filter(like="joint")
    for part, rows in ((image, [3, 4, 5]), (text, [5]), (joint, [5])):
        missing = part.isna()
        assert np.flatnonzero(missing.all(axis=1)).tolist() == rows
        assert np.flatnonzero(missing.any(axis=1)).tolist() == rows


def test_a_vector_missing_beside_another_counts_as_the_mean():
    X = table(text__a_clip=RNG.normal(size=(50, 4)), text__b_clip=np.eye(4)[[0] * 50])
    encoder = HierarchicalClusterEncoder(**SMALL).fit(X)
    gone = X.copy()
    gone.iloc[:, 4:] = np.nan
    whole, part = encoder.transform(X), encoder.transform(gone)
    assert_allclose(part["text_2_distance"], whole["text_2_distance"], rtol=1e-4)
    assert_array_equal(part["text_6"], whole["text_6"])


def test_length_of_the_vectors_does_not_matter():
    X = random_table()
    encoder = HierarchicalClusterEncoder(**SMALL).fit(X)
    long = X * RNG.uniform(0.1, 1e6, size=(200, 1)).astype(np.float32)
    for name in ("image_6", "joint_6"):
        assert_array_equal(
            encoder.transform(X)[name], encoder.transform(X * 1000)[name]
        )
    first = encoder.transform(long).filter(regex="image_6_distance")
    assert_allclose(first, encoder.transform(X)[["image_6_distance"]], rtol=1e-3)


@pytest.mark.parametrize(
    ("n", "expected"), [(2000, [8, 64, 512]), (400, [8, 64]), (100, [8]), (10, [8])]
)
def test_levels_are_cut_to_what_the_rows_allow(n, expected):
    X = table(image__clip=RNG.normal(size=(n, 4)))
    encoder = HierarchicalClusterEncoder(random_state=0).fit(X)
    assert encoder.levels_["image"] == expected
    for level, centers in zip(expected, encoder.centers_["image"], strict=True):
        assert len(centers) <= max(min(level, n // 20), 1)
    assert (encoder.sizes_["image"][-1] > 0).all()


def test_children_are_shared_out_by_size():
    assert share_out(np.array([50, 30, 20]), 10).tolist() == [5, 3, 2]
    assert share_out(np.array([97, 1, 1, 1]), 8).tolist() == [5, 1, 1, 1]
    assert share_out(np.array([2, 2]), 10).tolist() == [2, 2]
    counts = RNG.randint(1, 1000, size=64)
    assert share_out(counts, 512).sum() == 512


def test_equal_posts_share_a_cluster():
    X = table(image__clip=np.ones((50, 4)))
    out = HierarchicalClusterEncoder(**SMALL).fit_transform(X)
    assert out["image_2"].tolist() == [0] * 50
    assert_allclose(out["image_2_distance"], 0, atol=1e-6)
    assert_allclose(out["image_2_size"], 1)


def test_the_number_of_threads_does_not_matter():
    X = table(image__clip=RNG.normal(size=(5000, 64)))
    outputs = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            outputs.append(
                HierarchicalClusterEncoder(
                    levels=(8, 64), random_state=0
                ).fit_transform(X)
            )
    assert_array_equal(*outputs)


def test_the_same_seed_gives_the_same_tree():
    X = table(image__clip=RNG.normal(size=(3000, 16)))

    def fitted(seed):
        encoder = HierarchicalClusterEncoder(levels=(8, 64), random_state=seed)
        return encoder.fit_transform(X)

    pd.testing.assert_frame_equal(fitted(0), fitted(0))
    assert not fitted(0).equals(fitted(1))


def test_blocks_by_name():
    X = table(
        text__title_clip=RNG.normal(size=(50, 4)),
        text__title_glove=RNG.normal(size=(50, 4)),
        user__description=RNG.normal(size=(50, 4)),
    )
    default = HierarchicalClusterEncoder(**SMALL).fit(X)
    assert list(default.levels_) == ["text"]
    named = HierarchicalClusterEncoder(blocks=["user", "text", "image"], **SMALL).fit(X)
    assert list(named.levels_) == ["user", "text", "joint"]


def test_an_array_gives_numbers():
    X = RNG.normal(size=(100, 5))
    encoder = HierarchicalClusterEncoder(**SMALL).fit(X)
    out = encoder.transform(X)
    assert out.dtype == np.float32
    assert list(encoder.get_feature_names_out()[-2:]) == ["cluster_2", "cluster_6"]
    assert set(out[:, -2]) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"levels": (8, 8)}, "increasing whole numbers"),
        ({"levels": (8, 2.5)}, "increasing whole numbers"),
        ({"levels": ()}, "increasing whole numbers"),
        ({"blocks": ["imge"]}, r"blocks names \['imge'\]"),
        ({"blocks": ["tags"]}, "no vector with at least two posts"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(InvalidInputError, match=message):
        HierarchicalClusterEncoder(**parameters).fit(random_table())


def test_with_scikit_learn_set_to_frames():
    X, encoder = random_table(), HierarchicalClusterEncoder(**SMALL)
    plain = encoder.fit_transform(X)
    with sklearn.config_context(transform_output="pandas"):
        framed = encoder.fit_transform(X)
    pd.testing.assert_frame_equal(plain, framed)


cells = st.one_of(st.floats(width=32), st.sampled_from([0.0, np.nan, np.inf, 3e38]))
rows = st.lists(st.lists(cells, min_size=4, max_size=4), min_size=2, max_size=12)


@settings(max_examples=30, deadline=None)
@given(rows, rows)
def test_any_tables(at_fit, later):
    def odd(cells):
        values = np.asarray(cells, np.float32)
        return table(image__clip=values[:, :2], tags__clip=values[:, 2:])

    X = odd(at_fit)
    views = np.asarray(X).reshape(len(X), 2, 2)
    there = np.isfinite(views).all(axis=2) & (views != 0).any(axis=2)
    if there.sum(axis=0).max() < 2:
        with pytest.raises(InvalidInputError, match="no vector"):
            HierarchicalClusterEncoder(**SMALL).fit(X)
        return
    encoder = HierarchicalClusterEncoder(**SMALL).fit(X)
    for posts in (X, odd(later)):
        out = encoder.transform(posts)
        assert list(out.columns) == list(encoder.get_feature_names_out())
        for view, levels in encoder.levels_.items():
            for level in levels:
                ids, size = out[f"{view}_{level}"], out[f"{view}_{level}_size"]
                assert_array_equal(ids.isna(), size.isna())
                assert (out[f"{view}_{level}_distance"].dropna() >= 0).all()
