"""What newcomers get wrong ends in messages that say what to do."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from hyperfusion import (
    BlockImputer,
    CatBoostHuberRegressor,
    ClipImageEncoder,
    CoAttentionRegressor,
    make_hyperfusion,
    make_posts,
)
from hyperfusion.exceptions import (
    BadCellError,
    BadCellWarning,
    InvalidInputError,
    WeightsNotFoundError,
)

POSTS = make_posts(40, random_state=0)
X, Y = POSTS.data, np.asarray(POSTS.target, dtype=float)


def pipeline(**changes):
    arguments = POSTS.roles | {"image_encoder": False, "text_encoder": False}
    arguments |= {
        "members": [("ridge", Ridge(solver="lsqr"))],
        "cv": 2,
        "random_state": 0,
    }
    return make_hyperfusion(**arguments | changes)


def test_image_column_of_addresses():
    posts = X.assign(image=[f"https://example.org/{i}.jpg" for i in range(len(X))])
    expected = r"40 cell.*'image'.*download the picture.*all 40.*right role"
    with pytest.warns(BadCellWarning, match=expected):
        pipeline().fit(posts, Y)
    strict = pipeline().set_params(encode__on_error="raise")
    with pytest.raises(BadCellError, match=r"row 0, column 'image'.*give its path"):
        strict.fit(posts, Y)


def test_text_column_of_numbers():
    expected = r"'caption'.*\.astype\(str\).*all 40.*right role"
    with pytest.warns(BadCellWarning, match=expected):
        pipeline().fit(X.assign(caption=np.arange(40)), Y)


def test_numeric_column_of_text():
    expected = r"'words'.*expected a finite number"
    with pytest.warns(BadCellWarning, match=expected):
        pipeline(numeric=["words"]).fit(X.assign(words=X["caption"]), Y)


def test_numbers_with_separated_thousands():
    expected = r"got '1,234,567\.5'.*column\.str\.replace\(',', ''\)"
    with pytest.warns(BadCellWarning, match=expected):
        pipeline(numeric=["shares"]).fit(X.assign(shares="1,234,567.5"), Y)
    with pytest.warns(BadCellWarning) as caught:
        pipeline(numeric=["shares"]).fit(X.assign(shares="12,34 or so"), Y)
    assert "replace" not in str(caught[0].message)


def test_one_bad_cell_is_no_wrong_role():
    posts = X.assign(image=X["image"].astype(object))
    posts.loc[posts.index[3], "image"] = "https://example.org/3.jpg"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline().fit(posts, Y)
    messages = [str(w.message) for w in caught if w.category is BadCellWarning]
    assert len(messages) == 1
    assert "right role" not in messages[0]


def test_target_with_nan():
    target = np.where(np.arange(40) == 3, np.nan, Y)
    with pytest.raises(InvalidInputError, match=r"row 3.*unlabeled=True"):
        pipeline().fit(X, target)


def test_target_of_words():
    with pytest.raises(InvalidInputError, match="must be numbers"):
        pipeline().fit(X, np.array(["high"] * 40))


def test_target_of_texts_with_separators():
    expected = r"values like '1,234'.*pd\.to_numeric\(y\.str\.replace"
    with pytest.raises(InvalidInputError, match=expected):
        pipeline().fit(X, ["12"] * 39 + ["1,234"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (csr_matrix(Y), "one number per row.*dense"),
        ([10**400] * 40, "too large to learn"),
        (Y + 1j, "Complex data not supported$"),
        (["a" * 500] * 40, r"'aaaaaa.{,30}'\. Turn"),
    ],
)
def test_targets_of_other_kinds(target, message):
    with pytest.raises(InvalidInputError, match=message):
        pipeline().fit(X, target)


def test_target_of_times():
    with pytest.raises(InvalidInputError, match=r"got datetime64.*numbers of days"):
        pipeline().fit(X, X["posted_at"])


def test_target_with_log_of_nothing():
    with pytest.raises(InvalidInputError, match=r"-inf in row 3.*np\.log1p"):
        pipeline().fit(X, np.where(np.arange(40) == 3, -np.inf, Y))


def test_target_with_missing_whole_numbers():
    target = pd.Series(np.arange(40), dtype="Int64")
    target[3] = pd.NA
    with pytest.raises(InvalidInputError, match=r"y is nan in row 3.*unlabeled=True"):
        pipeline().fit(X, target)


def test_role_that_names_a_column_twice():
    with pytest.raises(InvalidInputError, match=r"text names.*twice: 'caption'"):
        pipeline(text=["caption", "caption"]).fit(X, Y)


@pytest.mark.parametrize(
    ("target", "message"),
    [(None, "target y is None"), (np.column_stack([Y, Y]), r"1d array.*\(40, 2\)")],
)
def test_target_that_is_none_or_a_table(target, message):
    with pytest.raises(InvalidInputError, match=message):
        pipeline().fit(X, target)


def test_rows_as_dicts_are_a_table():
    table = pipeline()[0].fit_transform(X)
    pd.testing.assert_frame_equal(
        pipeline()[0].fit_transform(X.to_dict("records")), table
    )
    pd.testing.assert_frame_equal(pipeline()[0].fit_transform(X.to_dict("list")), table)
    with pytest.raises(ValueError, match="X has 1 rows, y has 40"):
        pipeline().fit(X.iloc[0].to_dict(), Y)


@pytest.mark.parametrize("table", [None, "posts.csv", 5])
def test_posts_that_are_no_table(table):
    expected = f"takes a DataFrame.*got {type(table).__name__}"
    with pytest.raises(InvalidInputError, match=expected):
        pipeline().fit(table, Y)


def test_forgotten_roles():
    with pytest.raises(InvalidInputError, match=r"at least one role.*'image', 'text'"):
        make_hyperfusion()


def test_misspelt_column():
    with pytest.raises(InvalidInputError, match=r"'captoin'.*Did you mean.*'caption'"):
        pipeline(text="captoin").fit(X, Y)


def test_column_missing_at_predict():
    model = pipeline().fit(X, Y)
    with pytest.raises(InvalidInputError, match=r"text='caption' is not a column"):
        model.predict(X.drop(columns="caption"))


def test_bare_years_as_times():
    posts = X.assign(year=2012 + np.arange(40) // 10)
    features = make_hyperfusion(time="year", members=[Ridge()])[0].fit_transform(posts)
    assert features["time__days"].unique().tolist() == [0, 366, 731, 1096]
    # no hour, weekday or season where only the year is known
    assert "time__hour" not in features


def test_unknown_preset():
    with pytest.raises(InvalidInputError, match=r"'fast', 'default'.*'catboost'"):
        pipeline(preset="catboost")
    with pytest.raises(InvalidInputError, match=r"'fast', 'default'.*'catboost'"):
        pipeline(members="catboost")


@pytest.mark.parametrize(
    "member",
    [CoAttentionRegressor(device="cuda"), CatBoostHuberRegressor(device="cuda")],
)
def test_absent_gpu_in_members(member):
    with pytest.raises(
        InvalidInputError, match=r"device='cuda'.*Use 'auto' .*or 'cpu'"
    ):
        member.fit(np.random.RandomState(0).normal(size=(40, 2)), Y)


def test_absent_gpu_in_encoders():
    encoder = ClipImageEncoder("hyperfusion-tiny", device="cuda")
    with pytest.raises(InvalidInputError, match=r"device='cuda' is not available"):
        encoder.fit(X["image"].iloc[:2])


def test_no_weights_and_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERFUSION_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = ClipImageEncoder("ViT-B-32", pretrained="no_such_tag")
    with pytest.raises((WeightsNotFoundError, InvalidInputError), match="no_such_tag"):
        encoder.fit_transform(X["image"].iloc[:2])


def test_one_column_warns_once():
    posts = X.assign(image=X["image"].astype(object))
    posts.loc[posts.index[[3, 5]], "image"] = "no such file.jpg"
    model = pipeline(image_encoder="hyperfusion-tiny")
    for step in (lambda: model.fit(posts, Y), lambda: model.predict(posts)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
        found = [str(w.message) for w in caught if w.category is BadCellWarning]
        assert len(found) == 1
        assert found[0].startswith("2 cell(s) of column 'image'")


def test_member_that_can_not_read_the_table():
    member = make_pipeline(BlockImputer(), Ridge())
    with pytest.raises(ValueError, match="could not convert") as caught:
        pipeline(members=[("own", member)]).fit(X, Y)
    assert "the member 'own' in fold 0" in caught.value.__notes__[0]
    assert "NumericTable(impute=True)" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ("posts.csv", r"got str\. .*pd\.read_csv"),
        (X.iloc[0], r"got Series\. .*X\.to_frame\(\)\.T"),
    ],
)
def test_posts_that_are_no_table_become_one(wrong, cure):
    with pytest.raises(InvalidInputError, match=cure):
        pipeline().fit(wrong, Y)


@pytest.mark.parametrize("name", ["image_encoder", "text_encoder"])
@pytest.mark.parametrize("value", [True, 5])
def test_encoder_that_is_none(name, value):
    with pytest.raises(InvalidInputError, match=rf"{name} must be .*Got {value}"):
        pipeline(**{name: value}).fit(X, Y)


def test_no_word_vectors_as_no_other_encoder():
    plain, without = pipeline()[:1], pipeline(word_vectors=False)[:1]
    assert list(without.fit_transform(X, Y)) == list(plain.fit_transform(X, Y))
