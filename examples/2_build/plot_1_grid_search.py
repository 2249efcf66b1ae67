"""
Search over encoders and members
================================

Everything in the pipeline of `make_hyperfusion` can be searched with scikit-learn's
tools: the encoder of the pictures, the regressors of the ensemble, and their
parameters. With a cache no picture goes through CLIP twice.
"""

# %%
# A pipeline with names
# ---------------------
# The members get names, so that the search can set their parameters. Three folds are
# enough here: every candidate fits all of them again.

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
# The name of a parameter is its path: first the step, then the member, then the
# parameter.

print([name for name in model.get_params() if name.startswith("predict__trees__ma")])

# %%
# Whole encoders and whole lists of members are values as well. ``encoders`` replaces
# the transformers of a role, and ``"drop"`` removes the role.

folder = tempfile.TemporaryDirectory()
cache = EmbeddingCache(folder.name)
clip = ClipImageEncoder("hyperfusion-tiny", cache=cache)
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
# The model will be used on later posts, and those are harder. So the candidates are
# compared on later posts.

from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

search = GridSearchCV(model, grid, cv=TimeSeriesSplit(2), scoring=spearman_scorer)
search.fit(X.iloc[train], y[train])
n_pictures = X["image"].iloc[train].notna().sum()
print(f"{cache.entries} embeddings for {n_pictures} pictures")

# %%
# There were many fits, but CLIP encoded each picture once: the cache recognizes a
# picture by its content. A second search would encode none.
#
# The results are a table in the order of the grid. Ignore differences that are smaller
# than the spread over the folds:

results = pd.DataFrame(search.cv_results_)
results["images"] = np.repeat(list(encoders), len(members))
results["members"] = np.tile(list(members), len(encoders))
columns = ["images", "members", "mean_test_score", "std_test_score"]
print(results[columns].round(3).to_string(index=False))

# %%
# The best pipeline was fitted again on all training posts. Its score in the search is
# partly luck, since it is the best of many. So test it on posts that the search has
# not seen:

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
ax.set(xlabel="Members", ylabel="Encoder of images", title="Rank correlation")
figure.colorbar(picture, ax=ax, shrink=0.8)
plt.show()

cache.close()
folder.cleanup()
