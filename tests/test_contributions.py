"""What the synthetic posts are known to be made of is found again.

Members lose by the removal of a family of blocks in the order of what the families
contribute: by the law of the posts, and where the contributions are mixed anew in the
opposite order.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from hyperfusion import CatBoostHuberRegressor, PostEncoder, make_posts
from hyperfusion.table import Schema

# Blocks that tell of the same thing leave together: a user by name or by vector.
FAMILIES = {
    "user": ["user"],
    "image": ["image"],
    "place": ["geo", "place"],
    "tags": ["tags"],
}
# The spread over three splits was at times too small by chance to judge noise by.
SEEDS = range(5)
N_TRAIN = 900


@pytest.fixture(scope="module")
def posts():
    return make_posts(1500, random_state=0, image_size=32)


@pytest.fixture(scope="module")
def features(posts):
    """The families' features, and a block of noise."""
    roles = posts.roles | {"text": (), "time": None, "user_created": None}
    encoder = PostEncoder(
        **roles, image_encoder=False, text_encoder=False, random_state=0
    )
    table = encoder.fit_transform(posts.data)
    kept = [block for blocks in FAMILIES.values() for block in blocks]
    table = table[[c for c in table if c.partition("__")[0] in kept]]
    rng = np.random.RandomState(0)
    noise = rng.normal(size=(len(table), 10)).astype(np.float32)
    names = [f"cross__noise_{i}" for i in range(10)]
    return table.join(pd.DataFrame(noise, index=table.index, columns=names))


def mixed(posts, order):
    """A score in which each family has 1.6 times the spread of the next."""
    parts = [posts.contributions[FAMILIES[f]].sum(axis=1) for f in order]
    units = [(part - part.mean()) / part.std() for part in parts]
    score = sum(unit * 1.6**-i for i, unit in enumerate(units))
    return score.to_numpy() + 0.1 * np.random.RandomState(1).normal(size=len(score))


def losses(features, y):
    """How much the squared error grows without each family, seed by seed."""
    schema = Schema.of(features)
    families = FAMILIES | {"noise": ["cross"]}
    found = []
    for seed in SEEDS:
        rows = np.random.RandomState(seed).permutation(len(y))
        train, test = rows[:N_TRAIN], rows[N_TRAIN:]

        def error(table, train=train, test=test, seed=seed):
            # Each split sees all columns: what a family adds is asked for, not what
            # few and large steps make of noise where they see nothing else.
            model = CatBoostHuberRegressor(
                iterations=20,
                depth=4,
                learning_rate=0.5,
                colsample=1.0,
                early_stopping=False,
                n_threads=1,
                random_state=seed,
            ).fit(table.iloc[train], y[train])
            return np.mean((model.predict(table.iloc[test]) - y[test]) ** 2)

        whole = error(features)
        found.append({})
        for family, own in families.items():
            columns = zip(schema.columns, schema.blocks, strict=True)
            gone = [column for column, block in columns if block in own]
            found[-1][family] = error(features.drop(columns=gone)) - whole
    return pd.DataFrame(found)


def test_removing_a_family_costs_what_it_contributes(posts, features):
    order = ["tags", "place", "image", "user"]
    lost = losses(features, mixed(posts, order))
    means = lost.mean()
    assert list(means[order].sort_values(ascending=False).index) == order, means
    for larger, smaller in pairwise(order):
        assert means[larger] > 1.5 * means[smaller], means
    assert means["noise"] < means["user"], means
    assert abs(means["noise"]) <= max(2 * lost["noise"].std(), 0.01), lost


def test_the_law_itself_turns_the_order_round(posts, features):
    # Users make up half of the variance, pictures an eighth, the others less.
    lost = losses(features, posts.target)
    means = lost.mean()
    assert means["user"] > 2 * means["image"] > 0, means
    assert means["image"] > max(means["place"], means["tags"], means["noise"]), means
    assert abs(means["noise"]) <= 2 * lost["noise"].std(), lost
