"""ClipHierarchicalRegressor: stages and aligned vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from hyperfusion import ClipHierarchicalRegressor
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table import Schema
from hyperfusion.table._features import read_features
from tests.regressors.tables import feature_table, target_of

X = feature_table()
Y = target_of(X)


def small(**params) -> ClipHierarchicalRegressor:
    given = {"hidden_size": 8, "final_sizes": (16,), "max_iter": 3}
    return ClipHierarchicalRegressor(random_state=0, **(given | params))


def network_of(model):
    return model._network


def test_stages_follow_the_hierarchy():
    network = network_of(small(final_sizes=(16, 4)).fit(X, Y))
    assert list(network.modalities) == ["visual", "textual"]
    compared = 2 * 2 * 6  # product and difference, with title and with tags
    assert network.joint[0].linear.in_features == 2 * 8 + compared
    assert [stage.linear.out_features for stage in network.final] == [16, 4]


def test_joint_stage_sees_products_and_differences():
    model = small().fit(X, Y)
    network = model._network
    rows = model._inputs.transform(read_features(model, X[:5], reset=False))
    numbers, codes = map(torch.from_numpy, rows)
    joined = []
    network.joint.register_forward_pre_hook(lambda _, given: joined.append(given[0]))
    network(numbers.double(), codes)
    joint = joined[0][:, 16:].detach()
    layout = model._inputs.layout_["groups"]
    image = numbers[:, slice(*layout["image"]["vectors"]["image__clip"])]
    title = numbers[:, slice(*layout["text"]["vectors"]["text__title_clip"])]
    assert_allclose(joint[:, :6], image * title, rtol=1e-6)
    assert_allclose(joint[:, 6:12], (image - title).abs(), rtol=1e-6)


def test_aligned_vectors_help_where_the_match_counts():
    rng = np.random.RandomState(0)
    table = feature_table(800)
    image = [f"image__clip__{i}" for i in range(6)]
    text = [f"text__title_clip__{i}" for i in range(6)]
    match = rng.uniform(size=800) < 0.5
    same = table[image].to_numpy() + 0.2 * rng.normal(size=(800, 6))
    table.loc[match, text] = same[match].astype(np.float32)
    y = 3.0 * match + 0.1 * rng.normal(size=800)
    apart = table.copy()
    apart.attrs.clear()
    scores = []
    for posts in (table, apart):
        model = small(final_sizes=(32,), max_iter=14, learning_rate=0.016)
        scores.append(model.fit(posts[:600], y[:600]).score(posts[600:], y[600:]))
    assert scores[0] > 0.7
    assert scores[0] > scores[1] + 0.1


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("blocks", "modalities"),
    [
        (("image", "text", "tags"), ["visual", "textual"]),
        (("image", "user"), ["visual"]),
        (("tags", "time"), ["textual"]),
        (("user", "meta"), []),
    ],
)
def test_every_choice_of_blocks_trains(blocks, modalities, batch_norm):
    table = X.loc[:, np.isin(np.array(Schema.of(X).blocks), blocks)]
    model = small(batch_norm=batch_norm).fit(table, Y)
    assert list(network_of(model).modalities) == modalities
    assert np.isfinite(model.predict(table)).all()


def test_batch_norm_is_the_papers_and_uses_running_statistics():
    model = small(batch_norm=True).fit(X, Y)
    norms = [
        m for m in network_of(model).modules() if isinstance(m, torch.nn.BatchNorm1d)
    ]
    assert len(norms) == 4
    assert all(norm.running_mean.any() for norm in norms)
    assert_allclose(model.predict(X[:1]), model.predict(X)[:1], rtol=1e-5)
    assert not any(
        isinstance(m, torch.nn.BatchNorm1d)
        for m in network_of(small().fit(X, Y)).modules()
    )


@pytest.mark.parametrize("sizes", [(), (16, 0), (16, 4.0)])
def test_final_sizes_must_be_positive(sizes):
    with pytest.raises(InvalidInputError, match="final_sizes"):
        small(final_sizes=sizes).fit(X, Y)
