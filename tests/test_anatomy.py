"""Nested models: every function looks inside every nesting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.feature_selection import RFE
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import (
    CatBoostHuberRegressor,
    HyperFusionRegressor,
    PostEncoder,
    PseudoLabelWrapper,
    ablate,
    compare_drafts,
    coverage_report,
    drift_report,
    evaluate,
    feature_importance,
    grouped_permutation_importance,
    make_report,
    predict_interval,
    what_if,
)
from hyperfusion._anatomy import Anatomy, final_step, layers, parameter_path, walk
from hyperfusion.ensemble import _drift
from hyperfusion.exceptions import InvalidInputError
from tests.inspection.models import SCALED_RIDGE, posts

pytestmark = pytest.mark.filterwarnings(
    "ignore::hyperfusion.exceptions.AssociationWarning"
)

X, Y = posts(80)
Y = Y - Y.min()
ENCODE = PostEncoder(user="user", time="posted", numeric=["photos", "noise"])
MEMBERS = [("ridge", SCALED_RIDGE), ("boosted", CatBoostHuberRegressor(iterations=5))]
ENSEMBLE = HyperFusionRegressor(MEMBERS, cv=2, weighting="equal", random_state=0)
FEATURES = clone(ENCODE).fit(X, Y).get_feature_names_out()
PLAIN = Pipeline([("encode", ENCODE), ("predict", ENSEMBLE)])


def search(model, **params):
    return GridSearchCV(model, {k: [v] for k, v in params.items()}, cv=2)


def logged(model):
    return TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1)


NESTINGS = {
    "pipeline": PLAIN,
    "search": search(PLAIN, predict__cv=2),
    "target": logged(PLAIN),
    "falling target": TransformedTargetRegressor(
        PLAIN, func=np.negative, inverse_func=np.negative
    ),
    "scaled target": TransformedTargetRegressor(PLAIN, transformer=StandardScaler()),
    "target of a search": logged(search(PLAIN, predict__cv=2)),
    "search of a target": search(logged(PLAIN), regressor__predict__cv=2),
    "search in a pipeline": make_pipeline(ENCODE, search(ENSEMBLE, cv=2)),
    "target in a pipeline": make_pipeline(ENCODE, logged(ENSEMBLE)),
    "pseudo-labels": make_pipeline(ENCODE, PseudoLabelWrapper(ENSEMBLE)),
    "pseudo-labels of a pipeline": PseudoLabelWrapper(PLAIN, cv=2, random_state=0),
}

REPORTED = {"target of a search", "pseudo-labels of a pipeline"}
"""Pages cost most, and ask the functions that the others are tested with."""


@pytest.fixture(scope="module", params=list(NESTINGS))
def nesting(request):
    return request.param, clone(NESTINGS[request.param]).fit(X, Y)


def test_functions_look_inside_fitted_models(nesting, monkeypatch):
    monkeypatch.setattr(_drift, "_N_TREES", 5)
    name, model = nesting
    bands = predict_interval(model, X)
    predicted = model.predict(X)
    assert_allclose(bands["prediction"], predicted)
    assert (bands["lower"] < predicted).all()
    assert (predicted < bands["upper"]).all()
    held = coverage_report(model, X, Y)["coverage"].iloc[0]
    assert held == ((bands["lower"] <= Y) & (bands["upper"] >= Y)).mean() > 0.7
    drift = drift_report(model, X[:40], X[40:], random_state=0)
    assert drift.columns.index[0] in FEATURES
    answer = what_if(model, X.iloc[[5]], {"photos": [2.0, 7.0]})
    changed = X.iloc[[5, 5, 5]].assign(photos=[X["photos"].iloc[5], 2.0, 7.0])
    assert_allclose(answer["prediction"], model.predict(changed))
    assert answer[["lower", "upper", "noise"]].notna().all(axis=None)
    if name in REPORTED:
        with pytest.warns(UserWarning, match="fitted on"):
            page = make_report(model, X, Y)
        assert page.html.count("<h2") >= 6
        assert len(repr(page)) < 80
    loss = grouped_permutation_importance(model, X, Y, n_repeats=1, random_state=0)
    if name == "pseudo-labels of a pipeline":
        with pytest.raises(InvalidInputError, match="grouped_permutation"):
            feature_importance(model)
        return
    assert loss.attrs["score"] > 0.5
    assert compare_drafts(model, X)["n_posts"].max() > 5
    importance = feature_importance(model, by="block")
    assert importance["block"].iloc[0] == "user"
    assert importance.attrs["members"] == ["boosted"]


# what a target is turned by does not count before a fit
@pytest.mark.parametrize(
    "name",
    [name for name in NESTINGS if name not in ("falling target", "scaled target")],
)
def test_roles_are_found_in_unfitted_models(name):
    model = NESTINGS[name]
    result = evaluate(model, X, Y, splits="time", random_state=0, n_bootstrap=9)
    assert result.predictions["known_user"].notna().all()
    if "search" in name:
        return
    table = ablate(model, X, Y, parts=["metadata", "folds"], n_bootstrap=9)
    notes = table["note"].to_list()
    if name == "pseudo-labels of a pipeline":
        assert notes[1] == "the feature table has no such column"
    else:
        assert notes[1] == "the feature table has no other column"
        assert table["n_features"].iloc[0] > 10
    assert np.isfinite(table["src"].iloc[2])


@pytest.mark.parametrize("name", ["search", "target of a search", "search of a target"])
def test_ablation_takes_the_best_of_a_search_apart(name):
    table = ablate(NESTINGS[name], X, Y, parts=["ensemble", "user"], n_bootstrap=9)
    assert table["note"].to_list()[1].endswith(" alone")
    assert table["n_features"].iloc[2] < table["n_features"].iloc[0]
    assert table["src"].notna().all()


def test_infinite_ends_stay_infinite_through_a_target():
    rng = np.random.RandomState(0)
    numbers = rng.normal(size=(24, 2))
    ensemble = HyperFusionRegressor([Ridge()], cv=2, random_state=0)
    for func in (np.negative, np.cbrt):
        back = np.negative if func is np.negative else lambda y: y**3
        model = TransformedTargetRegressor(ensemble, func=func, inverse_func=back)
        with pytest.warns(UserWarning, match="Too few"):
            bands = predict_interval(
                model.fit(numbers, numbers[:, 0]), numbers, coverage=0.99
            )
        assert (bands["lower"] == -np.inf).all()
        assert (bands["upper"] == np.inf).all()


def test_wrappers_that_select_columns_and_templates():
    numbers = pd.DataFrame(np.random.RandomState(0).normal(size=(60, 4)))
    y = numbers[0] + numbers[2]
    chosen = RFE(LinearRegression(), n_features_to_select=2).fit(numbers, y)
    parts = Anatomy.of(chosen)
    assert parts.features(numbers).shape == (60, 2)
    assert_allclose(parts.predict(parts.features(numbers)), chosen.predict(numbers))
    bagged = BaggingRegressor(Ridge(), 3).fit(numbers, y)
    assert Anatomy.of(bagged).regressor is bagged  # estimator_ is a template
    with pytest.raises(InvalidInputError, match="no HyperFusionRegressor inside Bagg"):
        predict_interval(bagged, numbers)
    with pytest.raises(InvalidInputError, match="must be a fitted regressor"):
        Anatomy.of(make_pipeline(StandardScaler()).fit(numbers))
    with pytest.raises(ValueError, match="not fitted"):
        Anatomy.of(Ridge())


def test_walking_unfitted_models():
    model = logged(search(PLAIN, predict__cv=2))
    assert [type(m).__name__ for m in layers(model)] == [
        "TransformedTargetRegressor",
        "GridSearchCV",
        "Pipeline",
        "HyperFusionRegressor",
    ]
    assert ENCODE in list(walk(model))
    assert final_step(make_pipeline(ENCODE, PLAIN)) is ENSEMBLE
    assert parameter_path(model) == "regressor__estimator__predict__"
    assert parameter_path(Ridge()) is None
