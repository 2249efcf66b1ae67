"""load_smpd on files in the challenge's layout."""

from __future__ import annotations

import codecs
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hyperfusion import PostEncoder, Schema
from hyperfusion.datasets import load_smpd
from hyperfusion.datasets._files import read_json
from hyperfusion.exceptions import BadCellWarning, InvalidInputError
from tests.datasets.smpd_files import (
    parts,
    vector,
    write,
    write_crawled,
    write_pictures,
)

# By time; the two posts of the same second keep the order of the files.
ORDER = ["775", "40", "9001", "12"]

without_pictures = pytest.mark.filterwarnings("ignore:No pictures found:UserWarning")


@pytest.fixture(params=[2023, 2020])
def scheme(request):
    return request.param


@without_pictures
def test_both_schemes_give_the_same_posts(tmp_path):
    loaded = []
    for year in (2023, 2020):
        write(tmp_path / str(year), parts(year), year)
        loaded.append(load_smpd(tmp_path / str(year)))
    new, old = loaded
    assert new.data["Pid"].tolist() == ORDER
    assert_array_equal(new.target, [1.5, 3.0, 4.0, 7.25])
    pd.testing.assert_frame_equal(new.data, old.data)
    assert_array_equal(new.target, old.target)
    assert new.roles == old.roles


@without_pictures
def test_cells(tmp_path, scheme):
    write(tmp_path, parts(scheme), scheme)
    with warnings.catch_warnings():
        warnings.simplefilter("error", BadCellWarning)
        data = load_smpd(tmp_path).data.set_index("Pid")
    assert data.loc["775", "Postdate"] == pd.Timestamp("2015-03-01")
    assert data.loc[ORDER, "Title"].tolist() == ["A cat", "None of it", "dog", None]
    assert data.loc["9001", "Alltags"] == "architecturelovers dog"
    assert data.loc["40", "Alltags"] is None
    assert_array_equal(data.loc[ORDER, "Longitude"], [11.5, 0, 151.2, np.nan])
    assert_array_equal(data.loc[ORDER, "Geoaccuracy"], [16, 0, 11, 0])
    assert_array_equal(data.loc[ORDER, "photo_count"], [10, np.nan, 0, 2000])
    assert_array_equal(data.loc[ORDER, "ispro"], [1, 1, 0, 0])
    assert data.loc["40", "photo_firstdate"] == pd.Timestamp(1_310_000_000, unit="s")
    assert pd.isna(data.loc["12", "photo_firstdate"])
    taken = data.loc[ORDER, "photo_firstdatetaken"]
    expected = ["1904-01-01", "2014-12-31 23:00", None, "2000-02-01"]
    assert_array_equal(taken, pd.to_datetime(expected, format="ISO8601"))
    assert data.loc["12", "first_taken_days"] == pytest.approx(5873 - 1 / 86_400)
    zones = data.loc[ORDER, "timezone_offset"].tolist()
    assert zones == ["-05:00", "+05:30", None, None]
    assert data.loc["12", "Pathalias"] is None
    assert data.loc["40", "Ispublic"] == "0"


@without_pictures
def test_description_vectors(tmp_path, scheme):
    write(tmp_path, parts(scheme), scheme)
    posts = load_smpd(tmp_path)
    assert posts.roles["vectors"] == {
        "user": ["user_description"],
        "place": ["location_description"],
    }
    by_pid = posts.data.set_index("Pid")
    users, places = by_pid["user_description"], by_pid["location_description"]
    assert_allclose(users["40"], 5 + np.arange(399) / 10, 1e-6)
    assert_allclose(places["12"], 2 + np.arange(400) / 10, 1e-6)
    assert users["40"].dtype == np.float32
    assert users["12"] is None
    assert places[["775", "40", "9001"]].isna().all()
    encoder = PostEncoder(vectors=posts.roles["vectors"])
    schema = Schema.of(encoder.fit_transform(posts.data))
    sizes = {vector: len(columns) for vector, columns in schema.vectors.items()}
    assert sizes == {"user__user_description": 399, "place__location_description": 400}


@without_pictures
@pytest.mark.parametrize(
    "cell", [vector(398, 0), "1,,2", "a,b", [1.0] * 400, "nan," * 399, "1e99," * 399]
)
def test_bad_vector_is_missing_with_one_warning(tmp_path, cell):
    content = parts()
    content["user"]["user_description"]["2"] = cell
    write(tmp_path, content)
    with pytest.warns(BadCellWarning, match=r"1 cell.*user_description.*row 2.*399"):
        data = load_smpd(tmp_path).data.set_index("Pid")
    assert data.loc["40", "user_description"] is None


@without_pictures
def test_vectors_may_be_lists(tmp_path):
    content = parts()
    content["user"]["user_description"]["2"] = [0.5] * 399
    write(tmp_path, content)
    data = load_smpd(tmp_path).data.set_index("Pid")
    assert (data.loc["40", "user_description"] == 0.5).all()


