"""
Search over encoders and members
================================

Everything that `make_hyperfusion` assembles can be searched with scikit-learn's tools:
what reads the pictures, which regressors are in the ensemble, and their parameters. A
cache sees to it that no picture goes through CLIP twice.
"""

# %%
# A pipeline with names
# ---------------------
# The ensemble's members are given with names here, so that the search can reach into
# them. The folds of the ensemble are few, since a search multiplies everything.

import tempfile

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import (
    ClipImageEncoder,
    EmbeddingCache,
    ImageStatistics,
    NumericTable,
    make_hyperfusion,
    make_posts,
    spearman_score,
    spearman_scorer,
    time_split,
)

posts = make_posts(800, random_state=2)
X, y = posts.data, posts.target
train, test = time_split(X["posted_at"], test_size=0.2)

linear = make_pipeline(
    NumericTable(impute=True), StandardScaler(), RidgeCV(np.logspace(0, 5, 11))
)
trees = ExtraTreesRegressor(60, min_samples_leaf=3, max_features=0.3)
model = make_hyperfusion(
    image="image",
    user="user",
    time="posted_at",
    categorical="category",
    numeric=["n_photos"],
    image_encoder=False,
    members=[("trees", trees), ("linear", linear)],
    cv=3,
    random_state=0,
)

# %%
# What can be searched
# --------------------
# A parameter's name is the way to it: first the step, then the member, then the
# parameter.

[name for name in model.get_params() if name.startswith("predict__trees__m")]

# %%
# Whole encoders and whole lists of members are values like any other. ``encoders`` puts
# transformers in the place of a role's own, and ``"drop"`` leaves the role out.

folder = tempfile.TemporaryDirectory()
cache = EmbeddingCache(folder.name)
clip = ClipImageEncoder("hyperfusion-tiny", n_components=16, cache=cache)
encoders = {"no images": "drop", "CLIP": clip, "statistics": ImageStatistics()}
members = {
    "trees": [("trees", trees)],
    "linear": [("linear", linear)],
    "both": [("trees", trees), ("linear", linear)],
}
grid = {
    "encode__encoders": [{"image": encoder} for encoder in encoders.values()],
    "predict__members": list(members.values()),
}

# %%
# The search
# ----------
# The model will meet later posts only, and later posts are harder. So the candidates
# are compared on later posts as well.

from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

search = GridSearchCV(model, grid, cv=TimeSeriesSplit(2), scoring=spearman_scorer)
search.fit(X.iloc[train], y[train])
n_pictures = X["image"].iloc[train].notna().sum()
print(f"{cache.entries} embeddings were made, for {n_pictures} pictures")

# %%
# There were many fits, but CLIP saw no picture twice: the cache knows a picture by its
# content. A second search would encode none at all.
#
# The results are a table, in the order of the grid. A difference is worth little where
# it is smaller than the spread over the folds:

results = pd.DataFrame(search.cv_results_)
results["images"] = np.repeat(list(encoders), len(members))
results["members"] = np.tile(list(members), len(encoders))
results[["images", "members", "mean_test_score", "std_test_score"]].round(3)

# %%
# The best pipeline has been fitted on all training posts. The posts kept aside, which
# are later than all that the search has seen, judge it. They must: the best of many is
# partly the luckiest of them.

prediction = search.predict(X.iloc[test])
print(f"rank correlation on later posts: {spearman_score(y[test], prediction):.3f}")

# %%
# All candidates in one picture
# -----------------------------

import matplotlib.pyplot as plt

scores = results["mean_test_score"].to_numpy().reshape(len(encoders), len(members))
figure, ax = plt.subplots(layout="constrained")
picture = ax.imshow(scores, cmap="viridis")
for (row, column), score in np.ndenumerate(scores):
    color = "black" if picture.norm(score) > 0.5 else "white"
    ax.text(column, row, f"{score:.3f}", ha="center", va="center", color=color)
ax.set_xticks(range(len(members)), members)
ax.set_yticks(range(len(encoders)), encoders)
ax.set(xlabel="Members", ylabel="What reads images", title="Rank correlation")
figure.colorbar(picture, ax=ax, shrink=0.8)
plt.show()

cache.close()
folder.cleanup()
