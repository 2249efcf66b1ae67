"""
One transformer in a project of your own
========================================

You have a working model for a table, and the table has a column of images, or of texts,
that the model can't read. You don't need the rest of this package for that: each
transformer works alone, in any scikit-learn pipeline.
"""

# %%
# The project that is there
# -------------------------
# A boosted model on numbers and categories, as one finds it in many companies. We
# pretend that the posts are its rows and their users its customers.

import tempfile

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import TimeSeriesSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from hyperfusion import make_posts, spearman_scorer

posts = make_posts(2000, random_state=1)
X, y = posts.data, posts.target

plain = [
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["category"]),
    (TargetEncoder(), ["user"]),
    ("passthrough", ["followers", "following", "is_pro", "n_photos"]),
]


def build(*further):
    """Return the project's pipeline, with some further columns read."""
    regressor = HistGradientBoostingRegressor(
        learning_rate=0.05, max_features=0.3, random_state=0
    )
    return make_pipeline(make_column_transformer(*plain, *further), regressor)


# %%
# One more line for the pictures
# ------------------------------
# `ClipImageEncoder` turns a column of images into columns of numbers. ``n_components``
# reduces them by PCA, which suits a model that has few rows to learn from. Missing
# pictures become missing values, which the regressor can read.
#
# The same pictures will be encoded in fold after fold, so the encoder gets a cache. It
# knows a picture by its content and encodes it once.

from hyperfusion import ClipImageEncoder, EmbeddingCache

folder = tempfile.TemporaryDirectory()
cache = EmbeddingCache(folder.name)
image = (ClipImageEncoder("hyperfusion-tiny", n_components=16, cache=cache), "image")
build(image)

# %%
# The encoder is an ordinary transformer. Its output has names, so that it can be looked
# at, joined, or saved:

encoder = ClipImageEncoder("hyperfusion-tiny", n_components=3, cache=cache)
encoder.set_output(transform="pandas").fit_transform(X["image"].head()).round(2)

# %%
# And one for the texts
# ---------------------
# It works alike.

from hyperfusion import ClipTextEncoder

text = (ClipTextEncoder("hyperfusion-tiny", n_components=16, cache=cache), "caption")

# %%
# Is it worth it?
# ---------------
# Each candidate is scored on folds of which the tested posts are always the later ones.
# The posts are in the order of time, so scikit-learn's `TimeSeriesSplit` will do.

candidates = {
    "as it was": build(),
    "with texts": build(text),
    "with images": build(image),
    "with both": build(image, text),
}
scores = {
    name: cross_validate(
        candidate, X, y, cv=TimeSeriesSplit(4), scoring=spearman_scorer
    )["test_score"]
    for name, candidate in candidates.items()
}
table = pd.DataFrame(scores)
table.agg(["mean", "std"]).T.round(3)

# %%
# The folds differ much, since later ones learn from more posts. So don't compare the
# means with that spread, but look at the gain in each fold: a column is worth its place
# where it helps in most of them.

gains = table.drop(columns="as it was").sub(table["as it was"], axis=0)
figure, ax = plt.subplots(layout="constrained")
for place, name in enumerate(gains):
    ax.scatter([place] * len(gains), gains[name], color="#7F7F7F", alpha=0.7)
ax.scatter(range(gains.shape[1]), gains.mean(), marker="_", s=2000, color="#0072B2")
ax.axhline(0, color="black", lw=0.8)
ax.set_xticks(range(gains.shape[1]), gains.columns)
ax.margins(x=0.3)
ax.set(ylabel="Gain in rank correlation", title="Each fold (dots) and their mean")
plt.show()

cache.close()
folder.cleanup()
