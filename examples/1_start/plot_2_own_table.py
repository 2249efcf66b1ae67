"""
A table of your own
===================

You have a CSV file and a column to predict. `guess_roles` suggests what the other
columns are, you correct it, and `make_hyperfusion` builds the model.
"""

# %%
# The table
# ---------
# Bicycles for sale, made up here and written to a file. The task is to predict the
# price.

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 900
kinds = {"city bike": 250, "road bike": 600, "e-bike": 1400, "kids bike": 90}
kind = rng.choice(list(kinds), n)
condition = rng.choice(["like new", "good", "worn"], n, p=[0.3, 0.5, 0.2])
extras = rng.choice(["", "with basket", "with new tires", "for spare parts"], n)
seller = rng.integers(0, 60, n)
price = (
    np.array([kinds[k] for k in kind])
    * np.select([condition == "like new", condition == "good"], [1.2, 0.9], 0.55)
    * np.where(extras == "for spare parts", 0.4, 1.0)
    * np.exp(0.25 * rng.normal(size=60))[seller]
    * np.exp(0.15 * rng.normal(size=n))
)
file = Path(tempfile.mkdtemp()) / "bikes.csv"
pd.DataFrame(
    {
        "listing_id": rng.permutation(10_000)[:n],
        "title": [
            f"{c} {k} {e}".strip()
            for c, k, e in zip(condition, kind, extras, strict=True)
        ],
        "seller": [f"shop {i}" for i in seller],
        "listed_on": pd.date_range("2024-01-01", periods=n, freq="9h"),
        "frame_cm": rng.integers(44, 64, n),
        "views": rng.poisson(price / 10),
        "delivery": rng.choice(["pickup", "parcel"], n),
        "price": price.round(),
    }
).to_csv(file, index=False)

# %%
# Which column is what?
# ---------------------
# The guess comes with a reason for each column. It leaves the views out: they grow
# after the bicycle is listed, so nobody knows them on that day.

from hyperfusion import guess_roles

table = pd.read_csv(file)
guess = guess_roles(table, target="price")
print(guess)

# %%
# Fit and score
# -------------
# Prices are skewed, so the model learns their logarithm. It learns from the earlier
# listings and is scored on the later ones. Without ``text_encoder=False`` the titles
# would also go through CLIP, whose weights would be downloaded.

from sklearn.metrics import mean_absolute_error

from hyperfusion import make_hyperfusion, time_split

train, test = time_split(pd.to_datetime(table["listed_on"]), test_size=0.25)
model = make_hyperfusion(
    **guess.roles, text_encoder=False, preset="fast", cv=3, random_state=0
)
model.fit(table.iloc[train], np.log1p(table["price"].iloc[train]))
predicted = np.expm1(model.predict(table.iloc[test]))

true = table["price"].iloc[test]
always = np.full(len(true), table["price"].iloc[train].median())
print(f"error of the model:  {mean_absolute_error(true, predicted):.0f} euros")
print(f"error of the median: {mean_absolute_error(true, always):.0f} euros")

# %%
# What did it use?
# ----------------

from hyperfusion import ImportanceDisplay

ImportanceDisplay.from_estimator(
    model, table.iloc[test], np.log1p(true), random_state=0
)
