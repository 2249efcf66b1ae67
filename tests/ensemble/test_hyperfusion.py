"""The ensemble: honest out-of-fold predictions, weights, folds, routing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
    StratifiedRegressionKFold,
    spearman_score,
)
from hyperfusion.exceptions import BadCellError, InvalidInputError

MEMBERS = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=4))]


def test_one_member_agrees_with_a_plain_loop(data):
    X, y = data
    cv = KFold(4, shuffle=True, random_state=1)
    ensemble = HyperFusionRegressor([Ridge()], cv=cv).fit(X, y)
    oof, models = np.zeros(len(y)), []
    for train, test in cv.split(X):
        models.append(Ridge().fit(X[train], y[train]))
        oof[test] = models[-1].predict(X[test])
    assert_allclose(ensemble.oof_predictions_, oof)
    assert_allclose(
        ensemble.predict(X), np.mean([m.predict(X) for m in models], axis=0)
    )
    assert_array_equal(ensemble.weights_, np.ones((4, 1)))


def test_prediction_is_equations_8_and_9(data):
    X, y = data
    ensemble = HyperFusionRegressor(
        MEMBERS, cv=3, weights_per="fold", random_state=0
    ).fit(X, y)
    by_hand = np.zeros(len(y))
    for models, weights in zip(ensemble.estimators_, ensemble.weights_, strict=True):
        by_hand += (
            sum(w * m.predict(X) for w, m in zip(weights, models, strict=True)) / 3
        )
    assert_allclose(ensemble.predict(X), by_hand)
    assert len({tuple(w) for w in ensemble.weights_}) > 1


def test_full_refit_is_one_fit_per_member(data):
    X, y = data
    ensemble = HyperFusionRegressor(
        [Ridge(), KNeighborsRegressor()], weighting="equal", refit="full"
    ).fit(X, y)
    expected = (
        Ridge().fit(X, y).predict(X) + KNeighborsRegressor().fit(X, y).predict(X)
    ) / 2
    assert_allclose(ensemble.predict(X), expected)
    assert len(ensemble.estimators_) == 1
    assert np.isfinite(ensemble.oof_predictions_).all()


def test_good_members_get_the_weight(data):
    X, y = data
    for weighting in ("greedy", "simplex"):
        ensemble = HyperFusionRegressor(
            [("good", Ridge()), ("bad", DummyRegressor())], weighting=weighting
        ).fit(X, y)
        assert_allclose(ensemble.weights_.sum(axis=1), 1)
        assert ensemble.weights_[:, 0].min() > 0.85, weighting


def test_shuffled_labels_give_chance():
    rng = np.random.RandomState(0)
    n = 4000
    X = pd.DataFrame(rng.normal(size=(n, 6)), columns=[f"meta__x{i}" for i in range(6)])
    X["user__user"] = pd.Categorical(rng.randint(0, n // 4, n).astype(str))
    members = [CatBoostHuberRegressor(iterations=20, depth=4), Ridge()]
    scores = []
    for seed in range(5):
        y = rng.permutation(rng.lognormal(size=n))
        ensemble = HyperFusionRegressor(members, cv=3, random_state=seed).fit(X, y)
        scores.append(spearman_score(y, ensemble.oof_predictions_))
    # over shuffles one score spreads by about 0.02, their mean by 0.009
    assert abs(np.mean(scores)) < 0.02


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts the mean and remembers the rows (first column) and weights it saw."""

    def fit(self, X, y, sample_weight=None):
        self.rows_ = np.asarray(X)[:, 0]
        self.weight_, self.mean_ = sample_weight, float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def numbered(n=40):
    return np.column_stack([np.arange(n, dtype=float), np.ones(n)]), np.arange(n) % 10.0


def test_members_never_see_the_rows_they_validate():
    X, y = numbered()
    ensemble = HyperFusionRegressor([Recorder()], cv=4, random_state=0).fit(X, y)
    for (train, test), (model,) in zip(
        ensemble.splits_, ensemble.estimators_, strict=True
    ):
        assert_array_equal(np.sort(model.rows_), np.sort(X[train, 0]))
        assert not set(model.rows_) & set(X[test, 0])


