"""What the networks see of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import CoAttentionRegressor
from hyperfusion.regressors._common import held_out_rows
from hyperfusion.regressors.networks._inputs import NetworkInputs, frequent_levels
from hyperfusion.regressors.networks._layers import (
    CategoryEmbeddings,
    Dropout,
    Periodic,
    TableFeatures,
    pick,
    set_generator,
    width_of,
)
from hyperfusion.table._features import Features, level_codes, read_features
from tests.regressors.tables import CLIP, feature_table, target_of


def features_of(table: pd.DataFrame) -> Features:
    return read_features(CoAttentionRegressor(), table, reset=True)


def fitted(
    table: pd.DataFrame, **params
) -> tuple[NetworkInputs, np.ndarray, np.ndarray]:
    features = features_of(table)
    inputs = NetworkInputs(**params).fit(features)
    return inputs, *inputs.transform(features)


def test_levels_are_ordered_by_frequency_and_rare_ones_unknown():
    cells = [*"bbbbb", *"ccc", *"aaaa", None]
    column = pd.Series(pd.Categorical(cells))
    levels = frequent_levels(column)
    assert levels == ["b", "a"]
    expected = [0] * 5 + [-1] * 3 + [1] * 4 + [-1]
    assert_array_equal(level_codes(column, levels), expected)
    later = pd.Series(pd.Categorical(["new", "a"], categories=["a", "new"]))
    assert_array_equal(level_codes(later, levels), [-1, 1])


@pytest.mark.parametrize("levels", [[1, 2], [1.5, 2.5], [True, False]])
def test_levels_need_not_be_text(levels):
    column = pd.Series(pd.Categorical([*levels[:1] * 4, *levels[1:] * 5]))
    found = frequent_levels(column)
    assert_array_equal(level_codes(column, found), [1] * 4 + [0] * 5)


def test_each_group_finds_its_columns():
    table = feature_table()
    inputs, numbers, codes = fitted(table, n_components=3)
    layout = inputs.layout_
    assert numbers.shape == (len(table), layout["n_numbers"])
    assert np.isfinite(numbers).all()
    assert layout["sizes"] == [4, 3]
    assert layout["groups"]["meta"]["categories"] == [1]
    assert layout["groups"]["user"]["categories"] == [0]
    start, stop = layout["groups"]["image"]["vectors"]["image__clip"]
    assert stop - start == 3
    # The flag of the latitude stands beside it and comes from the same column.
    start, stop = layout["groups"]["geo"]["scalars"]
    latitude = table.columns.get_loc("geo__latitude")
    assert [list(s) for s in inputs.sources_[start:stop]] == [[latitude], [latitude]]
    start, stop = layout["groups"]["image"]["vectors"]["image__clip"]
    clip = [table.columns.get_loc(f"image__clip__{i}") for i in range(6)]
    assert [list(s) for s in inputs.sources_[start:stop]] == [clip] * 3
    start, stop = layout["groups"]["geo"]["scalars"]
    assert set(numbers[:, stop - 1].round(3)) == {
        numbers[:, stop - 1].min().round(3),
        numbers[:, stop - 1].max().round(3),
    }
    assert_array_equal(codes.max(axis=0), [3, 2])


def test_features_of_a_group_are_those_of_its_columns():
    table = feature_table()
    inputs, numbers, codes = fitted(table, n_components=64)
    features = TableFeatures(inputs.layout_, torch.Generator().manual_seed(0))
    row = features.eval()(torch.from_numpy(numbers), torch.from_numpy(codes))
    assert row.shape[1] == features.width
    every = list(inputs.layout_["groups"])
    assert width_of(features.spans(every)) == features.width
    changed = table.assign(
        user__followers=table["user__followers"]
        .sample(frac=1, random_state=0)
        .to_numpy()
    )
    other_numbers, _ = inputs.transform(features_of(changed))
    other = features(torch.from_numpy(other_numbers), torch.from_numpy(codes))
    for group in every:
        spans = features.spans([group])
        same = torch.equal(pick(row, spans), pick(other, spans))
        assert same == (group != "user")


def test_columns_of_no_block_are_no_vectors():
    rng = np.random.RandomState(0)
    table = pd.DataFrame({"x0": rng.normal(size=50), "x1": 1e6 * rng.normal(size=50)})
    inputs, numbers, _ = fitted(table, n_components=1)
    assert inputs.layout_["groups"]["other"]["scalars"] == (0, 2)
    assert_allclose(numbers.std(axis=0), 1, atol=0.1)


def test_aligned_vectors_keep_their_products():
    table = feature_table(200, n_clip=5)
    # All image and text vectors lie in one plane, so two components lose nothing.
    basis = np.linalg.qr(np.random.RandomState(0).normal(size=(5, 2)))[0]
    for vector in CLIP:
        columns = [f"{vector}__{i}" for i in range(5)]
        plane = table[columns].to_numpy() @ basis @ basis.T
        table[columns] = plane.astype(np.float32)
    inputs, numbers, _ = fitted(table, n_components=2, align=True)
    assert inputs.layout_["aligned"] == [list(CLIP)]
    groups = inputs.layout_["groups"]
    a, b = (
        numbers[:, slice(*groups[block]["vectors"][vector])]
        for block, vector in (("image", CLIP[0]), ("text", CLIP[1]))
    )

    def centered(vector):
        values = table[[f"{vector}__{i}" for i in range(5)]].to_numpy(dtype=float)
        return values - values.mean(axis=0)

    truth = (centered(CLIP[0]) * centered(CLIP[1])).sum(axis=1)
    assert np.corrcoef((a * b).sum(axis=1), truth)[0, 1] > 0.999


def test_only_vectors_declared_to_be_of_one_space_are_aligned():
    table = feature_table(n_clip=5)
    table.attrs.clear()
    inputs, _, _ = fitted(table, n_components=2, align=True)
    assert inputs.layout_["aligned"] == []
    own = [inputs.pca_.pcas_[vector].components_ for vector in CLIP]
    assert np.abs(own[0] - own[1]).max() > 0.01
    with_both = fitted(feature_table(n_clip=5), n_components=2, align=True)[0]
    shared = [with_both.pca_.pcas_[vector].components_ for vector in CLIP]
    assert_array_equal(*shared)
    alone = feature_table(n_clip=5).drop(columns=[f"image__clip__{i}" for i in (1, 3)])
    inputs, numbers, _ = fitted(alone, n_components=2, align=True)
    assert inputs.layout_["aligned"] == []
    assert numbers.shape[1] == inputs.layout_["n_numbers"]


def test_nothing_is_learned_from_held_out_rows():
    table = feature_table(100)
    held = held_out_rows(100, True, np.random.RandomState(0))
    table["user__user"] = pd.Categorical(np.where(held, "held", "learned"))
    table.loc[held, "user__followers"] = 1e9
    model = CoAttentionRegressor(max_iter=1, random_state=0)
    model.fit(table, target_of(table))
    assert model._inputs.levels_[0] == ["learned"]
    other = table.copy()
    other.loc[held, "user__followers"] = 1.0
    again = CoAttentionRegressor(max_iter=1, random_state=0)
    again.fit(other, target_of(table))
    assert_array_equal(model.predict(table[~held]), again.predict(table[~held]))


def test_numbers_stand_beside_their_waves():
    layer = Periodic(2, 8, torch.Generator().manual_seed(0))
    x = torch.tensor([[0.5, -2.0], [0.0, 1.0]])
    out = layer(x).detach().reshape(2, 2, 8)
    assert_array_equal(out[:, :, 0], x)
    angles = 2 * np.pi * x.unsqueeze(-1) * layer.frequencies + layer.phases
    waves = torch.cos(angles)[1, 1] @ layer.mix[1]
    assert_allclose(out[1, 1, 1:], waves.detach(), rtol=1e-5, atol=1e-6)


def test_dropout_keeps_the_mean_and_asks_its_own_generator():
    layer = Dropout(0.3)
    set_generator(layer, torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    out = layer(torch.ones(10_000))
    assert torch.equal(torch.get_rng_state(), before)
    assert_allclose(float((out == 0).float().mean()), 0.3, atol=0.02)
    assert_allclose(float(out.mean()), 1, atol=0.02)
    assert torch.equal(layer.eval()(out), out)


def test_id_dropout_makes_codes_unknown_in_training_only():
    layer = CategoryEmbeddings([5], torch.Generator().manual_seed(0))
    set_generator(layer, torch.Generator().manual_seed(0))
    codes = torch.full((2000, 1), 3)
    unknown = layer.tables[0].weight[0]
    share = (layer(codes)[0] == unknown).all(dim=1).float().mean()
    assert_allclose(float(share.detach()), 0.15, atol=0.03)
    seen = layer.eval()(codes)[0]
    assert torch.equal(seen, layer.tables[0].weight[3].expand_as(seen))


def test_new_users_get_the_unknown_level():
    rng = np.random.RandomState(0)
    table = feature_table(300)
    good = rng.uniform(size=300) < 0.5
    table["user__user"] = pd.Categorical(np.where(good, "star", "dull"))
    y = 4.0 * good + rng.normal(scale=0.1, size=300)
    model = CoAttentionRegressor(
        hidden_size=32, learning_rate=0.02, max_iter=12, random_state=0
    )
    model.fit(table, y)
    someone = table.assign(user__user=pd.Categorical(["new"] * 300))
    missing = table.assign(user__user=pd.Categorical([None] * 300, categories=["x"]))
    assert_array_equal(model.predict(someone), model.predict(missing))
    assert_allclose(model.predict(someone).mean(), y.mean(), atol=1)
    assert model.predict(table)[good].mean() > 3


missing = st.just(float("nan"))
cells = st.floats(-(2.0**100), 2.0**100, width=32) | missing
components = st.floats(-(2.0**50), 2.0**50, width=32) | missing


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(components, components, cells), min_size=2, max_size=12))
def test_any_numbers_become_finite(rows):
    matrix = np.array(rows, dtype=np.float32)
    names = ["image__clip__0", "image__clip__1", "meta__likes"]
    table = pd.DataFrame(matrix, columns=names)
    inputs = NetworkInputs(n_components=1, align=True)
    inputs.fit(features_of(table[: max(1, len(table) // 2)]))
    numbers, _ = inputs.transform(features_of(table))
    assert np.isfinite(numbers).all()
    assert numbers.shape[1] == inputs.layout_["n_numbers"]
