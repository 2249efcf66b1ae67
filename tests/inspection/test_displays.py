"""The Displays: what they hold, draw and leave alone."""

from __future__ import annotations

import builtins
from itertools import pairwise

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import trapezoid
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import HyperFusionRegressor
from hyperfusion.exceptions import AssociationWarning, InvalidInputError
from hyperfusion.inspection import (
    AblationDisplay,
    DistributionDisplay,
    EnsembleWeightsDisplay,
    ImportanceDisplay,
    PostingTimeDisplay,
    PredictionIntervalDisplay,
    _prediction_displays,
    feature_importance,
    grouped_permutation_importance,
    what_if,
)
from tests.inspection.models import SCALED_RIDGE, feature_table, pipeline, posts

Y = np.array([1.0, 2.0, 4.0, 4.5, 7.0])
CHANGES = pd.DataFrame(
    {
        "src": [0.7, 0.6, 0.71, np.nan],
        "src_change": [0.0, -0.1, 0.01, np.nan],
        "src_change_low": [0.0, -0.15, -0.01, np.nan],
        "src_change_high": [0.0, -0.05, 0.03, np.nan],
        "mae": [1.0, 1.2, 0.9, np.nan],
        "mae_change": [0.0, 0.2, -0.1, np.nan],
        "mae_change_low": [0.0, 0.1, -0.2, np.nan],
        "mae_change_high": [0.0, 0.3, -0.05, np.nan],
    },
    index=["full model", "without visual", "without filter", "without folds"],
)
BARS = pd.DataFrame({"block": ["user", "time"], "importance": [0.3, 0.1]})
DISPLAYS = {
    "distribution": lambda: DistributionDisplay(y_true=Y, y_pred=Y / 2),
    "interval": lambda: PredictionIntervalDisplay(
        y_true=Y, y_pred=Y, lower=Y - 1, upper=Y + 1
    ),
    "weights": lambda: EnsembleWeightsDisplay(weights=np.eye(2), names=["a", "b"]),
    "importance": lambda: ImportanceDisplay(importance=BARS),
    "ablation": lambda: AblationDisplay(table=CHANGES),
    "time": lambda: PostingTimeDisplay(values=np.arange(168.0).reshape(7, 24)),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return pipeline([("ridge", SCALED_RIDGE)], cv=3).fit(*posts())


@pytest.mark.parametrize("name", DISPLAYS)
def test_protocol_and_global_state(name):
    display = DISPLAYS[name]()
    other = plt.figure()
    figure, ax = plt.subplots()
    plt.figure(other.number)
    before, numbers = dict(mpl.rcParams), plt.get_fignums()
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == numbers
    assert plt.gcf() is other
    alone = DISPLAYS[name]().plot()
    assert tuple(alone.figure_.get_size_inches()) == (6.4, 4.8)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", DISPLAYS)
def test_labels_stay_on_the_figure_and_apart(name):
    display = DISPLAYS[name]().plot()
    display.figure_.canvas.draw()
    width, height = display.figure_.canvas.get_width_height()
    for axis in (display.ax_.xaxis, display.ax_.yaxis):
        low, high = sorted(axis.get_view_interval())
        boxes = [
            tick.label1.get_window_extent()
            for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_text()
        ]
        across = axis is display.ax_.xaxis
        edges = sorted((b.x0, b.x1) if across else (b.y0, b.y1) for b in boxes)
        assert all(b.x0 >= 0 and b.y0 >= 0 for b in boxes)
        assert all(b.x1 <= width + 1 and b.y1 <= height + 1 for b in boxes)
        assert all(end <= start for (_, end), (start, _) in pairwise(edges))


@pytest.mark.parametrize("name", DISPLAYS)
def test_without_matplotlib_the_message_says_what_to_install(name, monkeypatch):
    real = builtins.__import__

    def no_matplotlib(module, *args, **kwargs):
        if module.split(".")[0] == "matplotlib":
            raise ImportError(module)
        return real(module, *args, **kwargs)

    display = DISPLAYS[name]()
    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    with pytest.raises(ImportError, match=r"pip install 'scikit-hyperfusion\[plot\]'"):
        display.plot()


def test_distribution_integrates_to_one_on_common_bins():
    rng = np.random.RandomState(0)
    y_true, y_pred = rng.normal(size=500), 0.5 * rng.normal(size=500)
    display = DistributionDisplay(y_true=y_true, y_pred=y_pred).plot()
    bars = display.bars_[0]
    assert sum(b.get_width() * b.get_height() for b in bars) == pytest.approx(1)
    for line in display.lines_:
        x, density = line.get_data()
        assert trapezoid(density, x) == pytest.approx(1, abs=0.01)
    # a narrower distribution has the higher density
    true, predicted = display.lines_
    assert predicted.get_ydata().max() > true.get_ydata().max()


def test_distribution_of_constant_one_and_heavy_tailed_values():
    constant = DistributionDisplay(y_true=Y, y_pred=np.ones(5)).plot()
    assert len(constant.lines_) == 1
    one = DistributionDisplay(y_true=[3.0], y_pred=[4.0]).plot()
    assert one.lines_ == []
    odd = np.random.RandomState(0).standard_cauchy(2000)
    wide = DistributionDisplay(y_true=odd, y_pred=odd).plot()
    assert len(wide.bars_[0]) <= 50


def test_distribution_from_a_pipeline(model):
    X, y = posts(seed=1)
    display = DistributionDisplay.from_estimator(model, X, y)
    assert_allclose(display.y_pred, model.predict(X))
    assert_allclose(display.y_true, y)


@pytest.mark.parametrize(
    ("y_true", "y_pred"), [([], []), ([1.0, 2.0], [1.0]), ([[1.0]], [[1.0]])]
)
def test_bad_vectors(y_true, y_pred):
    with pytest.raises(InvalidInputError, match="must hold"):
        DistributionDisplay(y_true=y_true, y_pred=y_pred).plot()


def test_intervals_split_the_points():
    lower, upper = Y - 1, Y + 1
    y_true = Y + np.array([0, 2, 0, -3, 1])
    display = PredictionIntervalDisplay(
        y_true=y_true, y_pred=Y, lower=lower, upper=upper, coverage=0.9
    ).plot()
    assert_allclose(
        display.outside_.get_offsets(), np.column_stack([Y, y_true])[[1, 3]]
    )
    assert len(display.inside_.get_offsets()) == 3
    texts = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert texts[0] == "within the interval: 60.0% (asked for 90%)"
    segment = display.intervals_.get_segments()[0]
    assert_allclose(segment, [[1.0, 0.0], [1.0, 2.0]])


def test_intervals_of_many_posts_are_a_sample_that_repeats(model, monkeypatch):
    monkeypatch.setattr(_prediction_displays, "_MOST_POINTS", 50)
    X, y = posts(n=300, seed=1)
    drawn = [PredictionIntervalDisplay.from_estimator(model, X, y) for _ in range(2)]
    assert len(drawn[0].y_true) == 300
    points = [d.inside_.get_offsets() for d in drawn]
    assert len(points[0]) + len(drawn[0].outside_.get_offsets()) == 50
    assert_allclose(points[0], points[1])
    with pytest.raises(InvalidInputError, match="no HyperFusionRegressor"):
        PredictionIntervalDisplay.from_estimator(Ridge().fit(Y[:, None], Y), Y, Y)


def test_weights_of_a_fitted_ensemble(model):
    X, y = feature_table()
    numbers = X.drop(columns="meta__kind")
    ensemble = HyperFusionRegressor(
        [("first", Ridge()), ("second", Ridge(alpha=9.0))], cv=3, weights_per="fold"
    ).fit(numbers, y)
    display = EnsembleWeightsDisplay.from_estimator(ensemble)
    drawn = np.asarray(display.image_.get_array())
    assert_allclose(drawn[:, :3], ensemble.weights_.T)
    assert_allclose(drawn[:, 3], ensemble.weights_.mean(axis=0))
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["first", "second"]
    assert len(display.texts_) == 8
    assert EnsembleWeightsDisplay.from_estimator(model).weights.shape == (3, 1)
    with pytest.raises(InvalidInputError, match="no HyperFusionRegressor inside"):
        EnsembleWeightsDisplay.from_estimator(Ridge().fit(numbers, y))


def test_many_members_have_short_labels_and_no_numbers():
    names = [f"a_very_long_name_of_a_member_{i}" for i in range(30)]
    display = EnsembleWeightsDisplay(weights=np.ones((8, 30)) / 30, names=names).plot()
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert max(map(len, labels)) <= 24
    assert len(set(labels)) == 30
    assert display.texts_ == []


def test_importance_bars_match_the_table(model):
    X, y = posts(seed=1)
    arguments = {"n_repeats": 2, "random_state": 0}
    display = ImportanceDisplay.from_estimator(model, X, y, **arguments)
    table = grouped_permutation_importance(model, X, y, **arguments)
    assert_allclose([b.get_width() for b in display.bars_], table["importance"])
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == list(table["block"])
    assert display.ax_.get_xlabel() == "Loss of SRC when permuted"
    assert display.ax_.get_legend() is not None
    assert display.ax_.yaxis_inverted()


def test_long_names_stay_different():
    stem = "user__user_{}_count_per_user_likes_count"
    names = [stem.format(word) for word in ("follower", "following", "follow")]
    table = pd.DataFrame({"feature": [*names, "time__hour"], "importance": 1.0})
    display = ImportanceDisplay(importance=table).plot()
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert len(set(labels)) == 4
    assert max(map(len, labels)) < max(map(len, names))


def test_importance_of_models_needs_no_posts():
    X, y = feature_table()
    tree = DecisionTreeRegressor(max_depth=3).fit(X.drop(columns="meta__kind"), y)
    table = feature_importance(tree)
    display = ImportanceDisplay(importance=table.head(2)).plot()
    assert len(display.bars_) == 2
    expected = table["importance"].head(2)
    assert_allclose([b.get_width() for b in display.bars_], expected)
    assert display.ax_.get_xlabel() == "Importance (%)"


def test_ablation_draws_what_applies():
    display = AblationDisplay(table=CHANGES).plot()
    assert [float(p[0].get_xdata()[0]) for p in display.points_] == [-0.1, 0.01]
    assert display.ax_.get_title() == "Full model: SRC 0.7000"
    texts = [t.get_text() for t in display.ax_.texts]
    assert texts == ["does not apply"]
    mae = AblationDisplay(table=CHANGES, metric="mae").plot()
    assert [float(p[0].get_xdata()[0]) for p in mae.points_] == [0.2, -0.1]
    colors = {p[0].get_color() for p in mae.points_}
    assert len(colors) == 2  # one part helps, the other harms
    with pytest.raises(InvalidInputError, match="metric"):
        AblationDisplay(table=CHANGES, metric="r2").plot()


@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.AssociationWarning")
def test_posting_times_are_those_of_what_if(model):
    post = posts()[0].iloc[[10]]
    display = PostingTimeDisplay.from_estimator(model, post)
    moment = post["posted"].iloc[0]
    monday = (moment - pd.Timedelta(days=moment.weekday())).normalize()
    week = pd.date_range(monday, periods=168, freq="h")
    expected = what_if(model, post, {"posted": week})["prediction"].iloc[1:]
    drawn = np.asarray(display.image_.get_array())
    assert_allclose(drawn.ravel(), expected)
    assert display.tied.shape == (7, 24)
    assert display.tied.ravel()[np.argmax(drawn)]
    assert len(display.dots_.get_offsets()) == display.tied.sum()


@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.AssociationWarning")
@pytest.mark.parametrize("form", [str, lambda time: int(time.timestamp())])
def test_posting_times_of_any_form(model, form):
    X, y = posts()
    post = X.iloc[[10]]
    expected = PostingTimeDisplay.from_estimator(model, post).image_.get_array()
    X = X.assign(posted=X["posted"].map(form))
    other = pipeline([("ridge", SCALED_RIDGE)], cv=3).fit(X, y)
    found = PostingTimeDisplay.from_estimator(other, X.iloc[[10]])
    assert_allclose(found.image_.get_array(), expected, rtol=1e-5)


def test_posting_time_warns_and_needs_a_time(model):
    post = posts()[0].iloc[[10]]
    with pytest.warns(AssociationWarning) as record:
        PostingTimeDisplay.from_estimator(model, post)
    assert record[0].filename == __file__
    with (
        pytest.warns(AssociationWarning),
        pytest.raises(InvalidInputError, match="has no time"),
    ):
        PostingTimeDisplay.from_estimator(model, post.assign(posted=pd.NaT))
    lone = Ridge().fit(pd.DataFrame({"a": Y}), Y)
    with (
        pytest.warns(AssociationWarning),
        pytest.raises(InvalidInputError, match="time role"),
    ):
        PostingTimeDisplay.from_estimator(lone, {"a": 1.0})


def test_mean_scores_by_weekday_and_hour():
    times = pd.to_datetime(["2024-05-03 19:10", "2024-05-03 19:50", "2024-05-06 00:00"])
    display = PostingTimeDisplay.from_predictions(times, [6.0, 8.0, 5.0])
    drawn = display.image_.get_array().filled(np.nan)
    assert drawn[4, 19] == 7.0
    assert drawn[0, 0] == 5.0
    assert np.isfinite(drawn).sum() == 2
    assert display.dots_ is None
    zoned = PostingTimeDisplay.from_predictions(times.tz_localize("UTC"), [1.0, 2, 3])
    assert zoned.ax_.get_xlabel() == "Hour of the day (UTC)"


def test_hours_that_are_all_alike_say_so():
    display = PostingTimeDisplay(
        values=np.ones((7, 24)), tied=np.ones((7, 24), dtype=bool)
    ).plot()
    assert display.ax_.get_title() == "No hour stands out from the others"


def test_a_display_says_in_one_line_what_it_holds():
    display = DistributionDisplay(y_true=Y, y_pred=Y)
    assert repr(display) == "DistributionDisplay(y_true=<5>, y_pred=<5>)"
    display = EnsembleWeightsDisplay(weights=np.ones((3, 2)) / 2, names=["a", "b"])
    assert repr(display.plot()) == (
        "EnsembleWeightsDisplay(weights=<3 x 2>, names=<2 items>)"
    )
