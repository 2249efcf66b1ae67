"""What the benchmarks of the CLIP encoders share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from hyperfusion.encoders._clip_models import _build
from hyperfusion.encoders._clip_weights import find_source

MODEL = {"model_name": "ViT-B-32", "pretrained": "random"}


def plain_network(device: str) -> Any:
    """ViT-B-32 as open_clip makes it, with the weights that `MODEL` stands for."""
    return _build(find_source("ViT-B-32", "random")).to(device)


def best(*actions: Callable[[], Any], runs: int = 3) -> list[float]:
    """Seconds of each action, the best of some runs in turn."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for action, seconds in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in times]


def describe_machine() -> str:
    """Return a line on what the benchmark runs on; give it a free machine."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"
