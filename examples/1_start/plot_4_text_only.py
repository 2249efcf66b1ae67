"""
A table with only texts
=======================

A table with one column of texts and a number to predict. Nothing is downloaded: the
encoder counts parts of words and reduces the counts to a few features.
"""

# %%
# The texts
# ---------
# Titles of second-hand furniture, made up here, and the logarithm of the price.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 1000
pieces = {"sofa": 6.0, "armchair": 5.2, "dining table": 5.8, "bookshelf": 4.4}
pieces |= {"floor lamp": 3.9, "wardrobe": 5.5, "desk": 4.9, "stool": 3.3}
materials = {"oak": 0.6, "walnut": 0.8, "pine": 0.0, "metal": 0.1, "leather": 0.7}
states = {"like new": 0.3, "restored": 0.4, "with scratches": -0.5, "to repair": -0.9}
chosen = [rng.choice(list(words), n) for words in (materials, pieces, states)]
titles = [" ".join(words) for words in zip(*chosen, strict=True)]
value = [
    materials[material] + pieces[piece] + states[state]
    for material, piece, state in zip(*chosen, strict=True)
]
y = np.array(value) + rng.normal(0, 0.3, n)
table = pd.DataFrame({"title": titles})
table.head()

# %%
# The model
# ---------
# ``text`` is the only role. There is no time, so the last fifth of the rows is the test
# set.

from sklearn.ensemble import ExtraTreesRegressor

from hyperfusion import CatBoostHuberRegressor, make_hyperfusion, spearman_score

train, test = slice(0, 800), slice(800, None)
model = make_hyperfusion(
    text=["title"],
    text_encoder=False,
    members=[
        ("catboost", CatBoostHuberRegressor(iterations=300)),
        ("trees", ExtraTreesRegressor(60, min_samples_leaf=3)),
    ],
    cv=3,
    random_state=0,
)
model.fit(table[train], y[train])
score = spearman_score(y[test], model.predict(table[test]))
print(f"rank correlation: {score:.2f}")

# %%
# Back to words
# -------------
# A feature such as ``text__title_tfidf__3`` combines many terms. Its encoder names the
# terms with the largest weights. By default terms have two to four characters, which
# also finds words inside hashtags.

from hyperfusion import feature_importance

tfidf = next(c.encoder for c in model[0].components_ if c.name == "tfidf")
names = [f"text__title_tfidf__{i}" for i in range(tfidf.n_components_)]
terms = dict(zip(names, tfidf.component_terms(n_terms=4), strict=True))
important = feature_importance(model)[["feature", "importance"]].head(6).round(1)
important["terms"] = important["feature"].map(terms).fillna("")
print(important.to_string(index=False))

# %%
# Predicted and true values
# -------------------------

from hyperfusion import PredictionIntervalDisplay

PredictionIntervalDisplay.from_estimator(model, table[test], y[test])
