"""load_smp_video on files in the organizers' layout, and on the real ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from hyperfusion.datasets import load_smp_video
from hyperfusion.exceptions import InvalidInputError

REAL = os.environ.get("HYPERFUSION_DATA")


def tables():
    """Four posts by three users; every file has an order of its own."""
    posts = [
        ("P2", "U1", "Wood,Lamp,woodwork", ["lamp", "wood lamp"], "2023-03-01 10:00"),
        ("P1", "U2", "", [], "2022-01-01 00:05"),
        ("P4", "U1", "fyp", ["fyp"], "2023-05-01 23:59"),
        ("P3", "U3", "neta,\u00f1o", [], "2023-03-01 10:00"),
    ]
    keys = ("pid", "uid", "post_content", "post_suggested_words", "post_time")
    rest = {"post_location": "US", "post_text_language": "en", "video_path": "v.mp4"}
    posts = [dict(zip(keys, p, strict=True)) | rest for p in posts]
    shape = {"video_height": 1024, "video_width": 576, "music_duration": 5}
    videos = [
        {"vid": f"V{i}", "pid": f"P{i}", "uid": u, "video_duration": 10 * i, **shape}
        | {"video_ratio": "540p", "video_format": "mp4", "music_title": "song"}
        for i, u in ((3, "U3"), (1, "U2"), (4, "U1"), (2, "U1"))
    ]
    counts = ("following", "follower", "likes", "video", "digg", "heart", "friend")
    users = [
        {"uid": f"U{i}"} | {f"user_{c}_count": 100 * i for c in counts}
        for i in (3, 1, 2, 1)
    ]
    labels = [
        {"pid": f"P{i}", "uid": u, "popularity": float(i)}
        for i, u in ((4, "U1"), (3, "U3"), (2, "U1"), (1, "U2"))
    ]
    return {"posts": posts, "videos": videos, "users": users, "popularity": labels}


def write(folder: Path, parts: dict, split: str = "train") -> Path:
    place = folder / split
    place.mkdir(exist_ok=True)
    for part, rows in parts.items():
        lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        path = place / f"SMP-Video_anonymized_{part}_{split}.jsonl"
        path.write_text(lines, encoding="utf-8")
    return folder


def part_of(folder: Path, part: str) -> Path:
    return next((folder / "train").glob(f"*{part}*"))


def test_rows_are_joined_by_key_and_sorted_by_time(tmp_path):
    posts = load_smp_video(write(tmp_path, tables()))
    # P2 and P3 have the same time: they keep the order of the file.
    assert posts.data["pid"].tolist() == ["P1", "P2", "P3", "P4"]
    assert_array_equal(posts.target, [1.0, 2.0, 3.0, 4.0])
    assert posts.data["vid"].tolist() == ["V1", "V2", "V3", "V4"]
    assert posts.data["video_duration"].tolist() == [10, 20, 30, 40]
    assert posts.data["user_follower_count"].tolist() == [200, 100, 300, 100]
    assert posts.data["post_time"].iloc[0] == pd.Timestamp("2022-01-01 00:05")
    assert posts.data.index.tolist() == [0, 1, 2, 3]


def test_texts_and_tags(tmp_path):
    data = load_smp_video(write(tmp_path, tables())).data
    expected = [None, "Wood Lamp woodwork", "neta \u00f1o", "fyp"]
    assert data["post_content"].tolist() == expected
    words = data["post_suggested_words"].tolist()
    assert words == [None, "lamp, wood lamp", None, "fyp"]


def test_test_part_has_no_target(tmp_path):
    parts = tables()
    del parts["popularity"]
    posts = load_smp_video(write(tmp_path, parts, "test"), split="test")
    assert posts.target is None
    assert len(posts.data) == 4


def test_strict_drops_what_was_measured_later(tmp_path):
    folder = write(tmp_path, tables())
    loose, strict = load_smp_video(folder), load_smp_video(folder, strict=True)
    assert set(loose.post_hoc) == set(loose.data) - set(strict.data)
    assert all(c.startswith("user_") or "suggested" in c for c in loose.post_hoc)
    assert strict.post_hoc == []
    for posts in (loose, strict):
        for role, value in posts.roles.items():
            labels = [value] if isinstance(value, str) else value
            assert set(labels) <= set(posts.data), role
    assert {"tags", "user_numeric"} <= set(loose.roles) - set(strict.roles)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("videos", lambda rows: rows.pop(0), r"videos.*no row with pid 'P3'"),
        ("users", lambda rows: rows.pop(2), r"users.*no row with uid 'U2'"),
        ("popularity", lambda rows: rows.pop(1), r"popularity.*no row with pid 'P3'"),
        ("posts", lambda rows: rows.append(rows[0]), r"pid 'P2' is in rows 0 and 4"),
        ("videos", lambda rows: rows.append(rows[0] | {"vid": "X"}), r"'P3'.*0 and 4"),
        (
            "users",
            lambda rows: rows[3].update(user_video_count=1),
            r"uid 'U1' is in rows 1 and 3",
        ),
        ("videos", lambda rows: rows[1].update(uid="U9"), r"'P1' is by 'U9'.*'U2'"),
        ("popularity", lambda rows: rows[0].update(uid="U3"), r"'P4' is by 'U3'"),
        ("videos", lambda rows: rows[2].pop("video_width"), r"row 2.*'video_width'"),
        ("posts", lambda rows: rows[1].update(pid=None), r"row 1: pid is None"),
        ("posts", lambda rows: rows[1].update(post_time="soon"), r"row 1.*'soon'"),
        ("popularity", lambda rows: rows[1].update(popularity=None), r"finite number"),
        ("posts", lambda rows: rows.clear(), r"posts.*no rows"),
    ],
)
@pytest.mark.filterwarnings("ignore::hyperfusion.exceptions.BadCellWarning")
def test_rows_that_do_not_belong_together(tmp_path, part, change, message):
    parts = tables()
    change(parts[part])
    with pytest.raises(InvalidInputError, match=message):
        load_smp_video(write(tmp_path, parts))


def test_truncated_file_names_its_line(tmp_path):
    path = part_of(write(tmp_path, tables()), "users")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInputError, match=r"users_train.*line 4.*truncated"):
        load_smp_video(tmp_path)


def test_line_that_is_no_object(tmp_path):
    path = part_of(write(tmp_path, tables()), "users")
    path.write_text("[1, 2]\n")
    with pytest.raises(InvalidInputError, match=r"line 1: expected an object"):
        load_smp_video(tmp_path)


def test_missing_file_and_folder(tmp_path):
    part_of(write(tmp_path, tables()), "users").unlink()
    with pytest.raises(InvalidInputError, match=r"No file of users .*\*users\*"):
        load_smp_video(tmp_path)
    with pytest.raises(InvalidInputError, match="is not a folder"):
        load_smp_video(tmp_path / "nowhere")


def test_wrong_parameters_are_named(tmp_path):
    with pytest.raises(ValueError, match="split"):
        load_smp_video(tmp_path, split="valid")


@pytest.mark.real_data
@pytest.mark.skipif(not REAL, reason="HYPERFUSION_DATA names no folder")
def test_real_posts():
    folder = Path(REAL) / "smp_video"
    train, test = load_smp_video(folder), load_smp_video(folder, split="test")
    assert (train.data.shape, test.data.shape) == ((4000, 23), (2000, 23))
    assert train.target.mean() == pytest.approx(8.26, abs=0.005)
    assert train.target.std() == pytest.approx(2.86, abs=0.005)
    assert train.data["uid"].unique().size == 3488
    assert train.data["post_time"].is_monotonic_increasing
    assert train.data["post_time"].max() < test.data["post_time"].min()
    numbers = train.roles["numeric"] + train.roles["user_numeric"]
    assert np.isfinite(train.data[numbers]).all(axis=None)
    # One label by hand, read in the files.
    row = train.data["pid"] == "POST00003480"
    assert train.target[row].item() == 9.46
    assert train.data.loc[row, "user_follower_count"].item() == 70_200
