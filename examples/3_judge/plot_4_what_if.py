"""
What if: other times, other tags
================================

A creator has a post ready and asks: when should it go out, and with which tags? The
model can answer for posts that it has seen the like of. This example shows how to ask,
and how not to believe too much.
"""

# %%
# A model of what comes before publishing
# ---------------------------------------
# Five folds: the disagreement between the models of the folds is what tells a
# difference from noise.

import warnings

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipImageEncoder,
    ClipTextEncoder,
    make_hyperfusion,
    make_posts,
    time_split,
)
from hyperfusion.exceptions import AssociationWarning

posts = make_posts(1500, random_state=4)
X, y = posts.data, posts.target
train, test = time_split(X["posted_at"], test_size=0.2)
model = make_hyperfusion(
    **posts.roles,
    image_encoder=ClipImageEncoder("hyperfusion-tiny", n_components=24),
    text_encoder=ClipTextEncoder("hyperfusion-tiny", n_components=16),
    members=[
        ("catboost", CatBoostHuberRegressor(iterations=200, colsample=0.3)),
        ("trees", ExtraTreesRegressor(60, min_samples_leaf=3, max_features=0.5)),
    ],
    random_state=0,
).fit(X.iloc[train], y[train])

# %%
# The post
# --------
# A draft is one row with the columns that the model knows. We take the next post by an
# user who was among those learned from.

is_known = X["user"].iloc[test].isin(X["user"].iloc[train]).to_numpy()
post = X.iloc[test[is_known][:1]]
post[["user", "caption", "tags", "posted_at", "timezone"]].T

# %%
# One change at a time
# --------------------
# A list of dicts tries each change on its own; one dict would try all combinations.
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
answer[["tags", "n_photos", "prediction", "difference", "noise", "verdict"]].round(2)

# %%
# ``noise`` is how large a difference has to be to stand out. Smaller ones are called
# "not distinguishable", which is the most frequent answer, and an honest one.
#
# The interval of the score itself is far wider, since it also holds all that nobody can
# know about this post:

answer[["prediction", "lower", "upper"]].head(1).round(2)

# %%
# Which draft?
# ------------
# `compare_drafts` ranks whole drafts. Drafts that can't be told apart share a rank. The
# user's own usual score is the fairest yardstick: ``lift`` is the prediction minus
# it.

from hyperfusion import compare_drafts

tags = {"no tags": "", "praise": "#photooftheday #inspiration", "advert": "#sale"}
drafts = pd.concat([post.assign(tags=text) for text in tags.values()])
drafts.index = list(tags)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", AssociationWarning)
    ranking = compare_drafts(model, drafts)
ranking[["rank", "tied", "prediction", "baseline", "n_posts", "lift"]].round(2)

# %%
# When?
# -----
# All hours of the post's week, on the clock of its user. The dots are the hours that
# can't be told from the best.

from hyperfusion import PostingTimeDisplay

with warnings.catch_warnings():
    warnings.simplefilter("ignore", AssociationWarning)
    display = PostingTimeDisplay.from_estimator(model, post)

# %%
# The score of these posts is made up, so the truth is known: early evenings and
# weekends are favored, and nothing else about the hour matters. The mean scores of the
# training posts, drawn the same way, show little of it. Who posts when, and what, blurs
# them; the model has taken that into account, as far as it could.

local = X["posted_at"] + pd.to_timedelta(X["timezone"] + ":00")
PostingTimeDisplay.from_predictions(local.iloc[train], y[train])
plt.show()

# %%
# To learn what a change *causes*, publish at random times, and compare.

# sphinx_gallery_thumbnail_number = 1
