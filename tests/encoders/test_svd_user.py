"""Vectors of users and items: against dense algebra, by hand, and on odd tables."""

import os
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import TruncatedSVD
from sklearn.utils.extmath import svd_flip

from hyperfusion import SVDUserEmbedder
from hyperfusion.encoders.user._svd import _decompose
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError

# rounding of single precision, which close singular values make larger
SINGLE = {"rtol": 1e-3, "atol": 2e-4}
POSTS = pd.DataFrame(
    {
        "user": ["ann", "ann", "bob", "cat", "dan", None],
        "tags": ["Sea, sun", "sun", ["sea", "sun"], "snow", None, "sun"],
        "place": ["New York", "Rome", "Rome", "Oslo", "", "Oslo"],
    }
)


def random_counts(shape=(30, 20), seed=0, mean=0.7):
    rng = np.random.RandomState(seed)
    counts = rng.poisson(mean, shape) * rng.randint(1, 5, shape)
    counts[:, 0] = 1  # no empty row
    return counts.astype(float)


def as_table(counts):
    """One row for every single use of an item."""
    users, items = np.nonzero(counts)
    times = counts[users, items].astype(int)
    frame = pd.DataFrame({"user": users, "item": [f"i{j:02}" for j in items]})
    return frame.iloc[np.repeat(np.arange(len(frame)), times)]


def weighted(counts, weighting):
    if weighting == "counts":
        return counts
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(counts / expected), 0)


def reference(counts, weighting, power, k):
    u, s, vt = scipy.linalg.svd(weighted(counts, weighting), full_matrices=False)
    u, vt = svd_flip(u, vt, u_based_decision=False)
    scale = s[:k] ** power
    return u[:, :k] * scale, s[:k], vt[:k].T * scale


@pytest.mark.parametrize("power", [0, 0.5, 1])
@pytest.mark.parametrize("weighting", ["counts", "ppmi"])
def test_agrees_with_full_svd(weighting, power):
    counts = random_counts()
    users, values, items = reference(counts, weighting, power, k=8)
    params = {"n_components": 8, "random_state": 0}
    embedder = SVDUserEmbedder(weighting=weighting, power=power, **params)
    table = as_table(counts)
    embedder.fit(table)
    assert_allclose(embedder.singular_values_, values, rtol=1e-5)  # float32
    order = [embedder.users_[str(user)] for user in range(len(counts))]
    assert_allclose(embedder.user_vectors_[order], users, **SINGLE)
    order = [embedder.vocabulary_[f"i{j:02}"] for j in range(counts.shape[1])]
    assert_allclose(embedder.item_vectors_[order], items, **SINGLE)
    output = embedder.transform(table)
    assert_allclose(output[:, :8], users[table["user"]], **SINGLE)
    assert not output[:, 8].any()


def test_by_hand():
    # two users with orthogonal habits: M = [[3, 4, 0], [0, 0, 2]]
    counts = as_table(np.array([[3, 4, 0], [0, 0, 2]]))
    embedder = SVDUserEmbedder(weighting="counts", power=0.5).fit(counts)
    assert_allclose(embedder.singular_values_, [5, 2], rtol=1e-6)
    assert_allclose(embedder.user_vectors_, np.diag(np.sqrt([5, 2])), atol=1e-6)
    root5, root2 = np.sqrt([5, 2])
    items = [[0.6 * root5, 0], [0.8 * root5, 0], [0, root2]]
    assert_allclose(embedder.item_vectors_, items, atol=1e-6)


@pytest.mark.parametrize("shape", [(150, 400), (400, 150)])
def test_large_matrices_agree_with_full_svd(shape):
    rng = np.random.RandomState(1)
    decaying = rng.normal(size=(shape[0], 40)) * 0.8 ** np.arange(40)
    dense = decaying @ rng.normal(size=(40, shape[1]))
    _, expected, directions = scipy.linalg.svd(dense, full_matrices=False)
    _, directions = svd_flip(None, directions, u_based_decision=False)
    matrix = sp.csr_array(dense)
    values, vectors = _decompose(matrix, 10, np.random.RandomState(0))
    assert_allclose(values, expected[:10], rtol=1e-5)
    assert_allclose(vectors, directions[:10].T, atol=2e-5)
    again = _decompose(matrix, 10, np.random.RandomState(0))[1]
    assert_array_equal(vectors, again)


