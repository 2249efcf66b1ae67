"""Presets, and what a member's rows cost before it sees them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.kernel_approximation import Nystroem

from hyperfusion import HyperFusionRegressor, IQRFilter
from hyperfusion.ensemble._out_of_fold import fit_parts
from hyperfusion.ensemble._presets import (
    ContextColumns,
    RowLimitedNystroem,
    preset_members,
)


def test_kernel_member_does_not_warn_of_few_rows():
    X = np.random.RandomState(0).normal(size=(60, 4))
    member = dict(preset_members("fast"))["kernel"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        member.fit(X, X[:, 0])
    assert member["nystroem"].n_components == 500
    assert member["nystroem"].components_.shape == (60, 4)


def test_with_enough_rows_the_components_are_those_of_nystroem():
    X = np.random.RandomState(0).normal(size=(60, 4))
    ours = RowLimitedNystroem(gamma=0.1, n_components=20, random_state=0)
    theirs = Nystroem(gamma=0.1, n_components=20, random_state=0)
    assert_allclose(ours.fit_transform(X), theirs.fit_transform(X))


def test_trees_take_a_frame_of_numbers_some_missing():
    values = np.random.RandomState(0).normal(size=(60, 4)).astype(np.float32)
    target = values[:, 0].copy()
    values[3, 2] = np.nan
    table = pd.DataFrame(values, columns=[f"time__t{i}" for i in range(4)], copy=False)
    member = ExtraTreesRegressor(5, random_state=0)
    ensemble = HyperFusionRegressor([("trees", member)], cv=2, random_state=0)
    ensemble.fit(table, target)
    assert np.isfinite(ensemble.predict(table)).all()


class WidthRecorder(IQRFilter):
    """Remembers how many columns it was shown."""

    seen: list[int] = []

    def fit_resample(self, X, y):
        self.seen.append(X.shape[1])
        return super().fit_resample(X, y)


def test_filter_is_shown_only_the_columns_that_it_looks_at():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(60, 5)), columns=list("abcde"))
    X.loc[3, "c"] = 100.0
    y = rng.normal(size=60)
    y[7] = 100.0
    split = [(np.arange(50), np.arange(50, 60))]

    class Rows:
        """Counts the rows that it is fitted on."""

        def get_params(self, deep=True):
            return {}

        def fit(self, X, y):
            self.rows_ = np.asarray(X.index)
            return self

        def predict(self, X):
            return np.zeros(len(X))

    for columns, widths, gone in [
        (None, [1], {7}),
        (["c", "a"], [2], {3, 7}),
        ([], [1], {7}),
    ]:
        WidthRecorder.seen = []
        row_filter = WidthRecorder(columns=columns, factor=3.0, max_share=0.2)
        (part,) = fit_parts(
            [[Rows()]], X, y, split, names=["rows"], row_filter=row_filter
        )
        assert WidthRecorder.seen == widths
        assert_array_equal(part.model.rows_, [i for i in range(50) if i not in gone])


def test_context_member_reads_neither_pictures_nor_texts():
    context = ["user__fans", "user__vector__0", "time__hour", "geo__place", "meta__n"]
    content = ["image__clip__0", "text__words", "tags__tfidf__0", "cross__similarity"]
    content += ["neighbors__text_mean_5", "cluster__text_2"]
    table = pd.DataFrame(np.ones((2, 12)), columns=[*content, *context, "plain"])
    columns = ContextColumns().fit(table)
    assert list(columns.transform(table[::-1])) == [*context, "plain"]
    assert_array_equal(columns.fit_transform(np.ones((2, 3))), np.ones((2, 3)))
    only = table[content]
    assert list(columns.fit_transform(only)) == content


def test_context_member_wins_where_texts_are_noise():
    rng = np.random.RandomState(0)
    names = [f"text__tfidf__{i}" for i in range(60)] + ["user__fans", "time__hour"]
    X = pd.DataFrame(rng.normal(size=(400, 62)), columns=names)
    y = X["user__fans"] + X["time__hour"] ** 2 + 0.3 * rng.normal(size=400)
    model = HyperFusionRegressor("fast", cv=3, random_state=0).fit(X, y)
    weights = dict(zip(dict(model.members_), model.weights_[0], strict=True))
    assert max(weights, key=weights.get) == "context"
