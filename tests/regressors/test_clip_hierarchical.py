"""ClipHierarchicalRegressor: stages, aligned vectors, auxiliary tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from hyperfusion import ClipHierarchicalRegressor
from hyperfusion.exceptions import InvalidInputError
from tests.regressors.tables import feature_table, target_of

X = feature_table()
Y = target_of(X)


def small(**params) -> ClipHierarchicalRegressor:
    given = {"modality_size": 8, "joint_size": 8, "final_sizes": (16,), "max_iter": 3}
    return ClipHierarchicalRegressor(random_state=0, **(given | params))


def network_of(model):
    network, _ = model._load_network()
    return network


def test_stages_follow_the_hierarchy():
    network = network_of(small(final_sizes=(16, 4)).fit(X, Y))
    assert list(network.modalities) == ["visual", "textual"]
    compared = 2 * 2 * 6  # product and difference, with title and with tags
    assert network.joint[0].linear.in_features == 2 * 8 + compared
    assert [stage.linear.out_features for stage in network.final] == [16, 4]


def test_joint_stage_sees_products_and_differences():
    model = small().fit(X, Y)
    network, numbers, codes, _ = model._prepare(X[:5])
    features = network.features(numbers, codes)
    joint = network._content(features)[:, 16:].detach()
    layout = model.inputs_.layout_["groups"]
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
    apart = table.rename(columns=lambda c: c.replace("image__clip_", "image__cnn_"))
    scores = []
    for posts in (table, apart):
        model = ClipHierarchicalRegressor(max_iter=40, random_state=0)
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
    table = X[[c for c in X if c.split("__")[0] in blocks]]
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


def test_auxiliary_heads_learn_the_levels():
    table = feature_table(600)
    image = table["image__clip__0"].to_numpy()
    table["meta__kind"] = table["meta__kind"].cat.codes.astype("float32")
    table["meta__subject"] = (image > 0).astype(int)
    table["meta__subject"] = table["meta__subject"].astype("category")
    y = np.zeros(600)
    y[::2] = 1.0
    model = ClipHierarchicalRegressor(
        auxiliary=["meta__subject"], auxiliary_weight=5.0, max_iter=40, random_state=0
    ).fit(table, y)
    network, numbers, codes, _ = model._prepare(table)
    joint = network.joint(network._content(network.features(numbers, codes)))
    logits = network.auxiliary_heads[0](joint)
    column = model.network_config_["auxiliary"][0]
    right = logits.argmax(dim=1) == codes[:, column]
    assert float(right.float().mean()) > 0.85


def test_auxiliary_weight_of_zero_changes_no_gradient():
    table = feature_table(100)
    with_heads = small(auxiliary=["meta__kind"], auxiliary_weight=0.0)
    assert np.isfinite(with_heads.fit(table, target_of(table)).predict(table)).all()


def test_auxiliary_must_name_category_columns():
    with pytest.raises(InvalidInputError, match=r"auxiliary names \['time__hour'\]"):
        small(auxiliary=["time__hour"]).fit(X, Y)


@pytest.mark.parametrize("sizes", [(), (16, 0)])
def test_final_sizes_must_be_positive(sizes):
    with pytest.raises(InvalidInputError, match="final_sizes"):
        small(final_sizes=sizes).fit(X, Y)
