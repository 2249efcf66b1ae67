"""The preset of the paper: each of its equations against a computation by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from hyperfusion import (
    PseudoLabelWrapper,
    StratifiedRegressionKFold,
    ablate,
    make_hyperfusion,
    make_posts,
    spearman_score,
)
from hyperfusion.regressors._catboost import make_pool
from hyperfusion.table import BLOCKS, Schema
from hyperfusion.table._features import read_features
from tests.encoders.clip_reference import (
    make_network,
    open_clip_images,
    open_clip_texts,
    write_model,
)

GLOVE = Path(__file__).parent / "encoders" / "small_glove.txt"
SMALL = {
    "catboost__iterations": 10,
    "tabnet__max_iter": 1,
    "coattention__max_iter": 1,
    "hierarchical__max_iter": 2,
}
N_LABELED = 250
N_USER, N_PLACE = 60, 20  # more than there are users and places
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


class Fitted:
    """The preset, fitted with members that are cut short, and what it has made."""

    def __init__(self, folder):
        self.posts = make_posts(300, random_state=0)
        self.network = make_network()
        clip = str(write_model(folder, self.network))
        self.y = np.where(np.arange(300) < N_LABELED, self.posts.target, np.nan)
        self.model = make_hyperfusion(
            **self.posts.roles,
            image_encoder=clip,
            text_encoder=clip,
            word_vectors=str(GLOVE),
            preset="paper",
            random_state=0,
        )
        small = {f"predict__estimator__{name}": n for name, n in SMALL.items()}
        self.model.set_params(**small, predict__max_rounds=1, reduce__n_components=8)
        self.encode = self.model.named_steps["encode"]
        embedders = self.encode.user_embedder, self.encode.place_embedder
        self.widths = [embedder.n_components for embedder in embedders]
        self.encode.set_params(
            user_embedder__n_components=N_USER, place_embedder__n_components=N_PLACE
        )
        self.model.fit(self.posts.data, self.y)
        self.table = self.encode.transform(self.posts.data)
        self.related = self.model.named_steps["relate"].transform(self.table)
        self.features = self.model[:-1].transform(self.posts.data)
        self.wrapper = self.model[-1]
        self.ensemble = self.wrapper.estimator_

    def vector(self, name, table=None):
        table = self.table if table is None else table
        return table.iloc[:, Schema.of(table).vectors[name]].to_numpy()

    def component(self, role, name):
        return next(
            c.encoder
            for c in self.encode.components_
            if (c.role, c.name) == (role, name)
        )

    def rows(self, k):
        """Return targets, members' predictions and weights of a validation part."""
        rows = self.ensemble.splits_[k][1]
        X = self.features.iloc[:N_LABELED].iloc[rows]
        predicted = [m.predict(X) for m in self.ensemble.estimators_[k]]
        return self.y[rows], np.column_stack(predicted), self.ensemble.weights_[k]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return Fitted(tmp_path_factory.mktemp("clip") / "model")


def test_equation_1_the_five_kinds_of_features(fitted):
    blocks = set(Schema.of(fitted.features).blocks)
    assert blocks == set(BLOCKS) - {"neighbors"}


def test_equation_2_image_vectors_are_those_of_clip(fitted):
    images = fitted.posts.data["image"]
    there = images.notna().to_numpy()
    expected = open_clip_images(
        fitted.network, [i.convert("RGB") for i in images[there]], normalize=False
    )
    found = fitted.vector("image__clip")
    assert_allclose(found[there], expected, rtol=1e-3, atol=1e-4)
    assert np.isnan(found[~there]).all()
    assert np.ptp(np.linalg.norm(found[there], axis=1)) > 0, "not normalized"
    # the vectors of 512 numbers are ViT-B/32's, where nothing else is asked for
    params = make_hyperfusion(image="i", text="t", preset="paper").get_params()
    for role in ("image", "text"):
        assert params[f"encode__encoders__{role}__clip__model_name"] == "ViT-B-32"
        assert params[f"encode__encoders__{role}__clip__normalize"] is False


def test_equation_3_text_is_clip_glove_and_statistics(fitted):
    captions = ["the red sunset", "cat and dog at home", "rain"]
    data = fitted.posts.data.iloc[:3].assign(caption=captions)
    table = fitted.encode.transform(data)
    expected = open_clip_texts(fitted.network, captions, normalize=False)
    assert_allclose(fitted.vector("text__caption_clip", table), expected, **CLOSE)
    lines = [line.split() for line in GLOVE.read_text().splitlines()]
    words = {word: np.array(v, dtype=float) for word, *v in lines}
    means = [np.mean([words[w] for w in c.split()], axis=0) for c in captions]
    assert_allclose(fitted.vector("text__caption_glove", table), means, rtol=1e-5)
    assert table["text__caption_characters"].tolist() == [14, 19, 4]
    assert table["text__caption_words"].tolist() == [3, 5, 1]
    assert not [c for c in table if "tfidf" in str(c)]