def test_groups_never_part():
    X, y = numbered()
    groups = np.repeat(np.arange(10), 4)
    ensemble = HyperFusionRegressor([Recorder()], cv=3, random_state=0)
    ensemble.fit(X, y, groups=groups)
    for train, test in ensemble.splits_:
        assert not set(groups[train]) & set(groups[test])


def test_weights_follow_their_rows():
    X, y = numbered()
    weight = np.arange(1.0, 41.0)
    ensemble = HyperFusionRegressor([Recorder()], cv=4, random_state=0)
    ensemble.fit(X, y, sample_weight=weight)
    for (model,) in ensemble.estimators_:
        assert_array_equal(model.weight_, model.rows_ + 1)
    piped = HyperFusionRegressor([make_pipeline(StandardScaler(), Ridge())], cv=4)
    piped.fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match="KNeighborsRegressor does not support"):
        HyperFusionRegressor([KNeighborsRegressor()]).fit(X, y, sample_weight=weight)


class DropLargest(BaseEstimator):
    """Stand-in of a sampler: keeps rows whose target is below 9."""

    def fit_resample(self, X, y):
        self.sample_indices_ = np.flatnonzero(y < 9)
        return X[self.sample_indices_], y[self.sample_indices_]


def test_row_filter_acts_on_training_parts_only():
    X, y = numbered()
    ensemble = HyperFusionRegressor(
        [Recorder()], cv=4, row_filter=DropLargest(), random_state=0
    ).fit(X, y)
    for (model,) in ensemble.estimators_:
        assert y[model.rows_.astype(int)].max() < 9
    assert np.isfinite(ensemble.oof_predictions_).all()


def test_extra_rows_train_but_are_never_validated():
    X, y = numbered()
    extra = [
        (np.full((3, 2), 1000.0 + k), np.full(3, 5.0), np.full(3, 0.5))
        for k in range(4)
    ]
    ensemble = HyperFusionRegressor([Recorder()], cv=4, random_state=0)
    ensemble._fit(X, y, None, None, extra)
    for k, (model,) in enumerate(ensemble.estimators_):
        assert (model.rows_ == 1000 + k).sum() == 3
        assert_array_equal(model.weight_[-3:], 0.5)
        assert_array_equal(model.weight_[:-3], 1.0)
    assert ensemble.oof_predictions_.shape == (40,)


@pytest.mark.parametrize(
    "cv",
    [3, KFold(3), TimeSeriesSplit(3), [(np.arange(100), np.arange(100, 200))]],
    ids=["int", "splitter", "time", "list"],
)
def test_any_splitter(data, cv):
    X, y = data
    ensemble = HyperFusionRegressor(MEMBERS, cv=cv, random_state=0).fit(X, y)
    validated = np.unique(np.concatenate([test for _, test in ensemble.splits_]))
    seen = np.isin(np.arange(len(y)), validated)
    assert_array_equal(np.isfinite(ensemble.oof_predictions_), seen)
    assert ensemble.oof_member_predictions_.shape == (200, 2)


def test_names_and_nested_parameters(data):
    X, y = data
    ensemble = HyperFusionRegressor(MEMBERS, cv=3)
    ensemble.set_params(ridge__alpha=7.0)
    assert ensemble.get_params()["ridge__alpha"] == 7.0
    assert dict(MEMBERS)["ridge"].alpha == 7.0
    ensemble.set_params(ridge__alpha=1.0)
    search = GridSearchCV(ensemble, {"ridge__alpha": [1.0, 1e6]}, cv=2).fit(X, y)
    assert search.best_params_ == {"ridge__alpha": 1.0}
    unnamed = HyperFusionRegressor([Ridge(), Ridge(), KNeighborsRegressor()], cv=3)
    names = [name for name, _ in unnamed.fit(X, y).members_]
    assert names == ["ridge-1", "ridge-2", "kneighborsregressor"]
    assert len(unnamed.named_estimators_["ridge-2"]) == 3


