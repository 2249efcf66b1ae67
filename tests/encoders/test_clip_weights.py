"""Where weights come from: tags, files, folders; what is said where there are none."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from numpy.testing import assert_allclose
from open_clip import factory
from safetensors.torch import load_file, save_file

from hyperfusion.encoders import ClipImageEncoder, ClipTextEncoder, clear_model_cache
from hyperfusion.encoders.clip import _models as _clip_models
from hyperfusion.encoders.clip import _weights as _clip_weights
from hyperfusion.encoders.clip._models import fingerprint, load_model
from hyperfusion.encoders.clip._weights import find_source
from hyperfusion.exceptions import (
    BadFileError,
    DeviceWarning,
    InvalidInputError,
    MissingDependencyError,
    WeightsNotFoundError,
)
from tests.encoders.clip_reference import (
    CONFIG,
    PREPROCESS,
    SMALL_CLIP,
    make_network,
    open_clip_texts,
    write_model,
)

TEXTS = ["a dog at the sea", "red bicycle"]
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture
def folder(network, tmp_path):
    return write_model(tmp_path / "model", network)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """No weights of this machine and no network: as on a machine that never had any."""
    monkeypatch.setenv("HYPERFUSION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(
        _clip_weights, "_unreachable", lambda known: "the network can't be reached"
    )


@pytest.fixture
def architecture(monkeypatch):
    """Make the small architecture known to open_clip, without any tags."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, "Small-Test", CONFIG)
    return "Small-Test"


def give_tags(monkeypatch, tags):
    from open_clip import pretrained

    monkeypatch.setitem(pretrained._PRETRAINED, "Small-Test", tags)


def embed(**params):
    clear_model_cache()
    return ClipTextEncoder(**params).fit_transform(TEXTS)


def test_a_folder_with_a_model(folder, network):
    expected = open_clip_texts(network, TEXTS)
    assert_allclose(embed(model_name=folder), expected, atol=1e-5)
    assert_allclose(embed(model_name=f"local-dir:{folder}"), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.bin", "nested.pt"])
def test_a_checkpoint_file(folder, network, architecture, tmp_path, name):
    path = tmp_path / name
    state = load_file(folder / "open_clip_model.safetensors")
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif name.startswith("nested"):  # as open_clip's training writes it
        nested = {f"module.{k}": v for k, v in state.items()}
        torch.save({"epoch": 3, "state_dict": nested}, path)
    else:
        torch.save(state, path)
    found = embed(model_name=architecture, pretrained=path)
    assert_allclose(found, open_clip_texts(network, TEXTS), atol=1e-5)


class Bomb:
    def __reduce__(self):
        return (print, ("code in a checkpoint was run",))


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x, protocol=2))]
)
def test_code_in_a_checkpoint_is_refused(architecture, tmp_path, capsys, write):
    path = tmp_path / "bomb.pt"
    write({"state_dict": {"logit_scale": Bomb()}}, path)
    with pytest.raises(BadFileError, match=r"bomb\.pt can't be loaded") as error:
        embed(model_name=architecture, pretrained=str(path))
    # torch advises to read it anyway, which would run the code
    for unsafe in ("weights_only", "safe_globals", "trust"):
        assert unsafe not in str(error.value)
    assert "was run" not in capsys.readouterr().out


def test_a_checkpoint_of_another_architecture(architecture, tmp_path, monkeypatch):
    other = {**CONFIG, "embed_dim": 16}
    folder = write_model(tmp_path / "other", make_network(config=other), other)
    with pytest.raises(BadFileError, match=r"(?s)can't be loaded.*architecture"):
        embed(
            model_name=architecture, pretrained=folder / "open_clip_model.safetensors"
        )


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_a_truncated_checkpoint(folder, keep):
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadFileError, match="can't be loaded"):
        embed(model_name=folder)


