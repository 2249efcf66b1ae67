"""
Intervals, and when they fail
=============================

A 90% interval should contain the true value of 90% of posts. It does for posts like the
training posts. This example checks later posts and looks for what has changed.
"""

# %%
# A model and later posts
# -----------------------

from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

from hyperfusion import make_hyperfusion, make_posts, predict_interval, time_split

posts = make_posts(1200, random_state=10)
train, test = time_split(posts.data["posted_at"], test_size=0.3)
earlier, later = posts.data.iloc[train], posts.data.iloc[test]
y, y_later = posts.target[train], posts.target[test]
model = make_hyperfusion(
    user="user",
    user_numeric=["followers"],
    time="posted_at",
    numeric=["n_photos"],
    categorical=["category"],
    members=[
        ("boosting", HistGradientBoostingRegressor(max_iter=60)),
        ("trees", ExtraTreesRegressor(60, min_samples_leaf=5)),
    ],
    random_state=0,
).fit(earlier, y)
print(predict_interval(model, later, coverage=0.9).head().round(2).to_string())

# %%
# Do they hold?
# -------------
# Chance alone keeps the coverage between ``low`` and ``high``. A group outside of them
# has drifted.

from hyperfusion import coverage_report

quarter = later["posted_at"].dt.to_period("Q")
report = coverage_report(model, later, y_later, coverage=0.9, by={"quarter": quarter})
print(report[["n", "coverage", "low", "high", "drift"]].round(3).to_string())

# %%
# What has changed?
# -----------------
# Trees try to distinguish earlier posts from later ones. An AUC of 0.5 means that they
# cannot, an AUC of 1 that they always can. No labels are needed, so this works on the
# day the posts come in. The last table shows which columns changed most.

from hyperfusion import drift_report

shifted = later.assign(n_photos=later["n_photos"] + 2)
for name, table in {"later posts": later, "more photos than before": shifted}.items():
    drift = drift_report(
        model, earlier, table, exclude=["time", "user"], random_state=0
    )
    print(f"{name}: AUC {drift.auc:.2f}")
print(drift.columns.head(3).to_string())

# %%
# Each post with its interval
# ---------------------------

from hyperfusion import PredictionIntervalDisplay

PredictionIntervalDisplay.from_estimator(model, later, y_later)
