"""The ablation: what leaves, what is fitted again, and what the changes are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    HyperFusionRegressor,
    IQRFilter,
    PseudoLabelWrapper,
    ablate,
    make_hyperfusion,
    make_posts,
    time_split,
)
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import LabeledSplit, StratifiedRegressionKFold
from hyperfusion.relations import HierarchicalClusterEncoder, RelationEncoder
from hyperfusion.table import MODALITIES, Schema
from hyperfusion.table import feature_table as build_table

PAPER = ["visual", "metadata", "textual", "geolocation"]
PAPER += ["ensemble", "pseudo_labels", "filter", "folds"]
MEMBERS = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=4))]


def feature_table(n=400, seed=0):
    """A feature table in which only image and time matter, and image more."""
    rng = np.random.RandomState(seed)
    columns = {
        "image__brightness": rng.normal(size=n),
        "text__length": rng.normal(size=n),
        "time__hour": rng.normal(size=n),
        "geo__latitude": rng.normal(size=n),
    }
    X = pd.DataFrame(columns).astype("float32")
    y = 3 * X["image__brightness"] + X["time__hour"] + 0.5 * rng.normal(size=n)
    return X, y.to_numpy(dtype=float).copy()


def test_rows_are_those_of_the_paper_and_find_what_matters():
    X, y = feature_table()
    model = HyperFusionRegressor(MEMBERS, cv=3, row_filter=IQRFilter(), random_state=0)
    table = ablate(model, X, y, times=np.arange(400), random_state=0, n_bootstrap=200)
    assert list(table.index) == ["full model", *(f"without {p}" for p in PAPER)]
    change = table["mae_change"]
    assert change["without visual"] > change["without metadata"] > 0.1
    assert (
        table.loc[["without visual", "without metadata"], "mae_change_low"] > 0
    ).all()
    for nothing in ("without textual", "without geolocation"):
        assert abs(change[nothing]) < 0.05
    assert table.loc["full model", ["src_change", "mae_change"]].tolist() == [0, 0]
    assert table["n_features"].drop("without pseudo_labels").tolist() == [
        *(4, 3, 3, 3, 3),
        *(4, 4, 4),
    ]
    missing = table.loc["without pseudo_labels"]
    assert missing["note"] == "the model uses no pseudo-labels"
    assert missing.drop("note").isna().all()


def test_rows_agree_with_fits_by_hand():
    X, y = feature_table()
    train, test = time_split(np.arange(400), test_size=0.25)
    model = HyperFusionRegressor(MEMBERS, cv=3, random_state=0)
    table = ablate(model, X, y, times=np.arange(400), test_size=0.25, n_bootstrap=5)

    full = clone(model).fit(X.iloc[train], y[train])
    less = X.drop(columns="image__brightness")
    blind = clone(model).fit(less.iloc[train], y[train])
    best = full.fold_scores_["mae"].groupby("member").mean()[["ridge", "tree"]].argmin()
    alone = np.mean([m[best].predict(X.iloc[test]) for m in full.estimators_], axis=0)
    assert table.loc["without ensemble", "note"] == f"{MEMBERS[best][0]} alone"
    for name, predicted in {
        "full model": full.predict(X.iloc[test]),
        "without visual": blind.predict(less.iloc[test]),
        "without ensemble": alone,
    }.items():
        assert_allclose(table.loc[name, "mae"], np.abs(predicted - y[test]).mean())
        assert_allclose(table.loc[name, "src"], spearmanr(predicted, y[test])[0])
    changes = table["src"] - table.loc["full model", "src"]
    assert_allclose(table["src_change"], changes, atol=1e-12)


class CountingEncoder(TransformerMixin, BaseEstimator):
    """Passes a table on and counts how often it was fitted, and on which rows."""

    fits: list = []

    def fit(self, X, y=None):
        CountingEncoder.fits.append(list(X.index))
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


def test_posts_are_encoded_once_a_split():
    X, y = feature_table(120)
    CountingEncoder.fits.clear()
    model = make_pipeline(CountingEncoder(), Ridge())
    ablate(model, X, y, cv=KFold(2), n_bootstrap=5, parts=PAPER[:4])
    assert CountingEncoder.fits == [list(range(60, 120)), list(range(60))]


class Widths(RegressorMixin, BaseEstimator):
    """Linear; writes down the columns of each fit."""

    seen: list = []

    def fit(self, X, y):
        Widths.seen.append(list(X.columns))
        self.model_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        assert list(X.columns) == Widths.seen[-1]
        return self.model_.predict(X)


def test_blocks_and_plain_regressors():
    X, y = feature_table(100)
    Widths.seen.clear()
    table = ablate(
        Widths(),
        X,
        y,
        times=np.arange(100),
        n_bootstrap=5,
        parts=["geo", "tags", "ensemble", "filter", "folds"],
    )
    everything = list(X.columns)
    assert Widths.seen == [everything, [c for c in everything if "geo" not in c]]
    assert table.loc["without tags", "note"] == "the feature table has no such column"
    assert table.loc["without ensemble", "note"] == "the model is not an ensemble"
    assert table.loc["without filter", "note"] == "the model has no row filter"
    note = "the model is not an ensemble over folds"
    assert table.loc["without folds", "note"] == note


@pytest.mark.parametrize("clusters", [False, True])
def test_relations_leave_with_either_side(clusters):
    rng = np.random.RandomState(0)
    stems = ["image__clip", "text__title_clip", "text__body_clip", "tags__clip"]
    vectors = {stem: rng.normal(size=(60, 3)) for stem in stems}
    hour = pd.DataFrame({"hour": np.ones(60)})
    X = build_table({**vectors, "time": hour}, spaces={"clip": stems})
    cluster = HierarchicalClusterEncoder(
        levels=(2,), min_cluster_size=5, random_state=0
    )
    relate = RelationEncoder(clusters=cluster if clusters else False)
    related = relate.fit_transform(X)
    columns, schema = list(related.columns), Schema.of(related)
    left = {p: set(columns) - set(schema.leaving_with(p)) for p in MODALITIES}
    new = set(columns) - set(X.columns)
    assert len(new) > 6

    def kept(part):
        return {c.split("__")[1] for c in left[part] & new}

    # what is left without a modality is what is made of a table without it
    for part, blocks in {"visual": ["image"], "textual": ["text", "tags"]}.items():
        rest = X.drop(columns=[c for c in X if c.split("__")[0] in blocks])
        again = set(relate.fit_transform(rest).columns) - set(rest.columns)
        again = {c.split("__")[1] for c in again}
        # but for what compares with the mean of the others, which has other others
        again = {c for c in again if "all" not in c and not c.startswith("joint")}
        assert kept(part) == again
    assert left["metadata"] == set(columns) - {"time__hour"}
    assert left["geolocation"] == set(columns)
    tags_related = {c for c in new if "tags" in c or "_all_" in c or "joint" in c}
    assert set(schema.leaving_with("tags")) - set(X) == tags_related


def test_unknown_relations_leave_with_all_content():
    schema = Schema(["image__a", "time__hour", "cross__wit"])
    assert schema.leaving_with("visual") == ["image__a", "cross__wit"]
    assert schema.leaving_with("textual") == ["cross__wit"]
    assert schema.leaving_with("metadata") == ["time__hour"]
    assert schema.leaving_with("cross") == ["cross__wit"]


def test_pipeline_of_posts_with_roles():
    posts = make_posts(120, random_state=0)
    model = make_hyperfusion(
        **posts.roles,
        image_encoder=False,
        text_encoder=False,
        members=[DecisionTreeRegressor(max_depth=d) for d in (2, 4)],
        cv=2,
        random_state=0,
    )
    table = ablate(model, posts.data, posts.target, n_bootstrap=20, random_state=0)
    assert table["mae"].notna().sum() == 7
    assert table["n_features"].iloc[:5].nunique() == 5
    without = table["n_features"].iloc[0] - table["n_features"].iloc[1:5]
    assert (without > 0).all()
    assert not hasattr(model[0], "components_"), "the model itself stays unfitted"


class SelfTraining(RegressorMixin, BaseEstimator):
    """Stands for a wrapper with pseudo-labels: unlabeled rows count as zero."""

    learns_unlabeled = True

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator).fit(X, np.nan_to_num(y))
        return self

    def predict(self, X):
        return self.estimator_.predict(X)


def test_pseudo_labels_are_taken_away():
    X, y = feature_table(200)
    y[::4] = np.nan
    model = SelfTraining(Ridge())
    table = ablate(
        model, X, y, times=np.arange(200), n_bootstrap=5, parts="pseudo_labels"
    )
    labeled = np.flatnonzero(~np.isnan(y))
    train, test = labeled[:-30], labeled[-30:]
    plain = Ridge().fit(X.iloc[train], y[train]).predict(X.iloc[test])
    expected = np.abs(plain - y[test]).mean()
    assert_allclose(table.loc["without pseudo_labels", "mae"], expected)
    assert table.loc["full model", "mae"] > expected


@pytest.mark.parametrize("inside", ["ensemble", "one member"])
def test_a_wrapper_keeps_its_folds_and_seed_without_pseudo_labels(inside):
    X, y = feature_table(120)
    y[40:90] = np.nan
    models = {"ensemble": HyperFusionRegressor(MEMBERS), "one member": Ridge()}
    model = PseudoLabelWrapper(models[inside], min_gain_se=1e9, cv=3, random_state=0)
    table = ablate(
        model, X, y, parts="pseudo_labels", times=np.arange(120), n_bootstrap=5
    )
    change = table.loc["without pseudo_labels", ["mae_change", "src_change"]]
    assert change.tolist() == [0, 0], "a margin that no round reaches undoes them all"


def test_parts_inside_a_wrapper():
    X, y = feature_table(200)
    y[::4] = np.nan
    inner = HyperFusionRegressor(
        MEMBERS, cv=2, row_filter=IQRFilter(factor=0.9, max_share=0.5), random_state=0
    )

    class Labeled(SelfTraining):
        def fit(self, X, y):
            rows = ~np.isnan(y)
            self.estimator_ = clone(self.estimator).fit(X[rows], y[rows])
            return self

    table = ablate(
        Labeled(inner),
        X,
        y,
        times=np.arange(200),
        n_bootstrap=5,
        random_state=0,
        parts=["ensemble", "pseudo_labels", "filter", "folds"],
    )
    assert table["mae"].notna().all()
    assert table.loc["without pseudo_labels", "mae_change"] == 0
    assert (table.loc[["without filter", "without folds"], "mae_change"] != 0).all()
    assert table.loc["without ensemble", "note"].endswith(" alone")


def test_same_numbers_for_any_number_of_jobs():
    X, y = feature_table(150)
    model = HyperFusionRegressor(MEMBERS, cv=2, random_state=0)
    options = {"times": np.arange(150), "n_bootstrap": 20, "random_state": 0}
    options["parts"] = ["visual", "ensemble"]
    one = ablate(model, X, y, **options)
    with parallel_config("threading", n_jobs=2):
        two = ablate(model, X, y, **options)
    pd.testing.assert_frame_equal(
        one.drop(columns="seconds"), two.drop(columns="seconds")
    )


class TwoArguments:
    """A splitter that knows of no groups."""

    def split(self, X, y):
        yield np.arange(30), np.arange(30, len(X))


def folds_of(cv, **options):
    """The test rows of an ablation's folds, by what the full model saw."""
    X, y = feature_table(60)
    y[:6] = np.nan
    seen = []

    class Rows(Ridge):
        def predict(self, X):
            seen.append(X.index.to_numpy())
            return super().predict(X)

    ablate(Rows(), X, y, cv=cv, parts=[], n_bootstrap=5, **options)
    return seen