def test_random_weights_only_when_asked_for_by_name(architecture):
    with pytest.raises(InvalidInputError, match=r"pretrained must be given .*'random'"):
        embed(model_name=architecture)
    embed(model_name=architecture, pretrained="random")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model_name": "ViT-B-33"}, r"not an architecture .*ViT-B-32"),
        ({"pretrained": "laion3b"}, r"neither a tag of ViT-B-32 \(\['openai'"),
        ({"pretrained": "no/such.pt"}, "there is no such file"),
        ({"model_name": "tests"}, "has no open_clip_config.json"),
        ({"model_name": SMALL_CLIP}, "holds no weights"),
    ],
)
def test_names_that_lead_nowhere(params, message, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(ValueError, match=message):
        ClipImageEncoder(**params).fit([None])


def test_the_default_is_real_clip_and_the_message_says_how_to_get_it(tmp_path):
    start = time.monotonic()
    with pytest.raises(WeightsNotFoundError) as caught:
        ClipImageEncoder().fit([None])
    message = str(caught.value)
    for part in (
        "'laion2b_s34b_b79k' of ViT-B-32",
        "open_clip_model.safetensors",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        str(tmp_path / "weights" / "ViT-B-32.laion2b_s34b_b79k.safetensors"),
        "pretrained='path",
        "hyperfusion-tiny",
    ):
        assert part in message
    assert time.monotonic() - start < 2


def test_the_network_is_tried_once_and_briefly(monkeypatch):
    monkeypatch.undo()  # the real check, against an address that does not answer
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    known = open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k")
    start = time.monotonic()
    assert "can't be reached" in _clip_weights._unreachable(known)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in _clip_weights._unreachable(known)
    assert time.monotonic() - start < 5


def test_a_failed_download_ends_in_the_same_message(monkeypatch):
    def fail(known):
        raise FileNotFoundError("gone")

    monkeypatch.setattr(_clip_weights, "_unreachable", lambda known: None)
    monkeypatch.setattr("open_clip.pretrained.download_pretrained", fail)
    with pytest.raises(WeightsNotFoundError, match=r"could not be downloaded \(gone\)"):
        ClipTextEncoder().fit([None])


def test_weights_of_a_tag_that_were_brought_by_hand(
    folder, network, architecture, monkeypatch, tmp_path
):
    settings = {"mean": (0.1, 0.2, 0.3), "resize_mode": "squash", "quick_gelu": True}
    give_tags(monkeypatch, {"good": {"hf_hub": "someone/small/", **settings}})
    place = tmp_path / "weights" / "Small-Test.good.safetensors"
    place.parent.mkdir()
    shutil.copy(folder / "open_clip_model.safetensors", place)
    source = find_source(architecture, "good")
    assert source.weights == place
    # the tag says how images are prepared and which activation it was trained with
    assert source.preprocess["mean"] == (0.1, 0.2, 0.3)
    assert source.preprocess["resize_mode"] == "squash"
    assert source.config["quick_gelu"] is True
    quick = make_network(config={**CONFIG, "quick_gelu": True})
    quick.load_state_dict(network.state_dict())
    found = embed(model_name=architecture, pretrained="good")
    assert_allclose(found, open_clip_texts(quick, TEXTS), atol=1e-5)


def test_weights_that_were_downloaded_before_need_no_network(
    folder, architecture, monkeypatch, tmp_path
):
    monkeypatch.undo()
    monkeypatch.setitem(factory._MODEL_CONFIGS, architecture, CONFIG)
    give_tags(monkeypatch, {"good": {"hf_hub": "someone/small/"}})
    snapshot = tmp_path / "models--someone--small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    shutil.copy(folder / "open_clip_model.safetensors", snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    def forbidden(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("urllib.request.urlopen", forbidden)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", forbidden)
    source = find_source(architecture, "good")
    assert source.weights == snapshot / "open_clip_model.safetensors"


