"""Candidates, their differences, ties, ranks, and the user's baseline."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import t
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV

from hyperfusion import HyperFusionRegressor, PostEncoder, predict_interval
from hyperfusion.exceptions import AssociationWarning, InvalidInputError
from hyperfusion.inspection import compare_drafts, what_if
from hyperfusion.inspection._what_if import against, tied_ranks
from tests.inspection.models import SCALED_RIDGE, pipeline, posts

pytestmark = pytest.mark.filterwarnings(
    "ignore::hyperfusion.exceptions.AssociationWarning"
)


@pytest.fixture(scope="module")
def data():
    return posts()


@pytest.fixture(scope="module")
def model(data):
    return pipeline([("ridge", SCALED_RIDGE)], cv=3).fit(*data)


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts the length of the first column and keeps what it was shown."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        self.seen_ = X
        return X.iloc[:, 0].astype(str).str.len().to_numpy(dtype=float)


def recorder():
    return Recorder().fit(None, None)


def test_candidates_are_the_post_and_all_combinations(data):
    X, _ = data
    model = recorder()
    post = X.iloc[[7]]
    grid = {"photos": [1, 2], "user": ["a", "zz", "yyy"]}
    answer = what_if(model, post, grid)
    seen = model.seen_
    assert len(answer) == len(seen) == 7
    first = seen.iloc[[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, post.reset_index(drop=True), check_dtype=False)
    assert list(zip(seen["photos"], seen["user"], strict=True))[1:] == [
        (n, a) for n in (1, 2) for a in ("a", "zz", "yyy")
    ]
    assert (seen["noise"] == post["noise"].iloc[0]).all()
    assert_allclose(answer["prediction"], seen["user"].str.len())
    assert answer["verdict"].iloc[0] == "as it is"
    assert seen.dtypes["photos"] == X.dtypes["photos"]
    assert seen.dtypes["posted"] == X.dtypes["posted"]


def test_a_column_that_no_role_reads_changes_nothing(data, model):
    X, _ = data
    post = X.iloc[[0]].assign(comments=3)
    with pytest.warns(UserWarning, match=r"'comments'.*It reads .*'photos'"):
        answer = what_if(model, post, {"comments": [3, 50]})
    assert_allclose(answer["prediction"], answer["prediction"].iloc[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", AssociationWarning)
        what_if(model, post, {"photos": [1.0], "user": ["a"]})


def test_a_list_of_grids_changes_one_thing_at_a_time(data):
    model = recorder()
    answer = what_if(
        model, data[0].iloc[[0]], [{"photos": [1.0, 9.0]}, {"user": ["q"]}]
    )
    own = data[0].iloc[0]
    assert list(answer["photos"]) == [own["photos"], 1.0, 9.0, own["photos"]]
    assert list(answer["user"]) == [own["user"]] * 3 + ["q"]


@pytest.mark.parametrize("form", [dict, pd.Series, pd.DataFrame])
def test_a_post_in_any_form(model, data, form):
    row = data[0].iloc[[3]]
    post = row if form is pd.DataFrame else row.iloc[0]
    post = post.to_dict() if form is dict else post
    expected = model.predict(row.assign(photos=8.0))
    answer = what_if(model, post, {"photos": [8.0]})
    assert answer["prediction"].iloc[1] == pytest.approx(expected[0])


def test_cells_that_are_lists_or_times_of_any_kind():
    post = {"tags": ["a", "b"], "posted": pd.Timestamp("2024-05-01 10:00", tz="UTC")}
    model = recorder()
    grid = {"tags": [["c"], ["d", "e"]], "posted": ["2024-05-02T08:00+02:00"]}
    what_if(model, post, grid)
    assert model.seen_["tags"].tolist() == [["a", "b"], ["c"], ["d", "e"]]
    assert (
        list(model.seen_["posted"][1:])
        == [pd.Timestamp("2024-05-02 06:00", tz="UTC")] * 2
    )
    naive = {"posted": pd.Timestamp("2024-05-01 10:00")}
    with pytest.raises(InvalidInputError, match="without a zone"):
        what_if(model, naive, {"posted": grid["posted"]})


def test_new_levels_of_a_category_stay_what_they_are():
    post = pd.DataFrame({"kind": pd.Categorical(["photo"], ["photo", "video"])})
    model = recorder()
    what_if(model, post, {"kind": ["video", "hologram"]})
    assert model.seen_["kind"].tolist() == ["photo", "video", "hologram"]
    assert isinstance(model.seen_["kind"].dtype, pd.CategoricalDtype)


def test_predictions_intervals_and_noise_by_hand(model, data):
    post = data[0].iloc[[5]]
    answer = what_if(model, post, {"photos": [2.0, 7.0]})
    table = post.iloc[[0, 0, 0]].assign(photos=[post["photos"].iloc[0], 2.0, 7.0])
    assert_allclose(answer["prediction"], model.predict(table))
    bands = predict_interval(model, table, coverage=0.9)
    assert_allclose(answer[["lower", "upper"]], bands[["lower", "upper"]])
    features = model[:-1].transform(table)
    folds = np.array([fold[0].predict(features) for fold in model[-1].estimators_])
    d = folds - folds[:, [0]]
    assert_allclose(answer["difference"], d.mean(axis=0), atol=1e-9)
    error = np.sqrt(2 / 3 * ((d - d.mean(axis=0)) ** 2).sum(axis=0))
    assert_allclose(answer["noise"], error * t.ppf(0.95, 2), rtol=1e-5, atol=1e-9)


def test_a_change_that_matters_is_told_from_one_that_does_not():
    rng = np.random.RandomState(1)
    X = pd.DataFrame({"works": rng.normal(size=300), "idle": rng.normal(size=300)})
    y = 2 * X["works"] + rng.normal(size=300)
    model = HyperFusionRegressor([LinearRegression()], random_state=0).fit(X, y)
    post = pd.DataFrame({"works": [0.0], "idle": [0.0]})
    answer = what_if(model, post, [{"works": [1.0, -1.0]}, {"idle": [1.0, 0.0]}])
    assert list(answer["verdict"]) == [
        "as it is",
        "better",
        "worse",
        "not distinguishable",
        "not distinguishable",
    ]
    assert list(answer["tied_with_best"]) == [False, True, False, False, False]


def test_warning_and_caution(model, data):
    with pytest.warns(AssociationWarning, match="associations") as record:
        answer = what_if(model, data[0].iloc[[0]], {"photos": [1.0]})
    assert record[0].filename == __file__
    assert "not effects" in answer.attrs["caution"]
    with pytest.warns(AssociationWarning) as record:
        compare_drafts(model, data[0].head(2))
    assert record[0].filename == __file__


@pytest.mark.parametrize("lone", [Ridge(), DummyRegressor()])
def test_models_without_folds_say_that_noise_is_not_known(lone):
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
    answer = what_if(lone.fit(X, X["a"]), X.iloc[[0]], {"a": [0.0, 2.0]})
    assert answer[["lower", "upper", "noise"]].isna().all(axis=None)
    changed = isinstance(lone, Ridge)
    assert answer["verdict"].tolist() == [
        "as it is",
        "not distinguishable",
        "noise not known" if changed else "not distinguishable",
    ]
    assert "baseline" not in answer


def test_refitted_ensembles_have_no_folds(data):
    model = pipeline([("ridge", SCALED_RIDGE)], cv=2, refit="full").fit(*data)
    answer = what_if(model, data[0].iloc[[0]], {"photos": [1.0]})
    assert answer["noise"].isna().all()
    assert answer["lower"].notna().all()


@pytest.mark.filterwarnings("ignore:y is 1 in all 30 rows")
def test_constant_predictions_are_ties():
    X = pd.DataFrame({"a": np.arange(30.0)})
    model = HyperFusionRegressor([DummyRegressor()], cv=3).fit(X, np.ones(30))
    answer = what_if(model, X.iloc[[0]], {"a": [5.0, 9.0]})
    assert set(answer["verdict"][1:]) == {"not distinguishable"}
    assert answer["tied_with_best"].all()
    assert (compare_drafts(model, X.head(4))["rank"] == 1).all()


def test_through_a_search(data):
    search = GridSearchCV(
        pipeline([("ridge", SCALED_RIDGE)], cv=2), {"predict__cv": [2]}, cv=2
    ).fit(*data)
    answer = what_if(search, data[0].iloc[[0]], {"photos": [1.0]})
    assert answer["noise"].notna().all()


def test_arrays():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(40, 2))
    model = HyperFusionRegressor([Ridge()], cv=2, random_state=0).fit(X, X[:, 0])
    answer = what_if(model, X[0], {1: [0.0]})
    expected = model.predict([[X[0, 0], 0.0]])
    assert answer["prediction"].iloc[1] == pytest.approx(expected[0])


@pytest.mark.parametrize(
    ("post", "grid", "message"),
    [
        (slice(0, 1), {"photo": [1]}, "Did you mean"),
        (slice(0, 2), {"photos": [1]}, "single post"),
        (slice(0, 1), {}, "grid is empty"),
        (slice(0, 1), {"photos": []}, "pass at least one value"),
        (slice(0, 1), {"user": "ann"}, "must be a list"),
        (slice(0, 1), {"photos": 3}, "must be a list"),
    ],
)
def test_bad_questions(model, data, post, grid, message):
    with pytest.raises(InvalidInputError, match=message):
        what_if(model, data[0].iloc[post], grid)


def test_drafts_are_ranked_with_ties(model, data):
    draft = data[0].iloc[[4, 4, 4, 4]].assign(photos=[1.0, 8.0, 8.0, 4.0])
    draft.index = ["w", "x", "y", "z"]
    found = compare_drafts(model, draft)
    assert list(found.index) == ["x", "y", "z", "w"]
    assert list(found["rank"]) == [1, 1, 3, 4]
    assert list(found["tied"]) == [True, True, False, False]
    assert_allclose(found["prediction"], model.predict(draft.loc[found.index]))
    assert_allclose(
        found["difference"], found["prediction"] - found["prediction"].iloc[0]
    )


def test_one_draft_and_none(model, data):
    found = compare_drafts(model, data[0].iloc[[0]])
    assert found["rank"].tolist() == [1]
    assert not found["tied"].any()
    with pytest.raises(InvalidInputError, match="0 sample"):
        compare_drafts(model, data[0].iloc[:0])


def test_ranks_share_a_leader():
    prediction = np.array([1.0, 3.0, 2.9, 2.0])
    noisy = np.array([[0.9, 3.0, 3.3, 2.0], [1.1, 3.0, 2.5, 2.0]])
    assert list(tied_ranks(prediction, noisy)) == [4, 1, 1, 3]
    assert list(tied_ranks(prediction, None)) == [4, 1, 2, 3]
    assert list(tied_ranks(np.zeros(3), None)) == [1, 1, 1]


def test_noise_is_zero_where_folds_agree():
    agree = np.tile([0.5, 0.8], (4, 1))
    assert_allclose(against(0, agree[0], agree)[1], 0, atol=1e-12)


def test_baseline_is_the_median_of_the_users_earlier_posts(model, data):
    X, y = data
    found = compare_drafts(model, X).loc[X.index]
    for row in (0, 40, 119):
        earlier = (X["user"] == X["user"].iloc[row]) & (
            X["posted"] < X["posted"].iloc[row]
        )
        assert found["n_posts"].iloc[row] == earlier.sum()
        expected = np.median(y[earlier]) if earlier.any() else np.nan
        assert_allclose(found["baseline"].iloc[row], expected, rtol=1e-5)
    assert_allclose(found["lift"], found["prediction"] - found["baseline"])
    assert found["baseline"].isna().sum() == 6  # every user's first


def test_baseline_of_a_stranger(model, data):
    X, _ = data
    stranger = X.iloc[[-1]].assign(user="nobody")
    found = compare_drafts(model, stranger)
    assert found["baseline"].isna().all()
    assert found["n_posts"].tolist() == [0]


def test_answers_have_the_lift(model, data):
    last = data[0].iloc[[-1]]
    answer = what_if(model, last, {"photos": [1.0, 8.0]})
    baseline = compare_drafts(model, last)["baseline"].iloc[0]
    assert_allclose(answer["baseline"], baseline)
    assert_allclose(answer["lift"], answer["prediction"] - baseline)
    assert {"baseline", "n_posts", "lift"} <= set(compare_drafts(model, last))


def test_rows_do_not_depend_on_each_other(model, data):
    post = data[0].iloc[[9]]
    many = what_if(model, post, {"photos": [1.0, 2.0, 3.0]})
    one = what_if(model, post, {"photos": [2.0]})
    pd.testing.assert_series_equal(
        many.loc[2], one.loc[1], check_names=False, rtol=1e-4
    )


def test_the_encoder_is_not_changed(model, data):
    history = next(
        c.encoder
        for c in model[0].components_
        if type(c.encoder).__name__ == "UserHistory"
    )
    before = history.shrinkage, len(history.history_["score"])
    compare_drafts(model, data[0].head(3))
    assert (history.shrinkage, len(history.history_["score"])) == before
    assert isinstance(model[0], PostEncoder)


def test_a_wrapper_around_a_whole_pipeline(model, data):
    X, y = data
    wrapper = TransformedTargetRegressor(
        clone(model), func=np.log1p, inverse_func=np.expm1
    ).fit(X, y - y.min())
    post = X.iloc[[-1]]
    answer = what_if(wrapper, post, {"photos": [8.0]})
    expected = wrapper.predict(pd.concat([post, post.assign(photos=8.0)]))
    assert_allclose(answer["prediction"], expected)
    assert answer["lower"].notna().all()
    assert answer["noise"].iloc[1] > 0
    assert (answer["lower"] <= answer["prediction"]).all()
    assert compare_drafts(wrapper, post)["baseline"].notna().all()
