"""
Quick start
===========

From a table of posts to predictions with intervals, in five steps. The posts are
synthetic, so nothing has to be downloaded.
"""

# %%
# The posts
# ---------
# `make_posts` draws pictures, writes captions and tags, invents users and places, and
# gives each post a popularity score. Any DataFrame with one row per post works.

from textwrap import fill

import matplotlib.pyplot as plt

from hyperfusion import (
    make_hyperfusion,
    make_posts,
    predict_interval,
    spearman_score,
    time_split,
)

posts = make_posts(500, random_state=0)
posts.data[["caption", "tags", "user", "posted_at", "place", "n_photos"]].head()

# %%
# One column holds images. Here they are pictures in memory; file paths work as well.

shown = posts.data.dropna(subset=["image", "caption"])
shown = shown[shown["caption"].str.isascii()].head(4)  # the font has no emoji
figure, axes = plt.subplots(1, 4, figsize=(9, 3), layout="compressed")
for ax, image, caption in zip(axes, shown["image"], shown["caption"], strict=True):
    ax.imshow(image)
    ax.set_title(fill(caption, 28), fontsize=8)
    ax.set_axis_off()

# %%
# Roles
# -----
# A role says what a column holds: a picture, a text, a user. Each role gets suitable
# encoders. Columns without a role are ignored.

posts.roles

# %%
# The model
# ---------
# `make_hyperfusion` puts three steps into an ordinary scikit-learn pipeline: encoders
# for the roles, relations between their features, and an ensemble.
#
# ``"hyperfusion-tiny"`` is a small CLIP model that is part of the package. It only
# knows synthetic pictures: leave out both arguments for real images and texts.
# ``preset="fast"`` chooses the fastest set of regressors, and three folds instead of
# five save more time.

model = make_hyperfusion(
    **posts.roles,
    image_encoder="hyperfusion-tiny",
    text_encoder="hyperfusion-tiny",
    preset="fast",
    cv=3,
    random_state=0,
)

# %%
# Popularity drifts, so the model is tested on posts later than its training posts.

X, y = posts.data, posts.target
train, test = time_split(X["posted_at"], test_size=0.2)
model.fit(X.iloc[train], y[train])

# %%
# How good is it?
# ---------------
# Spearman's rank correlation (SRC) measures how well the posts are ordered: 0 is
# chance, 1 is perfect. Part of each post's popularity is noise. These posts are
# synthetic, so we know how good a perfect model would be.

prediction = model.predict(X.iloc[test])
noise = posts.contributions["noise"].to_numpy()
print(f"rank correlation on later posts: {spearman_score(y[test], prediction):.3f}")
print(f"at best: {spearman_score(y[test], (y - noise)[test]):.3f}")

# %%
# The ensemble has several regressors, its members. Every training post was also
# predicted by members that never saw its popularity. These out-of-fold predictions
# determine how much weight each member gets:

scores = model[-1].fold_scores_.groupby("member", sort=False)[["src", "mae"]].mean()
print(scores.round(3).to_string())

# %%
# A single number does not show how sure the model is. An interval does. These should
# contain the true value of 90% of posts:

interval = predict_interval(model, X.iloc[test[:5]], coverage=0.9)
print(interval.round(2).to_string())

# %%
# The whole test set at a glance
# ------------------------------
# Predictions vary less than the true scores. They should: nobody can predict the noise,
# and a model that tried would be worse.

from hyperfusion import DistributionDisplay

DistributionDisplay.from_estimator(model, X.iloc[test], y[test])

# sphinx_gallery_thumbnail_number = -1