def test_a_checkpoint_is_preprocessed_like_all_weights_of_its_architecture(
    folder, architecture, monkeypatch, tmp_path
):
    path = tmp_path / "plain.safetensors"
    shutil.copy(folder / "open_clip_model.safetensors", path)
    one = {"mean": (0.0, 0.0, 0.0), "interpolation": "bilinear"}
    give_tags(monkeypatch, {"a": one, "b": dict(one)})
    assert find_source(architecture, str(path)).preprocess["mean"] == (0, 0, 0)
    give_tags(monkeypatch, {"a": one, "b": {"mean": OPENAI_MEAN}})
    with pytest.raises(
        InvalidInputError, match=r"differ in \['interpolation', 'mean'\]"
    ):
        find_source(architecture, str(path))
    # texts don't care how images are prepared
    embed(model_name=architecture, pretrained=path)


def test_a_description_beside_the_checkpoint_is_believed(
    folder, architecture, monkeypatch
):
    give_tags(monkeypatch, {"a": {"mean": (0, 0, 0)}, "b": {"mean": OPENAI_MEAN}})
    description = {
        "model_cfg": {**CONFIG, "quick_gelu": True},
        "preprocess_cfg": PREPROCESS,
    }
    (folder / "open_clip_config.json").write_text(json.dumps(description))
    path = str(folder / "open_clip_model.safetensors")
    source = find_source(architecture, path)
    assert source.preprocess["mean"] == PREPROCESS["mean"]
    assert source.config["quick_gelu"] is True


def test_fingerprints_tell_models_apart(folder, tmp_path):
    base = find_source(str(folder), None)
    other_weights = write_model(tmp_path / "b", make_network(seed=2))
    prints = {
        "base": fingerprint(base, "image", "fp32"),
        "tower": fingerprint(base, "text", "fp32"),
        "precision": fingerprint(base, "image", "bf16"),
        "weights": fingerprint(find_source(str(other_weights), None), "image", "fp32"),
        "random": fingerprint(find_source(str(folder), "random"), "image", "fp32"),
        "preprocess": fingerprint(replace(base, preprocess={}), "image", "fp32"),
    }
    assert len(set(prints.values())) == len(prints)
    copied = write_model(tmp_path / "c", make_network())
    same = fingerprint(find_source(str(copied), None), "image", "fp32")
    assert same == prints["base"]
    text = find_source(str(folder), None, tower="text")
    assert fingerprint(text, "text", "fp32") == prints["tower"]


def test_a_replaced_file_is_another_model(folder):
    before = embed(model_name=folder)
    encoder = ClipTextEncoder(folder).fit(TEXTS)
    first = find_source(str(folder), None)
    old = fingerprint(first, "text", "fp32")
    write_model(folder, make_network(seed=7))
    assert fingerprint(first, "text", "fp32") != old
    assert np.abs(encoder.transform(TEXTS) - before).max() > 0.01


def test_few_models_are_kept(folder, tmp_path):
    clear_model_cache()
    folders = [write_model(tmp_path / str(i), make_network(seed=i)) for i in range(5)]
    models = [load_model(find_source(str(f), None), "cpu", "fp32") for f in folders]
    assert list(_clip_models._MODELS.values()) == models[-_clip_models.MAX_MODELS :]
    again = load_model(find_source(str(folders[-1]), None), "cpu", "fp32")
    assert again is models[-1]
    clear_model_cache()
    assert not _clip_models._MODELS


