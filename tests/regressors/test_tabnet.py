"""TabNetHuberRegressor: masks, importances, chunks of the batch normalization."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import TabNetHuberRegressor
from hyperfusion.regressors.networks._members import _chunk_size
from hyperfusion.regressors.networks._training import batches_of
from hyperfusion.table._features import read_features
from tests.regressors.tables import feature_table, target_of

X = feature_table()
Y = target_of(X)


def small(**params) -> TabNetHuberRegressor:
    given = {"n_d": 4, "n_steps": 2, "max_iter": 3}
    return TabNetHuberRegressor(random_state=0, **(given | params))


def network_and_rows(model):
    """The network, and its rows of the table."""
    rows = model._inputs.transform(read_features(model, X, reset=False))
    return model._network, *map(torch.from_numpy, rows)


def test_importances_are_shares_of_the_columns():
    model = small(n_components=3).fit(X, Y)
    shares = pd.Series(model.feature_importances_, index=X.columns)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1)
    # All columns of a vector come from one unit, so they have one share.
    clip = shares[[f"image__clip__{i}" for i in range(6)]]
    assert_allclose(clip, clip.iloc[0])


def test_masks_agree_with_pytorch_tabnets_own():
    model = small().fit(X, Y)
    network, numbers, codes = network_and_rows(model)
    with torch.inference_mode():
        features = network.features(numbers.double(), codes)
        total, _ = network.tabnet.forward_masks(features)
    spans = network.membership.numpy().astype(bool)
    expected = [total.numpy()[:, span].mean(axis=1) for span in spans]
    found = network.importances(numbers, codes)
    assert_allclose(found, np.column_stack(expected), rtol=1e-4, atol=1e-6)


def test_importances_find_the_signal():
    table = feature_table(400)
    y = 3 * (table["meta__kind"] == "video") + np.log(table["user__followers"])
    model = small(n_d=8, max_iter=15, learning_rate=0.04, weight_decay=0.01)
    shares = pd.Series(model.fit(table, y).feature_importances_, index=table.columns)
    assert_allclose(shares.sum(), 1)
    assert shares[["meta__kind", "user__followers"]].sum() > 0.5


def test_importances_of_an_array_are_in_its_order():
    features = np.random.RandomState(0).normal(size=(300, 3))
    model = small(max_iter=10, learning_rate=0.04, weight_decay=0.01)
    model.fit(features, 5 * features[:, 2])
    assert model.feature_importances_.argmax() == 2


def test_sparsity_makes_masks_sparser():
    def entropy(sparsity):
        model = small(sparsity=sparsity, max_iter=20, weight_decay=0.01).fit(X, Y)
        network, numbers, codes = network_and_rows(model)
        with torch.inference_mode():
            features = network.features(numbers.double(), codes)
            steps = network.tabnet.forward_masks(features)[1]
        masks = np.concatenate([mask.numpy() for mask in steps.values()])
        return -(masks * np.log(masks + 1e-12)).sum(axis=1).mean()

    assert entropy(1.0) < entropy(0.0)


def test_the_global_generator_is_put_back_when_a_network_is_built():
    model = small().fit(X, Y)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    model._restore("cpu")
    assert_array_equal(torch.get_rng_state(), before)


@given(st.integers(2, 400), st.integers(2, 70), st.integers(2, 70))
@example(7, 100, 3)
@example(3, 100, 2)
def test_no_chunk_of_the_batch_normalization_is_a_single_row(n, batch_size, wanted):
    size = _chunk_size(n, batch_size, wanted)
    assert size >= wanted
    for batch in torch.arange(n).tensor_split(batches_of(n, batch_size)):
        chunks = batch.chunk(int(np.ceil(len(batch) / size)))
        assert min(len(chunk) for chunk in chunks) >= 2
