"""
Predict new posts, save the model
=================================

A fitted model predicts new posts, even if cells are missing or the user is new. The
model is saved to a file that holds no code.
"""

# %%
# A fitted model
# --------------

import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from hyperfusion import (
    load_model,
    make_hyperfusion,
    make_posts,
    predict_interval,
    save_model,
)
from hyperfusion.exceptions import BadCellWarning

posts = make_posts(500, random_state=8)
model = make_hyperfusion(
    image="image",
    text=["caption"],
    user="user",
    user_numeric=["followers"],
    time="posted_at",
    image_encoder="hyperfusion-tiny",
    text_encoder="hyperfusion-tiny",
    preset="fast",
    cv=3,
    random_state=0,
).fit(posts.data, posts.target)

# %%
# New posts
# ---------
# They need the columns of the roles, nothing else. The first post is by a known user.
# The second is by a new user and has no image. The third names an image file that does
# not exist, and has no caption.

new = pd.DataFrame(
    {
        "image": [posts.data["image"].dropna().iloc[0], None, "no/such/file.jpg"],
        "caption": ["sunset at the sea", "my new bicycle", None],
        "user": [posts.data["user"].iloc[0], "somebody new", "somebody new"],
        "followers": [posts.data["followers"].iloc[0], 120, None],
        "posted_at": pd.to_datetime(["2024-05-01 18:00"] * 3),
    },
    index=["known user", "new user", "bad cells"],
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", BadCellWarning)
    interval = predict_interval(model, new, coverage=0.9)
print(f"warned: {caught[0].message}")
print(interval.round(2).to_string())

# %%
# Save and load
# -------------
# The file holds what the model learned, but no code and no CLIP weights. The loaded
# model makes the same predictions.

path = Path(tempfile.mkdtemp()) / "model.skops"
save_model(model, path)
loaded = load_model(path)
same = (loaded.predict(posts.data[:50]) == model.predict(posts.data[:50])).all()
print(f"{path.stat().st_size / 1e6:.1f} MB; the same predictions: {same}")

# %%
# The three predictions, with their intervals
# -------------------------------------------

figure, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.hlines(interval.index, interval["lower"], interval["upper"], color="#56B4E9", lw=5)
ax.plot(interval["prediction"], interval.index, "o", color="#0072B2")
ax.margins(y=0.2)
ax.invert_yaxis()
ax.set(xlabel="Predicted popularity, with an interval for 90% of posts")
plt.show()
