"""
Search over encoders and members
================================

Everything that `make_hyperfusion` assembles can be searched with scikit-learn's tools:
what reads the pictures, which regressors are in the ensemble, and how deep their trees
are. A cache sees to it that no picture is encoded twice.
"""

# %%
# A pipeline with names
# ---------------------
# The ensemble's members are given with names here, so that the search can reach into
# them. The folds of the ensemble are few, since a search multiplies everything.

import tempfile
from pathlib import Path

import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipImageEncoder,
    EmbeddingCache,
    make_hyperfusion,
    make_posts,
    spearman_score,
    spearman_scorer,
    time_split,
)

posts = make_posts(500, random_state=2)
X, y = posts.data, posts.target
train, test = time_split(X["posted_at"], test_size=0.2)

folder = tempfile.TemporaryDirectory()
cache = EmbeddingCache(Path(folder.name) / "embeddings")
catboost = ("catboost", CatBoostHuberRegressor(iterations=60, colsample=0.5))
trees = ("trees", ExtraTreesRegressor(50, min_samples_leaf=3, max_features=0.3))
model = make_hyperfusion(
    image="image",
    user="author",
    time="posted_at",
    categorical="category",
    numeric=["n_photos"],
    image_encoder=False,
    members=[catboost, trees],
    cv=3,
    random_state=0,
)

# %%
# What can be searched
# --------------------
# A parameter's name is the way to it: first the step, then the member, then the
# parameter. Whole encoders and whole lists of members are values like any other. The
# encoders share one cache.

grid = {
    "encode__image_encoder": [
        False,
        ClipImageEncoder("hyperfusion-tiny", n_components=8, cache=cache),
        ClipImageEncoder("hyperfusion-tiny", cache=cache),
    ],
    "predict__members": [[catboost], [trees], [catboost, trees]],
}
[name for name in model.get_params() if name.startswith("predict__catboost__d")]

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
# There were many fits, but no picture was encoded twice: the cache knows a picture by
# its content. A second search would encode none at all.
#
# The results are a table. A difference is worth little where it is smaller than the
# spread over the folds:

results = pd.DataFrame(search.cv_results_)
results["images"] = [
    {"False": "none", "8": "8 components"}.get(
        str(getattr(encoder, "n_components", encoder)), "whole embedding"
    )
    for encoder in results["param_encode__image_encoder"]
]
results["members"] = [
    " + ".join(name for name, _ in members)
    for members in results["param_predict__members"]
]
results[["images", "members", "mean_test_score", "std_test_score"]].round(3)

# %%
# The best pipeline has been fitted on all training posts. The posts kept aside, which
# are later than all that the search has seen, judge it:

prediction = search.predict(X.iloc[test])
print(f"rank correlation on later posts: {spearman_score(y[test], prediction):.3f}")

# %%
# All candidates in one picture. The best of many is partly the luckiest of them: that
# is why the score above comes from other posts.

import matplotlib.pyplot as plt

scores = results.pivot_table("mean_test_score", "members", "images")
figure, ax = plt.subplots(layout="constrained")
picture = ax.imshow(scores, cmap="viridis")
for row, column in [(i, j) for i in range(3) for j in range(3)]:
    value = scores.iloc[row, column]
    colour = "black" if picture.norm(value) > 0.6 else "white"
    ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour)
ax.set_xticks(range(3), scores.columns)
ax.set_yticks(range(3), scores.index)
ax.set(xlabel="Images", ylabel="Members", title="Rank correlation in the search")
figure.colorbar(picture, ax=ax, shrink=0.8)
plt.show()

cache.close()
folder.cleanup()
