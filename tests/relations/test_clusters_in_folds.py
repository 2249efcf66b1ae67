"""Target means of clusters: inside the folds of the ensemble they can't leak."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from hyperfusion import (
    HierarchicalClusterEncoder,
    HyperFusionRegressor,
    NumericTable,
    RelationEncoder,
)


def posts(seed, n=400):
    """Pictures of 60 kinds; the score is noise."""
    rng = np.random.RandomState(seed)
    kinds = 2 * rng.normal(size=(60, 8))
    vectors = kinds[rng.randint(60, size=n)] + rng.normal(size=(n, 8))
    names = [f"image__clip__{i}" for i in range(8)]
    X = pd.DataFrame(vectors.astype(np.float32), columns=names)
    return X.assign(time__hour=rng.rand(n).astype(np.float32)), rng.normal(size=n)


def clusters_with_means():
    tree = HierarchicalClusterEncoder(
        levels=(8, 64, 150), min_cluster_size=2, target_mean=True, random_state=0
    )
    return RelationEncoder(similarity=False, clusters=tree)


def ensemble(*first):
    steps = [*first, NumericTable(impute=True, random_state=0), Ridge()]
    member = ("ridge", make_pipeline(*steps))
    folds = KFold(3, shuffle=True, random_state=0)
    return HyperFusionRegressor([member], cv=folds, random_state=0)


def out_of_fold(way, X, y):
    if way == "inside":
        return ensemble(clusters_with_means()).fit(X, y).oof_predictions_
    table = clusters_with_means().fit_transform(X, y)
    return ensemble().fit(table, y).oof_predictions_


@pytest.mark.parametrize(("way", "leaks"), [("inside", False), ("before", True)])
def test_a_posts_own_label_does_not_reach_its_prediction(way, leaks):
    X, y = posts(0)
    other = y.copy()
    other[5] += 10
    before, after = out_of_fold(way, X, y), out_of_fold(way, X, other)
    assert (before[5] != after[5]) == leaks
    assert (before != after).sum() > 100  # the others learn from it


def test_shuffled_labels_teach_nothing():
    found = []
    for seed in range(4):
        X, y = posts(seed)
        found.append(spearmanr(out_of_fold("inside", X, y), y)[0])
    # Made before the folds, the same means give 0.12 over 12 seeds.
    assert abs(np.mean(found)) < 0.07, found


def test_the_means_that_a_member_sees_are_those_of_its_rows():
    X, _ = posts(1)
    steep = X["image__clip__0"].to_numpy(dtype=float)
    model = ensemble(clusters_with_means()).fit(X, steep)
    assert spearmanr(model.oof_predictions_, steep)[0] > 0.8
    names = model.estimators_[0][0][1].feature_names_in_
    assert "cluster__image_64_target_mean" in names


def test_clusters_of_the_pipeline_get_their_means_from_the_members():
    X, y = posts(2)
    table = RelationEncoder(
        similarity=False,
        clusters=HierarchicalClusterEncoder(levels=(64,), min_cluster_size=2),
    ).fit_transform(X)
    numbers = NumericTable(random_state=0).fit_transform(table, y)
    assert "cluster__image_64_target_mean" in numbers
    assert_array_equal(numbers.filter(regex="^image|^time"), X)