def count_matrix(users, items):
    """Return how often each user uses each item; rows and columns in order."""
    pairs = [(u, i) for u, some in zip(users, items, strict=True) for i in some]
    table = pd.crosstab(*np.array(pairs, dtype=object).T)
    return table.to_numpy(dtype=float), list(table.index), list(table.columns)


def test_equation_4_users_by_tags(fitted):
    data = fitted.posts.data
    items = [
        [] if t is None or t != t else re.findall(r"[^#\s]+", t.lower())
        for t in data["tags"]
    ]
    M, users, _ = count_matrix(data["user"], items)
    U, S, _Vt = np.linalg.svd(M, full_matrices=False)
    rank = int((S > 1e-6).sum())
    embedder = fitted.component("user", "svd")
    assert_allclose(embedder.singular_values_, S[:rank], rtol=1e-4)
    found = fitted.vector("user__svd")
    assert found.shape == (300, N_USER)
    assert fitted.widths == [399, 400]
    has_tags = ~np.isnan(found[:, 0])
    assert not found[has_tags, rank:].any(), "padded with zeros"
    one_each = found[[list(data["user"]).index(u) for u in users], :rank]
    # directions of equal singular values are not unique, what they give back is
    assert_allclose(one_each @ one_each.T, U[:, :rank] @ U[:, :rank].T, atol=1e-3)
    back = one_each * S[:rank] @ embedder.item_vectors_.T
    assert_allclose(back, M, atol=1e-2)


def test_equation_4_places_by_users(fitted):
    data = fitted.posts.data
    items = [[] if p is None or p != p else [p] for p in data["place"]]
    M, _, places = count_matrix(data["user"], items)
    _, S, Vt = np.linalg.svd(M, full_matrices=False)
    rank = int((S > 1e-6).sum())
    V = Vt[:rank].T
    found = fitted.vector("place__item_svd")
    assert found.shape == (300, N_PLACE)
    assert not found[:, rank:][data["place"].notna()].any(), "padded with zeros"
    for place in places:
        row = found[np.flatnonzero(data["place"] == place)[0], :rank]
        assert_allclose(np.abs(row), np.abs(V[places.index(place)]), atol=1e-3)
    assert np.isnan(found[data["place"].isna()]).all()


def test_equation_5_similarity_of_image_and_text(fitted):
    image, text = fitted.vector("image__clip"), fitted.vector("text__caption_clip")
    lengths = np.linalg.norm(image, axis=1) * np.linalg.norm(text, axis=1)
    expected = np.sum(image * text, axis=1) / lengths
    found = fitted.related["cross__image_text_caption_clip_cosine"]
    assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_equation_6_all_features_side_by_side(fitted):
    data, table = fitted.posts.data, fitted.table
    n_columns = 0
    for component in fitted.encode.components_:
        part = component.transform(data)
        n_columns += len(part.names) + len(part.categories)
        values = np.empty((len(data), len(part.names)), dtype=np.float32)
        part.write(values)
        assert_allclose(table[part.names], values, **CLOSE)
    assert n_columns == table.shape[1]
    found = fitted.related[table.columns]
    pd.testing.assert_frame_equal(found, table, check_column_type=False)
    added = set(Schema.of(fitted.related).blocks) - set(Schema.of(table).blocks)
    assert added == {"cross", "cluster"}


def test_clip_vectors_are_reduced_behind_the_similarities(fitted):
    text = fitted.vector("text__caption_clip")
    there = ~np.isnan(text[:, 0])
    centered = text[there] - text[there].mean(axis=0)
    U, S, _ = np.linalg.svd(centered, full_matrices=False)
    reduced = fitted.model.named_steps["reduce"].transform(fitted.related)
    found = fitted.vector("text__caption_clip_pca", reduced)[there]
    assert_allclose(np.abs(found), np.abs(U[:, :8] * S[:8]), rtol=1e-2, atol=1e-3)
    vectors = Schema.of(reduced).vectors
    assert len(vectors["text__caption_glove"]) == 5
    assert len(vectors["user__svd"]) == N_USER


def test_nothing_is_missing_and_all_is_of_one_scale(fitted):
    numbers = fitted.features.select_dtypes("float32")
    assert np.isfinite(numbers.to_numpy()).all()
    singles = numbers.iloc[:, Schema.of(numbers).singles]
    assert np.abs(singles.to_numpy()).max() <= 5
    words = fitted.vector("text__caption_clip_pca", numbers)
    assert_allclose(words.var(axis=0).mean(), 1, rtol=0.1)
    assert "image__clip_pca_missing" in fitted.features


