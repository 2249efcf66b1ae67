"""
One page for others
===================

`make_report` writes one HTML file: scores, intervals, calibration, members, importances
and the posts with the largest errors. It needs no server and no other file.
"""

# %%
# A fitted model
# --------------

import tempfile
from pathlib import Path

from hyperfusion import make_hyperfusion, make_posts, make_report, time_split

posts = make_posts(600, random_state=11)
train, test = time_split(posts.data["posted_at"], test_size=0.25)
model = make_hyperfusion(
    image="image",
    text=["caption"],
    tags="tags",
    user="user",
    user_numeric=["followers"],
    time="posted_at",
    image_encoder=False,
    text_encoder=False,
    preset="fast",
    cv=3,
    random_state=0,
).fit(posts.data.iloc[train], posts.target[train])

# %%
# The report
# ----------
# Give it later posts. The page warns if they look like the training posts.

report = make_report(
    model,
    posts.data.iloc[test],
    posts.target[test],
    target_name="popularity (log2 of views)",
    title="Popularity of later posts",
    n_worst=6,
)
path = Path(tempfile.mkdtemp()) / "report.html"
report.save(path)
print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB, no other file needed")
report

# %%
# One picture at a time
# ---------------------
# Each picture of the page is also a Display class, to draw in a notebook or a figure.

from hyperfusion import DistributionDisplay

DistributionDisplay.from_estimator(model, posts.data.iloc[test], posts.target[test])
