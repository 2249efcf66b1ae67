"""CoAttentionRegressor: tokens, attention, and what it does without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import CoAttentionRegressor
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors.networks._architectures import CrossAttention
from hyperfusion.regressors.networks._members import choose_sides
from hyperfusion.table import Schema
from tests.regressors.tables import feature_table, target_of

X = feature_table()
Y = target_of(X)


def small(**params) -> CoAttentionRegressor:
    given = {"hidden_size": 16, "token_size": 8, "max_iter": 3}
    return CoAttentionRegressor(random_state=0, **(given | params))


def test_a_side_has_a_token_for_a_block_and_four_for_each_vector():
    visual, textual = small().fit(X, Y)._network.tokens
    sizes = [
        [p.out_features // 8 for p in side.projections] for side in (visual, textual)
    ]
    assert sizes == [[1, 4], [1, 4, 4]]


def test_cross_attention_agrees_with_torchs_own():
    generator = torch.Generator().manual_seed(0)
    ours = CrossAttention(8, 2, generator)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.ask.weight, ours.answer.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.ask.bias, ours.answer.bias]))
        theirs.out_proj.weight.copy_(ours.mix.weight)
        theirs.out_proj.bias.copy_(ours.mix.bias)
    own = torch.randn((3, 4, 8), generator=generator)
    other = torch.randn((3, 5, 8), generator=generator)
    expected, _ = theirs(own, other, other)
    assert_allclose(ours(own, other).detach(), expected.detach(), atol=1e-6)


def test_sides_degrade_in_good_order():
    assert choose_sides(["image", "text", "user", "tags"]) == {
        "visual": ["image"],
        "textual": ["text", "tags"],
    }
    assert choose_sides(["user", "text", "meta"]) == {
        "textual": ["text"],
        "metadata": ["user", "meta"],
    }
    assert choose_sides(["image", "cross"]) == {
        "visual": ["image"],
        "metadata": ["cross"],
    }
    assert choose_sides(["image"]) == {}
    assert choose_sides(["user", "time"]) == {}
    assert choose_sides(["other"]) == {}


@pytest.mark.parametrize(
    ("blocks", "sides"),
    [
        (("image", "text", "tags"), ["visual", "textual"]),
        (("image", "user"), ["visual", "metadata"]),
        (("text", "time", "geo"), ["textual", "metadata"]),
        (("user", "meta", "time"), []),
        (("image",), []),
    ],
)
def test_every_choice_of_blocks_trains(blocks, sides):
    table = X.loc[:, np.isin(np.array(Schema.of(X).blocks), blocks)]
    model = small().fit(table, Y)
    assert list(model._network.sides) == sides
    assert np.isfinite(model.predict(table)).all()


def test_unnamed_features_are_learned():
    rng = np.random.RandomState(0)
    features = rng.normal(size=(500, 4))
    y = np.sin(2 * features[:, 0]) + features[:, 1] * (features[:, 2] > 0)
    model = CoAttentionRegressor(learning_rate=0.005, max_iter=40, random_state=0)
    model.fit(features[:400], y[:400])
    assert model.score(features[400:], y[400:]) > 0.8


def test_learns_what_lies_between_image_and_text():
    rng = np.random.RandomState(0)
    table = feature_table(900)
    image = [f"image__clip__{i}" for i in range(6)]
    text = [f"text__title_clip__{i}" for i in range(6)]
    match = rng.uniform(size=900) < 0.5
    same = table[image].to_numpy() + 0.2 * rng.normal(size=(900, 6))
    table.loc[match, text] = same[match].astype(np.float32)
    y = 3.0 * match + 0.1 * rng.normal(size=900)
    model = CoAttentionRegressor(
        hidden_size=32, learning_rate=0.02, max_iter=10, random_state=0
    )
    model.fit(table[:700], y[:700])
    assert model.score(table[700:], y[700:]) > 0.3


def test_token_size_must_suit_the_heads():
    with pytest.raises(InvalidInputError, match=r"multiple of 4.*Got 10"):
        CoAttentionRegressor(token_size=10).fit(X, Y)


def test_row_order_of_columns_is_that_of_fit():
    model = small().fit(X, Y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[X.columns[::-1]])
    assert_array_equal(model.predict(X), model.predict(X.copy()))