def huber(error, delta):
    small = np.abs(error) <= delta
    return np.where(small, error**2 / 2, delta * np.abs(error) - delta**2 / 2)


@pytest.mark.parametrize("name", ["tabnet", "coattention", "hierarchical"])
def test_equation_7_the_networks_minimize_huber(fitted, name):
    import torch

    from hyperfusion.regressors.networks import _training

    member = fitted.ensemble.named_estimators_[name][0]
    X, y = fitted.features.iloc[:N_LABELED], fitted.y[:N_LABELED]
    scaler, delta = member.target_scaler_, member.delta
    target, scaled = scaler.transform(y), scaler.transform(member.predict(X))
    assert (np.abs(target - scaled) > delta).any()
    rows = torch.from_numpy(scaled), torch.from_numpy(target), torch.ones(len(y))
    by_hand = huber(target - scaled, delta).mean()
    assert_allclose(_training.huber(*rows, delta), by_hand, rtol=1e-6)


def test_equation_7_the_trees_minimize_huber(fitted):
    member = fitted.ensemble.named_estimators_["catboost"][0]
    X, y = fitted.features.iloc[:N_LABELED], fitted.y[:N_LABELED]
    scaler, trees = member.target_scaler_, member._load_model()
    loss = f"Huber:delta={member.delta}"
    assert trees.get_all_params()["loss_function"] == loss
    pool = make_pool(read_features(member, X, reset=False), scaler.transform(y))
    error = (y - member.predict(X)) / scaler.spread
    by_hand = huber(error, member.delta).mean()
    assert_allclose(trees.eval_metrics(pool, loss)[loss][-1], by_hand, rtol=1e-5)


def test_the_four_members_train_on_four_parts(fitted):
    members = dict(fitted.ensemble.members_)
    assert list(members) == ["catboost", "tabnet", "coattention", "hierarchical"]
    assert members["hierarchical"].batch_norm
    assert not any(member.early_stopping for member in members.values())
    assert not any(m.best_score_ for fold in fitted.ensemble.estimators_ for m in fold)
    folds = StratifiedRegressionKFold(5, random_state=np.random.RandomState(0))
    y = fitted.y[:N_LABELED]
    for (train, rows), (a, b) in zip(
        fitted.ensemble.splits_, folds.split(y[:, None], y), strict=True
    ):
        assert_array_equal(train, a)
        assert_array_equal(rows, b)
        assert len(train) == 4 * len(rows)


def test_equation_8_each_fold_has_weights_of_its_own(fitted):
    draws = np.random.RandomState(0).dirichlet(np.full(4, 0.5), 3000)
    found = []
    for k in range(5):
        y, predicted, weights = fitted.rows(k)
        assert_allclose(weights.sum(), 1)
        assert (weights >= 0).all()

        def scores(predictions, y=y):
            mae = np.abs(y[:, None] - predictions).mean(axis=0)
            ranks = np.column_stack([rankdata(y), rankdata(predictions, axis=0)])
            return np.array([mae, 1 - np.corrcoef(ranks.T)[0, 1:]])

        best = scores(predicted).min(axis=1, keepdims=True)
        losses = (scores(predicted @ draws.T) / best).mean(axis=0)
        found_loss = np.mean(scores(predicted @ weights[:, None]) / best)
        assert found_loss < losses.min() + 0.02
        found.append(weights)
    assert np.ptp(found, axis=0).max() > 0.01


def test_equation_9_the_mean_of_the_folds(fitted):
    X = fitted.features.iloc[N_LABELED:]
    folds = [
        sum(w * member.predict(X) for w, member in zip(weights, members, strict=True))
        for weights, members in zip(
            fitted.ensemble.weights_, fitted.ensemble.estimators_, strict=True
        )
    ]
    predicted = fitted.wrapper.predict(X)
    assert_allclose(predicted, np.mean(folds, axis=0))
    assert spearman_score(fitted.posts.target[N_LABELED:], predicted) > 0.3


def test_equation_10_one_threshold_for_the_whole_ensemble(fitted):
    assert fitted.wrapper.n_iter_ == 1
    numbers, y = fitted.features.iloc[:, :60], fitted.y[:N_LABELED]
    X, unlabeled = numbers.iloc[:N_LABELED], numbers.iloc[N_LABELED:]
    members = [("one", Ridge(1.0)), ("two", Ridge(1e4)), ("mean", DummyRegressor())]
    wrapper = clone(fitted.wrapper)
    wrapper.set_params(estimator__members=members, estimator__weighting="equal")
    first = clone(wrapper.estimator).fit(X, y)
    wrapper.fit(numbers, fitted.y)
    votes = []
    for (_, rows), members in zip(first.splits_, first.estimators_, strict=True):
        for member in members:
            bias = np.mean(member.predict(X.iloc[rows]) - y[rows])
            # NumPy 1 would stay with float32, as members predict here
            votes.append(member.predict(unlabeled).astype(float) - bias)
    confidence = -np.std(votes, axis=0)
    tau = confidence.mean() + wrapper.alpha * confidence.std()
    assert_allclose(wrapper.trace_["tau"], [tau])
    used = wrapper.labeled_iter_[N_LABELED:] == 1
    assert_array_equal(used, confidence > tau)
    assert 0 < used.sum() < len(used)
    labels = wrapper.transduction_[N_LABELED:]
    assert_allclose(labels[used], first.predict(unlabeled)[used])
    assert np.isnan(labels[~used]).all()


