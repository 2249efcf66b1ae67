"""
What if: other times, other tags
================================

You have a post ready: when should you publish it, and with which tags? This example
shows how to ask the model, and how far to trust its answers.
"""

# %%
# A model
# -------
# It only reads columns that are known before publishing. Images and captions are left
# out: with so few posts, their many features would hide the effects of single tags. The
# models of its five folds are compared later, to separate real differences from noise.

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

posts = make_posts(1500, random_state=4)
X, y = posts.data, posts.target
train, test = time_split(X["posted_at"], test_size=0.2)
model = make_hyperfusion(
    tags="tags",
    user="user",
    user_created="user_created",
    user_numeric=["followers", "following", "is_pro"],
    time="posted_at",
    timezone="timezone",
    place="place",
    numeric=["n_photos"],
    categorical=["category"],
    text_encoder=False,
    neighbors=False,
    members=[
        ("catboost", CatBoostHuberRegressor(iterations=300)),
        ("trees", ExtraTreesRegressor(60, min_samples_leaf=3, max_features=0.5)),
    ],
    random_state=0,
).fit(X.iloc[train], y[train])

# %%
# The post
# --------
# A draft is one row with the columns that the model reads. We take a later post by a
# user whom the model knows.

is_known = X["user"].iloc[test].isin(X["user"].iloc[train]).to_numpy()
post = X.iloc[test[is_known][:1]]
shown = post[["user", "tags", "n_photos", "posted_at", "timezone"]].T
print(shown.to_string(header=False, max_colwidth=60))

# %%
# One change at a time
# --------------------
# A list of dicts tries one change at a time; a single dict tries all combinations.
# Every answer comes with a warning: the model knows which posts did well, not why.

from hyperfusion import what_if

changes = [
    {"tags": ["", "#photooftheday #inspiration", "#sale"]},
    {"n_photos": [2, 6]},
]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", AssociationWarning)
    answer = what_if(model, post, changes)
print(caught[0].message)
columns = ["tags", "n_photos", "prediction", "difference", "noise", "verdict"]
print(answer[columns].round(2).to_string(max_colwidth=24))

# %%
# A difference must be larger than ``noise`` to count. Smaller ones are "not
# distinguishable", which is the most frequent answer. It does not mean that there is no
# effect. These posts are synthetic, so the true effects are known: -0.6 without tags,
# +0.25 for the two tags of praise, -0.7 for the advert, +0.1 for two photos and +0.4
# for six. The model finds the advert and the six photos. It misses the others, even the
# first one.
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

changes = {
    "as it is": {},
    "six photos": {"n_photos": 6},
    "six photos, praise": {"n_photos": 6, "tags": "#photooftheday #inspiration"},
    "advert": {"tags": "#sale"},
}
drafts = pd.concat([post.assign(**change) for change in changes.values()])
drafts.index = list(changes)
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
# In truth, early evenings and weekends are better, and nothing else about the hour
# matters. The mean popularity of the training posts by hour hardly shows this, because
# users and contents differ between hours. The model accounts for these differences as
# far as it can.

local = X["posted_at"] + pd.to_timedelta(X["timezone"] + ":00")
PostingTimeDisplay.from_predictions(local.iloc[train], y[train])
plt.show()

# %%
# To learn what a change *causes*, publish at random times and compare.

# sphinx_gallery_thumbnail_number = 1
