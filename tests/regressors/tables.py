"""Small feature tables for the tests of the networks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hyperfusion.table._schema import declare as declare_spaces

CLIP = ("image__clip", "text__title_clip", "tags__clip")


def feature_table(n: int = 120, *, seed: int = 0, n_clip: int = 6) -> pd.DataFrame:
    """A table of every kind of block, with missing numbers and categories."""
    rng = np.random.RandomState(seed)
    columns: dict[str, np.ndarray] = {}
    for stem in CLIP:
        vectors = rng.normal(size=(n, n_clip))
        columns |= {f"{stem}__{i}": vectors[:, i] for i in range(n_clip)}
    columns["image__brightness"] = rng.uniform(size=n)
    columns["text__title_words"] = rng.poisson(5, size=n).astype(float)
    columns["user__followers"] = rng.lognormal(5, 2, size=n)
    columns["time__hour"] = rng.uniform(0, 24, size=n)
    columns["time__days"] = np.arange(n, dtype=float)
    columns["geo__latitude"] = np.where(rng.uniform(size=n) < 0.3, np.nan, 50.0)
    table = pd.DataFrame(columns).astype("float32")
    users = rng.choice(["ann", "bob", "eve"], size=n, p=[0.5, 0.3, 0.2])
    table["user__user"] = pd.Categorical(
        np.where(rng.uniform(size=n) < 0.1, None, users)
    )
    table["meta__kind"] = pd.Categorical(rng.choice(["photo", "video"], size=n))
    return declare(table)


def declare(table: pd.DataFrame) -> pd.DataFrame:
    """The table, which says of its CLIP vectors that they may be compared."""
    return declare_spaces(table, dict.fromkeys(CLIP, "clip"))


def target_of(table: pd.DataFrame, *, seed: int = 1) -> np.ndarray:
    """A target that the image-text similarity, followers and the kind make."""
    rng = np.random.RandomState(seed)
    y = np.log1p(table["user__followers"].to_numpy(dtype=float))
    y = y + 2 * (table["meta__kind"] == "video").to_numpy()
    if "image__clip__0" in table and "text__title_clip__0" in table:
        y = y + table["image__clip__0"] * table["text__title_clip__0"]
    return np.asarray(y, dtype=float) + 0.1 * rng.normal(size=len(table)) + 10