@pytest.mark.parametrize("k", [5, 40])
def test_no_worse_than_truncated_svd(k):
    # a flat spectrum, where iterative methods have most to lose
    matrix = sp.random(1500, 2500, density=0.01, format="csr", random_state=0)
    energy = sp.linalg.norm(matrix) ** 2
    peer = TruncatedSVD(k, random_state=0).fit(matrix).singular_values_
    values, _ = _decompose(sp.csr_array(matrix), k, np.random.RandomState(0))
    assert energy - np.sum(values**2) <= (energy - np.sum(peer**2)) * 1.001


DEGENERATE = {
    "identity": sp.eye_array(400, 500).tocsr(),
    "rank one": sp.csr_array(np.ones((500, 400))),
    "rank two": sp.block_diag(
        [sp.csr_array(np.ones((200, 90))), sp.csr_array(np.ones((300, 410)))]
    ).tocsr(),
    "empty rows": sp.vstack([sp.eye_array(30, 400), sp.csr_array((500, 400))]).tocsr(),
    "tiny": sp.csr_array(np.array([[1.0, 2.0]])),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_matrices(name):
    matrix = DEGENERATE[name]
    expected = scipy.linalg.svdvals(matrix.toarray())
    expected = expected[expected > 1e-6][:25]
    values, vectors = _decompose(matrix, 25, np.random.RandomState(0))
    assert_allclose(values, expected, rtol=1e-5)
    assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-5)


def test_zero_matrix_has_no_component():
    zeros = sp.csr_array((300, 200))
    values, vectors = _decompose(zeros, 5, np.random.RandomState(0))
    assert values.shape == (0,)
    assert vectors.shape == (200, 0)


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    SVDUserEmbedder().fit(POSTS)
    assert_array_equal(np.random.get_state()[1], before)


def test_lengths_are_cut_to_the_rank_or_padded():
    table = as_table(np.outer(np.arange(1, 6), [1, 2, 3]))
    for output, stem in (("user", "svd"), ("item", "item_svd")):
        embedder = SVDUserEmbedder(weighting="counts", n_components=4, output=output)
        short = embedder.fit_transform(table)
        assert embedder.n_components_ == 1
        names = [f"{stem}__0", f"{stem}_missing"]
        assert embedder.get_feature_names_out().tolist() == names
        padded = embedder.set_params(pad=True).fit_transform(table)
        assert padded.shape == (len(table), len(embedder.get_feature_names_out()))
        assert_allclose(padded[:, [0, 4]], short)
        assert not padded[:, [1, 2, 3]].any()


def test_unseen_user_is_folded_in_from_the_row_alone():
    counts = random_counts((12, 9))
    tags = [
        [f"t{j}" for j in np.repeat(np.arange(9), row)] for row in counts.astype(int)
    ]
    table = pd.DataFrame({"user": [f"u{i}" for i in range(12)], "tags": tags})
    for weighting in ("counts", "ppmi"):
        embedder = SVDUserEmbedder(weighting=weighting).fit(table)
        seen = embedder.transform(table)
        strangers = table.assign(user="nobody")
        assert_allclose(embedder.transform(strangers), seen, rtol=1e-4, atol=1e-5)
        strangers["user"] = None
        assert_allclose(embedder.transform(strangers), seen, rtol=1e-4, atol=1e-5)


def test_missing_is_nan_with_an_indicator():
    new = pd.DataFrame(
        {
            "user": ["ann", "eve", "eve", None, "dan"],
            "tags": [None, "new words", "sea", "sun", float("nan")],
            "place": "",
        }
    )
    for kind, missing in (("user", [0, 1, 0, 0, 1]), ("item", [1, 1, 0, 0, 1])):
        embedder = SVDUserEmbedder(items="tags", output=kind).fit(POSTS)
        output = embedder.transform(new)
        assert output[:, -1].tolist() == missing
        assert_array_equal(np.isnan(output[:, 0]), output[:, -1] == 1)


