"""Patch and word tokens of a CLIP model: what its towers hold before they pool."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from hyperfusion.encoders.clip._models import ClipModel
from hyperfusion.encoders.clip._weights import ClipSource
from hyperfusion.exceptions import InvalidInputError


def token_width(source: ClipSource, tower: str) -> int:
    """Return the length of one token of a tower.

    Raises
    ------
    InvalidInputError
        If the tower comes from another library and its tokens can't be read.
    """
    config = source.config[f"{'vision' if tower == 'image' else 'text'}_cfg"]
    foreign = {"timm_model_name", "hf_model_name"} & config.keys()
    if foreign or config.get("attentional_pool"):
        raise InvalidInputError(
            f"tokens can't be read from the {tower} tower of {source.name}, which is "
            "none of open_clip's own: use tokens=None or another model."
        )
    if tower == "text":
        return int(config.get("width", 512))
    width = int(config.get("width", 768))
    return 32 * width if _is_resnet(config) else width


def grid_side(source: ClipSource) -> int:
    """Return how many rows (or columns, if fewer) of patches a tower cuts images to."""
    config = source.config["vision_cfg"]
    patch = 32 if _is_resnet(config) else config.get("patch_size", 16)
    return int(np.min(config.get("image_size", 224))) // int(patch)


def _is_resnet(config: dict[str, Any]) -> bool:
    return isinstance(config.get("layers"), (list, tuple))


def image_tokens(model: ClipModel, batch: Any, side: int) -> np.ndarray:
    """Return embeddings of images, followed by `side` x `side` tokens each.

    The patches' vectors, as the tower's last normalization leaves them, are averaged
    over the cells of a coarser grid; with as many cells as patches they are exact.
    """
    import torch
    from open_clip.modified_resnet import ModifiedResNet

    tower = model.network.visual
    with model.inference():
        if isinstance(tower, ModifiedResNet):
            grid = tower.stem(batch)
            for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
                grid = layer(grid)
            pooled = tower.attnpool(grid)
        else:
            pooled, tokens = _whole(tower)(batch)
            rows, columns = tower.grid_size
            grid = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        cells = torch.nn.functional.adaptive_avg_pool2d(grid.float(), side)
        flat = cells.flatten(2).transpose(1, 2).flatten(1)
        return model.to_numpy(torch.cat([pooled.float(), flat], dim=1))


def _whole(tower: Any) -> Any:
    """Return a tower that puts out its tokens; it shares all weights with `tower`.

    The shared one may have a last block that computes the class token only.
    """
    from open_clip.transformer import VisionTransformer
    from torch import nn

    if not isinstance(tower, VisionTransformer) or tower.pool_type == "none":
        raise InvalidInputError(
            f"tokens can't be read from an image tower of type "
            f"{type(tower).__name__}: use tokens=None or another model."
        )
    whole, transformer = _shallow(tower), _shallow(tower.transformer)
    *blocks, last = tower.transformer.resblocks
    transformer.resblocks = nn.ModuleList([*blocks, getattr(last, "block", last)])
    whole.transformer = transformer
    whole.output_tokens = True
    return whole


def _shallow(module: Any) -> Any:
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def word_tokens(
    model: ClipModel, tokens: Sequence[Sequence[int]], n: int
) -> np.ndarray:
    """Return embeddings of tokenized texts, followed by `n` tokens each.

    The vectors of the words and of the text's end, as the tower's last normalization
    leaves them, are averaged over `n` parts of equal length; parts of a text with
    fewer words overlap. The sign of a text's begin, which is the same in all, counts
    for nothing.
    """
    import torch

    from hyperfusion.encoders.clip._towers import causal_tower, pad, project

    tower = causal_tower(model.network)
    if tower is None:
        raise InvalidInputError(
            f"tokens can't be read from the text tower of {model.source.name}, which "
            "is not causal: use tokens=None or another model."
        )
    padded = pad(tokens, max(map(len, tokens)))
    # the end of a text is the token with the highest number
    ends = padded.argmax(axis=1)
    with model.inference():
        batch = torch.from_numpy(padded).to(model.device)
        kind = tower.transformer.get_cast_dtype()
        x = tower.token_embedding(batch).to(kind)
        x = x + tower.positional_embedding[: x.shape[1]].to(kind)
        mask = tower.attn_mask[: x.shape[1], : x.shape[1]]
        for block in tower.transformer.resblocks:
            x = block(x, attn_mask=mask)
        x = tower.ln_final(x)
        pooled = project(tower, x[torch.arange(len(x)), torch.from_numpy(ends)])
        weights = torch.from_numpy(_parts(ends, n, x.shape[1])).to(x.device)
        flat = (weights @ x.float()).flatten(1)
        return model.to_numpy(torch.cat([pooled.float(), flat], dim=1))


def _parts(ends: np.ndarray, n: int, length: int) -> np.ndarray:
    """Return weights that average the positions from 1 to the end over `n` parts."""
    weights = np.zeros((len(ends), n, length), dtype=np.float32)
    for row, words in enumerate(ends):
        for part in range(n):
            start, stop = part * words // n, -(-(part + 1) * words // n)
            weights[row, part, 1 + start : 1 + stop] = 1 / (stop - start)
    return weights
