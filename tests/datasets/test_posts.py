"""make_posts: what it promises of its posts and of their score."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from hyperfusion.datasets import make_posts
from hyperfusion.datasets._pictures import ATTRIBUTES, BACKGROUNDS, COLORS
from hyperfusion.table import BLOCKS


@pytest.fixture(scope="module")
def posts():
    return make_posts(3000, random_state=0)


def drawn(cells):
    """The pictures of a column as one array; None where one is missing."""
    return [None if c is None else np.asarray(c) for c in cells]


def test_contributions_add_up_to_the_target_exactly(posts):
    assert_array_equal(posts.contributions.sum(axis=1), posts.target)
    assert set(posts.contributions) - set(BLOCKS) == {"base", "noise"}
    assert np.isfinite(posts.contributions).all(axis=None)
    assert posts.target.dtype == np.float64


def test_every_block_and_the_noise_matter(posts):
    spread = posts.contributions.drop(columns="base").std()
    assert (spread > 0.12).all()
    signal = posts.target - posts.contributions["noise"]
    assert 0.6 < np.var(signal) / np.var(posts.target) < 0.85


def test_same_seed_same_posts():
    one, two = (make_posts(60, random_state=3) for _ in range(2))
    pd.testing.assert_frame_equal(
        one.data.drop(columns="image"), two.data.drop(columns="image")
    )
    assert_array_equal(one.target, two.target)
    for a, b in zip(drawn(one.data["image"]), drawn(two.data["image"]), strict=True):
        assert_array_equal(a, b)
    other = make_posts(60, random_state=4)
    assert (other.target != one.target).all()


def test_global_random_state_is_untouched():
    before = np.random.mtrand._rand.get_state()
    make_posts(5, random_state=0)
    after = np.random.mtrand._rand.get_state()
    assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_roles_name_columns_of_the_table(posts):
    for role, value in posts.roles.items():
        if role == "vectors":
            value = [*value["user"], *value["place"]]
        labels = [value] if isinstance(value, str) else value
        assert labels
        assert set(labels) <= set(posts.data.columns), role


def test_rows_are_in_time_order(posts):
    assert posts.data["posted_at"].is_monotonic_increasing
    assert posts.data["post_id"].is_unique
    span = posts.data["posted_at"].iloc[-1] - posts.data["posted_at"].iloc[0]
    assert 450 < span.days <= 482


def test_users_are_long_tailed_and_keep_joining(posts):
    counts = posts.data["user"].value_counts()
    assert counts.iloc[: len(counts) // 10].sum() > 0.35 * len(posts.data)
    assert counts.median() <= 4
    assert counts.max() > 20 * counts.median()
    early, late = posts.data["user"].iloc[:2400], posts.data["user"].iloc[2400:]
    assert 0.03 < 1 - late.isin(early).mean() < 0.6
    assert (posts.data["user_created"] < posts.data["posted_at"]).sum() == posts.data[
        "user_created"
    ].notna().sum()


def test_number_of_users_is_a_limit():
    assert make_posts(200, n_users=3, random_state=0).data["user"].unique().size <= 3
    assert make_posts(20, n_users=1, random_state=0).data["user"].unique().size == 1


def test_what_an_user_is_does_not_change_but_by_missing_cells(posts):
    columns = ["user_created", "followers", "following", "is_pro", "timezone"]
    columns += posts.roles["vectors"]["user"]
    values = posts.data.groupby("user")[columns].nunique()
    assert values.max(axis=None) == 1


def test_later_posts_drift(posts):
    late = np.arange(len(posts.data)) >= 2400
    gap = posts.target[~late].mean() - posts.target[late].mean()
    assert gap > 0.3
    effect = posts.contributions["meta"]
    category = posts.data["category"]
    early_mean = effect[~late].groupby(category[~late]).mean()
    change = effect[late].groupby(category[late]).mean() - early_mean
    assert change.max() > 0.1
    assert change.min() < -0.1


def test_missing_cells(posts):
    share = posts.data.isna().mean()
    some = ["image", "caption", "tags", "followers", "user_created", "place"]
    assert (share[some] > 0.01).all()
    assert (share[some] < 0.2).all()
    assert 0.25 < share["latitude"] < 0.35
    hidden = posts.data["latitude"].isna()
    assert (hidden == posts.data["longitude"].isna()).all()
    assert (hidden == (posts.data["geo_accuracy"] == 0)).all()
    assert share.drop([*some, "latitude", "longitude"]).max() == 0


def test_captions_agree_as_documented(posts):
    true = (posts.match == 1).mean()
    assert 0.77 < true < 0.85
    assert 0.07 < (posts.match < 0.4).mean() < 0.14
    assert_array_equal(posts.contributions["cross"], 1.2 * (posts.match - 0.88))


def test_a_true_caption_names_what_is_in_the_picture(posts):
    """Colors that a true caption names plainly are those of the pixels."""
    rows = np.flatnonzero((posts.match == 1) & posts.data["image"].notna())
    checked = 0
    for row in rows[:400]:
        caption = posts.data["caption"].iloc[row]
        words = set() if pd.isna(caption) else set(caption.split())
        named = [c for c in COLORS if c in words]
        if (
            "large" not in words
            or len(named) != 1
            or "blue" in words
            or "pink" in words
        ):
            continue
        pixels = np.asarray(posts.data["image"].iloc[row]).reshape(-1, 3).astype(int)
        palette = np.array(list(COLORS.values()) + list(BACKGROUNDS.values()))
        directions = palette / np.linalg.norm(palette, axis=1, keepdims=True)
        bright = pixels[pixels.sum(axis=1) > 60]
        nearest = (
            bright / np.linalg.norm(bright, axis=1, keepdims=True)
        ) @ directions.T
        share = (nearest.argmax(axis=1) == list(COLORS).index(named[0])).mean()
        assert share > 0.03, caption
        checked += 1
    assert checked >= 10


def test_tags_are_true_hashtags(posts):
    tags = posts.data["tags"].dropna().str.split()
    assert tags.map(lambda t: all(w.startswith("#") and len(w) > 1 for w in t)).all()
    counts = tags.map(len)
    assert counts.min() == 1
    assert counts.max() > 6


# Besides their vector, users differ in followers and much else.
@pytest.mark.parametrize(("block", "share"), [("user", 0.1), ("place", 0.999)])
def test_vectors_explain_their_contribution(posts, block, share):
    columns = posts.roles["vectors"][block]
    model = LinearRegression().fit(posts.data[columns], posts.contributions[block])
    assert model.score(posts.data[columns], posts.contributions[block]) > share


def test_look_explains_its_contribution(posts):
    """Mean color, contrast and sharpness of the pixels find most of the effect."""
    there = posts.data["image"].notna().to_numpy(copy=True)
    there[1800:] = False
    arrays = np.stack([np.asarray(i) for i in posts.data["image"][there]]).astype(float)
    edges = np.abs(np.diff(arrays, axis=1)).mean(axis=(1, 2, 3))
    extremes = np.quantile(arrays, [0.02, 0.5, 0.98], axis=(1, 2))
    look = np.column_stack([arrays.mean(axis=(1, 2)), edges, *extremes])
    effect = posts.contributions["image"].to_numpy()[there]
    model = RandomForestRegressor(20, min_samples_leaf=3, random_state=0)
    model.fit(look[:1200], effect[:1200])
    assert model.score(look[1200:], effect[1200:]) > 0.5


def test_law_of_the_score_is_the_same_for_every_seed(posts):
    other = make_posts(1500, random_state=99)
    names = ["geo", "meta"]
    for name, column in zip(names, ["place", "category"], strict=True):
        ours = posts.contributions[name].groupby(posts.data[column]).mean()
        theirs = other.contributions[name].groupby(other.data[column]).mean()
        assert np.corrcoef(ours, theirs)[0, 1] > 0.95


def test_hour_counts_on_the_clock_of_the_users_home(posts):
    offset = pd.to_timedelta(posts.data["timezone"].str.replace("+", "") + ":00")
    hour = (posts.data["posted_at"] + offset).dt.hour
    means = posts.contributions["time"].groupby(hour).mean()
    assert 17 <= means.idxmax() <= 21
    assert means.max() - means.min() > 0.5


@pytest.mark.parametrize("image_size", [16, 64, 200])
def test_pictures(image_size):
    cells = make_posts(40, random_state=0, image_size=image_size).data["image"]
    there = cells.dropna()
    assert all(c.mode == "RGB" and c.size == (image_size,) * 2 for c in there)
    assert len({c.tobytes() for c in there}) == len(there)


def test_size_of_pictures_changes_nothing_else():
    small, large = (make_posts(30, random_state=0, image_size=s) for s in (16, 32))
    assert_array_equal(small.target, large.target)
    assert small.data["caption"].equals(large.data["caption"])


def test_files(tmp_path):
    folder = tmp_path / "new" / "pictures"
    in_memory = make_posts(40, random_state=0)
    written = make_posts(40, random_state=0, folder=folder)
    assert_array_equal(in_memory.target, written.target)
    kinds = set()
    for picture, path in zip(
        in_memory.data["image"], written.data["image"], strict=True
    ):
        assert (picture is None) == (path is None)
        if picture is not None:
            assert isinstance(path, str)
            with Image.open(path) as file:
                kinds.add(file.format)
                difference = np.asarray(file, float) - np.asarray(picture, float)
            assert np.abs(difference).mean() < 8
            assert file.format != "PNG" or not difference.any()
    assert kinds == {"PNG", "JPEG"}
    assert len(list(folder.iterdir())) == written.data["image"].notna().sum()


def test_one_post():
    posts = make_posts(1, random_state=0)
    assert len(posts.data) == len(posts.target) == len(posts.contributions) == 1


@pytest.mark.parametrize(
    "wrong", [{"n_posts": 0}, {"n_users": 0}, {"image_size": 8}, {"folder": 3}]
)
def test_wrong_parameters_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_posts(**wrong)


def test_every_attribute_shows_in_the_picture():
    """Changing one attribute of a scene alone changes the picture."""
    from hyperfusion.datasets._pictures import draw_pictures, render

    pictures = draw_pictures(np.zeros(1, dtype=int), np.random.RandomState(0))
    pictures.loc[0, list(ATTRIBUTES)] = 0
    plain = next(render(pictures, 64)).tobytes()
    for attribute, levels in ATTRIBUTES.items():
        seen = {plain}
        for code in range(1, len(levels)):
            pictures.loc[0, list(ATTRIBUTES)] = 0
            pictures.loc[0, attribute] = code
            seen.add(next(render(pictures, 64)).tobytes())
        assert len(seen) == len(levels), attribute


def test_pictures_can_be_written_and_read_again():
    picture = make_posts(3, random_state=1).data["image"].dropna().iloc[0]
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert Image.open(buffer).tobytes() == picture.tobytes()
