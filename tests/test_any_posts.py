"""Every transformer on odd tables: a clear error, or features that hold together.

The encoders of images, and CLIP's of texts, meet odd cells in tests of their own.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from hyperfusion import (
    BlockImputer,
    BlockPCA,
    BlockScaler,
    CategoryEncoder,
    CrossModalSimilarity,
    GeoEncoder,
    GloveTextVectorizer,
    HierarchicalClusterEncoder,
    IQRFilter,
    NumberEncoder,
    NumericTable,
    PostEncoder,
    RelationEncoder,
    SVDUserEmbedder,
    TemporalEncoder,
    TextStatistics,
    TfidfComponents,
    UserHistory,
    UserProfileEncoder,
)
from hyperfusion.cells._times import read_times
from hyperfusion.exceptions import BadCellError, BadCellWarning, InvalidInputError
from tests.any_posts import CELLS, feature_tables, posts

HERE = Path(__file__).parent / "encoders"
SMALL_GLOVE = str(HERE / "small_glove.txt")
SMALL_TREE = {"levels": (2, 4), "min_cluster_size": 1, "random_state": 0}

COLUMN_ENCODERS = {
    "TextStatistics": (TextStatistics(), "caption"),
    "TextStatistics of tags": (TextStatistics(analyzer="tags"), "tags"),
    "TfidfComponents": (
        TfidfComponents(n_components=3, min_df=1, random_state=0),
        "caption",
    ),
    "TfidfComponents of tags": (
        TfidfComponents(n_components=3, min_df=1, analyzer="tags", random_state=0),
        "tags",
    ),
    "GloveTextVectorizer": (GloveTextVectorizer(SMALL_GLOVE), "caption"),
    "GloveTextVectorizer of tags": (GloveTextVectorizer(SMALL_GLOVE), "tags"),
}

TABLE_ENCODERS = {
    "TemporalEncoder": (
        TemporalEncoder(time="posted", timezone="zone", created="joined"),
        ["posted", "zone", "joined"],
    ),
    "GeoEncoder": (
        GeoEncoder(
            latitude="latitude",
            longitude="longitude",
            accuracy="accuracy",
            place="place",
            min_frequency=1,
        ),
        ["latitude", "longitude", "accuracy", "place"],
    ),
    "UserProfileEncoder": (
        UserProfileEncoder(user="user", numeric=["fans", "photos"]),
        ["user", "fans", "photos"],
    ),
    "NumberEncoder": (NumberEncoder(), ["fans", "photos", "latitude"]),
    "CategoryEncoder": (CategoryEncoder(), ["user", "kind", "place"]),
    "SVDUserEmbedder": (
        SVDUserEmbedder(user="user", n_components=2, pad=True),
        ["user", "tags", "place"],
    ),
    "UserHistory": (
        UserHistory(user="user", time="posted", category="kind", place="place"),
        ["user", "posted", "kind", "place"],
    ),
    "PostEncoder": (
        PostEncoder(
            text="caption",
            tags="tags",
            user="user",
            user_created="joined",
            user_numeric=["fans"],
            time="posted",
            timezone="zone",
            latitude="latitude",
            longitude="longitude",
            geo_accuracy="accuracy",
            place="place",
            numeric="photos",
            categorical="kind",
            text_encoder=False,
            word_vectors=SMALL_GLOVE,
            random_state=0,
        ),
        list(CELLS),
    ),
}

ENCODERS = COLUMN_ENCODERS | TABLE_ENCODERS

TABLE_TRANSFORMERS = {
    "CrossModalSimilarity": CrossModalSimilarity(
        pairs=[("image__clip", "text__title_clip")]
    ),
    "HierarchicalClusterEncoder": HierarchicalClusterEncoder(**SMALL_TREE),
    "RelationEncoder": RelationEncoder(
        clusters=HierarchicalClusterEncoder(**SMALL_TREE)
    ),
    "BlockImputer": BlockImputer(),
    "BlockScaler": BlockScaler(),
    "BlockPCA": BlockPCA(n_components=2),
    "NumericTable": NumericTable(max_one_hot=1, random_state=0),
    "NumericTable, impute": NumericTable(impute=True, random_state=0),
    "IQRFilter": IQRFilter(columns=["meta__price"]),
}

quick = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


def nothing_to_learn(name, X):
    """Whether an encoder may refuse a whole table: no cell of a role is of use."""
    if name in ("TemporalEncoder", "UserHistory", "PostEncoder"):
        return np.isnan(read_times(X["posted"]).clean.seconds).all()
    return name == "SVDUserEmbedder"


def target(n):
    """Scores, some of them missing, but never all."""
    y = np.random.RandomState(n).normal(size=n)
    y[1::3] = np.nan
    return y


def as_frame(transformer, output, index):
    """The output as a table with the declared names; it must have been float32."""
    names = transformer.get_feature_names_out()
    if not isinstance(output, pd.DataFrame):
        assert output.dtype == np.float32
        output = pd.DataFrame(output, index=index, columns=names)
    assert_array_equal(output.columns, names)
    return output


def transformed(transformer, X):
    output = as_frame(transformer, transformer.transform(X), X.index)
    assert output.index.equals(X.index)
    numbers = output.select_dtypes(exclude="category")
    assert (numbers.dtypes == np.float32).all(), numbers.dtypes
    known = X.columns if isinstance(X, pd.DataFrame) else ()
    passed = [c for c in numbers if c in known and numbers[c].equals(X[c])]
    assert not np.isinf(numbers.drop(columns=passed).to_numpy()).any()
    return output


def assert_rows_stand_alone(transformer, X, order):
    whole = transformed(transformer, X)
    for rows in (order, order[:1]):
        some = transformed(transformer, X.iloc[rows])
        pd.testing.assert_frame_equal(some, whole.iloc[rows], rtol=1e-4, atol=1e-5)


@pytest.fixture(autouse=True)
def no_other_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", BadCellWarning)
        warnings.filterwarnings("ignore", "No term .*occurs in at least", UserWarning)
        warnings.filterwarnings("ignore", "Column .*says nothing", UserWarning)
        yield


def draw_tables(data, columns):
    """Wild posts to fit on, and others; a column by itself for encoders of one."""
    names = [columns] if isinstance(columns, str) else columns
    tables = [data.draw(posts(names, min_rows=n)) for n in (2, 1)]
    return [table[columns] for table in tables]


@pytest.mark.parametrize("name", ENCODERS)
@quick
@given(st.data(), st.randoms(use_true_random=False))
def test_any_cells_count_as_missing(name, data, random):
    encoder, columns = ENCODERS[name]
    encoder = clone(encoder).set_params(on_error="missing")
    X, later = draw_tables(data, columns)
    try:
        encoder.fit(X, target(len(X)))
    except InvalidInputError:
        if not nothing_to_learn(name, X):
            raise
        return
    for table in (X, later):
        order = list(range(len(table)))
        random.shuffle(order)
        assert_rows_stand_alone(encoder, table, order)


@pytest.mark.parametrize("name", ENCODERS)
@quick
@given(st.data())
def test_any_cells_are_named_where_errors_are_asked_for(name, data):
    encoder, columns = ENCODERS[name]
    encoder = clone(encoder).set_params(on_error="raise")
    X, later = draw_tables(data, columns)
    try:
        encoder.fit(X, target(len(X)))
        for table in (X, later):
            transformed(encoder, table)
    except BadCellError as error:
        if error.row is None or error.column not in np.atleast_1d(columns):
            raise
    except InvalidInputError:
        if not nothing_to_learn(name, X):
            raise


@pytest.mark.parametrize("name", TABLE_TRANSFORMERS)
@quick
@given(feature_tables(min_rows=2), feature_tables(), st.randoms(use_true_random=False))
def test_any_feature_tables(name, X, later, random):
    transformer = clone(TABLE_TRANSFORMERS[name])
    try:
        transformer.fit(X, target(len(X)))
        tables = [t for t in (X, later) if transformed(transformer, t) is not None]
    except InvalidInputError as error:
        if not re.search("contains infinity|no vector with", str(error)):
            raise
        return
    for table in tables:
        order = list(range(len(table)))
        random.shuffle(order)
        assert_rows_stand_alone(transformer, table, order)


@quick
@given(feature_tables())
def test_any_rows_are_kept_or_dropped_whole(X):
    sampler = IQRFilter(columns=["meta__price", "text__words"], max_share=1.0)
    y = np.arange(len(X), dtype=float)
    kept, scores = sampler.fit_resample(X, y)
    rows = sampler.sample_indices_
    pd.testing.assert_frame_equal(kept, X.iloc[rows])
    assert_array_equal(scores, rows)
