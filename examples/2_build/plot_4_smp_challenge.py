"""
The SMP Challenge, from files to submission
===========================================

The Social Media Prediction (SMP) Challenge distributes posts as a folder of files and
expects predictions as one JSON file. This example goes from one to the other.

The posts of the challenge cannot be redistributed, so the example first writes a small
folder in the same format. If the environment variable ``HYPERFUSION_DATA`` names a
folder with the real posts of the video track in ``smp_video``, it uses those.
"""

# %%
# A folder like the challenge's
# -----------------------------
# The image track (SMPD) has one file for each kind of information, with the posts in
# the same order. If you have these files, skip this part, which writes synthetic ones.
# As in the real data, the number of a user's posts was counted later.

import os
import tempfile
from pathlib import Path

from hyperfusion import make_posts, time_split


def write_smpd(folder, data, target, split):
    """Write synthetic posts in the layout of the challenge's image track."""
    place = folder / f"{split}_allmetadata_json"
    place.mkdir()
    data = data.reset_index(drop=True)
    data = data.fillna({"caption": "", "tags": "", "latitude": 0, "longitude": 0})
    data = data.assign(
        Uid=data["user"],
        Pid=data["post_id"].astype(str),
        Subcategory=data["category"],
        Concept=data["category"],
        Mediatype="photo",
        Alltags=data["tags"].str.replace("#", ""),
        Postdate=data["posted_at"].astype("int64"),
        Pathalias=data["user"],
        Ispublic=1,
        Mediastatus="ready",
        photo_count=data.groupby("user")["post_id"].transform("size"),
    ).rename(
        columns={
            "category": "Category",
            "caption": "Title",
            "latitude": "Latitude",
            "longitude": "Longitude",
            "geo_accuracy": "Geoaccuracy",
            "is_pro": "ispro",
            "timezone": "timezone_offset",
        }
    )
    files = {
        "category": ["Category", "Subcategory", "Concept"],
        "text": ["Title", "Mediatype", "Alltags"],
        "temporalspatial_information": [
            "Postdate",
            "Latitude",
            "Longitude",
            "Geoaccuracy",
        ],
        "additional_information": ["Pathalias", "Ispublic", "Mediastatus"],
    }
    for name, columns in files.items():
        part = data[["Uid", "Pid", *columns]]
        part.to_json(place / f"{split}_{name}.json", orient="records")
    users = data[["Uid", "Pid", "photo_count", "ispro", "timezone_offset"]]
    users.to_json(place / f"{split}_user_data.json")
    paths = split + "/" + data["Uid"] + "/" + data["Pid"] + ".jpg"
    (place / f"{split}_img_filepath.txt").write_text("\n".join(paths))
    for path, image in zip(paths, data["image"], strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / path)
    if target is not None:
        labels = "\n".join(f"{score:.2f}" for score in target)
        (place / f"{split}_label.txt").write_text(labels)


temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
posts = make_posts(450, random_state=5)
data = posts.data[posts.data["image"].notna()]
train_rows, test_rows = time_split(data["posted_at"], test_size=0.2)
write_smpd(folder, data.iloc[train_rows], posts.target[data.index[train_rows]], "train")
write_smpd(folder, data.iloc[test_rows], None, "test")
for path in sorted((folder / "train_allmetadata_json").iterdir()):
    print(path.name)

# %%
# Load
# ----
# `load_smpd` joins the files, checks that their rows match, and converts the cells. It
# knows the file names of 2020 and those since 2023. `load_smp_video` does the same for
# the video track.

from hyperfusion import load_smp_video, load_smpd

real = os.environ.get("HYPERFUSION_DATA")
if real:
    folder, load = Path(real, "smp_video"), load_smp_video
    post_id, prefix = "pid", ""
    encoders = {"text_encoder": False}
else:
    load = load_smpd
    post_id, prefix = "Pid", "post"
    encoders = dict.fromkeys(["image_encoder", "text_encoder"], "hyperfusion-tiny")
train, test = load(folder, "train"), load(folder, "test")
print(f"{len(train.data)} posts with labels, {len(test.data)} without")
for role, columns in train.roles.items():
    print(f"{role}: {columns}")

# %%
# Some columns were measured after the posts. The challenge allows them, but they are
# not known for future posts. ``strict=True`` drops them.

print(train.post_hoc)

# %%
# Know your score before you submit
# ---------------------------------
# The test posts are later than the training posts. So fit on the earlier part of the
# training posts and predict the later part. A random split would be too optimistic.

from sklearn.metrics import mean_absolute_error

from hyperfusion import make_hyperfusion, spearman_score


def build():
    """Return the model: encoders, relations, and a fast ensemble."""
    return make_hyperfusion(
        **train.roles, **encoders, preset="fast", cv=3, random_state=0
    )


X, y = train.data, train.target
first, later = time_split(X[train.roles["time"]], test_size=0.2)
model = build().fit(X.iloc[first], y[first])
prediction = model.predict(X.iloc[later])
print(f"rank correlation: {spearman_score(y[later], prediction):.3f}")
print(f"mean absolute error: {mean_absolute_error(y[later], prediction):.3f}")

# %%
# Each post has its own interval. Intervals contain the truth less often than promised
# if later posts differ from the training posts.

from hyperfusion import PredictionIntervalDisplay

PredictionIntervalDisplay.from_estimator(model, X.iloc[later], y[later])

# %%
# Fit on all posts, and write the file
# ------------------------------------
# `write_submission` refuses predictions that the challenge would refuse, such as
# missing ones or duplicate ids.

from hyperfusion import write_submission

final = build().fit(X, y)
path = write_submission(
    Path(temporary.name) / "submission.json",
    test.data[post_id],
    final.predict(test.data),
    prefix=prefix,
)
print(path.read_text()[:200], "...")

# %%
# What did the model need?
# ------------------------
# Shuffle one block of features at a time: how much does the score on the later posts
# drop? (Table 2 of the paper shows another kind of importance, that of its members.)

from hyperfusion import ImportanceDisplay

ImportanceDisplay.from_estimator(
    model, X.iloc[later], y[later], n_repeats=2, random_state=0
)
temporary.cleanup()

# sphinx_gallery_thumbnail_number = -1