def test_a_number_of_folds_is_stratified_and_seeded():
    folds = folds_of(3, random_state=0)
    assert_array_equal(np.sort(np.concatenate(folds)), np.arange(6, 60))
    again, other = folds_of(3, random_state=0), folds_of(3, random_state=1)
    assert_array_equal(np.concatenate(folds), np.concatenate(again))
    assert set(folds[0]) != set(other[0])
    with pytest.raises(InvalidInputError, match="n_splits=99"):
        folds_of(99)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "cv", [GroupKFold(3), LabeledSplit(GroupKFold(3)), StratifiedRegressionKFold(3)]
)
def test_splitters_that_take_groups_get_the_users(cv):
    users = np.arange(60) % 9
    folds = folds_of(cv, users=users)
    assert sorted(np.concatenate(folds)) == list(range(6, 60))
    assert sum(len(set(users[rows])) for rows in folds) == 9


@pytest.mark.filterwarnings("error")
def test_other_splitters_get_no_groups():
    users = np.arange(60) % 9
    assert len(folds_of(KFold(3), users=users)) == 3
    assert len(folds_of(TwoArguments(), users=users)) == 1


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ("time", "cv must be a number, a splitter or pairs .* Got 'time'"),
        (2.5, "cv must be a number, a splitter or pairs .* Got 2.5"),
        ([], "cv is empty"),
        ([(1, 2, 3)], "cv must be a number, a splitter or pairs"),
        ([([0, 1], [2, -70])], "from 0 to 59. Got array"),
    ],
)
def test_folds_that_are_none(cv, message):
    with pytest.raises(InvalidInputError, match=message):
        folds_of(cv)


