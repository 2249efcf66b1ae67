"""`NeighborTargets` against brute force, and what it promises of time and labels."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import NeighborTargets
from hyperfusion.exceptions import BadCellError, InvalidInputError
from hyperfusion.relations import _neighbor_search as search_module
from hyperfusion.relations._neighbor_search import GRID, fingerprints, on_grid, search

DAY = 86_400
WORDS = ["boat", "tree", "snow", "cake", "moon", "bridge", "horse"]


def make_posts(n=150, seed=0, n_users=30):
    rng = np.random.default_rng(seed)
    seconds = 1_600_000_000 + DAY * rng.integers(0, 80, n)
    posts = pd.DataFrame(
        {
            "title": [" ".join(rng.choice(WORDS, 3)) for _ in range(n)],
            "embedding": list(rng.normal(size=(n, 5))),
            "user": rng.choice([*(f"u{i}" for i in range(n_users)), None], n),
            "when": pd.to_datetime(seconds, unit="s"),
            "fans": rng.normal(size=n),
            "likes": rng.normal(size=n),
        }
    )
    return posts, rng.normal(8, 2, n)


def brute_force(posts, y, new, *, columns, k, sharpness, trend, user, n_latest):
    """The features of one space, one row at a time, in double precision."""
    vectors, queries = (
        on_grid(np.stack(p[columns])) / GRID
        if isinstance(columns, str)
        else on_grid(p[columns].to_numpy()) / GRID
        for p in (posts, new)
    )
    level = np.zeros(len(y))
    if trend:
        when = posts["when"].to_numpy()
        for i, moment in enumerate(when):
            past = np.sort(when[when <= moment])
            first = past[-min(trend, len(past))]
            level[i] = y[(first <= when) & (when <= moment)].mean()
    out = []
    for row in range(len(new)):
        here = new.iloc[row]
        sees = (posts["when"] < here["when"]).to_numpy()
        in_time = np.lexsort((y, posts["when"]))
        latest = in_time[sees[in_time]][-(n_latest or len(y)) :]
        sees = np.isin(np.arange(len(y)), latest)
        if user:
            other = (posts["user"] != here["user"]) | posts["user"].isna()
            sees = sees & other.to_numpy()
        near = np.flatnonzero(sees)
        cosines = vectors[near] @ queries[row]
        order = np.lexsort((-y[near], -posts["when"].astype("int64")[near], -cosines))
        if not len(near):
            out.append([np.nan] * (4 * len(k)))
            continue
        cosines, values = cosines[order], (y - level)[near][order]
        days = (here["when"] - posts["when"]).dt.total_seconds().to_numpy() / DAY
        days = days[near][order]
        features = []
        for some in (slice(n) for n in k):
            w = np.exp(sharpness * (cosines[some] - cosines[0]))
            mean = np.average(values[some], weights=w)
            spread = np.sqrt(np.average((values[some] - mean) ** 2, weights=w))
            age = np.average(days[some], weights=w)
            features += [mean, spread, cosines[some].mean(), age]
        out.append(features)
    return np.array(out)


@pytest.mark.parametrize("user", [None, "user"])
@pytest.mark.parametrize("trend", [None, 20])
@pytest.mark.parametrize("columns", ["embedding", ["fans", "likes"]])
@pytest.mark.parametrize("n_latest", [None, 40])
def test_equals_brute_force(user, trend, columns, n_latest):
    posts, y = make_posts()
    new = make_posts(40, seed=1)[0][:20]
    settings = {"sharpness": 6.0, "trend": trend, "n_latest": n_latest}
    neighbors = NeighborTargets(
        vectors=columns,
        user=user,
        time="when",
        n_neighbors=(3, 15),
        summaries=("mean", "spread", "similarity", "age"),
        **settings,
    )
    neighbors.fit(posts, y)
    for rows in (posts[::3], new):
        expected = brute_force(
            posts, y, rows, columns=columns, k=(3, 15), user=user, **settings
        )
        # the features are float32, and a spread of equal targets is a difference
        assert_allclose(neighbors.transform(rows), expected, rtol=2e-6, atol=2e-6)


def test_the_grid_changes_cosines_by_little():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 256))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    grid = on_grid(vectors) / GRID
    errors = grid @ grid.T - unit @ unit.T
    assert np.sqrt((errors**2).mean()) < 3e-4
    assert np.abs(errors).max() < 2e-3


def test_grid_of_missing_huge_and_tiny_vectors():
    rows = np.array(
        [[3.0, 4], [3e30, 4e30], [3e-30, 4e-30], [0, 0], [np.nan, 1], [np.inf, 1]]
    )
    expected = np.rint(np.array([0.6, 0.8]) * GRID)
    assert_array_equal(on_grid(rows), [expected] * 3 + [[0, 0]] * 3)


@pytest.mark.parametrize(("queries", "stored"), [(9, 5), (64, 9999), (999, 64)])
@pytest.mark.parametrize("distinct", [3, 400])
@pytest.mark.parametrize("n_latest", [None, 90])
def test_blocks_do_not_matter(monkeypatch, queries, stored, distinct, n_latest):
    rng = np.random.default_rng(0)
    vectors = on_grid(rng.normal(size=(distinct, 8))[rng.integers(0, distinct, 400)])
    marks = rng.integers(0, 50, 400)
    early = np.sort(rng.integers(0, 400, 400))

    def found():
        positions = np.zeros((400, 9), dtype=int)
        cosines = np.zeros((400, 9))
        strangers = [(marks, marks)]
        for rows, c, p in search(vectors, vectors, early, strangers, 9, n_latest):
            cosines[rows], positions[rows] = c, p
        return cosines, positions

    whole = found()
    monkeypatch.setattr(search_module, "QUERIES", queries)
    monkeypatch.setattr(search_module, "STORED", stored)
    for ours, expected in zip(found(), whole, strict=True):
        assert_array_equal(ours, expected)
    exact = vectors.astype(np.int64) @ vectors.T.astype(np.int64)
    for row in (50, 399):
        first = max(early[row] - (n_latest or 400), 0)
        sees = np.arange(first, early[row])
        sees = sees[marks[sees] != marks[row]]
        order = np.lexsort((-sees, -exact[row, sees]))[:9]
        assert_array_equal(whole[1][row][: len(order)], sees[order])


def test_order_of_rows_does_not_matter():
    posts, y = make_posts()
    neighbors = NeighborTargets(vectors="embedding", user="user", time="when")
    whole = neighbors.fit_transform(posts, y)
    order = np.random.default_rng(0).permutation(len(y))
    mixed = neighbors.fit_transform(posts.iloc[order], y[order])
    # sums of the trend are taken in the order of time, so that they are the same
    assert_array_equal(mixed, whole[order])


def test_own_and_later_targets_never_enter():
    posts, y = make_posts()
    neighbors = NeighborTargets(
        text="title", vectors="embedding", time="when", random_state=0
    )
    before = neighbors.fit_transform(posts, y)
    moment = posts["when"].quantile(0.6)
    late = (posts["when"] >= moment).to_numpy()
    other = np.where(late, -y, y)
    after = neighbors.fit_transform(posts, other)
    seen = (posts["when"] <= moment).to_numpy()
    assert_array_equal(after[seen], before[seen])
    assert (after[~seen] != before[~seen]).any(axis=1).mean() > 0.9


def test_equal_times_do_not_see_each_other():
    posts, y = make_posts()
    posts["when"] = pd.Timestamp("2024-05-01")
    neighbors = NeighborTargets(vectors="embedding", time="when").fit(posts, y)
    assert np.isnan(neighbors.transform(posts)).all()
    later = posts.assign(when=pd.Timestamp("2024-05-02"))
    assert not np.isnan(neighbors.transform(later)).any()


@pytest.mark.parametrize("time", [None, "when"])
@pytest.mark.parametrize("user", [None, "user"])
def test_fit_then_transform_is_fit_transform(time, user):
    posts, y = make_posts()
    y[::7] = np.nan
    neighbors = NeighborTargets(
        text="title", vectors=["fans", "likes"], user=user, time=time, random_state=0
    )
    together = neighbors.fit_transform(posts, y)
    assert_array_equal(neighbors.fit(posts, y).transform(posts), together)


@pytest.mark.parametrize("time", [None, "when"])
def test_shuffled_targets_give_nothing(time):
    correlations = []
    for seed in range(12):
        posts, y = make_posts(400, seed)
        posts["fans"] = posts["likes"] = posts["fans"] + y  # labels that vectors tell
        columns = {"vectors": "embedding", "user": None, "time": time, "trend": 50}
        shuffled = np.random.default_rng(seed).permutation(y)
        features = NeighborTargets(**columns, n_neighbors=(5, 20)).fit_transform(
            posts, shuffled
        )
        there = ~np.isnan(features).any(axis=1)
        correlations.append(
            [np.corrcoef(column[there], shuffled[there])[0, 1] for column in features.T]
        )
    # without a time a row is left out of its own mean, which tells a little of it
    chance = 4 / np.sqrt(400 * 12)
    assert np.abs(np.mean(correlations, axis=0)).max() < (
        chance if time else 2 * chance
    )


def test_no_user_sees_their_own_rows():
    posts, y = make_posts(n_users=2)
    posts["user"] = posts["user"].fillna("u0")
    y = np.where(posts["user"] == "u0", 1.0, 5.0)
    neighbors = NeighborTargets(
        vectors="embedding", user="user", time="when", trend=None
    )
    mean = neighbors.fit_transform(posts, y)[:, 0]
    there = ~np.isnan(mean)
    assert there.sum() > 100
    assert_allclose(mean[there], 6 - y[there], rtol=1e-6)
    stranger = posts.assign(user="u7", when=pd.Timestamp("2030-01-01"))
    assert 1 < neighbors.transform(stranger)[:, 3].mean() < 5


def test_without_time_rows_are_left_out_of_their_own():
    posts, y = make_posts(60)
    neighbors = NeighborTargets(vectors="embedding", n_neighbors=(59,), sharpness=0)
    mean = neighbors.fit_transform(posts, y)[:, 0]
    assert_allclose(mean, (y.sum() - y) / 59, rtol=1e-6)


def test_update_is_a_longer_fit():
    posts, y = make_posts()
    settings = {"vectors": "embedding", "user": "user", "time": "when"}
    new, _ = make_posts(30, seed=3)
    whole = NeighborTargets(**settings).fit(posts, y)
    steps = NeighborTargets(**settings).fit(posts[:90], y[:90])
    assert not np.array_equal(
        steps.transform(new), whole.transform(new), equal_nan=True
    )
    steps.update(posts[90:], y[90:])
    assert_array_equal(steps.transform(new), whole.transform(new))


def test_update_with_known_rows_replaces_them():
    posts, y = make_posts()
    settings = {"vectors": "embedding", "user": "user", "time": "when"}
    expected = NeighborTargets(**settings).fit(posts, y + 1).transform(posts)
    neighbors = NeighborTargets(**settings).fit(posts, y)
    neighbors.update(posts, y + 1).update(posts, np.full(len(y), np.nan))
    assert_array_equal(neighbors.transform(posts), expected)


def test_rows_without_target_time_or_vector_are_no_neighbors():
    posts, y = make_posts()
    posts["embedding"] = [None] * 30 + list(posts["embedding"][30:])
    posts.loc[30:59, "when"] = pd.NaT
    y[60:90] = np.nan
    neighbors = NeighborTargets(vectors="embedding", time="when", trend=None)
    features = neighbors.fit_transform(posts, y)
    assert np.isnan(features[:60]).all()
    alone = NeighborTargets(vectors="embedding", time="when", trend=None)
    alone.fit(posts[90:].reset_index(drop=True), y[90:])
    assert_array_equal(features[60:], alone.transform(posts[60:]))


def test_nothing_is_known():
    posts, _ = make_posts(20)
    neighbors = NeighborTargets(vectors="embedding", time="when")
    features = neighbors.fit_transform(posts, np.full(20, np.nan))
    assert np.isnan(features).all()


def test_texts_of_several_columns_are_one_text():
    posts, y = make_posts()
    posts["tags"] = [["red", "boat"] if i % 2 else None for i in range(len(posts))]
    joined = posts["title"] + np.where(posts["tags"].isna(), "", " red boat")
    settings = {"time": "when", "random_state": 0}
    ours = NeighborTargets(text=["title", "tags"], **settings).fit_transform(posts, y)
    expected = NeighborTargets(text="joined", **settings).fit_transform(
        posts.assign(joined=joined), y
    )
    assert_array_equal(ours, expected)


def test_the_nearest_text_is_found():
    posts = pd.DataFrame(
        {
            "title": ["red sailing boat", "chocolate cake", "sailing boats", None] * 2,
            "when": pd.date_range("2024-01-01", periods=8),
        }
    )
    y = [1.0, 9, 1, 5, 1, 9, 1, 5]
    neighbors = NeighborTargets(
        text="title",
        time="when",
        n_neighbors=(1,),
        summaries=("mean", "similarity"),
        trend=None,
        random_state=0,
    ).set_output(transform="pandas")
    found = neighbors.fit_transform(posts, y)
    assert_allclose(found["text_mean_1"], [np.nan, 1, 1, np.nan, 1, 9, 1, np.nan])
    assert found["text_similarity_1"][5] == pytest.approx(1, abs=1e-3)


def test_vectors_of_a_feature_table():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50, 5))
    names = [
        "image__clip__0",
        "image__clip__1",
        "tags__tfidf__0",
        "tags__tfidf__1",
        "time__hour",
    ]
    table, y = pd.DataFrame(numbers, columns=names), rng.normal(size=50)
    spaces = {"image": "image__clip", "both": ["image__clip", "tags__tfidf"]}
    features = NeighborTargets(vectors=spaces).set_output(transform="pandas")
    found = features.fit_transform(table, y)
    alone = NeighborTargets().fit_transform(numbers[:, :2], y)
    assert_array_equal(found.filter(like="image_"), alone)
    alone = NeighborTargets(vectors=names[:4]).fit_transform(table, y)
    assert_array_equal(found.filter(like="both_"), alone)


def test_names():
    posts, y = make_posts()
    neighbors = NeighborTargets(
        text={"title": "title"},
        vectors={"v": "embedding"},
        time="when",
        n_neighbors=(2,),
    ).fit(posts, y)
    features = ("mean_2", "spread_2", "similarity_2")
    expected = [f"{space}_{f}" for space in ("title", "v") for f in features]
    assert list(neighbors.get_feature_names_out()) == expected


def test_fingerprints_tell_rows_apart():
    rows = np.array([[1, 2], [2, 1], [1, 2], [-1, 2]], dtype=np.int16)
    codes, _ = pd.factorize(fingerprints([rows, rows[:, :1]]))
    assert_array_equal(codes, [0, 1, 0, 2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": "titel"}, "title"),
        ({"vectors": "embeding"}, "embedding"),
        ({"vectors": "title"}, "neither a number nor"),
        ({"vectors": []}, "has no column"),
        ({"text": {"a": "title"}, "vectors": {"a": "embedding"}}, "both name"),
        ({"vectors": "embedding", "n_neighbors": (20, 5)}, "increasing"),
        ({"vectors": "embedding", "n_neighbors": ()}, "increasing"),
        ({"vectors": "embedding", "summaries": ("median",)}, "summaries takes some"),
        ({"vectors": "embedding", "summaries": ("age",)}, "'age' needs time="),
        ({"vectors": "embedding", "summaries": ()}, "summaries takes some"),
        ({"vectors": "embedding", "n_neighbors": (0, 5)}, "increasing"),
        ({"vectors": "embedding", "user": ["user", "title"]}, "user takes 1"),
        ({"vectors": "embedding", "sharpness": -1}, "sharpness"),
    ],
)
def test_wrong_arguments(settings, message):
    posts, y = make_posts(20)
    with pytest.raises((InvalidInputError, ValueError), match=message):
        NeighborTargets(**settings).fit(posts, y)


def test_vectors_of_another_length_are_an_error_and_missing_ones_have_no_neighbors():
    posts, y = make_posts(20)
    posts["embedding"] = [[1.0, 2.0, 3.0]] * 19 + [[1.0]]
    with pytest.raises(BadCellError, match=r"row 19, column 'embedding'.* got 1"):
        NeighborTargets(vectors="embedding").fit(posts, y)
    posts["embedding"] = [[1.0, 2.0, 3.0]] * 19 + [None]
    features = NeighborTargets(vectors="embedding").fit_transform(posts, y)
    assert np.isnan(features[-1]).all()
