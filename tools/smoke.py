"""Use an installed package like a new user. Run it outside of the checkout."""

import sys
from importlib.metadata import metadata
from pathlib import Path

import hyperfusion
from hyperfusion._version import DISTRIBUTION

assert Path(hyperfusion.__file__).is_relative_to(sys.prefix), hyperfusion.__file__
assert metadata(DISTRIBUTION)["Version"] == hyperfusion.__version__

posts = hyperfusion.make_posts(300, random_state=0, image_size=32)
train, test = hyperfusion.time_split(posts.data["posted_at"], test_size=0.3)
model = hyperfusion.make_hyperfusion(
    **posts.roles,
    image_encoder="hyperfusion-tiny",
    text_encoder="hyperfusion-tiny",
    preset="fast",
    cv=3,
    random_state=0,
)
model.fit(posts.data.iloc[train], posts.target[train])
predicted = model.predict(posts.data.iloc[test])
score = hyperfusion.spearman_score(posts.target[test], predicted)
assert score > 0.2, score
print(f"{DISTRIBUTION} {hyperfusion.__version__}: rank correlation {score:.2f}")
