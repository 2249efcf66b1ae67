"""
What if: other times, other tags
================================

You have a post ready: when should you publish it, and with which tags? This example
shows how to ask the model, and how far to trust its answers.
"""

# %%
# A model
# -------
# It only reads columns that are known before publishing. The models of its five folds
# are compared later, to separate real differences from noise.

import warnings

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor

from hyperfusion import (
    CatBoostHuberRegressor,
    make_hyperfusion,
    make_posts,
    time_split,
)
from hyperfusion.exceptions import AssociationWarning

posts = make_posts(1000, random_state=4)
X, y = posts.data, posts.target
train, test = time_split(X["posted_at"], test_size=0.2)
model = make_hyperfusion(
    **posts.roles,
    image_encoder="hyperfusion-tiny",
    text_encoder="hyperfusion-tiny",
    members=[
        ("catboost", CatBoostHuberRegressor(iterations=150, colsample=0.3)),
        ("trees", ExtraTreesRegressor(60, min_samples_leaf=3, max_features=0.5)),
    ],
    random_state=0,
)
model.set_params(reduce__n_components=20).fit(X.iloc[train], y[train])

# %%
# The post
# --------
# A draft is one row with the columns that the model reads. We take a later post by a
# user whom the model knows.

is_known = X["user"].iloc[test].isin(X["user"].iloc[train]).to_numpy()
post = X.iloc[test[is_known][:1]]
shown = post[["user", "caption", "tags", "posted_at", "timezone"]].T
print(shown.to_string(header=False, max_colwidth=60))

# %%
# One change at a time
# --------------------
# A list of dicts tries one change at a time; a single dict tries all combinations.
# Every answer comes with a warning: the model knows which posts did well, not why.

from hyperfusion import what_if

changes = [
    {"tags": ["", "#photooftheday", "#sale #followme"]},
    {"n_photos": [1, 6]},
]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", AssociationWarning)
    answer = what_if(model, post, changes)
print(caught[0].message)
columns = ["tags", "n_photos", "prediction", "difference", "noise", "verdict"]
print(answer[columns].round(2).to_string(max_colwidth=24))

# %%
# A difference must be larger than ``noise`` to count. Smaller ones are "not
# distinguishable", which is the most frequent answer.
#
# The interval of the prediction itself is much wider, because it includes everything
# that nobody can know about this post:

print(answer[["prediction", "lower", "upper"]].head(1).round(2).to_string())

# %%
# Which draft?
# ------------
# `compare_drafts` ranks whole drafts. Drafts that cannot be distinguished share a rank.
# ``baseline`` is the median popularity of this user's earlier posts, and ``lift`` is
# the prediction minus the baseline.

from hyperfusion import compare_drafts

tags = {"no tags": "", "praise": "#photooftheday #inspiration", "advert": "#sale"}
drafts = pd.concat([post.assign(tags=text) for text in tags.values()])
drafts.index = list(tags)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", AssociationWarning)
    ranking = compare_drafts(model, drafts)
columns = ["rank", "tied", "prediction", "baseline", "n_posts", "lift"]
print(ranking[columns].round(2).to_string())

# %%
# When?
# -----
# The post is predicted at each hour of its week, in the user's local time. Dots mark
# hours that cannot be distinguished from the best.

from hyperfusion import PostingTimeDisplay

with warnings.catch_warnings():
    warnings.simplefilter("ignore", AssociationWarning)
    display = PostingTimeDisplay.from_estimator(model, post)

# %%
# These posts are synthetic, so the truth is known: early evenings and weekends are
# better, and nothing else about the hour matters. The mean popularity of the training
# posts by hour hardly shows this, because users and contents differ between hours. The
# model accounts for these differences as far as it can.

local = X["posted_at"] + pd.to_timedelta(X["timezone"] + ":00")
PostingTimeDisplay.from_predictions(local.iloc[train], y[train])
plt.show()

# %%
# To learn what a change *causes*, publish at random times and compare.

# sphinx_gallery_thumbnail_number = 1
