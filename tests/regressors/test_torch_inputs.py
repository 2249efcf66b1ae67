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
from hyperfusion.regressors.networks._inputs import (
    NetworkInputs,
    aligned_vectors,
    frequent_levels,
    level_codes,
)
from hyperfusion.regressors.networks._layers import (
    CategoryEmbeddings,
    Dropout,
    PiecewiseLinear,
    TableFeatures,
    pick,
    set_generator,
    width_of,
)
from tests.regressors.tables import feature_table, target_of

CONFIG = {
    "number_embedding": "piecewise",
    "number_embedding_size": 4,
    "embedding_size": 3,
    "id_dropout": 0.0,
    "input_dropout": 0.0,
}


def fitted(
    table: pd.DataFrame, **params
) -> tuple[NetworkInputs, np.ndarray, np.ndarray]:
    categories = table.select_dtypes("category")
    numbers = table.drop(columns=categories.columns)
    matrix = numbers.to_numpy(dtype=np.float32)
    inputs = NetworkInputs(**params).fit(matrix, list(numbers), categories)
    return inputs, *inputs.transform(matrix, categories)


def test_levels_are_ordered_by_frequency_and_rare_ones_unknown():
    column = pd.Series(pd.Categorical(["b", "a", "b", "c", None, "a", "b"]))
    levels = frequent_levels(column, min_frequency=2)
    assert levels == ["b", "a"]
    assert_array_equal(level_codes(column, levels), [1, 2, 1, 0, 0, 2, 1])
    later = pd.Series(pd.Categorical(["new", "a"], categories=["a", "new"]))
    assert_array_equal(level_codes(later, levels), [0, 2])


@pytest.mark.parametrize("levels", [[1, 2], [1.5, 2.5], [True, False]])
def test_levels_need_not_be_text(levels):
    column = pd.Series(pd.Categorical([levels[0], levels[1], levels[1]]))
    found = frequent_levels(column, min_frequency=1)
    assert_array_equal(level_codes(column, found), [2, 1, 1])


def test_each_group_finds_its_columns():
    table = feature_table()
    inputs, numbers, codes = fitted(table, n_components=3, min_frequency=1)
    layout = inputs.layout_
    assert numbers.shape == (len(table), layout["n_numbers"])
    assert np.isfinite(numbers).all()
    assert layout["sizes"] == [4, 3]
    assert layout["groups"]["meta"]["categories"] == [1]
    assert layout["groups"]["user"]["categories"] == [0]
    start, stop = layout["groups"]["image"]["vectors"]["image__clip_pca"]
    assert stop - start == 3
    # The flag of the latitude stands beside it and comes from the same column.
    start, stop = layout["groups"]["geo"]["scalars"]
    latitude = table.columns.get_loc("geo__latitude")
    assert inputs.sources_[start:stop] == [[latitude], [latitude]]
    assert set(numbers[:, stop - 1].round(3)) == {
        numbers[:, stop - 1].min().round(3),
        numbers[:, stop - 1].max().round(3),
    }
    assert_array_equal(codes.max(axis=0), [3, 2])


def test_features_of_a_group_are_those_of_its_columns():
    table = feature_table()
    inputs, numbers, codes = fitted(table, n_components=64, min_frequency=1)
    features = TableFeatures(inputs.layout_, CONFIG, torch.Generator().manual_seed(0))
    row = features.eval()(torch.from_numpy(numbers), torch.from_numpy(codes))
    assert row.shape[1] == features.width
    every = list(inputs.layout_["groups"])
    assert width_of(features.spans(every)) == features.width
    changed = table.assign(
        user__followers=table["user__followers"]
        .sample(frac=1, random_state=0)
        .to_numpy()
    )
    other_numbers, _ = inputs.transform(
        changed.select_dtypes("number").to_numpy(dtype=np.float32),
        changed.select_dtypes("category"),
    )
    other = features(torch.from_numpy(other_numbers), torch.from_numpy(codes))
    for group in every:
        spans = features.spans([group])
        same = torch.equal(pick(row, spans), pick(other, spans))
        assert same == (group != "user")


def test_columns_of_no_block_are_no_vectors():
    rng = np.random.RandomState(0)
    table = pd.DataFrame({"x0": rng.normal(size=50), "x1": 1e6 * rng.normal(size=50)})
    inputs, numbers, _ = fitted(table, n_components=1)
    assert inputs.layout_["groups"]["features"]["scalars"] == (0, 2)
    assert_allclose(numbers.std(axis=0), 1, atol=0.1)