def test_a_missing_time_is_named_by_its_row():
    X, y = feature_table(60)
    y[:50:2] = np.nan
    times = np.arange(60.0)
    times[[0, 41]] = np.nan
    with pytest.raises(InvalidInputError, match=r"times is missing in row 41\b"):
        ablate(Ridge(), X, y, times=times)


def test_arrays_and_faults():
    X, y = feature_table(60)
    table = ablate(Ridge(), X.to_numpy(), y, times=np.arange(60), n_bootstrap=5)
    assert table["mae"].notna().sum() == 1
    assert "no names" in table.loc["without visual", "note"]
    with pytest.raises(InvalidInputError, match="pass times="):
        ablate(Ridge(), X, y)
    with pytest.raises(InvalidInputError, match="'sound'"):
        ablate(Ridge(), X, y, times=np.arange(60), parts=["sound"])
    one_column = X[["image__brightness"]]
    table = ablate(
        Ridge(), one_column, y, times=np.arange(60), n_bootstrap=5, parts="visual"
    )
    assert table["note"].tolist() == ["", "the feature table has no other column"]


def test_verbose_prints_a_line_a_variant(capsys):
    X, y = feature_table(60)
    ablate(
        HyperFusionRegressor(MEMBERS, cv=2, random_state=0),
        X,
        y,
        verbose=1,
        times=np.arange(60),
        parts=["visual", "ensemble"],
        n_bootstrap=5,
    )
    lines = capsys.readouterr().out.splitlines()
    starts = ["[ablate] full model", "[ablate] without ensemble"]
    assert_array_equal([line.split(":")[0] for line in lines[:2]], starts)
    assert lines[2].startswith("[ablate] without visual: SRC ")