def test_member_that_diverges_is_named(data):
    class Diverged(Recorder):
        def predict(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(InvalidInputError, match=r"Diverged.*predicts NaN"):
        HyperFusionRegressor([Diverged()]).fit(*data)


def test_seeds_reach_members_that_have_none(data):
    X, y = data
    members = [
        ("free", ExtraTreesRegressor(5)),
        ("own", ExtraTreesRegressor(5, random_state=3)),
    ]
    ensemble = HyperFusionRegressor(members, cv=2, random_state=0).fit(X, y)
    free = {m.random_state for m in ensemble.named_estimators_["free"]}
    own = {m.random_state for m in ensemble.named_estimators_["own"]}
    assert len(free) == 2
    assert own == {3}
    assert members[0][1].random_state is None


def test_metadata_routing(data):
    X, y = data
    weight, groups = np.ones(200), np.repeat(np.arange(50), 4)
    with config_context(enable_metadata_routing=True):
        ridge = Ridge().set_fit_request(sample_weight=True)
        ensemble = HyperFusionRegressor([ridge], cv=StratifiedRegressionKFold(3))
        ensemble.fit(X, y, sample_weight=weight, groups=groups)
        for train, test in ensemble.splits_:
            assert not set(groups[train]) & set(groups[test])


LINE = [("line", make_pipeline(StandardScaler(), Ridge()))]


@pytest.mark.parametrize("members", ["fast", LINE])
def test_weights_reach_members_that_say_nothing_of_them(data, members):
    X, y = data
    weight = np.arange(1.0, 201.0)
    ensemble = HyperFusionRegressor(members, cv=2, random_state=0)
    if members == "fast":
        ensemble.set_params(boosting__max_iter=5)
    plain = clone(ensemble).fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        make_pipeline(scaler, ensemble).fit(X, y, sample_weight=weight)
        fitted = clone(ensemble).fit(X, y, sample_weight=weight)
        silent = Recorder().set_fit_request(sample_weight=False)
        unweighted = HyperFusionRegressor([silent], cv=2)
        unweighted.fit(X, y, sample_weight=weight)
    assert_allclose(fitted.oof_predictions_, plain.oof_predictions_)
    assert unweighted.estimators_[0][0].weight_ is None


def test_members_of_presets_and_of_lists_have_parameters(data):
    preset = HyperFusionRegressor("default")
    assert (
        preset.get_params()["catboost__depth"] == preset.get_params()["catboost"].depth
    )
    assert preset.members == "default"
    twin = clone(preset.set_params(catboost__depth=3, kernel__ridgecv__cv=4))
    assert twin.get_params()["catboost__depth"] == 3
    names = [name for name, _ in twin.members]
    assert names == [
        *("catboost", "boosting", "kernel"),
        *("context", "context_catboost"),
    ]
    given = [Ridge(), DecisionTreeRegressor(max_depth=3)]
    unnamed = HyperFusionRegressor(given, cv=3, random_state=0)
    search = GridSearchCV(unnamed, {"ridge__alpha": [1.0, 1e6]}, cv=2).fit(*data)
    assert search.best_params_ == {"ridge__alpha": 1.0}
    unnamed.set_params(ridge=Ridge(7.0))
    assert unnamed.get_params()["ridge__alpha"] == 7.0
    assert given[0].alpha == 1.0
    with pytest.raises(ValueError, match=r"'rigde__alpha'.*\['ridge', 'decisiontree"):
        unnamed.set_params(rigde__alpha=1.0)
    with pytest.raises(ValueError, match="alhpa"):
        unnamed.set_params(ridge__alhpa=1.0)


class Fails(Recorder):
    """Fails where it is told to, with an error of its own."""

    def __init__(self, at="fit"):
        self.at = at

    def fit(self, X, y, sample_weight=None):
        if self.at == "fit":
            raise KeyError("lost")
        return super().fit(X, y)

    def predict(self, X):
        if self.at == "predict" or (self.at == "new" and len(X) == 3):
            raise BadCellError("odd", 3, "b")
        return super().predict(X)


@pytest.mark.parametrize(
    ("at", "error", "n_jobs"), [("fit", KeyError, 1), ("predict", BadCellError, 2)]
)
def test_failures_name_the_member(data, at, error, n_jobs):
    members = [("ridge", Ridge()), ("odd one", Fails(at))]
    ensemble = HyperFusionRegressor(members, cv=2, n_jobs=n_jobs)
    with pytest.raises(error) as caught:
        ensemble.fit(*data)
    assert "member 'odd one' in fold " in caught.value.__notes__[0]


def test_failures_at_predict_name_the_member(data):
    X, y = data
    ensemble = HyperFusionRegressor([("odd", Fails("new"))], cv=2).fit(X, y)
    with pytest.raises(BadCellError) as caught:
        ensemble.predict(X[:3])
    assert "member 'odd' in fold 0" in caught.value.__notes__[0]


def test_std_is_the_out_of_fold_error_where_there_is_one_member(data):
    X, y = data
    one = HyperFusionRegressor([Ridge()], random_state=0).fit(X, y)
    _, std = one.predict(X, return_std=True)
    assert_allclose(std, np.sqrt(np.mean(one.oof_residuals_**2)))
    assert_allclose(one.oof_residuals_, y - one.oof_predictions_)


def test_std_follows_the_formula(data):
    X, y = data
    ensemble = HyperFusionRegressor(
        MEMBERS, cv=3, weighting="equal", random_state=0
    ).fit(X, y)
    mean, std = ensemble.predict(X, return_std=True)
    assert_allclose(mean, ensemble.predict(X))
    spread = np.zeros(len(y))
    for k, (_, rows) in enumerate(ensemble.splits_):
        bias = (ensemble.oof_member_predictions_[rows] - y[rows, None]).mean(axis=0)
        ridge, tree = (m.predict(X) for m in ensemble.estimators_[k])
        # variance of two equally weighted values: a quarter of the squared gap
        spread += (ridge - bias[0] - tree + bias[1]) ** 2 / 4 / 3
    a, b = ensemble.variance_coefficients_
    assert_allclose(std, np.sqrt(a + b * spread))
    assert_allclose(
        np.mean(ensemble.oof_std_**2), np.var(ensemble.oof_residuals_), rtol=0.2
    )


def test_fold_scores_and_progress(data, capsys):
    X, y = data
    ensemble = HyperFusionRegressor(MEMBERS, cv=3, verbose=1, random_state=0).fit(X, y)
    scores = ensemble.fold_scores_
    assert scores.index.names == ["fold", "member"]
    assert len(scores) == 9
    test = ensemble.splits_[0][1]
    src = spearman_score(y[test], ensemble.oof_member_predictions_[test, 0])
    assert_allclose(scores.loc[(0, "ridge"), "src"], src)
    assert "fold 3/3 tree: SRC" in capsys.readouterr().out


def test_callbacks_score_each_part_on_its_validation_rows(data):
    callback = pytest.importorskip(
        "sklearn.callback", reason="scikit-learn 1.9 has them"
    )
    X, y = data
    monitor = callback.ScoringMonitor(scoring="r2")
    ensemble = HyperFusionRegressor(MEMBERS, cv=3, random_state=0)
    ensemble.set_callbacks(monitor)
    ensemble.fit(X, y)
    logged = [row for row in monitor.get_logs().data if row["task_name"] == "fit-part"]
    assert len(logged) == 6
    test = ensemble.splits_[0][1]
    expected = ensemble.estimators_[0][0].score(X[test], y[test])
    assert_allclose(logged[0]["r2"], expected)


@pytest.mark.parametrize("refit", ["folds", "full"])
def test_threads_of_the_caller_change_nothing(refit):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(1500, 300))
    y = X @ rng.normal(size=300) + rng.normal(size=1500)
    ensemble = HyperFusionRegressor(
        [KernelRidge(), Ridge()], cv=3, refit=refit, random_state=0
    )
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            ensemble.fit(X, y)
        found.append((ensemble.oof_predictions_, ensemble.weights_))
    assert_array_equal(found[0][0], found[1][0])
    assert_array_equal(found[0][1], found[1][1])
