"""A table of posts, a model of them, and a picture, for tests of odd inputs."""

import io

import numpy as np
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from hyperfusion import (
    NumericTable,
    make_hyperfusion,
    make_posts,
)

POSTS = make_posts(40, random_state=0)
X, Y = POSTS.data, np.asarray(POSTS.target, dtype=float)
READ = ["caption", "user", "posted_at", "category", "n_photos", "latitude", "longitude"]
TABLE = X[READ].assign(latitude=X["latitude"].fillna(1), longitude=2.0)
MEMBERS = [("ridge", make_pipeline(NumericTable(impute=True), Ridge(100)))]


def pipeline(**changes):
    roles = {
        "text": "caption",
        "user": "user",
        "time": "posted_at",
        "categorical": "category",
        "numeric": "n_photos",
        "latitude": "latitude",
        "longitude": "longitude",
    }
    rest = {"image_encoder": False, "text_encoder": False, "cv": 2, "random_state": 0}
    return make_hyperfusion(**roles | rest | {"members": MEMBERS} | changes)


def picture(width=9, height=7):
    content = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(content, "PNG")
    return content.getvalue()
