"""The checks that every public estimator passes."""

from __future__ import annotations

import pickle
import random
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from hyperfusion import load_model, save_model
from tests.common import all_cases, as_array, public_estimators, take

CASES = all_cases()
NUMERIC = [c for c in CASES if c.X is None]
FAILURES = {id(c.estimator): c.expected_failures for c in NUMERIC}

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
each_transformer = pytest.mark.parametrize(
    "case", [c for c in CASES if hasattr(c.estimator, "transform")], ids=lambda c: c.id
)
each_twin = pytest.mark.parametrize(
    "case", [c for c in CASES if c.X is not None], ids=lambda c: c.id
)


def output(estimator, X):
    method = "predict" if is_regressor(estimator) else "transform"
    return as_array(getattr(estimator, method)(X))


def is_row_wise(estimator):
    return is_regressor(estimator) or hasattr(estimator, "transform")


def test_every_public_estimator_has_a_case():
    assert set(public_estimators().values()) <= {type(c.estimator) for c in CASES}


@parametrize_with_checks(
    [c.estimator for c in NUMERIC],
    expected_failed_checks=lambda estimator: FAILURES.get(id(estimator), {}),
)
def test_scikit_learn(estimator, check):
    check(estimator)


@each_case
def test_constructor_only_stores(case):
    estimator = clone(case.estimator)
    assert vars(estimator).keys() == estimator.get_params(deep=False).keys()


@each_case
def test_fit_repeats_and_changes_nothing_but_itself(case):
    X, y = case.data
    estimator = clone(case.estimator)

    def surroundings():
        parameters = {k: repr(v) for k, v in estimator.get_params().items()}
        return parameters, pickle.dumps(X), random.getstate(), *_random_states()

    expected = output(case.fitted, X)
    random.seed(5)
    np.random.seed(5)
    before = surroundings()
    assert_array_equal(output(estimator.fit(X, y), X), expected)
    assert_array_equal(output(estimator.fit(X, y), X), expected)
    for there, now in zip(before, surroundings(), strict=True):
        assert_equal(now, there)


def _random_states():
    numpy_state = np.random.get_state()
    torch = sys.modules.get("torch")
    return numpy_state, None if torch is None else torch.get_rng_state().numpy()


@each_case
def test_clone_and_pickle(case):
    X, _ = case.data
    estimator = case.fitted
    copy = pickle.loads(pickle.dumps(estimator))
    assert_array_equal(output(estimator, X), output(copy, X))
    unfitted = clone(copy)
    assert repr(unfitted.get_params()) == repr(clone(estimator).get_params())


@each_case
def test_saves_to_a_file_without_code(case, tmp_path):
    pytest.importorskip("skops", reason="needs skops")
    X, _ = case.data
    estimator = case.fitted
    save_model(estimator, tmp_path / "model")
    module, name = type(estimator).__module__, type(estimator).__name__
    trusted = [] if module.startswith("hyperfusion.") else [f"{module}.{name}"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_model(tmp_path / "model", trusted=trusted)
    assert_array_equal(output(estimator, X), output(loaded, X))


@each_case
def test_same_result_for_any_n_jobs(case):
    if "n_jobs" not in case.estimator.get_params():
        return
    X, y = case.data
    two = clone(case.estimator).set_params(n_jobs=2).fit(X, y)
    assert_array_equal(output(case.fitted, X), output(two, X))


@each_case
def test_rows_do_not_depend_on_each_other(case):
    X, _ = case.data
    estimator = case.fitted
    if not is_row_wise(estimator):
        return
    n = len(X)
    whole = output(estimator, X)
    order = np.random.RandomState(0).permutation(n)
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    assert_allclose(output(estimator, take(X, order)), whole[order], **tolerance)
    halves = [output(estimator, take(X, r)) for r in np.array_split(np.arange(n), 2)]
    assert_allclose(np.concatenate(halves), whole, **tolerance)


@each_case
def test_works_in_grid_search(case):
    X, y = case.data
    params = case.estimator.get_params(deep=False)
    search = GridSearchCV(
        clone(case.estimator),
        {name: [params[name]] for name in list(params)[:1]},
        cv=2,
        scoring=lambda estimator, X, y=None: float(len(output(estimator, X))),
        error_score="raise",
        refit=False,
    )
    search.fit(X, y)
    assert search.cv_results_["mean_test_score"] > 0


@each_transformer
def test_set_output_and_names(case):
    X, y = case.data
    estimator = clone(case.estimator).set_output(transform="pandas")
    frame = estimator.fit_transform(X, y)
    assert isinstance(frame, pd.DataFrame)
    assert_array_equal(np.asarray(frame.columns), estimator.get_feature_names_out())
    assert all(isinstance(c, str) for c in frame.columns)
    if isinstance(X, (pd.DataFrame, pd.Series)):
        assert frame.index.equals(X.index)


@each_twin
def test_twin_not_fitted(case):
    X, _ = case.data
    with pytest.raises(NotFittedError):
        output(clone(case.estimator), X)
    if hasattr(case.estimator, "transform"):
        with pytest.raises(NotFittedError):
            clone(case.estimator).get_feature_names_out()


@each_twin
def test_twin_fit_transform_is_fit_then_transform(case):
    X, y = case.data
    if not hasattr(case.estimator, "transform"):
        return
    estimator = clone(case.estimator)
    together = as_array(estimator.fit_transform(X, y))
    assert_allclose(together, output(estimator, X), rtol=1e-6, atol=1e-6)


@each_twin
def test_twin_empty_input(case):
    X, y = case.data
    empty = take(X, np.arange(0))
    with pytest.raises(ValueError, match=r"0 sample|empty"):
        clone(case.estimator).fit(empty, None if y is None else take(y, np.arange(0)))
    with pytest.raises(ValueError, match=r"0 sample|empty"):
        output(case.fitted, empty)


@each_twin
def test_twin_one_row_at_a_time(case):
    X, _ = case.data
    estimator = case.fitted
    whole = output(estimator, X)
    for row in range(min(3, len(X))):
        one = output(estimator, take(X, np.array([row])))
        assert_allclose(one, whole[[row]], rtol=1e-4, atol=1e-4)


@each_twin
def test_twin_number_of_features(case):
    estimator = case.fitted
    X, _ = case.data
    width = X.shape[1] if getattr(X, "ndim", 1) == 2 else 1
    assert estimator.n_features_in_ == width
    if isinstance(X, pd.DataFrame) and hasattr(estimator, "feature_names_in_"):
        assert_array_equal(estimator.feature_names_in_, X.columns)
