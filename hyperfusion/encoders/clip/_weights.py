"""The architecture, preprocessing and weights of CLIP models.

This only reads descriptions and finds files, so that an encoder whose embeddings are
all cached needs no model.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hyperfusion.exceptions import BadFileError, InvalidInputError, WeightsNotFoundError

TINY = "hyperfusion-tiny"
TINY_FOLDER = Path(__file__).parent / "tiny_clip"
RANDOM = "random"
DEFAULT_TAGS = {"ViT-B-32": "laion2b_s34b_b79k"}
WEIGHTS_VARIABLE = "HYPERFUSION_WEIGHTS"
WEIGHTS_FOLDER = Path("~/.cache/hyperfusion/weights")
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".npz")
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
DESCRIPTION = "open_clip_config.json"
CHOICES = {
    "interpolation": ("bicubic", "bilinear", "random"),
    "resize_mode": ("shortest", "longest", "squash"),
}
LARGEST_SIZE = 2**16
PROBE_SECONDS = 5


@dataclass(frozen=True)
class ClipSource:
    """A CLIP model before its weights are loaded."""

    name: str
    config: dict[str, Any]  # open_clip's description of the architecture
    preprocess: dict[str, Any]  # of images; empty for texts
    weights: Path | None  # None for random ones
    registered: bool = False  # whether open_clip knows the architecture by its name

    @property
    def width(self) -> int:
        return int(self.config["embed_dim"])


def find_source(
    model_name: str, pretrained: str | None, *, tower: str = "image"
) -> ClipSource:
    """Find the architecture, the preprocessing and the weights that parameters name."""
    if model_name == TINY:
        folder = TINY_FOLDER
    else:
        folder = Path(model_name.removeprefix("local-dir:")).expanduser()
    if folder.is_dir() or model_name.startswith("local-dir:"):
        source = _from_folder(model_name, folder, pretrained)
    else:
        source = _from_registry(model_name, pretrained)
    if tower == "text":
        return replace(source, preprocess={})
    unclear = [k for k, v in source.preprocess.items() if v is None]
    if unclear:
        raise InvalidInputError(
            f"The published weights of {source.name} differ in {sorted(unclear)}, so "
            f"the file {source.weights} needs a description: put its {DESCRIPTION} in "
            "the same folder."
        )
    return source


def weights_digest(path: Path) -> str:
    """Return a hash of a file of weights; a known file is not read again."""
    status = path.stat()
    return _file_digest(str(path.resolve()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _file_digest(path: str, _size: int, _modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_folder(model_name: str, folder: Path, pretrained: str | None) -> ClipSource:
    description = _read_description(folder)
    if description is None:
        raise InvalidInputError(
            f"model_name={model_name!r}: the folder has no {DESCRIPTION} of a model."
        )
    config, preprocess = description
    weights = None
    if pretrained is None:
        files = [f for f in sorted(folder.iterdir()) if f.suffix in SUFFIXES]
        # a repository may hold the same weights in the form of other libraries, too
        files.sort(key=lambda f: (SUFFIXES.index(f.suffix), "open_clip" not in f.name))
        if not files:
            raise WeightsNotFoundError(
                f"{folder} holds no weights (a file ending in one of {SUFFIXES})."
            )
        weights = files[0]
    elif pretrained != RANDOM:
        weights = _checkpoint(pretrained)
    return ClipSource(model_name, config, {**_defaults(config), **preprocess}, weights)


def _from_registry(model_name: str, pretrained: str | None) -> ClipSource:
    import open_clip
    from open_clip.factory import get_model_config

    name = model_name.replace("/", "-")
    config = get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(
            name, [TINY, *open_clip.list_models()], n=3, cutoff=0.4
        )
        raise InvalidInputError(
            f"model_name={model_name!r} is not an architecture of open_clip, "
            f"{TINY!r}, or a folder with a model (such as a downloaded repository). "
            f"Close to it are {close}."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    tag = pretrained if pretrained is not None else DEFAULT_TAGS.get(name)
    if tag is None:
        raise InvalidInputError(
            f"pretrained must be given for model_name={model_name!r}: one of {tags}, "
            f"the path of a checkpoint file, or {RANDOM!r} for random weights."
        )
    if tag == RANDOM:
        return ClipSource(name, config, _defaults(config), None, True)
    settings: dict[str, Any] = {}
    if known := open_clip.get_pretrained_cfg(name, tag):
        # the weights of some tags need an activation that the architecture's plain
        # description lacks; open_clip only warns of it
        if known.get("quick_gelu"):
            config["quick_gelu"] = True
        settings = {**_defaults(config), **_preprocess_of(known)}
        return ClipSource(name, config, settings, _tag_file(name, tag, known), True)
    is_path = Path(tag).suffix in SUFFIXES or os.sep in tag or Path(tag).is_file()
    if not is_path:
        raise InvalidInputError(
            f"pretrained={tag!r} is neither a tag of {name} ({tags}), nor the path of "
            f"a checkpoint file, nor {RANDOM!r}."
        )
    path = _checkpoint(tag)
    if beside := _read_description(path.parent):
        config["quick_gelu"] = beside[0].get("quick_gelu", False)
        settings = beside[1]
    else:  # what all published weights share, None where they differ
        published = [open_clip.get_pretrained_cfg(name, known) for known in tags]
        cases = [_preprocess_of(one) for one in published]
        for key in dict.fromkeys(key for case in cases for key in case):
            values = [case.get(key) for case in cases]
            same = all(value == values[0] for value in values)
            settings[key] = values[0] if same else None
    return ClipSource(name, config, {**_defaults(config), **settings}, path, True)


def _checkpoint(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise WeightsNotFoundError(f"pretrained={text!r}: there is no such file.")
    return path


def _read_description(folder: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    path = folder / DESCRIPTION
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        config = content["model_cfg"]
        settings = _preprocess_of(content.get("preprocess_cfg", {}))
        _check_description(config, settings)
    except Exception as error:  # a stranger's file can raise almost anything
        raise BadFileError(
            f"{path} describes no model of open_clip: {error!r:.200}"
        ) from error
    return config, settings


def _check_description(config: dict[str, Any], settings: dict[str, Any]) -> None:
    size = config["vision_cfg"].get("image_size", 224)
    sides = size if isinstance(size, list) and len(size) == 2 else [size]
    config["text_cfg"].get("context_length")
    for value in (config["embed_dim"], *sides):
        if type(value) is not int or not 0 < value <= LARGEST_SIZE:
            raise ValueError("'embed_dim' and 'image_size' must be whole numbers")
    for name, value in settings.items():
        if name in CHOICES:
            right = value in CHOICES[name]
        else:
            numbers = np.asarray(value, dtype=float)
            right = numbers.shape == (() if name == "fill_color" else (3,))
            right &= bool(np.isfinite(numbers).all())
            right &= name != "std" or bool(numbers.all())
        if not right:
            raise ValueError(f"{name} can't be {value!r:.80}")


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    from open_clip.transform import PreprocessCfg

    size = config["vision_cfg"].get("image_size", 224)
    return {**asdict(PreprocessCfg()), "size": size}


def _preprocess_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can differ between weights."""
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    return {k: settings[k] for k in keys if settings.get(k) is not None}


