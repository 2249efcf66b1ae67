"""CLIP models in memory, loaded once per process and shared by all encoders."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hyperfusion.encoders.cache._cache import MEMORY
from hyperfusion.encoders.clip._weights import ClipSource, weights_digest
from hyperfusion.exceptions import (
    BadFileError,
    InvalidInputError,
    MissingDependencyError,
    WeightsNotFoundError,
)

ENCODING_VERSION = 1
"""Part of every fingerprint; increase it if the same input gives other numbers."""

MAX_MODELS = 3
RANDOM_SEED = 0

_MODELS: OrderedDict[str, ClipModel] = OrderedDict()
_LOCK = threading.Lock()


@dataclass
class ClipModel:
    """A loaded CLIP of open_clip, shared by encoders of different preprocessing."""

    source: ClipSource
    network: Any
    device: str
    precision: str
    short_images: bool | None = None
    short_texts: bool | None = None
    lock: Any = field(default_factory=threading.RLock)

    @cached_property
    def tokenizer(self) -> Any:
        return _make_tokenizer(self.source)

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        import torch

        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.precision)
        kind = torch.device(self.device).type
        with (
            torch.inference_mode(),
            torch.autocast(kind, dtype=half, enabled=half is not None),
        ):
            yield

    def to_numpy(self, vectors: Any) -> np.ndarray:
        """Return embeddings as float32; raise if numbers overflowed."""
        values = vectors.float().cpu().numpy()
        if not np.isfinite(values).all():
            raise InvalidInputError(
                f"{self.source.name} gave numbers that are not finite with "
                f"precision={self.precision!r} on {self.device}. Use precision='fp32'."
            )
        return values


def load_model(source: ClipSource, device: str, precision: str) -> ClipModel:
    """Return the model of a source; the same request gets the same object.

    If there are more than `MAX_MODELS`, the least recently used ones are released.
    """
    key = _identity(source, {"device": device, "precision": precision})
    with _LOCK:
        if key not in _MODELS:
            network = _build(source).to(device)
            if (device, precision) == ("cpu", "fp32"):
                from hyperfusion.encoders.clip._towers import pack_blocks

                pack_blocks(network)
            _MODELS[key] = ClipModel(source, network, device, precision)
        _MODELS.move_to_end(key)
        while len(_MODELS) > MAX_MODELS:
            _MODELS.popitem(last=False)
        return _MODELS[key]


def clear_model_cache() -> None:
    """Release all CLIP models and embeddings in memory.

    An encoder that is used afterwards loads its model again. Nothing on disk changes.

    Examples
    --------
    >>> from hyperfusion.encoders import clear_model_cache
    >>> clear_model_cache()
    """
    MEMORY.clear()
    with _LOCK:
        _MODELS.clear()


def fingerprint(source: ClipSource, tower: str, precision: str, **more: Any) -> str:
    """Return a hash of everything that the embeddings of a tower depend on."""
    import open_clip

    parts = {"tower": tower, "precision": precision, **more}
    parts["version"] = [ENCODING_VERSION, open_clip.__version__]
    if tower == "image":
        parts["preprocess"] = source.preprocess
    return _identity(source, parts)


def space_of(source: ClipSource) -> str:
    """Return a name for the space of both towers of a model."""
    return f"{Path(source.name).name}|{_identity(source, {})[:16]}"


def _identity(source: ClipSource, parts: dict[str, Any]) -> str:
    if source.weights:
        weights = weights_digest(source.weights)
    else:
        import torch

        weights = f"random {RANDOM_SEED} {torch.__version__}"
    name = source.name if source.registered else ""
    whole = {"name": name, "config": source.config, "weights": weights, **parts}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


class BatchRunner:
    """Runs a model over batches, and halves them if memory runs out."""

    def __init__(self, size: int):
        self.size = size

    def run(
        self, encode: Callable[[Sequence[Any]], np.ndarray], items: Sequence[Any]
    ) -> np.ndarray:
        import torch

        parts: list[np.ndarray] = []
        start = 0
        while start < len(items):
            some = items[start : start + self.size]
            try:
                parts.append(encode(some))
            except (RuntimeError, MemoryError) as error:
                memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
                # on a CPU torch raises a plain RuntimeError, worded by the system
                memory = memory or "DefaultCPUAllocator" in str(error)
                if not memory or len(some) == 1:
                    raise
            else:
                start += len(some)
                continue
            # outside the handler, which would keep the tensors of the batch alive
            self.size = len(some) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return np.concatenate(parts)


def _build(source: ClipSource) -> Any:
    from open_clip import CLIP, CoCa, CustomTextCLIP
    from open_clip.factory import load_checkpoint

    config = copy.deepcopy(source.config)
    foreign_text = "hf_model_name" in config["text_cfg"]
    if foreign_text:
        config["text_cfg"]["hf_model_pretrained"] = False
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    own_text = config.pop("custom_text", False) or foreign_text
    kind = CustomTextCLIP if own_text else CLIP
    if "multimodal_cfg" in config:
        kind = CoCa
    with _untouched_globals():
        with _made(source, "text model"):
            network = kind(**config)
        path = str(source.weights)
        try:
            if source.weights is not None:
                # weights_only: torch's files are pickles, and these can run any code
                load_checkpoint(network, path, strict=True, weights_only=True)
        except Exception as error:
            reason = str(error).strip().splitlines()
            if isinstance(error, pickle.UnpicklingError):  # torch says: read it anyway
                reason = ["it holds more than tensors, which could run code"]
            raise BadFileError(
                f"{path} can't be loaded as the weights of {source.name} "
                f"({type(error).__name__}: {' '.join(reason[:3])[:400]}). It must be a "
                "safetensors file, or a torch checkpoint that only holds tensors, with "
                "weights for this architecture."
            ) from error
    return network.eval().requires_grad_(False)


@contextlib.contextmanager
def _untouched_globals() -> Iterator[None]:
    """Keep torch's random state and the root logger as they are."""
    import torch

    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(RANDOM_SEED)
            yield
    finally:
        root.removeHandler(handler)


def _make_tokenizer(source: ClipSource) -> Any:
    import open_clip

    text = source.config["text_cfg"]
    name = text.get("hf_tokenizer_name")
    with _made(source, "tokenizer"):
        if source.registered:
            return open_clip.get_tokenizer(source.name)
        settings = {"context_length": text.get("context_length", 77)}
        settings |= text.get("tokenizer_kwargs") or {}
        if not name:
            return open_clip.SimpleTokenizer(**settings)
        beside = source.weights and source.weights.parent
        if beside and (beside / "tokenizer_config.json").is_file():
            name = str(beside)
        # the description may come from a stranger
        settings["trust_remote_code"] = False
        return open_clip.tokenizer.HFTokenizer(name, **settings)


@contextlib.contextmanager
def _made(source: ClipSource, part: str) -> Iterator[None]:
    """Explain what is missing or wrong if open_clip can't make a part of a model."""
    try:
        yield
    except OSError as error:
        raise WeightsNotFoundError(
            f"The {part} of {source.name} comes from Hugging Face; its files are not "
            f"on this machine and could not be downloaded: {error}"
        ) from error
    # torch and open_clip raise almost anything at a description that makes no sense
    except Exception as error:
        missing = isinstance(error, (ImportError, RuntimeError))
        if missing and "transformers" in str(error):
            raise MissingDependencyError(
                f"The {part} of {source.name} needs the package transformers: "
                "pip install transformers"
            ) from error
        if source.registered:
            raise
        raise BadFileError(
            f"open_clip can't build the model that {source.name} describes "
            f"({type(error).__name__}: {str(error)[:400]})."
        ) from error
