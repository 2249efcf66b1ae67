"""Fits, ablations and image chunks on a real Dask cluster of two processes."""

from __future__ import annotations

import multiprocessing

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from hyperfusion import (
    ClipImageEncoder,
    EmbeddingCache,
    HyperFusionRegressor,
    ImageStatistics,
    IQRFilter,
    ablate,
    evaluate,
    make_hyperfusion,
    make_posts,
    predict_batches,
)
from hyperfusion.exceptions import BadCellError, BadCellWarning

distributed = pytest.importorskip(
    "distributed", reason="needs pip install 'scikit-hyperfusion[dask]'"
)

MEMBERS = [
    ("ridge", Ridge()),
    ("tree", DecisionTreeRegressor(max_depth=4, random_state=0)),
]


@pytest.fixture(scope="module")
def cluster():
    import dask

    # torch is loaded once, and the workers are forks of the process that did
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    method = "forkserver" if forks else "spawn"
    with dask.config.set({"distributed.worker.multiprocessing-method": method}):
        context = distributed.utils.get_mp_context()
        if forks:
            context.set_forkserver_preload(["distributed", "sklearn", "open_clip"])
        yield from started()


def started():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def one_thread():
    """As the workers: sums over several threads round differently."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    names = [f"image__clip__{i}" for i in range(60)] + ["time__hour", "geo__latitude"]
    X = pd.DataFrame(rng.normal(size=(600, 62)), columns=names, dtype="float32")
    X["user__user"] = pd.Categorical(rng.choice(list("abcdefgh"), 600))
    y = X["time__hour"] + X["image__clip__0"] + rng.normal(size=600)
    return X, y.to_numpy(dtype=float)


@pytest.fixture(scope="module")
def pictures():
    return make_posts(60, random_state=0).data["image"]


def sent_to(client, monkeypatch):
    """Write down what the client scatters: the type and number of rows of each."""
    sent = []
    scatter = type(client).scatter

    def spy(self, data, *args, **kwargs):
        sent.append((type(data).__name__, len(data)))
        return scatter(self, data, *args, **kwargs)

    monkeypatch.setattr(type(client), "scatter", spy)
    return sent


def test_fits_of_the_ensemble(cluster, table, monkeypatch):
    X, y = table
    model = HyperFusionRegressor(MEMBERS, cv=4, row_filter=IQRFilter(), random_state=0)
    weight = np.linspace(0.5, 1.5, len(y))
    here = model.fit(X, y, sample_weight=weight)
    expected = here.predict(X), here.oof_member_predictions_, here.weights_
    sent = sent_to(cluster, monkeypatch)
    with joblib.parallel_config("dask"):
        there = model.fit(X, y, sample_weight=weight)
    for a, b in zip(
        expected,
        (there.predict(X), there.oof_member_predictions_, there.weights_),
        strict=True,
    ):
        assert_array_equal(a, b)
    # eight fits, but each array is sent once: table, target, weights, two parts a fold
    assert sent.count(("DataFrame", 600)) == 1
    assert sent.count(("ndarray", 600)) == 2
    assert len(sent) <= 3 + 2 * 4


def test_extra_rows_of_a_fold_are_sent_once(cluster, table, monkeypatch):
    X, y = table
    model = HyperFusionRegressor(MEMBERS, cv=2, random_state=0)
    extra = [(X.iloc[:300], y[:300], None), (X.iloc[300:], y[300:], None)]

    def fit():
        return model._fit(X, y, None, None, extra).oof_predictions_

    here, sent = fit(), sent_to(cluster, monkeypatch)
    with joblib.parallel_config("dask"):
        assert_array_equal(fit(), here)
    assert sent.count(("DataFrame", 600)) == 1
    assert sent.count(("DataFrame", 300)) == 2


class Carried(Ridge):
    """Counts how often it is pickled."""

    n_pickles = 0

    def __getstate__(self):
        Carried.n_pickles += 1
        return super().__getstate__()


def score(part, model):
    return pd.Series(predict_batches(model, part), part.index)


def test_partitions_of_a_table_are_predicted_where_they_are(cluster, table):
    frames = pytest.importorskip("dask.dataframe")
    X, y = table
    model = HyperFusionRegressor([Carried()], cv=2, random_state=0).fit(X, y)
    expected = model.predict(X)
    posts = frames.from_pandas(X, npartitions=6)
    posts = posts[posts["time__hour"] < 9]  # some partitions may be empty
    there = cluster.scatter(model, broadcast=True)
    Carried.n_pickles = 0
    found = posts.map_partitions(score, there, meta=(None, float)).compute()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert_array_equal(found.index, X.index)
    assert Carried.n_pickles == 0  # sent before, not with the tasks


def test_rows_of_an_ablation_with_ensembles_inside(cluster, table, monkeypatch):
    X, y = table
    model = HyperFusionRegressor(MEMBERS, cv=2, random_state=0)
    options = {"times": np.arange(600), "n_bootstrap": 20, "random_state": 0}
    here = ablate(model, X, y, **options)
    sent = sent_to(cluster, monkeypatch)
    with joblib.parallel_config("dask"):
        there = ablate(model, X, y, **options)
    pd.testing.assert_frame_equal(
        here.drop(columns="seconds"), there.drop(columns="seconds")
    )
    assert sent.count(("DataFrame", 480)) == 1
    assert sent.count(("DataFrame", 120)) == 1


def test_models_of_an_evaluation(cluster, table):
    X, y = table
    models = dict(MEMBERS, ridge=Ridge(5.0))
    numbers = X.drop(columns="user__user")
    options = {"users": X["user__user"], "n_bootstrap": 20, "random_state": 0}
    here = evaluate(models, numbers, y, **options)
    with joblib.parallel_config("dask"):
        there = evaluate(models, numbers, y, **options)
    pd.testing.assert_frame_equal(here.scores, there.scores)
    pd.testing.assert_frame_equal(here.differences, there.differences)


@pytest.mark.slow  # each worker loads torch
def test_chunks_of_images(cluster, pictures):
    cells = pd.Series([*pictures, pictures[0], None])
    for encoder in (
        ClipImageEncoder("hyperfusion-tiny", batch_size=8),
        ImageStatistics(),
    ):
        here = encoder.fit_transform(cells)
        with joblib.parallel_config("dask"):
            there = encoder.fit_transform(cells)
        assert_array_equal(here, there)


@pytest.mark.slow
def test_workers_encode_and_the_caller_keeps_the_cache(cluster, pictures, tmp_path):
    cache = EmbeddingCache(tmp_path / "cache")
    encoder = ClipImageEncoder("hyperfusion-tiny", cache=cache, batch_size=4)
    before = set(cluster.run(models_in_memory).values())
    with joblib.parallel_config("dask"):
        there = encoder.fit_transform(pictures)
    assert before | set(cluster.run(models_in_memory).values()) != {0}
    assert cache.entries == pictures.notna().sum()
    assert_array_equal(encoder.fit_transform(pictures), there)


def models_in_memory():
    from hyperfusion.encoders.clip._models import _MODELS

    return len(_MODELS)


def test_bad_images_are_named(cluster, pictures):
    cells = pictures.copy()
    cells[7] = b"no picture"
    with joblib.parallel_config("dask"):
        with pytest.warns(BadCellWarning, match="first row 7"):
            ImageStatistics().fit_transform(cells)
        with pytest.raises(BadCellError, match="row 7"):
            ImageStatistics(on_error="raise").fit_transform(cells)


@pytest.mark.slow
def test_a_whole_model(cluster):
    posts = make_posts(60, random_state=1)
    model = make_hyperfusion(
        **posts.roles,
        image_encoder="hyperfusion-tiny",
        text_encoder="hyperfusion-tiny",
        members=[DecisionTreeRegressor(max_depth=4)],
        cv=2,
        random_state=0,
    )
    here = model.fit(posts.data, posts.target).predict(posts.data)
    with joblib.parallel_config("dask"):
        there = model.fit(posts.data, posts.target).predict(posts.data)
    assert_array_equal(here, there)