def test_pictures_are_found_where_they_may_lie(tmp_path, scheme):
    write(tmp_path, parts(scheme), scheme)
    with pytest.warns(UserWarning, match="No pictures found"):
        posts = load_smpd(tmp_path)
    assert "image" not in posts.roles
    for name, argument in [
        ("elsewhere", tmp_path / "elsewhere"),
        ("SMP_train_images", None),
        ("train", None),
    ]:
        write_pictures(tmp_path / name)
        posts = load_smpd(tmp_path, image_folder=argument)
        assert posts.roles["image"] == "image"
        expected = [tmp_path / name / "59@N75" / "775.jpg"]
        assert posts.data["image"].iloc[0] == str(expected[0])
    with pytest.raises(InvalidInputError, match="image_folder"):
        load_smpd(tmp_path, image_folder=tmp_path / "nowhere")


@without_pictures
def test_test_part_has_no_target(tmp_path, scheme):
    write(tmp_path, parts(scheme), scheme, split="test")
    posts = load_smpd(tmp_path, split="test")
    assert posts.target is None
    assert posts.data["Pid"].tolist() == ORDER


@without_pictures
def test_roles_name_columns(tmp_path, scheme):
    write(tmp_path, parts(scheme), scheme)
    write_crawled(tmp_path / "user_additional.csv")
    for strict in (False, True):
        posts = load_smpd(tmp_path, strict=strict)
        for role, value in posts.roles.items():
            if role == "vectors":
                value = value["user"] + value["place"]
            labels = [value] if isinstance(value, str) else value
            assert set(labels) <= set(posts.data.columns), role
        assert posts.data.columns.is_unique


@without_pictures
def test_crawled_statistics(tmp_path, scheme):
    paths = write(tmp_path, parts(scheme), scheme)
    write_crawled(paths["text"].with_name("user_additional.csv"))
    posts = load_smpd(tmp_path)
    data = posts.data.set_index("Pid")
    assert_array_equal(data.loc[ORDER, "totalViews"], [100, 100, 9, np.nan])
    assert_array_equal(data.loc[ORDER, "meanFaves"], [4, 4, 0, np.nan])
    assert_array_equal(data.loc[ORDER, "meanTags"], [2, 2, 0, np.nan])
    assert {"totalViews", "followerCount", "meanView"} <= set(posts.post_hoc)
    assert {"totalViews", "meanView"} <= set(posts.roles["user_numeric"])
    assert posts.roles["user_created"] == "photo_firstdate"


@without_pictures
def test_date_of_joining_is_known_before_the_post(tmp_path):
    write(tmp_path, parts())
    write_crawled(tmp_path / "user_additional.csv", joined=True)
    posts = load_smpd(tmp_path, strict=True)
    assert posts.roles["user_created"] == "joinedDate"
    assert posts.data["joinedDate"].iloc[0] == pd.Timestamp("2006-01-01")


@without_pictures
def test_strict_drops_what_was_measured_later(tmp_path):
    write(tmp_path, parts())
    write_crawled(tmp_path / "user_additional.csv")
    loose, strict = load_smpd(tmp_path), load_smpd(tmp_path, strict=True)
    assert set(loose.post_hoc) == set(loose.data) - set(strict.data)
    assert "photo_count" in loose.post_hoc
    assert strict.post_hoc == []
    assert strict.roles["user_numeric"] == ["ispro", "canbuypro", "first_taken_days"]


@without_pictures
def test_conflicting_crawled_statistics(tmp_path):
    write(tmp_path, parts())
    path = tmp_path / "user_additional.csv"
    write_crawled(path)
    path.write_text(path.read_text() + "anna" + ",1" * 8 + "\n")
    with pytest.raises(InvalidInputError, match=r"Pathalias 'anna' is in rows 0 and 3"):
        load_smpd(tmp_path)


@without_pictures
@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("text", lambda c: c.pop(), r"text.* has 3 row.*category.* has 4"),
        ("label", lambda c: c.pop(), r"label.* has 3 row.*category.* has 4"),
        ("paths", lambda c: c.append("train/1/2.jpg"), r"filepath.* has 5 row"),
        ("text", lambda c: c[2].update(Pid="41"), r"row 2: Pid is '41', but '40' in"),
        ("temporalspatial", lambda c: c[1].update(Uid="x"), r"row 1: Uid is 'x'"),
        ("additional", lambda c: c.reverse(), r"row 0: Pid is '9001', but '775'"),
        ("user", lambda c: c["Pid"].update({"3": 1}), r"user_data.*row 3: Pid is '1'"),
        ("paths", lambda c: c.reverse(), r"row 0: Pid is '9001', but '775'"),
        (
            "paths",
            lambda c: c.__setitem__(0, "train/7@N01/775.jpg"),
            r"row 0: Uid is '7@N01', but '59@N75'",
        ),
        ("category", lambda c: c[3].update(Pid="775"), r"Pid '775' is in rows 0 and 3"),
        ("category", lambda c: c[1].pop("Concept"), r"row 1 has no key 'Concept'"),
        ("category", lambda c: c[1].update(Pid=None), r"row 1: Pid is None"),
        ("category", lambda c: c.clear(), r"holds no rows"),
        ("text", lambda c: c.__setitem__(1, 5), r"row 1 has no key 'Pid'; it has 5"),
        ("user", lambda c: c["ispro"].pop("2"), r"column 'ispro' has no row 2"),
        ("user", lambda c: c["ispro"].pop("3"), r"same number of rows"),
        ("user", lambda c: c.update(ispro=1), r"column 'ispro': expected cells"),
        (
            "temporalspatial",
            lambda c: c[2].update(Postdate="soon"),
            r"temporalspatial.*row 2: Postdate is 'soon'",
        ),
        ("label", lambda c: c.__setitem__(2, "high"), r"label.*row 2: 'high' is not a"),
        ("label", lambda c: c.__setitem__(2, "nan"), r"label.*row 2: 'nan' is not a"),
    ],
)
@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
def test_rows_that_do_not_belong_together(tmp_path, part, change, message):
    content = parts()
    change(content[part])
    write(tmp_path, content)
    with pytest.raises(InvalidInputError, match=message):
        load_smpd(tmp_path)


