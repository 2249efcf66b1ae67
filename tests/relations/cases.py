"""Small, fast arguments for the common tests."""

import numpy as np
import pandas as pd

from hyperfusion import (
    CrossModalSimilarity,
    HierarchicalClusterEncoder,
    NeighborTargets,
    RelationEncoder,
)
from hyperfusion.table._schema import Schema, declare
from tests.common import Case


def feature_table(n=40, width=6):
    """Vectors of an image, a title and tags, some missing, and a category."""
    rng = np.random.RandomState(0)
    base = rng.normal(size=(n, width))
    parts = []
    for stem in ("image__clip", "text__title_clip", "tags__clip"):
        vectors = base + rng.normal(size=(n, width))
        vectors[rng.rand(n) < 0.1] = np.nan
        names = [f"{stem}__{i}" for i in range(width)]
        parts.append(pd.DataFrame(vectors.astype(np.float32), columns=names))
    kind = pd.Categorical(rng.choice(["food", "pets", None], size=n))
    table = pd.concat([*parts, pd.DataFrame({"meta__kind": kind})], axis=1)
    return declare(table, dict.fromkeys(Schema.of(table).vectors, "clip"))


TABLE = feature_table()

SMALL_TREE = {"levels": (2, 4), "min_cluster_size": 2, "random_state": 0}
RNG = np.random.RandomState(0)
POSTS = pd.DataFrame(
    {
        "title": RNG.choice(["red boat", "old boat", "tree", None], 40),
        "embedding": list(RNG.normal(size=(40, 3))),
        "user": RNG.choice(["ann", "bob", "eve"], 40),
        "posted": pd.date_range("2024-05-01", periods=20).repeat(2),
    }
)

CASES: list[Case] = [
    Case(CrossModalSimilarity(), X=TABLE),
    Case(HierarchicalClusterEncoder(**SMALL_TREE)),
    Case(HierarchicalClusterEncoder(**SMALL_TREE), X=TABLE),
    Case(NeighborTargets()),
    Case(
        NeighborTargets(
            text="title",
            vectors="embedding",
            user="user",
            time="posted",
            n_components=2,
            random_state=0,
        ),
        X=POSTS,
        y=RNG.normal(size=40),
    ),
    Case(RelationEncoder()),
    Case(RelationEncoder(clusters=HierarchicalClusterEncoder(**SMALL_TREE)), X=TABLE),
]
