"""
Your own embeddings
===================

You already have a vector for each image, text or user. Name its column in ``vectors=``;
it reaches the models in the same way as the vectors of the built-in encoders.
"""

# %%
# A table with a column of vectors
# --------------------------------
# The cells are arrays or lists. Here they come from the small CLIP model of the
# package; in your project they come from a model of your choice.

from hyperfusion import ClipImageEncoder, make_posts

posts = make_posts(800, random_state=6)
vectors = ClipImageEncoder("hyperfusion-tiny").fit_transform(posts.data["image"])
table = posts.data[["user", "followers", "posted_at"]].assign(
    picture_embedding=list(vectors)
)
print(table["picture_embedding"].iloc[0].shape, table["picture_embedding"].dtype)

# %%
# Name the block
# --------------
# The key says what the vector describes: image, text, tags, user, time, geo, meta or
# place. Empty cells count as missing vectors. Several columns of numbers also make a
# vector: ``vectors={"user": ["u0", "u1", "u2"]}``.

from hyperfusion import make_hyperfusion, spearman_score, time_split

train, test = time_split(table["posted_at"], test_size=0.25)
y = posts.target


def score(**roles):
    """Return the rank correlation on later posts."""
    model = make_hyperfusion(
        user="user",
        user_numeric=["followers"],
        time="posted_at",
        **roles,
        preset="fast",
        cv=3,
        random_state=0,
    )
    model.fit(table.iloc[train], y[train])
    return model, spearman_score(y[test], model.predict(table.iloc[test]))


_, without = score()
model, with_vectors = score(vectors={"image": "picture_embedding"})
print(f"without the vectors: {without:.3f}")
print(f"with the vectors:    {with_vectors:.3f}")

# %%
# In the feature table
# --------------------
# `describe_table` shows the features that the regressors read.

from hyperfusion import describe_table

features = model[:-1].transform(table.iloc[test])
describe_table(features)

# %%
# How much the model needs them
# -----------------------------
# Shuffle one block of features at a time: how much does the score on later posts drop?

from hyperfusion import ImportanceDisplay

ImportanceDisplay.from_estimator(model, table.iloc[test], y[test], random_state=0)