def _tag_file(name: str, tag: str, known: Mapping[str, Any]) -> Path:
    """Find the weights of a tag on this machine, or download them."""
    from huggingface_hub import try_to_load_from_cache
    from open_clip.pretrained import download_pretrained

    own = Path(os.environ.get(WEIGHTS_VARIABLE, WEIGHTS_FOLDER)).expanduser()
    files = [own / f"{name}.{tag}{suffix}" for suffix in SUFFIXES]
    repository, _, hub_file = str(known.get("hf_hub", "")).rpartition("/")
    names = [hub_file] if hub_file else list(HUB_FILES)
    names = [str(Path(n).with_suffix(".safetensors")) for n in names] + names
    for hub_name in names if repository else []:  # earlier downloads
        found = try_to_load_from_cache(repository, hub_name)
        files += [Path(found)] if isinstance(found, str) else []
    if known.get("url"):
        files.append(Path("~/.cache/clip").expanduser() / Path(known["url"]).name)
    for file in files:
        if file.is_file():
            return file
    reason = _unreachable(known)
    if reason is None:
        try:
            return Path(download_pretrained(dict(known)))
        except Exception as error:
            reason = str(error)
    what = known.get("url", "its file")
    if repository:
        what = f"{names[0]} of the Hugging Face repository {repository}"
    place = own / f"{name}.{tag}{Path(what.split()[0]).suffix}"
    raise WeightsNotFoundError(
        f"The weights {tag!r} of {name} are not on this machine and could not be "
        f"downloaded ({reason}). On a machine with a network, get {what}. Then save it "
        f"here as {place} (the environment variable {WEIGHTS_VARIABLE} names "
        "another folder), or pass pretrained='path/of/the/file'. To do without CLIP, "
        "give make_hyperfusion or PostEncoder image_encoder=False or "
        f"text_encoder=False; to try CLIP out, use model_name={TINY!r}, a small model "
        "in the package."
    )


def _unreachable(known: Mapping[str, Any]) -> str | None:
    """Return why a download can't work, within seconds instead of long retries."""
    from huggingface_hub import constants

    if known.get("hf_hub") and constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = constants.ENDPOINT if known.get("hf_hub") else known.get("url", "")
    try:
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
            return None
    except urllib.error.HTTPError:
        return None  # it answered
    except (OSError, ValueError) as error:
        return f"the network can't be reached: {error}"
