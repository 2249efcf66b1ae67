"""Evaluation: what is trained and tested, scores, intervals, paired differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import (
    evaluate,
    make_hyperfusion,
    make_posts,
    within_user_spearman,
)
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import _scores


@pytest.fixture
def posts():
    rng = np.random.RandomState(0)
    n = 300
    frame = pd.DataFrame(
        {
            "user": rng.choice([f"a{i}" for i in range(60)], n),
            "when": pd.date_range("2024-01-01", periods=n, freq="3h")[
                rng.permutation(n)
            ],
            "likes": rng.poisson(20, n),
        }
    )
    return frame, frame["likes"] / 2 + rng.normal(size=n)


class Columns(RegressorMixin, BaseEstimator):
    """Linear in one column; remembers the labels that it saw."""

    def __init__(self, column="likes"):
        self.column = column

    def fit(self, X, y):
        self.model_ = LinearRegression().fit(X[[self.column]], y)
        return self

    def predict(self, X):
        return self.model_.predict(X[[self.column]])


def ask(table, **keys):
    for key, value in keys.items():
        table = table[table[key] == value]
    return table


def test_splits_are_what_they_say(posts):
    X, y = posts
    result = evaluate(Columns(), X, y, users="user", times="when", random_state=0)
    tested = {
        name: t["row"].to_numpy() for name, t in result.predictions.groupby("split")
    }
    assert set(tested) == {"random", "user", "time"}
    rest = {
        name: np.setdiff1d(np.arange(len(X)), rows) for name, rows in tested.items()
    }
    assert len(tested["random"]) == len(tested["time"]) == 60
    by_user = X["user"].iloc
    assert not set(by_user[tested["user"]]) & set(by_user[rest["user"]])
    assert X["when"].iloc[tested["time"]].min() > X["when"].iloc[rest["time"]].max()


def test_scores_agree_with_a_plain_fit(posts):
    X, y = posts
    train, test = np.arange(200), np.arange(200, 300)
    result = evaluate(
        Columns(), X, y, splits={"mine": [(train, test)]}, users="user", n_bootstrap=9
    )
    predicted = Columns().fit(X.iloc[train], y[train]).predict(X.iloc[test])
    known = X["user"].iloc[test].isin(X["user"].iloc[train]).to_numpy()
    everyone = np.ones(100, dtype=bool)
    for name, rows in {"all": everyone, "known": known, "new": ~known}.items():
        if not rows.any():
            continue
        got = ask(result.scores, users=name).set_index("metric")["score"]
        true, mine = y[test][rows], predicted[rows]
        assert_allclose(got["src"], spearmanr(true, mine)[0])
        assert_allclose(got["mae"], np.abs(true - mine).mean())
        within = within_user_spearman(true, mine, X["user"].iloc[test][rows])
        assert_allclose(got["within_user_src"], within)
    assert_allclose(result.predictions["prediction"], predicted)
    everyone = ask(result.scores, users="all").set_index("metric")
    posts_each = X["user"].iloc[test].value_counts()
    counting = posts_each[posts_each >= 3]
    assert everyone.loc["src", ["n_posts", "n_users"]].tolist() == [
        *(100, len(posts_each))
    ]
    assert everyone.loc["within_user_src", ["n_posts", "n_users"]].tolist() == [
        *(counting.sum(), len(counting))
    ]


@pytest.mark.parametrize("metric", ["src", "mae", "within_user_src"])
def test_bootstrap_is_that_of_rows_written_out(metric):
    rng = np.random.RandomState(1)
    users = np.repeat(np.arange(12), 4)
    y, prediction = rng.randint(5, size=48) * 1.0, rng.randint(5, size=48) * 1.0
    counts = np.array([np.bincount(rng.randint(12, size=12), minlength=12)] * 1)
    # each user as often as drawn, every copy a user of its own
    copies = [(a, i) for a, n in enumerate(counts[0]) for i in range(n)]
    rows = np.concatenate([np.flatnonzero(users == a) for a, _ in copies])
    names = np.repeat(np.arange(len(copies)), 4)
    all_rows = pd.DataFrame({"y": y, "prediction": prediction, "unit": users})
    plain, _ = _scores.mean_scores([all_rows.iloc[rows].assign(unit=names)], metric, [])
    _, got = _scores.mean_scores([all_rows], metric, counts)
    assert_allclose(got, plain)


def test_intervals_cover_the_truth(monkeypatch):
    """90% intervals of SRC should cover the long-run SRC in most of many repeats."""
    monkeypatch.setattr(_scores, "CONFIDENCE", 0.9)
    rng = np.random.RandomState(0)
    covered = 0
    for _ in range(60):
        X = rng.normal(size=(150, 1))
        y = X[:, 0] + rng.normal(size=150)
        rows = np.arange(150)
        result = evaluate(
            Ridge(), X, y, splits={"s": [(rows[:30], rows[30:])]}, n_bootstrap=150
        )
        src = ask(result.scores, metric="src").iloc[0]
        covered += src["low"] <= 0.690 <= src["high"]  # 6/pi asin(sqrt(0.5)/2)
    assert 46 <= covered <= 60


def test_users_are_drawn_whole():
    """Posts that are copies within a user say no more than one post does."""
    rng = np.random.RandomState(0)
    X = np.repeat(rng.normal(size=(40, 1)), 25, axis=0)
    y = np.repeat(X[::25, 0] + rng.normal(size=40), 25)
    rows = np.arange(1000)
    split = {"s": [(rows[:500], rows[500:])]}
    width = {}
    for name, users in {"users": rows // 25, "posts": None}.items():
        result = evaluate(Ridge(), X, y, splits=split, users=users, random_state=0)
        mae = ask(result.scores, metric="mae", users="all").iloc[0]
        width[name] = mae["high"] - mae["low"]
    assert 3 < width["users"] / width["posts"] < 8  # the root of 25, or so


def test_models_are_compared_on_the_same_posts(posts):
    X, y = posts
    models = {"good": Columns(), "twin": Columns(), "mean": DummyRegressor()}
    result = evaluate(models, X, y, users="user", random_state=0, n_bootstrap=200)
    differences = ask(result.differences, users="all")
    twin = ask(differences, model="twin")
    assert_array_equal(twin[["difference", "low", "high"]], 0)
    worse = ask(differences, model="mean", metric="mae")
    assert (worse["low"] > 0).all()
    assert set(differences["baseline"]) == {"good"}
    scores = ask(result.scores, users="all", metric="mae", split="random")
    scores = scores.set_index("model")["score"]
    assert_allclose(
        ask(worse, split="random")["difference"], scores["mean"] - scores["good"]
    )


def test_lists_get_names_and_one_model_has_no_differences(posts):
    X, y = posts
    X = X[["likes"]]
    pair = evaluate([Ridge(), Ridge(5.0), DummyRegressor()], X, y, n_bootstrap=5)
    assert set(pair.scores["model"]) == {"Ridge-1", "Ridge-2", "DummyRegressor"}
    one = evaluate(Ridge(), X, y, n_bootstrap=5)
    assert one.differences.empty
    assert {"difference", "low", "high"} <= set(one.differences.columns)
    assert set(one.scores["split"]) == {"random"}
    assert set(one.scores["metric"]) == {"src", "mae"}


def test_roles_of_a_pipeline_name_users_and_times(posts):
    X, y = posts
    model = make_hyperfusion(
        user="user", time="when", numeric="likes", members=[Ridge()], cv=2
    )
    result = evaluate(model, X, y, n_bootstrap=20, random_state=0)
    assert set(result.scores["split"]) == {"random", "user", "time"}
    assert set(result.scores["model"]) == {"HyperFusionRegressor"}
    assert not hasattr(model[-1], "weights_"), "the model itself stays unfitted"


def test_shuffled_labels_score_at_chance(posts):
    X, _ = posts
    y = np.random.RandomState(3).normal(size=len(X))
    numbers = X[["likes"]].assign(noise=np.random.RandomState(4).normal(size=len(X)))
    result = evaluate(
        DecisionTreeRegressor(max_depth=4, random_state=0),
        numbers,
        y,
        users=X["user"],
        times=X["when"],
        n_repeats=8,
        random_state=0,
        n_bootstrap=50,
    )
    src = ask(result.scores, users="all", metric="src").set_index("split")["score"]
    assert (src.abs() < [0.15, 0.15, 0.3]).all(), src


def test_repeats_are_averaged(posts):
    X, y = posts
    result = evaluate(Columns(), X, y, n_repeats=3, random_state=0, n_bootstrap=5)
    folds = [
        np.abs(t["y"] - t["prediction"]).mean()
        for _, t in result.predictions.groupby("fold")
    ]
    assert len(folds) == 3
    assert_allclose(ask(result.scores, metric="mae")["score"], np.mean(folds))


class WithUnlabeled(Columns):
    """Counts the unlabeled rows that it gets."""

    learns_unlabeled = True

    def fit(self, X, y):
        rows = ~np.isnan(np.asarray(y))
        self.n_unlabeled_ = int((~rows).sum())
        super().fit(X[rows], y[rows])
        self.mean_ = self.n_unlabeled_
        return self

    def predict(self, X):
        return np.full(len(X), float(self.n_unlabeled_))


def test_unlabeled_posts_train_only_who_can_use_them(posts):
    X, y = posts
    y = y.where(np.arange(len(y)) % 3 > 0).to_numpy()
    models = {"plain": Columns(), "semi": WithUnlabeled()}
    result = evaluate(models, X, y, times="when", n_bootstrap=5, random_state=0)
    assert not np.isnan(y[result.predictions["row"]]).any()
    semi = ask(result.predictions, model="semi")
    assert (semi["prediction"] == np.isnan(y).sum()).all()
    assert (ask(result.scores, metric="mae")["n_posts"] == 40).all()


def test_same_seed_same_numbers_for_any_number_of_jobs(posts):
    X, y = posts
    options = {"users": X["user"], "n_bootstrap": 30, "random_state": 7}
    models = [Ridge(), DecisionTreeRegressor(random_state=0)]
    one = evaluate(models, X[["likes"]], y, **options)
    with parallel_config("threading", n_jobs=2):
        two = evaluate(models, X[["likes"]], y, **options)
    pd.testing.assert_frame_equal(one.scores, two.scores)
    pd.testing.assert_frame_equal(one.differences, two.differences)


def test_missing_users_are_strangers_to_each_other():
    X, y = np.arange(40.0)[:, None], np.arange(40.0)
    users = [None, "x"] * 20
    rows = np.arange(40)
    result = evaluate(
        Ridge(),
        X,
        y,
        splits={"s": [(rows[:20], rows[20:])]},
        users=users,
        n_bootstrap=5,
    )
    by_group = ask(result.scores, metric="mae").set_index("users")
    assert by_group.loc["known", ["n_posts", "n_users"]].tolist() == [10, 1]
    assert by_group.loc["new", ["n_posts", "n_users"]].tolist() == [10, 10]


@pytest.mark.parametrize("known", [True, False])
def test_splits_of_ones_own_may_be_splitters(posts, known):
    X, y = posts
    y[::5] = np.nan
    splits = {"k": KFold(3), "n": 4, "g": GroupKFold(2)}
    if not known:
        del splits["g"]
    users = "user" if known else None
    result = evaluate(
        Columns(), X, y, splits=splits, users=users, n_bootstrap=5, random_state=0
    )
    tested = result.predictions.groupby("split")
    assert set(tested.groups) == set(splits)
    labeled = np.flatnonzero(y.notna())
    for _, rows in tested["row"]:
        assert_array_equal(np.sort(rows), labeled)
    folds = tested["fold"].nunique().to_dict()
    assert folds == {name: {"k": 3, "n": 4, "g": 2}[name] for name in splits}
    if known:
        rows = tested.get_group("g")
        user = X["user"].iloc[rows["row"]].to_numpy()
        assert (rows.groupby(user)["fold"].agg(np.ptp) == 0).all()


@pytest.mark.parametrize("kind", [tuple, list, np.asarray, pd.array, pd.Index])
def test_values_of_any_kind_are_no_names_of_columns(posts, kind):
    X, y = posts
    options = {"splits": "user", "n_bootstrap": 5, "random_state": 0}
    named = evaluate(Columns(), X, y, users="user", **options)
    given = evaluate(Columns(), X, y, users=kind(X["user"]), **options)
    pd.testing.assert_frame_equal(named.scores, given.scores)


def test_tuples_may_be_names_of_columns(posts):
    X, y = posts
    X = X.set_axis(pd.MultiIndex.from_product([["post"], X.columns]), axis=1)
    model = Columns(("post", "likes"))
    result = evaluate(model, X, y, users=("post", "user"), n_bootstrap=5)
    assert "user" in set(result.scores["split"])


def test_a_missing_time_is_named_by_its_row(posts):
    X, y = posts
    y[:50] = np.nan
    times = X["when"].copy()
    times[[3, 77]] = pd.NaT
    with pytest.raises(InvalidInputError, match=r"times is missing in row 77\b"):
        evaluate(Columns(), X, y, times=times)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": {}}, "splits is empty"),
        ({"splits": []}, "splits is empty"),
        ({"splits": {"s": []}}, r"splits\['s'\] is empty"),
        ({"splits": {"s": "time"}}, r"splits\['s'\] must be .* Got 'time'"),
        ({"users": ("a", "b")}, "users must have one value per row. Got 2"),
        ({"splits": "time"}, "times of the posts are not known"),
        ({"splits": ["weekly"]}, "'weekly'"),
        ({"users": "writer"}, "users='writer' is not a column"),
        ({"users": [1, 2]}, "users must have one value per row. Got 2"),
        ({"splits": {"s": [([0], [900])]}}, r"0 to 299. Got array\(\[900\]\)"),
        ({"splits": {"s": [([0, 1], [])]}}, "positions of rows"),
        ({"test_size": 1.5}, "test_size"),
    ],
)
def test_faults_are_named(posts, options, message):
    X, y = posts
    with pytest.raises(ValueError, match=message):
        evaluate(Columns(), X, y, **options)


def test_bad_models_and_targets(posts):
    X, y = posts
    with pytest.raises(InvalidInputError, match="must have fit and predict"):
        evaluate({"a": "ridge"}, X, y)
    with pytest.raises(InvalidInputError, match="at least one model"):
        evaluate([], X, y)
    with pytest.raises(InvalidInputError, match="NaN in all rows"):
        evaluate(Columns(), X, np.full(len(X), np.nan))


def test_verbose_prints_a_line_a_fit(posts, capsys):
    X, y = posts
    evaluate(Columns(), X, y, times="when", n_bootstrap=5, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "time split 0, Columns: SRC" in lines[1]


def test_few_posts_have_no_correlation_and_one_user_no_interval():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    users = np.repeat(np.arange(20), 3)
    users[-1] = 99  # the only new user, with one post
    train, test = np.arange(48), np.arange(48, 60)
    users[48:59] = users[:11]
    scores = evaluate(
        Ridge(), X, y, splits={"own": [(train, test)]}, users=users, random_state=0
    ).scores
    new = scores[scores["users"] == "new"].set_index("metric")
    assert np.isnan(new.loc["src", ["score", "low", "high"]].astype(float)).all()
    assert np.isfinite(new.loc["mae", "score"])
    assert np.isnan(new.loc["mae", ["low", "high"]].astype(float)).all()


def test_one_pair_of_positions_is_a_split():
    X = np.random.RandomState(0).normal(size=(40, 2))
    pair = np.arange(30), np.arange(30, 40)
    one = evaluate(Ridge(), X, X[:, 0], splits={"later": pair}, random_state=0)
    several = evaluate(Ridge(), X, X[:, 0], splits={"later": [pair]}, random_state=0)
    assert one["scores"].equals(several["scores"])
    with pytest.raises(InvalidInputError, match="from 0 to 39") as error:
        evaluate(Ridge(), X, X[:, 0], splits={"later": (pair[0], pair[1] + 1)})
    assert len(str(error.value)) < 300


def test_result_shows_its_scores_and_the_size_of_long_tables():
    X, y = np.arange(200.0).reshape(-1, 1), np.arange(200.0) % 7
    result = evaluate(Ridge(), X, y, splits="random", random_state=0)
    said = repr(result)
    assert result.scores.to_string() in said
    assert "predictions: DataFrame of 40 x 7" in said
    assert len(said.splitlines()) < 12
    assert "data: DataFrame of 60 x" in repr(make_posts(60, random_state=0))
