"""write_submission: what it writes, what it refuses."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperfusion.datasets import write_submission
from hyperfusion.exceptions import InvalidInputError

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def read(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    return {row["post_id"]: row["popularity_score"] for row in content["result"]}


def test_form(tmp_path):
    path = write_submission(
        tmp_path / "a.json", [6374637, "12"], [2.1345, 7], external_data="CLIP weights"
    )
    assert json.loads(path.read_text()) == {
        "version": "VERSION 1.2",
        "result": [
            {"post_id": "post6374637", "popularity_score": 2.1345},
            {"post_id": "post12", "popularity_score": 7.0},
        ],
        "external_data": {"used": "true", "details": "CLIP weights"},
    }


@given(st.dictionaries(st.integers(0), FINITE, min_size=1, max_size=5))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_numbers_come_back_exactly(tmp_path, scores):
    path = tmp_path / "a.json"
    write_submission(path, list(scores), list(scores.values()), prefix="")
    assert read(path) == {str(k): v for k, v in scores.items()}


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_containers(tmp_path, kind):
    path = tmp_path / "a.json"
    write_submission(path, kind([3, 1]), kind([0.5, 1.5]))
    assert read(path) == {"post3": 0.5, "post1": 1.5}
    write_submission(str(path), kind(["b", "ä"]), kind([1, 2]), prefix="")
    assert read(path) == {"b": 1.0, "ä": 2.0}


def test_space_around_an_id_is_none_of_it(tmp_path):
    path = write_submission(tmp_path / "a.json", [" 775\n"], [1])
    assert read(path) == {"post775": 1.0}
    with pytest.raises(InvalidInputError, match="rows 0 and 1"):
        write_submission(path, ["775", "775 "], [1, 2])


def test_float32_scores(tmp_path):
    path = write_submission(tmp_path / "a.json", [1], np.float32([0.1]))
    assert np.float32(read(path)["post1"]) == np.float32(0.1)


def test_no_other_data(tmp_path):
    path = write_submission(tmp_path / "a.json", [1], [1.0])
    content = json.loads(path.read_text())
    assert content["external_data"] == {"used": "false", "details": ""}


@pytest.mark.parametrize(
    ("ids", "scores", "message"),
    [
        ([1, 2], [1.0, np.nan], r"row 1: nan is not a finite number"),
        ([1, 2], [np.inf, -np.inf], r"row 0: inf is not a finite"),
        ([1, 2, 3], [1.0, 2.0], r"each of 3 post\(s\). Got shape \(2,\)"),
        ([1, 2], [[1.0], [2.0]], r"Got shape \(2, 1\)"),
        ([1, 2], ["a", "b"], r"row 0: 'a' is not a finite"),
        ([7, 8, "7"], [1, 2, 3], r"'7' is in rows 0 and 2"),
        ([7, None], [1, 2], r"row 1: post_ids is None, not an id"),
        ([7, " "], [1, 2], r"row 1: post_ids is ' '"),
        ([7.0, 8.0], [1, 2], r"row 0: post_ids is 7.0"),
        ([True, False], [1, 2], r"row 0: post_ids is True"),
        (["post7"], [1], r"'post7' in row 0 already begins with the prefix.*prefix=''"),
        ("78", [1, 2], r"one id for each post"),
        ([], [], r"post_ids is empty"),
    ],
)
def test_what_is_refused_leaves_the_file_alone(tmp_path, ids, scores, message):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(InvalidInputError, match=message):
        write_submission(path, ids, scores)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.json"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"later' does not exist"):
        write_submission(tmp_path / "later" / "a.json", [1], [2.0])


def test_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("before")

    def half(self, text, **_):
        with self.open("w") as file:
            file.write(text[:10])
        raise OSError("no space left")

    monkeypatch.setattr(type(path), "write_text", half)
    with pytest.raises(OSError, match="no space"):
        write_submission(path, [1], [1.0])
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.json"]


def test_half_an_emoji_in_an_id_comes_back(tmp_path):
    path = write_submission(tmp_path / "a.json", ["\ud83d"], [1.0], prefix="")
    assert json.loads(path.read_text("utf-8"))["result"][0]["post_id"] == "\ud83d"
