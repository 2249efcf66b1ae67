"""Members on tables as odd as they come: nothing breaks, and no row minds another."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    TabNetHuberRegressor,
)
from hyperfusion.exceptions import BadCellError

MEMBERS = [
    CatBoostHuberRegressor(iterations=3, depth=2, n_threads=1, random_state=0),
    TabNetHuberRegressor(n_d=4, max_iter=1, random_state=0),
    CoAttentionRegressor(hidden_size=8, max_iter=1, random_state=0),
    ClipHierarchicalRegressor(
        hidden_size=4, final_sizes=(4,), max_iter=1, random_state=0
    ),
]
each_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)
quick = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

SEEN = ["a", "b", "日本語", "🎉", " ", "__missing__", "a,b\n", "\x00"]
NAMES = [
    "image__clip__0",
    "image__clip__1",
    "text__title_clip__0",
    "text__title_clip__1",
    "meta__0",
    "meta__1",
    "user__user",
    "meta__kind",
    "time__hour",
    "geo__latitude",
    "no block",
    "Größe",
]
numbers = st.floats(-(2.0**60), 2.0**60, width=32) | st.just(float("nan"))
levels = st.sampled_from(SEEN) | st.none()
new_levels = st.text(max_size=4) | levels


@st.composite
def tables(draw):
    """A table to learn and one to predict: some columns missing, constant or levels."""
    n, later = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    seen, new = {}, {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        # what belongs together as a vector is numbers
        kinds = ["numbers", "missing", "constant"]
        kind = draw(
            st.sampled_from([*kinds, "levels"] if name[-1] not in "01" else kinds)
        )
        if kind == "levels":
            old, coming = (
                draw(st.lists(cells, min_size=size, max_size=size))
                for cells, size in ((levels, n), (new_levels, later))
            )
            seen[name], new[name] = pd.Categorical(old), pd.Categorical(coming)
            continue
        fixed = {"missing": st.just(float("nan")), "constant": st.just(7.0)}
        seen[name] = draw(st.lists(fixed.get(kind, numbers), min_size=n, max_size=n))
        new[name] = draw(st.lists(numbers, min_size=later, max_size=later))
    y = draw(st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n))
    return pd.DataFrame(seen), np.array(y), pd.DataFrame(new)


@each_member
@quick
@given(tables())
def test_any_table_gives_finite_predictions(member, drawn):
    X, y, new = drawn
    model = clone(member).fit(X, y)
    for table in (X, new):
        found = model.predict(table)
        assert found.shape == (len(table),)
        assert np.isfinite(found).all()
        assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table), found)
    alone = model.predict(new.iloc[-1:])
    assert_allclose(alone, found[-1:], rtol=1e-6, atol=1e-6 * max(1, abs(found[-1])))


@each_member
@quick
@given(
    st.integers(0, 9), st.sampled_from(["image__clip__1", "time__hour"]), st.booleans()
)
def test_infinity_is_refused_where_it_stands(member, row, column, negative):
    rng = np.random.RandomState(0)
    names = ["image__clip__0", "image__clip__1", "time__hour"]
    X = pd.DataFrame(rng.normal(size=(10, 3)), columns=names)
    bad = X.copy()
    bad.loc[row, column] = -np.inf if negative else np.inf
    with pytest.raises(BadCellError, match=rf"row {row}, column '{column}'"):
        clone(member).fit(bad, X["time__hour"])


@each_member
def test_levels_of_other_kinds_than_text(member):
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"user__id": pd.Categorical(rng.choice([2**60, -1, 0], 40))})
    X["meta__flag"] = pd.Categorical(rng.uniform(size=40) < 0.5)
    X["meta__when"] = pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"] * 20))
    model = clone(member).fit(X, rng.normal(size=40))
    assert np.isfinite(model.predict(X)).all()
