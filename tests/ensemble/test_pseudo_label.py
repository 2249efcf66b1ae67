"""PseudoLabelWrapper: what it takes, what it tells, and what it leaves alone."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import HyperFusionRegressor, PseudoLabelWrapper
from hyperfusion.ensemble._pseudo_rounds import Rows
from tests.ensemble.pseudo_rows import ALWAYS, one_direction, with_unlabeled

MEMBERS = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=4))]


@pytest.fixture
def data():
    """Labeled rows, unlabeled rows among them, and their truth."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(240, 5))
    truth = X @ [3, 1, 0, 0, 1] + np.sin(3 * X[:, 0]) + 0.5 * rng.normal(size=240)
    y = truth.copy()
    y[rng.permutation(240)[:120]] = np.nan
    return X, y, truth


class Recorder(RegressorMixin, BaseEstimator):
    """Remembers what it was fitted on; more rows make it better."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.y_, self.weight_ = np.asarray(X), np.asarray(y), sample_weight
        self.model_ = Ridge().fit(X, y, sample_weight)
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_labeled_rows_keep_their_labels_and_pseudo_rows_are_not_validated(data):
    X, y, _ = data
    X[:, 1] = np.arange(240)  # tells the rows
    model = PseudoLabelWrapper(Recorder(), cv=4, max_rounds=1, random_state=0, **ALWAYS)
    model.fit(X, y)
    ensemble = model.estimator_
    known = np.flatnonzero(~np.isnan(y))
    for (train, test), (fitted,) in zip(
        ensemble.splits_, ensemble.estimators_, strict=True
    ):
        seen = fitted.X_[:, 1].astype(int)
        labeled = ~np.isnan(y[seen])
        assert set(seen[labeled]) == set(known[train])
        assert_array_equal(fitted.y_[labeled], y[seen[labeled]])
        assert not set(seen) & set(known[test])
        assert not labeled.all()
        assert (fitted.weight_[labeled] == 1).all()
        assert (fitted.weight_[~labeled] < 1).all()
    assert_array_equal(np.isnan(model.oof_predictions_), np.isnan(y))


def test_attributes_are_those_of_self_training():
    X, y, unlabeled, *_ = one_direction(0)
    member = make_pipeline(PCA(1, random_state=0), Ridge())
    mixed, target = with_unlabeled(X, y, unlabeled)
    model = PseudoLabelWrapper(
        member, alpha=-1.0, max_share=0.9, max_rounds=2, min_gain_se=0.5, random_state=0
    ).fit(mixed, target)
    n = len(X)
    assert len(model.transduction_) == len(model.labeled_iter_) == n + 2000
    assert_array_equal(model.transduction_[:n], y)
    assert (model.labeled_iter_[:n] == 0).all()
    assert set(model.labeled_iter_[n:]) <= {-1, 1, 2}
    used = model.labeled_iter_[n:] > 0
    assert used.any()
    assert_array_equal(np.isfinite(model.transduction_[n:]), used)
    assert model.n_iter_ == len(model.trace_)
    kept = model.trace_[model.trace_["kept"]]
    for number, n_added in zip(kept["round"], kept["n_added"], strict=True):
        assert (model.labeled_iter_ == number).sum() == n_added
    assert model.oof_predictions_.shape == (n + 2000,)
    mean, std = model.predict(X, return_std=True)
    assert_array_equal(mean, model.estimator_.predict(X))
    assert std.shape == (n,)


def test_without_unlabeled_rows_it_is_the_ensemble(data):
    X, _, truth = data
    ensemble = HyperFusionRegressor(MEMBERS, cv=3, random_state=0)
    model = PseudoLabelWrapper(ensemble).fit(X, truth)
    plain = clone(ensemble).fit(X, truth)
    assert_array_equal(model.predict(X), plain.predict(X))
    assert_array_equal(model.oof_predictions_, plain.oof_predictions_)
    assert model.termination_condition_ == "all_labeled"
    assert model.n_iter_ == 0
    assert model.trace_.empty


def test_a_round_that_is_undone_leaves_the_ensemble(data):
    X, y, _ = data
    known = ~np.isnan(y)
    ensemble = HyperFusionRegressor(MEMBERS, cv=3, random_state=0)
    model = PseudoLabelWrapper(ensemble, min_gain_se=1e9).fit(X, y)
    plain = clone(ensemble).fit(X[known], y[known])
    assert_array_equal(model.predict(X), plain.predict(X))
    assert model.termination_condition_ == "no_improvement"
    assert model.n_iter_ == 1


def test_refit_on_all_rows_learns_from_pseudo_labels_too():
    X, y, unlabeled, *_ = one_direction(0)
    member = make_pipeline(PCA(1, random_state=0), Ridge())
    settings = {"alpha": -1.0, "max_rounds": 1}
    ensemble = HyperFusionRegressor([member], refit="full", random_state=0)
    model = PseudoLabelWrapper(ensemble, rule="paper", **settings)
    rows, target = with_unlabeled(X, y, unlabeled)
    model.fit(rows, target)
    assert model.trace_["kept"].all()
    used = np.isfinite(model.transduction_)
    by_hand = clone(member).fit(rows[used], model.transduction_[used])
    assert_allclose(model.predict(X), by_hand.predict(X))
    assert len(model.estimator_.estimators_) == 1
    folds = clone(model).set_params(estimator__refit="folds")
    folds.fit(rows, target)
    assert_array_equal(model.oof_predictions_, folds.oof_predictions_)


@pytest.mark.parametrize("kind", ["frame", "array", "sparse", "list"])
def test_kinds_of_tables(data, kind):
    X, y, _ = data
    make = {
        "frame": lambda a: pd.DataFrame(a, columns=list("abcde")),
        "array": np.asarray,
        "sparse": sp.csr_array,
        "list": lambda a: a.tolist(),
    }[kind]
    exact = Ridge(solver="sparse_cg", tol=1e-12)
    model = PseudoLabelWrapper(exact, cv=3, random_state=0, **ALWAYS)
    found = model.fit(make(X), y).predict(make(X))
    expected = clone(model).fit(X, y).predict(X)
    assert_allclose(found, expected, atol=1e-5)  # frames hold float32


def test_result_does_not_depend_on_jobs_and_repeats(data):
    X, y, _ = data
    ensemble = HyperFusionRegressor(
        [("ridge", Ridge()), ("trees", ExtraTreesRegressor(10))], cv=3
    )
    for estimator in (ensemble, HyperFusionRegressor([ExtraTreesRegressor(10)])):
        model = PseudoLabelWrapper(
            estimator, cv=3, random_state=0, max_rounds=1, **ALWAYS
        )
        one = clone(model).fit(X, y)
        two = clone(model).set_params(estimator__n_jobs=2).fit(X, y)
        assert_array_equal(one.predict(X), two.predict(X))
        pd.testing.assert_frame_equal(one.trace_, two.trace_)
        assert_array_equal(pickle.loads(pickle.dumps(one)).predict(X), one.predict(X))
        three = clone(model).set_params(random_state=1).fit(X, y)
        assert (three.oof_predictions_ != one.oof_predictions_).any()


def test_seed_of_the_ensemble_is_kept_and_a_missing_one_drawn_once(data):
    X, y, _ = data
    seeded = HyperFusionRegressor([ExtraTreesRegressor(5)], cv=3, random_state=7)
    results = [PseudoLabelWrapper(seeded).fit(X, y).predict(X) for _ in range(2)]
    assert_array_equal(*results)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    free = PseudoLabelWrapper(ExtraTreesRegressor(5), cv=3, **ALWAYS).fit(X, y)
    assert free.trace_["gain"].notna().all()
    assert_array_equal(before, np.random.get_state()[1])


def test_members_without_weights_learn_from_all_rows_alike(data):
    X, y, _ = data
    members = [("recorder", Recorder()), ("near", KNeighborsRegressor())]
    ensemble = HyperFusionRegressor(members, cv=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PseudoLabelWrapper(ensemble, max_rounds=1, **ALWAYS).fit(X, y)
    recorder, near = model.estimator_.estimators_[0]
    assert (recorder.weight_ < 1).any()
    assert near.n_samples_fit_ == len(recorder.weight_)


def test_pipelines_take_weights_with_metadata_routing(data):
    X, y, _ = data
    member = make_pipeline(StandardScaler(), Recorder())
    with config_context(enable_metadata_routing=True):
        model = PseudoLabelWrapper(member, cv=3, max_rounds=1, random_state=0, **ALWAYS)
        model.fit(X, y)
        assert (model.estimator_.estimators_[0][0][-1].weight_ < 1).any()


def test_weights_of_rows_and_of_pseudo_labels_multiply(data):
    X, y, _ = data
    estimator = HyperFusionRegressor([Recorder()], cv=3, random_state=0)
    weight = np.where(np.isnan(y), 4.0, 2.0)
    rows = Rows.read(estimator, X, y, weight, None)
    assert_array_equal(rows.weight, np.full(120, 2.0))
    assert_array_equal(rows.unlabeled_weight, [4.0] * 120)
    model = PseudoLabelWrapper(estimator, rule="paper", max_rounds=1, **ALWAYS)
    model.fit(X, y, sample_weight=weight)
    fitted = model.estimator_.estimators_[0][0]
    assert set(fitted.weight_) == {2.0, 4.0}
    assert (fitted.weight_ == 2.0).sum() == 80


def test_groups_go_by_rows(data):
    X, y, _ = data
    groups = np.arange(240) // 4
    model = PseudoLabelWrapper(Ridge(), cv=3, random_state=0)
    model.fit(X, y, groups=pd.Series(groups))
    known = groups[~np.isnan(y)]
    for train, test in model.estimator_.splits_:
        assert not set(known[train]) & set(known[test])


def test_rule_of_the_paper_is_one_set_for_all_folds(data):
    X, y, _ = data
    ensemble = HyperFusionRegressor(MEMBERS, cv=3, weighting="equal", random_state=0)
    model = PseudoLabelWrapper(
        ensemble, rule="paper", alpha=0.5, max_rounds=1, min_gain_se=None
    ).fit(X, y)
    first = clone(ensemble).fit(X[~np.isnan(y)], y[~np.isnan(y)])
    unlabeled = X[np.isnan(y)]
    votes = [
        member.predict(unlabeled) - first._bias[k, i]
        for k, fold in enumerate(first.estimators_)
        for i, member in enumerate(fold)
    ]
    confidence = -np.std(votes, axis=0)
    tau = confidence.mean() + 0.5 * confidence.std()
    assert model.trace_["tau"].tolist() == [pytest.approx(tau)]
    used = model.labeled_iter_[np.isnan(y)] == 1
    assert_array_equal(used, confidence > tau)
    assert model.trace_["n_per_fold"].tolist() == [used.sum()]
    labels = model.transduction_[np.isnan(y)][used]
    assert_allclose(labels, first.predict(unlabeled)[used])


def test_nothing_to_choose_and_nothing_left(data):
    X, y, _ = data
    never = PseudoLabelWrapper(
        Ridge(), cv=3, alpha=1e9, rule="paper", random_state=0
    ).fit(X, y)
    assert never.termination_condition_ == "no_change"
    assert never.n_iter_ == 0
    X, y, unlabeled, *_ = one_direction(0)
    member = make_pipeline(PCA(1, random_state=0), Ridge())
    everything = PseudoLabelWrapper(
        member, cv=3, alpha=-99.0, max_share=1.0, random_state=0
    ).fit(*with_unlabeled(X, y, unlabeled))
    assert everything.termination_condition_ == "all_labeled"
    assert everything.n_iter_ == 1


def test_bad_input(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="NaN in all 240 rows"):
        PseudoLabelWrapper(Ridge()).fit(X, np.full(240, np.nan))
    with pytest.raises(ValueError, match="infinity"):
        PseudoLabelWrapper(Ridge()).fit(X, np.where(np.isnan(y), np.inf, y))
    with pytest.raises(ValueError, match="'rule' parameter"):
        PseudoLabelWrapper(Ridge(), rule="paper's").fit(X, y)


class Interrupted(Ridge):
    """Is interrupted where it sees more than `limit` rows."""

    limit = np.inf

    def fit(self, X, y, sample_weight=None):
        if len(y) > Interrupted.limit:
            raise KeyboardInterrupt
        return super().fit(X, y, sample_weight)


def test_an_interrupted_fit_leaves_the_fitted_model(data, monkeypatch):
    X, y, _ = data
    model = PseudoLabelWrapper(Interrupted(), cv=3, random_state=0).fit(X, y)
    before = model.predict(X), pickle.dumps(model)
    monkeypatch.setattr(Interrupted, "limit", 80)  # only pseudo-labels make it more
    with pytest.raises(KeyboardInterrupt):
        model.fit(X + 1.0, y)
    assert_array_equal(model.predict(X), before[0])
    assert pickle.dumps(model) == before[1]
    unfitted = PseudoLabelWrapper(Interrupted(), cv=3)
    with pytest.raises(KeyboardInterrupt):
        unfitted.fit(X, y)
    assert vars(unfitted).keys() == unfitted.get_params(deep=False).keys()


def test_verbose_prints_a_line_a_round(data, capsys):
    X, y, _ = data
    PseudoLabelWrapper(Ridge(), cv=3, verbose=1, min_gain_se=1e9, random_state=0).fit(
        X, y
    )
    assert "round 1" in capsys.readouterr().out


def test_score_and_searches_count_labeled_rows_alone(data):
    X, y, _ = data
    model = PseudoLabelWrapper(Ridge(), cv=3, max_rounds=1, random_state=0).fit(X, y)
    labeled, weight = ~np.isnan(y), np.linspace(1, 2, len(y))
    expected = r2_score(y[labeled], model.predict(X[labeled]))
    assert_allclose(model.score(X, y), expected)
    weighted = r2_score(
        y[labeled], model.predict(X[labeled]), sample_weight=weight[labeled]
    )
    assert_allclose(model.score(X, y, weight), weighted)
    grid = {"estimator__alpha": [1.0, 1e6]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    assert search.best_params_ == {"estimator__alpha": 1.0}
