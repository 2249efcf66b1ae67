"""Posts for the tests of `UserHistory`, and its features as a frame."""

import numpy as np
import pandas as pd

DAY = 86_400
START = 1_600_000_000
NAMES = [
    *("has_history", "history_posts", "history_scores", "history_days_since_last"),
    *("history_posts_per_day", "history_mean", "history_median", "history_spread"),
    *("history_last_3", "history_last_5", "history_expected", "history_level"),
    "history_missing",
]


def make_posts(n, n_users, seed=0, n_days=400):
    rng = np.random.RandomState(seed)
    return pd.DataFrame(
        {
            "user": [f"u{i}" for i in rng.randint(0, n_users, n)],
            "time": START + rng.randint(0, n_days * 24, n) * 3600,
            "category": rng.choice(["a", "b", "c"], n),
            "place": rng.choice(["x", "y"], n),
        }
    )


def features(history, X):
    return pd.DataFrame(
        history.transform(X), columns=history.get_feature_names_out(), dtype=float
    )
