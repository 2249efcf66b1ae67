import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.preprocessing import QuantileTransformer

from hyperfusion import BlockPCA, BlockScaler
from hyperfusion.exceptions import BadCellError
from tests.any_posts import feature_tables

RNG = np.random.RandomState(0)
NUMBERS = (RNG.normal(size=(200, 3)) * [1, 10, 100] + [0, 5, -50]).astype(np.float32)


def vector_table(values, stem="image__clip"):
    names = [f"{stem}__{i}" for i in range(values.shape[1])]
    return pd.DataFrame(values.astype(np.float32), columns=names)


def test_quantiles_agree_with_scikit_learn_inside_the_range():
    ours = BlockScaler().fit_transform(NUMBERS)
    theirs = QuantileTransformer(
        n_quantiles=200, output_distribution="normal", subsample=None
    ).fit_transform(NUMBERS)
    inside = np.abs(theirs) < 2.4
    assert inside.mean() > 0.95
    assert_allclose(ours[inside], theirs[inside], atol=1e-5)


def test_extremes_get_the_normal_score_of_their_middle_rank():
    counts = np.array([[0.0]] * 5 + [[1.0], [2.0], [3.0], [4.0], [9.0]])
    out = BlockScaler().fit_transform(counts).ravel()
    assert_allclose(out[0], norm.ppf(0.25), rtol=1e-5)  # ranks 1 to 5 of 10
    assert_allclose(out[-1], norm.ppf(0.95), rtol=1e-5)  # rank 10 of 10
    flag = np.array([[0.0]] * 3 + [[1.0]])
    out = BlockScaler().fit_transform(flag).ravel()
    assert_allclose(out[[0, 3]], [norm.ppf(0.375), norm.ppf(0.875)], rtol=1e-5)


def test_ranks_that_round_below_zero_are_no_missing_values():
    # Here scikit-learn's own interpolation gives -1e-17 for the rank of 1.
    X = np.array([[0.0, 3.47e16, 3.47e16, np.nan, np.nan, 1e37, 1e37]]).T
    scaler = BlockScaler().fit(X)
    out = scaler.transform([[0.0], [1.0], [1e5]]).ravel()
    assert_allclose(out, scaler._lower[0])
    assert_allclose(BlockScaler().fit(-X).transform([[-1.0]]).ravel(), -out[:1])


def test_missing_values_do_not_count_and_stay_missing():
    some = np.concatenate([NUMBERS, np.full((50, 3), np.nan, np.float32)])
    whole = BlockScaler().fit_transform(NUMBERS)
    out = BlockScaler().fit_transform(some)
    assert np.isnan(out[200:]).all()
    # Quantiles of 200 values at 250 places are interpolated, most so at the ends.
    central = np.abs(whole) < 2
    assert_allclose(out[:200][central], whole[central], atol=0.05)
    ends = [out[:200].min(axis=0), out[:200].max(axis=0)]
    assert_allclose(ends, [whole.min(axis=0), whole.max(axis=0)], rtol=1e-6)


def test_vectors_keep_their_directions():
    values = RNG.normal(size=(300, 4)) * [4, 1, 1, 1] + [10, 0, 0, 0]
    out = BlockScaler().fit_transform(vector_table(values)).to_numpy()
    centered = values - values.mean(axis=0)
    common = np.sqrt(centered.var(axis=0).mean())
    assert_allclose(out, centered / common, rtol=1e-4, atol=1e-5)


def test_two_vectors_of_one_block_have_their_own_scales():
    a = vector_table(RNG.normal(size=(100, 2)), "text__title_clip")
    b = vector_table(RNG.normal(size=(100, 2)) * 50, "text__title_glove")
    out = BlockScaler().fit_transform(pd.concat([a, b], axis=1))
    for stem in ("text__title_clip", "text__title_glove"):
        assert_allclose(out.filter(like=stem).var(ddof=0).mean(), 1, rtol=1e-3)


def test_constant_and_empty_columns_become_zero():
    X = np.column_stack([np.full(20, 7.0), np.full(20, np.nan), np.arange(20)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaler = BlockScaler().fit(X)
        out = scaler.transform([[7, 1, 3], [99, np.nan, 4]])
    assert_array_equal(out[:, :2], [[0, 0], [0, np.nan]])


@pytest.mark.parametrize("names", ["image__clip__{}", "image__{}"])
def test_later_rows_cannot_explode(names):
    columns = [names.format(i) for i in range(3)]
    scaler = BlockScaler().fit(pd.DataFrame(RNG.normal(size=(100, 3)), columns=columns))
    later = pd.DataFrame([[1e30, -1e30, 3e38]], columns=columns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = scaler.transform(later).to_numpy()
    assert (np.abs(out) <= 5.5).all()
    assert (np.sign(out) == [[1, -1, 1]]).all()


def test_a_wide_column_of_a_vector_is_not_cut():
    values = RNG.normal(size=(500, 10)) * [100, *[1] * 9]
    out = BlockScaler().fit_transform(vector_table(values)).to_numpy()
    share_cut = (np.abs(out) >= np.abs(out).max()).mean(axis=0)
    assert share_cut.max() < 0.01
    assert np.abs(out[:, 0]).max() > 6


def test_infinity_is_refused_with_its_place():
    X = pd.DataFrame({"a": [1.0, np.inf]})
    with pytest.raises(BadCellError, match=r"row 1, column 'a'.*infinity"):
        BlockScaler().fit(X)


@settings(max_examples=15, deadline=None)
@given(feature_tables(), feature_tables())
def test_any_tables_stay_within_bounds(X, later):
    X, later = (t.replace([np.inf, -np.inf], np.nan) for t in (X, later))
    scaler = BlockScaler().fit(X)
    for table in (X, later):
        out = scaler.transform(table)
        numbers = out.select_dtypes("number")
        missing = table.select_dtypes("number").isna()
        assert_array_equal(numbers.isna(), missing)
        single = numbers.drop(columns=numbers.filter(like="clip"))
        assert (single.abs().fillna(0) <= 5).all(axis=None)
        assert np.isfinite(numbers.fillna(0)).all(axis=None)


@pytest.mark.parametrize(
    "names", [["q_0", "q_1", "q_2"], ["meta__q_0", "meta__q_1", "meta__q_2"]]
)
def test_unrelated_numbers_are_scaled_and_kept_one_by_one(names):
    values = RNG.normal(size=(60, 3)) * [1, 100, 1e4]
    X = pd.DataFrame(values, columns=names)
    plain = pd.DataFrame(values, columns=["a", "b", "c"])
    scaled = BlockScaler().fit_transform(X)
    assert_allclose(scaled, BlockScaler().fit_transform(plain))
    assert list(BlockPCA(n_components=1).fit_transform(X)) == names
