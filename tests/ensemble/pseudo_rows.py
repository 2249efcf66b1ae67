"""Rows with and without labels, for the tests of pseudo-labels."""

from __future__ import annotations

import numpy as np

ALWAYS = {"min_gain_se": None, "alpha": -1.0, "max_share": 1.0}
"""Settings that take pseudo-labels whatever they do."""


def one_direction(seed, n_labeled=300, n_unlabeled=2000, n_columns=400):
    """Rows whose target is the strength of one direction, hidden among many.

    Few rows don't show the direction to PCA, many do, labeled or not.
    """
    rng = np.random.RandomState(seed)
    direction = 0.09 * rng.normal(size=n_columns)
    drawn = []
    for n in (n_labeled, n_unlabeled, 2000):
        strength = rng.normal(size=n)
        X = strength[:, None] * direction + rng.normal(size=(n, n_columns))
        drawn += [X, strength + 0.3 * rng.normal(size=n)]
    return drawn


def with_unlabeled(X, y, more):
    """Rows with unlabeled ones below them, and their targets."""
    return np.concatenate([X, more]), np.append(y, np.full(len(more), np.nan))
