"""Small posts and fast fitted models for the tests of inspection."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import HyperFusionRegressor, NumericTable, PostEncoder

SCALED_RIDGE = make_pipeline(NumericTable(impute=True), StandardScaler(), Ridge())
FAST = [("ridge", SCALED_RIDGE), ("tree", DecisionTreeRegressor(max_depth=4))]


def feature_table(n: int = 200, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A feature table whose target depends on the user and a little on time."""
    rng = np.random.RandomState(seed)
    kinds = rng.choice(["photo", "video"], n)
    X = pd.DataFrame(
        {
            "user__followers": rng.normal(size=n).astype(np.float32),
            "time__hour": rng.randint(24, size=n).astype(np.float32),
            "image__clip__0": rng.normal(size=n).astype(np.float32),
            "image__clip__1": rng.normal(size=n).astype(np.float32),
            "meta__kind": pd.Categorical(kinds),
        }
    )
    y = 3 * X["user__followers"] + 0.05 * X["time__hour"] + (kinds == "video")
    return X, y.to_numpy(dtype=np.float64)


def posts(n: int = 120, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Posts of six users, better in the evening and with more photos."""
    rng = np.random.RandomState(seed)
    start = pd.Timestamp("2024-01-01")
    hours = np.sort(rng.randint(24 * 200, size=n))
    X = pd.DataFrame(
        {
            "user": rng.choice(list("abcdef"), n),
            "posted": start + pd.to_timedelta(hours, unit="h"),
            "photos": rng.randint(1, 9, n).astype(np.float64),
            "noise": rng.normal(size=n),
        }
    )
    level = X["user"].map(dict(zip("abcdef", range(6), strict=True)))
    evening = X["posted"].dt.hour.between(18, 21)
    y = level + 0.5 * X["photos"] + evening + 0.1 * rng.normal(size=n)
    return X, y.to_numpy(dtype=np.float64)


def pipeline(members: list | None = None, **params: object) -> Pipeline:
    """A pipeline from raw columns of `posts` to predictions, unfitted."""
    encode = PostEncoder(user="user", time="posted", numeric=["photos", "noise"])
    predict = HyperFusionRegressor(members or FAST, random_state=0, **params)
    return Pipeline([("encode", encode), ("predict", predict)])
