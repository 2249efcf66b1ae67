"""The tiny CLIP: open_clip loads its two files, and its vectors mean something."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

import hyperfusion.encoders
from hyperfusion.datasets import make_posts

FOLDER = Path(hyperfusion.encoders.__file__).parent / "clip" / "tiny_clip"


@pytest.fixture(scope="module")
def tiny():
    """Model, preprocessing and tokenizer, made by open_clip's own classes."""
    settings = json.loads((FOLDER / "open_clip_config.json").read_text())
    model = open_clip.CLIP(**settings["model_cfg"])
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    size = settings["model_cfg"]["vision_cfg"]["image_size"]
    preprocess = PreprocessCfg(size=size, **settings["preprocess_cfg"])
    tokenizer = SimpleTokenizer(
        context_length=settings["model_cfg"]["text_cfg"]["context_length"]
    )
    return model.eval(), image_transform_v2(preprocess, is_train=False), tokenizer


@torch.no_grad()
def of_images(tiny, images):
    model, preprocess, _ = tiny
    batch = torch.stack([preprocess(image) for image in images])
    return model.encode_image(batch, normalize=True).numpy()


@torch.no_grad()
def of_texts(tiny, texts):
    model, _, tokenizer = tiny
    return model.encode_text(tokenizer(list(texts)), normalize=True).numpy()


def true_posts(seed, n_posts, **options):
    """Posts with picture and tags whose caption is true of the picture."""
    posts = make_posts(n_posts, random_state=seed, **options)
    whole = posts.data[["image", "caption", "tags"]].notna().all(axis=1).to_numpy()
    return posts.data[whole & (posts.match == 1)]


def found(tiny, posts):
    """How often a picture finds its own caption among 100."""
    posts = posts.iloc[: len(posts) // 100 * 100]
    images = of_images(tiny, posts["image"]).reshape(-1, 100, 64)
    texts = of_texts(tiny, posts["caption"]).reshape(-1, 100, 64)
    nearest = (images @ texts.transpose(0, 2, 1)).argmax(axis=2)
    return (nearest == np.arange(100)).mean()


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_picture_finds_its_own_caption_among_100(tiny, seed):
    posts = true_posts(seed, 500)
    assert len(posts) >= 300
    assert found(tiny, posts) >= 0.8


def test_pictures_of_other_sizes_and_files(tiny, tmp_path):
    large = true_posts(2, 300, image_size=160)
    assert found(tiny, large) >= 0.8
    files = true_posts(3, 300, folder=tmp_path)
    opened = files.assign(image=[Image.open(p) for p in files["image"]])
    assert found(tiny, opened) >= 0.8


def test_similarity_tells_true_captions_from_others(tiny):
    posts = make_posts(600, random_state=4)
    whole = posts.data[["image", "caption"]].notna().all(axis=1).to_numpy()
    images = of_images(tiny, posts.data["image"][whole])
    texts = of_texts(tiny, posts.data["caption"][whole])
    similarity = (images * texts).sum(axis=1)
    match = posts.match[whole]
    clear = (match == 1) | (match < 0.5)
    assert roc_auc_score(match[clear] == 1, similarity[clear]) > 0.95


def test_similarity_tells_a_posts_own_tags_from_others(tiny):
    posts = true_posts(5, 400)
    images, tags = of_images(tiny, posts["image"]), of_texts(tiny, posts["tags"])
    own = (images * tags).sum(axis=1)
    others = (images * np.roll(tags, 1, axis=0)).sum(axis=1)
    truth = np.repeat([1, 0], len(own))
    assert roc_auc_score(truth, np.concatenate([own, others])) > 0.75


def test_any_text_and_any_picture(tiny):
    texts = ["", "un été à Paris \u2600", "word " * 500, "漢字かな交じり文"]
    assert np.isfinite(of_texts(tiny, texts)).all()
    images = [Image.new(mode, (7, 300)) for mode in ("L", "RGBA", "CMYK")]
    assert np.isfinite(of_images(tiny, images)).all()


def test_description_is_what_the_script_trains():
    path = Path(__file__).parents[2] / "tools" / "train_tiny_clip.py"
    if not path.exists():
        pytest.skip("the script is not part of this copy")
    script = runpy.run_path(str(path))
    settings = json.loads((FOLDER / "open_clip_config.json").read_text())
    assert settings["model_cfg"] == script["MODEL"]
    assert settings["preprocess_cfg"] == script["PREPROCESS"]


def test_files_are_small_and_complete():
    assert (FOLDER / "model.safetensors").stat().st_size < 5_000_000
    assert {t.dtype for t in load_file(FOLDER / "model.safetensors").values()} <= {
        torch.float16,
        torch.int64,
    }
    preprocess = json.loads((FOLDER / "open_clip_config.json").read_text())[
        "preprocess_cfg"
    ]
    assert {"mean", "std", "interpolation", "resize_mode"} <= set(preprocess)