def test_a_device_that_is_not_there(monkeypatch):
    """An error at fit, before a file is read; a fitted encoder goes on."""
    encoder = ClipTextEncoder(SMALL_CLIP, pretrained="random").fit(TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(ClipTextEncoder, "_source", lambda self: 1 / 0)
        for kind in (ClipTextEncoder, ClipImageEncoder):
            for device, message in [
                ("cuda", "'cuda' is not available"),
                ("cuda:7", "'cuda:7' is not available"),
                ("toaster", "device must be"),
            ]:
                broken = kind(SMALL_CLIP, pretrained="random", device=device)
                with pytest.raises(InvalidInputError, match=message):
                    broken.fit_transform([None])
                with pytest.raises(InvalidInputError, match=message):
                    broken.fit([None])
    expected = encoder.transform(TEXTS)
    encoder.device = "cuda"
    with pytest.warns(DeviceWarning, match="predicts on the CPU"):
        found = pickle.loads(pickle.dumps(encoder)).transform(TEXTS)
    assert_allclose(found, expected)


def test_which_vectors_can_be_compared_is_declared(folder, tmp_path):
    spaces = set()
    other = write_model(tmp_path / "other" / "model", make_network(seed=2))
    copied = write_model(tmp_path / "copied" / "model", make_network())
    for name in (folder, other):
        image = ClipImageEncoder(name).fit([None])
        text = ClipTextEncoder(name, normalize=False, precision="bf16").fit(TEXTS)
        assert image.spaces_ == text.spaces_
        spaces.add(image.spaces_["clip"])
    assert len(spaces) == 2
    assert ClipTextEncoder(copied).fit(TEXTS).spaces_["clip"] in spaces


def test_a_description_can_not_have_a_tokenizer_run_code(folder, tmp_path):
    pytest.importorskip("transformers", reason="needs transformers")
    run = tmp_path / "run"
    text = {
        **CONFIG["text_cfg"],
        "hf_tokenizer_name": "someone/tokenizer",
        "tokenizer_kwargs": {"trust_remote_code": True},
    }
    description = {"model_cfg": {**CONFIG, "text_cfg": text}}
    (folder / "open_clip_config.json").write_text(json.dumps(description))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
    )
    (folder / "evil.py").write_text(
        f"open({str(run)!r}, 'w').close()\n"
        "from transformers import PreTrainedTokenizer\n"
        "class Evil(PreTrainedTokenizer):\n    pass\n"
    )
    with pytest.raises(BadFileError, match="contains custom code"):
        ClipTextEncoder(folder).fit_transform(TEXTS)
    assert not run.exists()


GOOD = {"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[" * 100_000,
        "[1, 2]",
        '{"model_cfg": "large"}',
        '{"model_cfg": {"embed_dim": 32}}',
        b"\xff\xfe{}",
        {**GOOD, "model_cfg": {**CONFIG, "embed_dim": "32"}},
        {**GOOD, "model_cfg": {**CONFIG, "embed_dim": 10**12}},
        {**GOOD, "model_cfg": {**CONFIG, "vision_cfg": []}},
        {**GOOD, "model_cfg": {**CONFIG, "vision_cfg": {"image_size": None}}},
        {**GOOD, "model_cfg": {**CONFIG, "text_cfg": {"layers": "two"}}},
        {**GOOD, "model_cfg": {**CONFIG, "text_cfg": {"no_such_setting": 1}}},
        {**GOOD, "preprocess_cfg": [1]},
        {**GOOD, "preprocess_cfg": {"mean": "gray"}},
        {**GOOD, "preprocess_cfg": {"mean": [1, [2], 3]}},
        {**GOOD, "preprocess_cfg": {"std": [0.1, 0, 0.1]}},
        {**GOOD, "preprocess_cfg": {"interpolation": {}}},
        {**GOOD, "preprocess_cfg": {"resize_mode": "stretch"}},
    ],
)
def test_a_broken_description_is_named(folder, content):
    path = folder / "open_clip_config.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadFileError, match=str(folder)):
        ClipImageEncoder(folder).fit_transform(np.zeros((1, 9, 9, 3), np.uint8))


@pytest.mark.parametrize("name", ["roberta-ViT-B-32", "ViT-B-16-SigLIP"])
def test_models_with_parts_of_transformers_say_so(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr("open_clip.hf_model.transformers", None)
    source = find_source(name, "random")
    make = _clip_models._build if "roberta" in name else _clip_models._make_tokenizer
    with pytest.raises(MissingDependencyError, match="pip install transformers"):
        make(source)


def test_loading_leaves_the_root_logger_alone():
    import logging

    clear_model_cache()
    root = logging.getLogger()
    before = list(root.handlers), root.level
    embed(model_name=SMALL_CLIP, pretrained="random")
    assert (list(root.handlers), root.level) == before


def test_every_architecture_of_open_clip_is_described():
    """The settings of an architecture are known without a file or a network."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in open_clip.list_models():
            source = find_source(name, "random")
            assert source.width > 0
            assert source.preprocess["mean"]
