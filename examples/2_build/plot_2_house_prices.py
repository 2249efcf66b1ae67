"""
One transformer in another project
==================================

Your project already has a scikit-learn pipeline, and its table has a column of pictures
that the regressor cannot read. Add one line: each encoder of this package works alone.
"""

# %%
# The project
# -----------
# A gradient boosting model predicts house prices from area, age and district. Each
# house also has a photo. These photos are drawn: a bright facade means that the house
# was renovated, and the green below it is the garden.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

rng = np.random.default_rng(0)
n = 600


def draw(renovated, garden, floors):
    """Draw a house."""
    picture = Image.new("RGB", (64, 64), (120, 160, 220))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 64 - int(30 * garden), 64, 64), fill=(40, 140, 50))
    facade = int(90 + 150 * renovated)
    pen.rectangle((16, 44 - 9 * floors, 48, 52), fill=(facade, facade, facade - 20))
    for floor in range(floors):
        for x in (20, 30, 40):
            pen.rectangle((x, 40 - 9 * floor, x + 4, 45 - 9 * floor), fill=(30, 30, 60))
    return picture


renovated, garden = rng.random(n), rng.random(n)
floors = rng.integers(1, 4, n)
houses = pd.DataFrame(
    {
        "area": rng.normal(120, 30, n).clip(40).round(),
        "age": rng.integers(0, 90, n),
        "district": rng.choice(["north", "east", "south", "west"], n),
        "photo": list(map(draw, renovated, garden, floors)),
    }
)
price = (
    2.5 * houses["area"]
    - 0.8 * houses["age"]
    + 40 * (houses["district"] == "west")
    + 90 * renovated
    + 60 * garden
    + rng.normal(0, 15, n)
)

figure, axes = plt.subplots(1, 5, figsize=(8, 2), layout="constrained")
for ax, photo, value in zip(axes, houses["photo"], price, strict=False):
    ax.imshow(photo)
    ax.set_title(f"{value:.0f} thousand", fontsize=9)
    ax.set_axis_off()

# %%
# One more line
# -------------
# `ImageStatistics` measures light, colors, sharpness and shape, and needs no pretrained
# weights. Use `ClipImageEncoder` in its place to read what a photo shows.

from hyperfusion import ImageStatistics

plain = [
    (OneHotEncoder(sparse_output=False), ["district"]),
    ("passthrough", ["area", "age"]),
]


def project(*further):
    """Return the pipeline of the project, with further columns read."""
    columns = make_column_transformer(*plain, *further)
    return make_pipeline(columns, HistGradientBoostingRegressor(random_state=0))


candidates = {
    "as it was": project(),
    "with photos": project((ImageStatistics(), "photo")),
}

# %%
# Is it worth it?
# ---------------
# scikit-learn's cross-validation answers. Compare the errors fold by fold.

errors = pd.DataFrame(
    {
        name: -cross_validate(
            candidate,
            houses,
            price,
            cv=KFold(5, shuffle=True, random_state=0),
            scoring="neg_mean_absolute_error",
        )["test_score"]
        for name, candidate in candidates.items()
    }
)
for name, error in errors.mean().items():
    print(f"mean absolute error, {name}: {error:.1f} thousand")
print(errors.round(1).to_string())

# %%
# The features have names
# -----------------------

encoder = ImageStatistics().set_output(transform="pandas")
encoder.fit_transform(houses["photo"].head()).T.round(2).head(8)

# sphinx_gallery_thumbnail_number = 1