@without_pictures
@pytest.mark.parametrize(
    "part",
    ["category", "text", "temporalspatial", "additional", "user", "paths", "label"],
)
def test_missing_file_is_named(tmp_path, scheme, part):
    path = write(tmp_path, parts(scheme), scheme)[part]
    path.unlink()
    with pytest.raises(InvalidInputError, match=f"No file of .*{path.name}"):
        load_smpd(tmp_path)


@without_pictures
@pytest.mark.parametrize("part", ["category", "text", "user"])
@pytest.mark.parametrize("keep", [0, 10, -3])
def test_truncated_file_is_named(tmp_path, scheme, part, keep):
    path = write(tmp_path, parts(scheme), scheme)[part]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInputError, match=rf"{path.name} is not valid JSON"):
        load_smpd(tmp_path)


def test_equal_texts_are_kept_once(tmp_path):
    path = tmp_path / "file.json"
    content = {"a": {"0": "\ud83d é", "1": "\ud83d é"}, "b": [1, {"c": None}]}
    path.write_bytes(codecs.BOM_UTF8 + json.dumps(content).encode())
    found = read_json(path)
    assert found == content
    assert found["a"]["0"] is found["a"]["1"]


@pytest.mark.parametrize("content", ["3", '"text"', "null"])
def test_json_that_is_no_table(tmp_path, content):
    write(tmp_path, parts())["category"].write_text(content)
    with pytest.raises(InvalidInputError, match="expected a list of objects"):
        load_smpd(tmp_path)


@without_pictures
def test_user_data_may_be_rows(tmp_path):
    write(tmp_path / "columns", parts())
    content = parts()
    columns = content["user"]
    content["user"] = [{c: columns[c][str(i)] for c in columns} for i in range(4)]
    write(tmp_path / "rows", content)
    one, two = load_smpd(tmp_path / "columns"), load_smpd(tmp_path / "rows")
    pd.testing.assert_frame_equal(one.data, two.data)


@without_pictures
def test_rows_of_columns_may_come_in_any_order(tmp_path):
    content = parts()
    write(tmp_path / "one", content)
    for column, cells in content["user"].items():
        content["user"][column] = dict(reversed(cells.items()))
    write(tmp_path / "two", content)
    one, two = load_smpd(tmp_path / "one"), load_smpd(tmp_path / "two")
    pd.testing.assert_frame_equal(one.data, two.data)


@without_pictures
def test_release_with_fewer_user_columns(tmp_path):
    content = parts()
    content["user"] = {"ispro": content["user"]["ispro"]}
    write(tmp_path, content)
    posts = load_smpd(tmp_path)
    assert posts.roles["user_numeric"] == ["ispro"]
    assert not {"vectors", "timezone", "user_created"} & set(posts.roles)


def test_folder_and_parameters_are_checked(tmp_path):
    with pytest.raises(InvalidInputError, match="is not a folder"):
        load_smpd(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split"):
        load_smpd(tmp_path, split="valid")


@without_pictures
@pytest.mark.parametrize("part", ["category", "user", "paths", "label"])
def test_a_mark_of_byte_order_is_not_read(tmp_path, part):
    paths = write(tmp_path, parts())
    paths[part].write_bytes(codecs.BOM_UTF8 + paths[part].read_bytes())
    posts = load_smpd(tmp_path)
    assert posts.data["Pid"].tolist() == ORDER
    assert_array_equal(posts.target, [1.5, 3.0, 4.0, 7.25])
    assert posts.data["image"].str.startswith("train").all()


def test_bytes_that_are_no_text(tmp_path):
    paths = write(tmp_path, parts())
    paths["text"].write_bytes(json.dumps(parts()["text"]).encode("utf-16"))
    paths["paths"].write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InvalidInputError, match=r"img_filepath.*not a text file"):
        load_smpd(tmp_path)
