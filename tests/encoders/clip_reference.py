"""A small CLIP with random weights, and what open_clip itself makes of cells."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 32,
        "layers": 2,
        "width": 64,
        "head_width": 32,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}
SMALL_CLIP = str(Path(__file__).parent / "small_clip")


def make_network(seed=1, config=CONFIG, kind="CLIP"):
    import open_clip

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(open_clip, kind)(**copy.deepcopy(config)).eval()


def write_model(folder, network, config=CONFIG, preprocess=PREPROCESS):
    """Write a folder that `model_name` can name."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    description = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(description))
    state = {k: v.contiguous() for k, v in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def open_clip_images(network, images, preprocess=PREPROCESS, size=32, normalize=True):
    """Embeddings of PIL images by the plain way: one tensor an image, one batch."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    settings = PreprocessCfg(size=size, **preprocess)
    transform = image_transform_v2(settings, is_train=False)
    with torch.inference_mode():
        batch = torch.stack([transform(image) for image in images])
        return network.encode_image(batch, normalize=normalize).numpy()


@cache
def open_clip_tokenizer():
    """open_clip's tokenizer, which reads 49,000 words."""
    import open_clip

    return open_clip.SimpleTokenizer(context_length=77)


def open_clip_texts(network, texts, normalize=True):
    """Embeddings of texts by open_clip's `encode_text`, at full context."""
    tokens = open_clip_tokenizer()(list(texts))
    with torch.inference_mode():
        return network.encode_text(tokens, normalize=normalize).numpy()


def pictures(n, seed=0):
    """Smooth RGB pictures of different shapes, as arrays."""
    from PIL import Image

    rng = np.random.RandomState(seed)
    found = []
    for _ in range(n):
        coarse = Image.fromarray(rng.randint(0, 256, (5, 4, 3)).astype(np.uint8))
        size = tuple(int(v) for v in rng.randint(20, 90, size=2))
        found.append(np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)))
    return found


class CallCounter:
    """Counts the items that reach a function of the encoders' modules."""

    def __init__(self, function):
        self._function = function
        self.sizes = []

    def __call__(self, model, items, *more):
        self.sizes.append(len(items))
        return self._function(model, items, *more)

    @property
    def items(self):
        return sum(self.sizes)
