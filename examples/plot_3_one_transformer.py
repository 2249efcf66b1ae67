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
# pretend that the posts are its rows.

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import TimeSeriesSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from hyperfusion import make_posts, spearman_scorer

posts = make_posts(600, random_state=1)
X, y = posts.data, posts.target

plain = [
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["category"]),
    ("passthrough", ["followers", "following", "is_pro", "n_photos"]),
]


def build(*further):
    """Return the project's pipeline, with some further columns read."""
    regressor = HistGradientBoostingRegressor(
        max_iter=100, learning_rate=0.05, random_state=0
    )
    return make_pipeline(make_column_transformer(*plain, *further), regressor)


# %%
# One more line for the pictures
# ------------------------------
# `ClipImageEncoder` turns a column of images into columns of numbers. ``n_components``
# reduces them by PCA, which suits a model that has only some hundred rows to learn
# from. Missing pictures become missing values, which the regressor can read.

from hyperfusion import ClipImageEncoder

image = (ClipImageEncoder("hyperfusion-tiny", n_components=16), "image")
build(image)

# %%
# The encoder is an ordinary transformer. Its output has names, so that it can be looked
# at, joined, or saved:

encoder = ClipImageEncoder("hyperfusion-tiny", n_components=3).set_output(
    transform="pandas"
)
encoder.fit_transform(X["image"].head()).round(2)

# %%
# And one for texts, one for times
# --------------------------------
# Both work alike. The time is taken apart into hour, weekday, season and more, on the
# clock of the time zone that you name.

from hyperfusion import ClipTextEncoder, TemporalEncoder

text = (ClipTextEncoder("hyperfusion-tiny", n_components=16), "caption")
when = (TemporalEncoder(timezone="Europe/Lisbon"), ["posted_at"])

# %%
# Is it worth it?
# ---------------
# Each candidate is scored on folds of which the tested posts are always the later ones.
# The posts are in the order of time, so scikit-learn's `TimeSeriesSplit` will do.

candidates = {
    "as it was": build(),
    "+ image": build(image),
    "+ text": build(text),
    "+ time": build(when),
    "+ all three": build(image, text, when),
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
# A gain counts where it shows in most of the folds, not in their mean alone. So each
# line below is one fold.

import matplotlib.pyplot as plt

figure, ax = plt.subplots(layout="constrained")
for fold, row in table.iterrows():
    ax.plot(table.columns, row, "o-", color="#7F7F7F", alpha=0.6, label=f"fold {fold}")
ax.plot(table.columns, table.mean(), "o-", color="#0072B2", lw=3, label="mean")
ax.set(ylabel="Rank correlation", title="Later posts, by what the model reads")
ax.legend()
plt.show()

# %%
# With a real CLIP model the encoding takes far longer than the fit. Give the encoder a
# ``cache``, and each image is encoded once, however often it is fitted.