def test_aligned_vectors_keep_their_products():
    table = feature_table(200, n_clip=5)
    # All image and text vectors lie in one plane, so two components lose nothing.
    basis = np.linalg.qr(np.random.RandomState(0).normal(size=(5, 2)))[0]
    for stem in ("image__clip", "text__title_clip", "tags__clip"):
        columns = [f"{stem}_{i}" for i in range(5)]
        plane = table[columns].to_numpy() @ basis @ basis.T
        table[columns] = plane.astype(np.float32)
    inputs, numbers, _ = fitted(table, n_components=2, align=True)
    stems = inputs.layout_["aligned"]
    assert stems == ["image__clip", "text__title_clip", "tags__clip"]
    groups = inputs.layout_["groups"]
    a, b = (
        numbers[:, slice(*groups[block]["vectors"][stem])]
        for block, stem in (("image", stems[0]), ("text", stems[1]))
    )

    def centered(stem):
        values = table[[f"{stem}_{i}" for i in range(5)]].to_numpy(dtype=float)
        return values - values.mean(axis=0)

    truth = (centered(stems[0]) * centered(stems[1])).sum(axis=1)
    assert np.corrcoef((a * b).sum(axis=1), truth)[0, 1] > 0.999


def test_alignment_needs_both_sides_and_equal_lengths():
    both = [f"image__clip__{i}" for i in range(4)] + [
        f"text__a_clip__{i}" for i in range(4)
    ]
    longer = both[:4] + [f"text__a_clip__{i}" for i in range(5)]
    assert set(aligned_vectors(both)) == {"image__clip", "text__a_clip"}
    assert aligned_vectors(both[:4]) == {}
    assert aligned_vectors(both[4:]) == {}
    assert aligned_vectors(longer) == {}


def test_nothing_is_learned_from_held_out_rows():
    table = feature_table(100)
    late = table["time__days"] >= 90
    table["user__user"] = pd.Categorical(np.where(late, "late", "early"))
    table.loc[late, "user__followers"] = 1e9
    model = CoAttentionRegressor(
        max_iter=1, validation_by="time__days", min_frequency=1, random_state=0
    ).fit(table, target_of(table))
    assert model.inputs_.levels_[0] == ["early"]
    other = table.copy()
    other.loc[late, "user__followers"] = 1.0
    again = CoAttentionRegressor(
        max_iter=1, validation_by="time__days", min_frequency=1, random_state=0
    ).fit(other, target_of(table))
    early = table[~late]
    assert_array_equal(model.predict(early), again.predict(early))


def test_piecewise_linear_positions():
    layer = PiecewiseLinear(6)
    out = layer(torch.tensor([[0.0], [-3.5], [0.25], [9.0]])) + 0.5
    assert_allclose(out[0], [1, 1, 1, 0, 0, 0])
    assert_allclose(out[1], np.zeros(6))
    assert_allclose(out[2], [1, 1, 1, 0.25, 0, 0])
    assert_allclose(out[3], np.ones(6))


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
    layer = CategoryEmbeddings([5], 4, 0.5, torch.Generator().manual_seed(0))
    set_generator(layer, torch.Generator().manual_seed(0))
    codes = torch.full((2000, 1), 3)
    unknown = layer.tables[0].weight[0]
    share = (layer(codes)[0] == unknown).all(dim=1).float().mean()
    assert_allclose(float(share.detach()), 0.5, atol=0.05)
    seen = layer.eval()(codes)[0]
    assert torch.equal(seen, layer.tables[0].weight[3].expand_as(seen))


def test_new_users_get_the_unknown_level():
    rng = np.random.RandomState(0)
    table = feature_table(300)
    good = rng.uniform(size=300) < 0.5
    table["user__user"] = pd.Categorical(np.where(good, "star", "dull"))
    y = 4.0 * good + rng.normal(scale=0.1, size=300)
    model = CoAttentionRegressor(id_dropout=0.2, max_iter=40, random_state=0)
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
    nothing = pd.DataFrame(index=range(len(matrix)))
    half = max(1, len(matrix) // 2)
    inputs = NetworkInputs(n_components=1, align=True)
    inputs.fit(matrix[:half], names, nothing[:half])
    numbers, _ = inputs.transform(matrix, nothing)
    assert np.isfinite(numbers).all()
    assert numbers.shape[1] == inputs.layout_["n_numbers"]
