"""
Nothing but texts
=================

A table with one column of texts and a number to predict. No weights are needed: words
are counted, and components of these counts are the features.
"""

# %%
# The texts
# ---------
# Captions of synthetic posts, and their popularity.

from hyperfusion import make_posts

posts = make_posts(1500, random_state=7)
table, y = posts.data[["caption"]], posts.target
table.head()

# %%
# The model
# ---------
# ``text`` is the only role. There is no time, so the last fifth of the rows is the test
# set.

from hyperfusion import make_hyperfusion, spearman_score

train, test = slice(0, 1200), slice(1200, None)
model = make_hyperfusion(
    text=["caption"], text_encoder=False, members="fast", cv=3, random_state=0
)
model.fit(table[train], y[train])
print(f"rank correlation: {spearman_score(y[test], model.predict(table[test])):.3f}")

# %%
# Texts are a part of these scores only. This is how well someone would do who knew what
# the texts really contribute:

known = posts.contributions["text"].to_numpy()[test]
print(f"at best from the texts: {spearman_score(y[test], known):.3f}")

# %%
# Back to words
# -------------
# A feature such as ``text__caption_tfidf__3`` is a component of many terms. Its encoder
# names those that weigh most. By default terms are two to four characters, which also
# finds words inside hashtags.

from hyperfusion import feature_importance

tfidf = next(c.encoder for c in model[0].components_ if c.name == "tfidf")
terms = tfidf.component_terms(n_terms=4)
important = feature_importance(model, n_top=8)[["feature", "importance"]].round(1)
print(important.to_string(index=False))
print("\nterms of the first components:", *terms[:4], sep="\n  ")

# %%
# Predicted and true popularity
# -----------------------------

from hyperfusion import PredictionIntervalDisplay

PredictionIntervalDisplay.from_estimator(model, table[test], y[test])