def test_item_output_is_the_mean_of_the_items_vectors():
    embedder = SVDUserEmbedder(items="tags", output="item", weighting="counts")
    output = embedder.fit_transform(POSTS)
    sea, sun = (embedder.item_vectors_[embedder.vocabulary_[t]] for t in ("sea", "sun"))
    assert_allclose(output[0, :-1], (sea + sun) / 2, rtol=1e-5)
    assert_allclose(output[1, :-1], sun, rtol=1e-5)
    assert_array_equal(output[:, -1], [0, 0, 0, 0, 1, 0])


def test_columns_and_cells():
    assert set(SVDUserEmbedder(items="tags").fit(POSTS).vocabulary_) == {
        "sea",
        "sun",
        "snow",
    }
    both = SVDUserEmbedder().fit(POSTS)
    assert set(both.vocabulary_) == {
        *("tags=sea", "tags=sun", "tags=snow"),
        *("place=new", "place=york", "place=rome", "place=oslo"),
    }
    assert set(both.users_) == {"ann", "bob", "cat"}
    whole = SVDUserEmbedder(items="place", split=False).fit(POSTS)
    assert set(whole.vocabulary_) == {"New York", "Rome", "Oslo"}
    by_position = SVDUserEmbedder(user=0, items=2, split=False)
    assert by_position.fit(POSTS.to_numpy()).vocabulary_ == whole.vocabulary_


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_places_have_vectors(dtype):
    rng = np.random.RandomState(0)
    north, south = ["Oslo", "New York"], ["Rome", "Bari", "São Paulo"]
    table = pd.DataFrame({"user": np.arange(60).repeat(4) % 60})
    table["place"] = [
        rng.choice(north if user % 2 else south) for user in table["user"]
    ]
    table["place"] = table["place"].astype(dtype)
    embedder = SVDUserEmbedder(
        user="user",
        items="place",
        split=False,
        output="item",
        n_components=8,
        pad=True,
        random_state=0,
    ).set_output(transform="pandas")
    assert set(embedder.fit(table).vocabulary_) == {*north, *south}
    new = pd.DataFrame({"user": None, "place": [*north, *south, "Paris", None]})
    output = embedder.transform(new)
    assert output.shape == (7, 9)
    assert output["item_svd_missing"].tolist() == [0, 0, 0, 0, 0, 1, 1]
    vectors = output.to_numpy()[:5, :8]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.2 > np.abs(cosines[:2, 2:]).max()


def test_numbers_are_users_and_items():
    table = pd.DataFrame({"user": [7, 8, np.nan], "item": [1.0, 2.5, np.nan]})
    embedder = SVDUserEmbedder().fit(table)
    assert set(embedder.users_) == {"7", "8"}
    assert set(embedder.vocabulary_) == {"1", "2.5"}
    array = SVDUserEmbedder().fit(table.to_numpy())
    assert array.vocabulary_ == embedder.vocabulary_


def test_rare_items_are_left_out():
    embedder = SVDUserEmbedder(items="tags", min_frequency=2).fit(POSTS)
    assert set(embedder.vocabulary_) == {"sea", "sun"}
    assert set(embedder.users_) == {"ann", "bob"}


def test_nothing_to_learn_is_an_error():
    with pytest.raises(InvalidInputError, match="a column of users and at least one"):
        SVDUserEmbedder().fit(np.ones((3, 1)))
    with pytest.raises(InvalidInputError, match="0 user"):
        SVDUserEmbedder().fit(pd.DataFrame({"a": ["x", None], "b": [None, "y"]}))
    with pytest.raises(InvalidInputError, match="min_frequency=9"):
        SVDUserEmbedder(min_frequency=9).fit(POSTS)


