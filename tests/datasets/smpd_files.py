"""Writes files in the layout of the SMP Challenge's image track, in both schemes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

NAMES_2023 = {
    "category": "{}_category.json",
    "text": "{}_text.json",
    "temporalspatial": "{}_temporalspatial_information.json",
    "additional": "{}_additional_information.json",
    "user": "{}_user_data.json",
    "paths": "{}_img_filepath.txt",
    "label": "{}_label.txt",
}
NAMES_2020 = {
    "category": "{}_category.json",
    "text": "{}_tags.json",
    "temporalspatial": "{}_temporalspatial.json",
    "additional": "{}_additional.json",
    "user": "{}_userdata.json",
    "paths": "{}_img.txt",
    "label": "{}_label.txt",
}
USERS = ["59@N75", "7@N01", "59@N75", "88@N02"]
PIDS = [775, 12, 40, 9001]
DATES = [1_425_168_000, 1_456_790_399, 1_430_000_000, 1_430_000_000]


def vector(width: int, start: int) -> str:
    """Numbers from `start` upwards with the trailing separator of the real files."""
    return ",".join(str(start + i / 10) for i in range(width)) + ","


def parts(scheme: int = 2023) -> dict[str, Any]:
    """Four posts; since 2023 Pid is a text, in 2020 a number and Title a typo."""
    new = scheme == 2023
    keys = [
        {"Uid": u, "Pid": str(p) if new else p}
        for u, p in zip(USERS, PIDS, strict=True)
    ]

    def rows(**columns: list[Any]) -> list[dict[str, Any]]:
        cells = zip(*columns.values(), strict=True)
        return [
            k | dict(zip(columns, row, strict=True))
            for k, row in zip(keys, cells, strict=True)
        ]

    user = {
        "photo_firstdate": ["1300000000", "None", 1_310_000_000, "1104537600"],
        "photo_count": [10, "2000", None, 0],
        "ispro": [1, 0, True, "0"],
        "canbuypro": [0, 1, 0, 1],
        "timezone_offset": ["-05:00", "", "+05:30", "None"],
        ("timezone_id" if new else "timezone_timezone_id"): ["US/E", "", "7", None],
        "photo_firstdatetaken": ["1904010100", 949_363_200, "2014-12-31 23:00:00", ""],
        "user_description": [vector(399, 0), "", vector(399, 5), vector(399, 1)],
        "location_description": ["", vector(400, 2), ",,,", None],
    }
    if new:
        user |= {"Uid": USERS, "Pid": [str(p) for p in PIDS]}
    return {
        "category": rows(
            Category=["Animal", "Food", "Animal", "Food"],
            Subcategory=["cat", "cake", "dog", "tea"],
            Concept=["kitten", "birthday", "puppy", "cup"],
        ),
        "text": rows(
            **{"Title" if new else "Tile": ["A cat", "", "None of it", " dog "]},
            Mediatype=["photo", "photo", "video", "photo"],
            Alltags=["cat kitten", "cake", "", "architecturelovers dog"],
        ),
        "temporalspatial": rows(
            Postdate=DATES if new else [str(d) for d in DATES],
            Latitude=["48.1", "", 0, "-33.5"],
            Longitude=["11.5", "", 0, "151.2"],
            Geoaccuracy=[16, "0", 0, "11"],
        ),
        "additional": rows(
            Pathalias=["anna", "None", "anna", "carl"],
            Ispublic=[1, 1, 0, 1],
            Mediastatus=["ready", "ready", "ready", ""],
        ),
        "user": {c: {str(i): v for i, v in enumerate(vs)} for c, vs in user.items()},
        "paths": [f"{{}}/{u}/{p}.jpg" for u, p in zip(USERS, PIDS, strict=True)],
        "label": [1.5, 7.25, 3.0, 4.0],
    }


def write(
    folder: Path, content: dict[str, Any], scheme: int = 2023, split: str = "train"
) -> dict[str, Path]:
    """Write all parts; return the paths of their files."""
    names = NAMES_2023 if scheme == 2023 else NAMES_2020
    place = folder / f"{split}_allmetadata_json" if scheme == 2023 else folder
    place.mkdir(exist_ok=True, parents=True)
    paths = {}
    for part, value in content.items():
        if part == "label" and split == "test":
            continue
        name = names[part].format(split)
        if (part, split, scheme) == ("paths", "test", 2020):
            name = "test_imgfile.txt"
        paths[part] = place / name
        if name.endswith(".json"):
            paths[part].write_text(json.dumps(value), encoding="utf-8")
        else:
            lines = "".join(f"{line}\n".format(split) for line in map(str, value))
            paths[part].write_text(lines)
    return paths


def write_pictures(root: Path) -> None:
    """Write a small picture for every post as ``Uid/Pid.jpg``."""
    for user, pid in zip(USERS, PIDS, strict=True):
        (root / user).mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (4, 4)).save(root / user / f"{pid}.jpg")


def write_crawled(path: Path, *, joined: bool = False) -> None:
    """Write crawled statistics of two users, one of them twice."""
    names = "totalViews totalTags totalGeotagged totalFaves totalInGroup"
    names += " photoCount followerCount followingCount"
    header = ["Pathalias", *names.split()]
    rows = [["anna", 100, 20, 3, 40, 5, 10, 7, 8], ["carl", 9, 9, 9, 9, 9, 0, 9, 9]]
    rows.append(rows[0])
    if joined:
        header.append("joinedDate")
        rows = [[*row, 2006] for row in rows]
    lines = [",".join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n")
