"""
What does each part contribute?
===============================

Table 1 of the paper removes one part of the model at a time. `ablate` does this with
any model. It scores on posts later than the training posts and gives an interval for
each change.
"""

# %%
# The model
# ---------
# The pipeline is complete. Fast members and short embeddings save time.

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperfusion import (
    NumericTable,
    ablate,
    make_hyperfusion,
    make_posts,
)

modalities = {
    "visual": ["image"],
    "textual": ["text", "tags"],
    "geolocation": ["geo", "place"],
    "metadata": ["user", "time", "meta"],
}
posts = make_posts(1500, random_state=3)
linear = make_pipeline(
    NumericTable(impute=True, max_one_hot=1),
    StandardScaler(),
    RidgeCV(np.logspace(1, 5, 9)),
)
trees = ExtraTreesRegressor(60, min_samples_leaf=3, max_features=0.3)
model = make_hyperfusion(
    **posts.roles,
    image_encoder="hyperfusion-tiny",
    text_encoder="hyperfusion-tiny",
    members=[("trees", trees), ("linear", linear)],
    cv=3,
    random_state=0,
)
model.set_params(reduce__n_components=20)

# %%
# One line per part
# -----------------
# The posts are encoded once. Then the columns of one part are dropped from the feature
# table, and the ensemble is fitted again. "without ensemble" is the best single member,
# and "without folds" uses a single split.

parts = [*modalities, "ensemble", "folds"]
table = ablate(
    model, posts.data, posts.target, parts=parts, test_size=0.3, random_state=0
)
columns = ["src", "src_change", "src_change_low", "src_change_high", "n_features"]
print(table[columns].round(3).to_string())

# %%
# A part helps if the score drops without it. The interval comes from resampling users.
# If it contains zero, other test posts might show the opposite.

from hyperfusion import AblationDisplay

AblationDisplay(table=table).plot()

# %%
# Is it right?
# ------------
# For synthetic posts we know what each block really contributes to the popularity. The
# standard deviation of this contribution shows how much there was to find:

truth = {
    modality: posts.contributions.reindex(columns=blocks).sum(axis=1).std()
    for modality, blocks in modalities.items()
}

# %%
# The right side shows what the ablation found. The two need not agree, for three
# reasons: there may be too few posts to learn from a modality, one modality can replace
# another, and changes over time cannot be learned from the past.

import matplotlib.pyplot as plt

found = -table["src_change"].iloc[1 : 1 + len(modalities)]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
axes[0].barh(list(truth), list(truth.values()), color="#009E73")
axes[0].set_xlabel("Standard deviation of the contribution")
axes[0].set_title("In the posts")
axes[1].barh(list(truth), found, color="#0072B2")
axes[1].axvline(0, color="black", lw=0.8)
axes[1].set_xlabel("Rank correlation lost without it")
axes[1].set_title("Found by the ablation")
axes[0].invert_yaxis()
plt.show()

# sphinx_gallery_thumbnail_number = 1
