"""What members take: every kind of table and array, and none ignores a column."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    PostEncoder,
    TabNetHuberRegressor,
)
from hyperfusion.exceptions import InvalidInputError
from tests.regressors.tables import feature_table, target_of

pl = pytest.importorskip("polars", reason="needs polars")
pa = pytest.importorskip("pyarrow", reason="needs pyarrow")

MEMBERS = [
    CatBoostHuberRegressor(
        iterations=50, learning_rate=0.3, n_threads=1, random_state=0
    ),
    TabNetHuberRegressor(
        n_d=8,
        n_steps=1,
        max_iter=28,
        learning_rate=0.04,
        weight_decay=0.01,
        random_state=6,  # leaves room: another processor moves a score by 0.03
    ),
    CoAttentionRegressor(
        hidden_size=32, max_iter=12, learning_rate=0.02, random_state=0
    ),
    ClipHierarchicalRegressor(
        hidden_size=16, max_iter=20, learning_rate=0.01, random_state=0
    ),
]
each_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)
pytestmark = pytest.mark.filterwarnings("ignore:.*works as a plain network")

RNG = np.random.RandomState(0)
NUMBERS = RNG.normal(size=(400, 3)).astype(np.float32)
EASY = NUMBERS @ [2.0, -1.0, 1.0]
KINDS = pd.Categorical(RNG.choice(list("wxyz"), 400))


def quick(member):
    small = {"iterations": 5} if isinstance(member, CatBoostHuberRegressor) else {}
    return clone(member).set_params(**(small or {"max_iter": 2}))


def later_score(member, X, y):
    rows = np.arange(len(y)) < 300
    early, late = (
        (X[r] if isinstance(X, np.ndarray) else X.iloc[r]) for r in (rows, ~rows)
    )
    return clone(member).fit(early, y[rows]).score(late, y[~rows])


@each_member
def test_single_numbers_are_the_same_under_any_names(member):
    expected = quick(member).fit(NUMBERS, EASY).predict(NUMBERS)
    for names in (
        ["a", "b", "c"],
        ["q_0", "q_1", "q_2"],
        [10, 11, 12],
        ["v__0", "v__1", "v__2"],
        ["meta__0", "meta__1", "meta__2"],
        ["meta__q_0", "meta__q_1", "meta__q_2"],
    ):
        X = pd.DataFrame(NUMBERS, columns=names)
        found = quick(member).fit(X, EASY).predict(X)
        assert_array_equal(found, expected, err_msg=str(names))


@each_member
def test_numbers_are_learned_and_a_category_takes_none_of_them_away(member):
    assert later_score(member, NUMBERS, EASY) > 0.9
    X = pd.DataFrame(NUMBERS, columns=["q_0", "q_1", "q_2"]).assign(kind=KINDS)
    assert later_score(member, X, EASY + (KINDS == "x")) > 0.9
    named = quick(member).fit(X, EASY).predict(X)
    X.columns = range(4)
    assert_array_equal(quick(member).fit(X, EASY).predict(X), named)


@each_member
def test_numbers_of_an_array_through_the_encoder(member):
    cells = np.column_stack([NUMBERS, KINDS.codes])
    X = PostEncoder(numeric=[0, 1, 2], categorical=[3]).fit_transform(cells)
    assert later_score(member, X, EASY) > 0.9


@each_member
def test_categories_alone_and_one_column(member):
    y = KINDS.codes + 0.1 * NUMBERS[:, 0]
    X, numbered = pd.DataFrame({"kind": KINDS}), pd.DataFrame({5: KINDS})
    assert later_score(member, X, y) > 0.9
    named = quick(member).fit(X, y).predict(X)
    assert_array_equal(quick(member).fit(numbered, y).predict(numbered), named)
    assert later_score(member, NUMBERS[:, :1], 2 * NUMBERS[:, 0]) > 0.9
    one = pd.DataFrame({"image__clip__0": NUMBERS[:, 0]})
    assert later_score(member, one, 2 * NUMBERS[:, 0]) > 0.9


@each_member
def test_vectors_with_gaps_and_in_any_order(member):
    names = ["image__clip__7", "image__clip__0", "text__title__30"]
    assert later_score(member, pd.DataFrame(NUMBERS, columns=names), EASY) > 0.8


@each_member
def test_the_dtypes_of_any_library_are_the_same_numbers(member):
    X = feature_table(60)
    y = target_of(X)
    model = quick(member).fit(X, y)
    expected = model.predict(X)
    # the spaces of vectors are declared in pandas' attrs alone
    plain = X.copy()
    plain.attrs.clear()
    undeclared = quick(member).fit(plain, y).predict(X)
    numbers = X.columns[X.dtypes == "float32"]
    levels = X.columns.difference(numbers)
    arrow = pa.Table.from_pandas(X, preserve_index=False)
    others = {
        "nullable": X.astype(dict.fromkeys(numbers, "Float32")),
        "pyarrow": X.astype(dict.fromkeys(numbers, "float[pyarrow]")),
        "table": arrow,
        "polars": pl.from_arrow(arrow),
        "float64": X.astype(dict.fromkeys(numbers, "float64")),
        "objects": X.astype(dict.fromkeys(numbers, object)),
    }
    for kind, other in others.items():
        assert_array_equal(model.predict(other), expected, err_msg=kind)
        fresh = quick(member).fit(other, pl.Series(y), list(np.ones(60)))
        # Polars drops what is declared, and so does pandas 2 in an Arrow table
        kept = kind != "polars" and (kind != "table" or arrow.to_pandas().attrs)
        same = expected if kept else undeclared
        assert_array_equal(fresh.predict(X), same, err_msg=kind)
    text = X.astype(dict.fromkeys(levels, str))
    with pytest.raises(InvalidInputError, match="astype"):
        model.predict(text)


@each_member
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_frame_at_fit_and_array_at_predict(member):
    frame = pd.DataFrame(NUMBERS[:60], columns=list("abc"))
    model = quick(member).fit(frame, EASY[:60])
    assert_array_equal(model.predict(NUMBERS[:60]), model.predict(frame))
    with_kind = frame.assign(kind=KINDS[:60])
    model = quick(member).fit(with_kind, EASY[:60])
    cells = np.column_stack([NUMBERS, KINDS.codes])
    with pytest.raises(InvalidInputError, match="'kind' was a category when"):
        model.predict(cells)
    model = quick(member).fit(cells, EASY)
    numbered = pd.DataFrame(NUMBERS).assign(kind=KINDS).set_axis(range(4), axis=1)
    with pytest.raises(InvalidInputError, match="Column 3 was a number when"):
        model.predict(numbered)


@each_member
def test_what_is_no_table_is_refused_by_name(member):
    with pytest.raises(InvalidInputError, match=r"[Ss]parse"):
        clone(member).fit(csr_array(NUMBERS), EASY)
    with pytest.raises(ValueError, match=r"2D|2-dimensional"):
        clone(member).fit(pd.Series(NUMBERS[:, 0]), EASY)
    frame = pd.DataFrame(NUMBERS[:60], columns=list("abc"))
    sparse = frame.astype(pd.SparseDtype("float32", 0.0))
    model = quick(member).fit(sparse, EASY[:60])
    assert_array_equal(model.predict(sparse), model.predict(frame))


@pytest.mark.filterwarnings("default:.*works as a plain network")
def test_a_network_says_once_what_it_lacks():
    X = pd.DataFrame({"meta__a": NUMBERS[:60, 0], "meta__kind": KINDS[:60]})
    given = {
        "attends between blocks; it was given only 'meta' and works": X,
        "given only columns of no block and works": NUMBERS[:60],
        "given only 'meta', columns of no block and works": X.assign(b=KINDS[:60]),
    }
    for message, table in given.items():
        with pytest.warns(UserWarning, match=message) as caught:
            CoAttentionRegressor(max_iter=1).fit(table, EASY[:60])
        assert len(caught) == 1
        assert "\n" not in str(caught[0].message)
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="joins images and texts; it was given only"):
        ClipHierarchicalRegressor(max_iter=1).fit(X, EASY[:60])


@each_member
def test_nothing_is_said_where_nothing_lacks(member):
    X = feature_table(60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(member).fit(X, target_of(X))


@each_member
def test_order_and_neighbors_of_rows_change_nothing(member):
    # scikit-learn's tolerance, with the matrix products of reduced vectors as well
    X = feature_table(300, n_clip=40)
    y = target_of(X)
    model = quick(member).fit(X, y)
    whole = model.predict(X)
    order = np.random.RandomState(1).permutation(len(X))
    tolerance = {"rtol": 1e-7, "atol": 1e-7}
    assert_allclose(model.predict(X.iloc[order]), whole[order], **tolerance)
    for size in (1, 7, 30):
        parts = [model.predict(X.iloc[i : i + size]) for i in range(0, 30, size)]
        assert_allclose(np.concatenate(parts)[:30], whole[:30], **tolerance)


@each_member
def test_a_saved_model_is_small(member):
    X = feature_table(60, n_clip=300)
    model = quick(member).fit(X, target_of(X))
    size = len(pickle.dumps(model.schema_))
    assert size < 40 * X.shape[1]
    assert pickle.loads(pickle.dumps(model.schema_)).vectors.keys() == {
        "image__clip",
        "text__title_clip",
        "tags__clip",
    }
