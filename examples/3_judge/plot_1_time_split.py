"""
Random folds or later posts?
============================

The same model gets different scores on different splits. The score that you will see in
use depends on the posts to come: more posts from the same weeks, posts by new users, or
later posts.
"""

# %%
# A model
# -------

from sklearn.ensemble import ExtraTreesRegressor

from hyperfusion import evaluate, make_hyperfusion, make_posts

posts = make_posts(900, random_state=9)
model = make_hyperfusion(
    user="user",
    user_numeric=["followers"],
    time="posted_at",
    text=["caption"],
    categorical=["category"],
    text_encoder=False,
    members=[("trees", ExtraTreesRegressor(60, min_samples_leaf=3, max_features=0.4))],
    cv=3,
    random_state=0,
)

# %%
# Three splits side by side
# -------------------------
# `evaluate` finds users and times in the roles. The intervals come from resampling
# users, each with all of their posts.

result = evaluate(model, posts.data, posts.target, n_bootstrap=200, random_state=0)
scores = result.scores.query("metric == 'src' and users == 'all'")
for row in scores.itertuples():
    print(f"{row.split:<7} SRC {row.score:.3f} ({row.low:.3f} to {row.high:.3f})")

# %%
# The intervals are wide and overlap, so these 900 posts do not show which split is
# harder. On the real posts of :doc:`/user_guide/evaluation`, later ones are. Trust the
# score of the split that is like your use.

# %%
# Known and new users
# -------------------
# ``within_user_src`` is the rank correlation among the posts of the same user. It shows
# how well the model predicts what a user can change.

by_users = result.scores.pivot_table(
    index=["split", "users"], columns="metric", values="score", sort=False
)
sizes = result.scores.query("metric == 'mae'").set_index(["split", "users"])
print(by_users.round(3).assign(posts=sizes["n_posts"]).to_string())

# %%
# The split by user has the largest error (``mae``), because its test users are new to
# the model. Rows with few posts mean nothing, such as new users in the random split.

# %%
# Columns that know the answer
# ----------------------------
# No split can reveal a column that was measured after the posts. `check_leaks` finds
# such columns if they predict too well to be true.

import numpy as np

from hyperfusion import check_leaks

table = posts.data.assign(views=np.exp(posts.target).round())
findings = check_leaks(table, posts.target, users="user", times="posted_at")
print(findings[["column", "finding", "evidence"]].to_string(index=False))

# %%
# The scores as a picture
# -----------------------

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for place, row in enumerate(scores.itertuples()):
    ax.plot([row.low, row.high], [place] * 2, color="#56B4E9", lw=6)
    ax.plot(row.score, place, "o", color="#0072B2")
ax.set_yticks(range(len(scores)), scores["split"])
ax.margins(y=0.2)
ax.invert_yaxis()
ax.set(xlabel="Rank correlation, with a 95% interval")
plt.show()