def test_equations_11_and_12(fitted):
    for k in range(5):
        y, predicted, _ = fitted.rows(k)
        p, n = predicted[:, 3], len(y)
        d = rankdata(p) - rankdata(y)
        src = 1 - 6 * np.sum(d**2) / (n * (n**2 - 1))
        scores = fitted.ensemble.fold_scores_.loc[(k, "hierarchical")]
        assert_allclose(scores[["src", "mae"]], [src, np.abs(y - p).mean()])


class Recorder(Ridge):
    """Keeps the targets that it learned from."""

    def fit(self, X, y, sample_weight=None):
        self.learned_ = np.asarray(y)
        return super().fit(X, y, sample_weight)


def test_outliers_leave_training_parts_and_pseudo_labels_join_all(fitted):
    y = fitted.y.copy()
    y[[3, 77]] = [60.0, -40.0]
    members = [
        ("one", Recorder(1.0)),
        ("two", Recorder(1e4)),
        ("mean", DummyRegressor()),
    ]
    wrapper = clone(fitted.wrapper)
    wrapper.set_params(estimator__members=members, estimator__weighting="equal")
    wrapper.set_params(alpha=0.0, max_rounds=2)
    wrapper.fit(fitted.features.iloc[:, :60], y)
    assert wrapper.trace_["kept"].tolist() == [True] * 2
    assert (wrapper.trace_["n_added"] > 0).all()
    labels = wrapper.transduction_[N_LABELED:]
    pseudo = labels[~np.isnan(labels)]
    assert len(pseudo) == wrapper.trace_["n_added"].sum(), "none leaves again"
    ensemble = wrapper.estimator_
    for (train, _), models in zip(ensemble.splits_, ensemble.estimators_, strict=True):
        low, high = np.quantile(y[train], [0.25, 0.75])
        reach = 1.5 * (high - low)
        kept = train[(y[train] >= low - reach) & (y[train] <= high + reach)]
        assert not {3, 77} & {*kept}
        for model in models[:2]:
            assert_allclose(model[-1].learned_, np.append(y[kept], pseudo))
    validated = np.concatenate([rows for _, rows in ensemble.splits_])
    assert_array_equal(np.sort(validated), np.arange(N_LABELED))


def test_ablation_fills_all_rows_of_table_1():
    posts = make_posts(120, random_state=0, image_size=32)
    y = np.where(np.arange(120) % 6 == 0, np.nan, posts.target)
    tiny = {"image_encoder": "hyperfusion-tiny", "text_encoder": "hyperfusion-tiny"}
    members = [("one", Ridge(1.0)), ("two", Ridge(1e3))]
    model = make_hyperfusion(
        **posts.roles,
        **tiny,
        word_vectors=str(GLOVE),
        preset="paper",
        members=members,
        cv=2,
        random_state=0,
    )
    model.set_params(
        predict__max_rounds=1,
        encode__user_embedder__n_components=8,
        encode__place_embedder__n_components=8,
    )
    table = ablate(model, posts.data, y, n_bootstrap=10, random_state=0)
    assert len(table) == 9
    assert table["mae"].notna().all()
    changes = table[["src_change", "mae_change", "mae_change_low", "mae_change_high"]]
    assert changes.drop("full model").notna().all(axis=None)
    assert table.loc[table["note"] != ""].index.tolist() == ["without ensemble"]


def test_what_is_given_goes_before_the_preset():
    own = Ridge()
    model = make_hyperfusion(
        text="t", image="i", preset="paper", members=[("own", own)], cv=3,
        image_encoder=False, text_encoder=False, unlabeled=False, neighbors=False,
    )  # fmt: skip
    ensemble = model[-1]
    assert not isinstance(ensemble, PseudoLabelWrapper)
    assert ensemble.members == [("own", own)]
    assert ensemble.cv == 3
    encode = model[0]
    assert encode.neighbors is None
    assert encode.encoders == {
        "text": {"tfidf": "drop"}, "image": {"statistics": "drop"}
    }  # fmt: skip