def test_bad_cells():
    table = POSTS.assign(place=["a", "b", {"c": 1}, "d", "e", "f"])
    with pytest.raises(BadCellError, match=r"row 2, column 'place'.*dict"):
        SVDUserEmbedder(on_error="raise").fit(table)
    embedder = SVDUserEmbedder().fit(table)
    with pytest.warns(BadCellWarning, match="1 cell"):
        embedder.transform(table)


@pytest.mark.parametrize("half", ["\ud83d", "\ude00 x", ["a", "\ud83d"]])
def test_half_an_emoji_is_a_character_like_others(half):
    text = half if isinstance(half, str) else half[1]
    table = {"user": ["ann", text, text, "bob"], "item": [half, "b"] * 2}
    embedder = SVDUserEmbedder(n_components=2, random_state=0)
    vectors = embedder.fit_transform(table)
    assert np.isfinite(vectors).all()
    assert all(name.encode() for name in [*embedder.users_, *embedder.vocabulary_])
    again = pickle.loads(pickle.dumps(embedder)).transform(table)
    assert_array_equal(again, vectors)


def test_vectors_ignore_labels_and_order_of_fit():
    embedder = SVDUserEmbedder(random_state=0)
    first = embedder.fit(POSTS, np.arange(6)).transform(POSTS)
    second = embedder.fit(POSTS[::-1], np.zeros(6)).transform(POSTS)
    assert_allclose(first, second, atol=1e-5)


CELLS = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.just(pd.NaT),
    st.just(pd.NA),
    st.lists(st.one_of(st.text(max_size=4), st.none(), st.integers()), max_size=4),
    st.frozensets(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12),
    st.sampled_from(["user", "item"]),
)
def test_any_tables(rows, output):
    known = [("ann", "sea 🌊", "Rome"), ("bob", "sea, sun", "Oslo")]
    table = pd.DataFrame(known + rows, columns=["user", "tags", "place"], dtype=object)
    embedder = SVDUserEmbedder(output=output)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BadCellWarning)
        found = embedder.fit_transform(table)
        alone = embedder.transform(table.iloc[[0]])
    assert_allclose(alone, found[:1], rtol=1e-5, atol=1e-5)
    missing = found[:, -1] == 1
    assert np.isnan(found[missing, :-1]).all()
    assert np.isfinite(found[~missing]).all()


@pytest.mark.real_data
def test_real_channels_and_tags():
    if not os.environ.get("HYPERFUSION_DATA"):
        pytest.skip("HYPERFUSION_DATA is not set")
    path = os.path.join(os.environ["HYPERFUSION_DATA"], "youtube_thumbnails")
    videos = pd.read_csv(os.path.join(path, "videos.csv"), keep_default_na=False)
    embedder = SVDUserEmbedder(
        user="channel_id", items="tags", n_components=30, random_state=0
    )
    earlier = videos["published_year"] <= 2013
    embedder.fit(videos[earlier])
    output = embedder.transform(videos[~earlier])
    assert output.shape == ((~earlier).sum(), 31)
    missing = output[:, -1] == 1
    assert 0 < missing.mean() < 0.2
    assert np.isfinite(output[~missing]).all()
    # videos of a channel are nearer to each other than to others, by what they tag
    known = videos["channel_id"].isin(embedder.users_)
    rows = videos[known].groupby("channel_id").head(2)
    rows = rows[rows.groupby("channel_id")["channel_id"].transform("size") == 2]
    rows = rows.sort_values("channel_id").assign(channel_id="nobody")
    vectors = embedder.transform(rows)[:, :-1].reshape(-1, 2, 30)
    vectors = vectors[np.isfinite(vectors).all(axis=(1, 2))]
    vectors = vectors / (np.linalg.norm(vectors, axis=2, keepdims=True) + 1e-12)
    own = np.sum(vectors[:, 0] * vectors[:, 1], axis=1).mean()
    others = np.sum(vectors[:-1, 0] * vectors[1:, 1], axis=1).mean()
    assert own > others + 0.3
