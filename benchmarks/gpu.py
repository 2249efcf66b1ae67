"""Measure what a GPU gains, and check that its results equal the CPU's.

Run: python benchmarks/gpu.py [--quick]         needs an NVIDIA GPU; under 8 minutes
     python benchmarks/gpu.py --cpu [--quick]   what works without one

Only needs this folder and the package: the CLIP is a ViT-B-32 with random
weights, read from a file as real ones are, and pictures, texts and posts are made here.
Prints tables as the guide shows them, and exits with status 1 if a check fails.

Speeds are compared with two limits of any implementation: files that Pillow decodes and
resizes in as many threads, without anything else, and the towers of open_clip with
tensors that are already on the device.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import torch
from clip_common import (
    decode,
    lowest_cosine,
    make_jpegs,
    make_texts,
    print_table,
    save_clip,
    seconds_of,
    tower_speed,
)
from sklearn.base import clone
from sklearn.metrics import r2_score

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipHierarchicalRegressor,
    ClipImageEncoder,
    ClipTextEncoder,
    CoAttentionRegressor,
    TabNetHuberRegressor,
    clear_model_cache,
    spearman_score,
)
from hyperfusion.exceptions import DeviceWarning

ARCHITECTURE = "ViT-B-32"
CLIP, RELOADED = "clip", "reloaded.json"
THREADS = min(8, os.cpu_count() or 1)
SPARE_BYTES = 2**30
EPOCHS = 40

# what counts as the same
SCORES_APART = 0.03  # by which a score on the GPU may be below the CPU's
RELOADED_APART = {"network": 1e-4, "catboost": 1e-9}  # in the target's spread
COSINES = {"fp16": 0.999, "bf16": 0.99, "reloaded": 0.9999, "halved": 0.99999}


@dataclass
class Run:
    """The sizes of a run, and what it found."""

    device: str
    n_pictures: int
    n_texts: int
    n_rows: int
    quick: bool
    folder: Path
    fitted: dict[str, Any] = field(default_factory=dict)
    checks: list[list[str]] = field(default_factory=list)

    @property
    def threads(self) -> int:
        """Threads of the members on the CPU."""
        return 1 if self.quick else THREADS

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions whose speed is measured: half is no faster on a CPU."""
        return ("fp16", "fp32") if self.device == "cuda" else ("fp32",)

    def check(self, what: str, passed: bool, found: str) -> None:
        """Note and print whether something is as it should be."""
        self.checks.append([what, "yes" if passed else "NO", " ".join(found.split())])
        print(f"{'ok    ' if passed else 'FAILED'} {what}: {found}", flush=True)

    def encoder(self, kind: Any = ClipImageEncoder, **params: Any) -> Any:
        """Make an encoder for the saved CLIP."""
        params = {"device": self.device, "precision": "fp32"} | params
        return kind(str(self.folder / CLIP), **params)


def attempt(run: Run, name: str, part: Callable[[Run], None]) -> None:
    """Run a part of it; an error is a failed check, and the rest goes on."""
    print(f"--- {name}", flush=True)
    started = time.perf_counter()
    try:
        part(run)
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        run.check(name, False, f"{type(error).__name__}: {error}"[:300])
    print(f"--- {name}: {time.perf_counter() - started:.0f} s\n", flush=True)


# --- the encoders


def tower_limits(
    run: Run, network: Any, arrays: list[np.ndarray], texts: list[str]
) -> dict[str, float]:
    network = network.to(run.device)
    tokens = open_clip.get_tokenizer(ARCHITECTURE)(texts[:2048]).to(run.device)
    pixels = torch.from_numpy(np.stack(arrays[:2048])).to(run.device)
    pixels = pixels.permute(0, 3, 1, 2).float().div(255).sub(0.45).div(0.27)
    limits = {}
    for precision in run.precisions:
        half = precision == "fp16"
        speed = tower_speed(network.encode_image, pixels.split(256), run.device, half)
        limits[f"the image tower alone, {precision}"] = speed
        speed = tower_speed(network.encode_text, tokens.split(512), run.device, half)
        limits[f"the text tower alone at full context, {precision}"] = speed
    return limits


def encoder_speeds(run: Run) -> None:
    """Print pictures and texts a second, against decoding and the towers alone."""
    network = save_clip(run.folder / CLIP, small=run.quick)
    files, texts = make_jpegs(run.n_pictures), make_texts(run.n_texts)
    with ThreadPoolExecutor(THREADS) as pool:
        seconds, arrays = seconds_of(lambda: list(pool.map(decode, files)))
    for i, array in enumerate(arrays):
        array[0, 0] = np.frombuffer(i.to_bytes(3, "big"), np.uint8)  # no two are equal
    decoding = f"decoding alone, {THREADS} threads"
    limits = {decoding: run.n_pictures / seconds}
    limits |= tower_limits(run, network, arrays, texts)
    rows = [[name, f"{speed:,.0f}", ""] for name, speed in limits.items()]
    draft = {"jpeg_draft": True}
    image, text = "the image tower alone", "the text tower alone at full context"
    for name, kind, cells, params, limit in (
        ("JPEG files", ClipImageEncoder, files, {}, decoding),
        ("JPEG files, jpeg_draft=True", ClipImageEncoder, files, draft, decoding),
        ("decoded arrays", ClipImageEncoder, arrays, {}, image),
        ("texts", ClipTextEncoder, texts, {}, text),
    ):
        for precision in run.precisions:
            encoder = run.encoder(kind, precision=precision, **params)
            encoder.fit_transform(cells[:8])  # loads the model
            if kind is ClipTextEncoder:
                # words that a long run has met are not split anew
                run.encoder(kind, cache=run.folder / "words").fit_transform(cells)
            seconds, _ = seconds_of(lambda e=encoder, c=cells: e.transform(c))
            speed = len(cells) / seconds
            against = limits.get(limit) or limits[f"{limit}, {precision}"]
            share = f"{speed / against:.2f} of {limit}"
            rows.append([f"{name}, {precision}", f"{speed:,.0f}", share])
            print(" | ".join(rows[-1]), flush=True)
    title = f"{run.n_pictures:,} pictures of 640 x 480 and {run.n_texts:,} texts"
    print_table(title, ["What", "A second", "Against the limit"], rows)
    compare_precisions(run, arrays[:1024], texts[:2048])


def compare_precisions(
    run: Run, arrays: Sequence[np.ndarray], texts: Sequence[str]
) -> None:
    rows = []
    precisions = ("fp16", "bf16") if run.device == "cuda" else ("bf16",)
    for name, kind, cells in (
        ("pictures", ClipImageEncoder, arrays),
        ("texts", ClipTextEncoder, texts),
    ):
        exact = run.encoder(kind).fit_transform(cells)
        for precision in precisions:
            half = run.encoder(kind, precision=precision).fit_transform(cells)
            difference, cosine = np.abs(half - exact).max(), lowest_cosine(half, exact)
            rows.append([f"{name}, {precision}", f"{difference:.1e}", f"{cosine:.6f}"])
            run.check(
                f"{name} in {precision} are those in fp32",
                cosine >= COSINES[precision],
                f"lowest cosine {cosine:.6f}",
            )
    header = ["Against fp32", "Largest difference", "Lowest cosine"]
    print_table("Vectors of length 1 in half precision", header, rows)


def batches_halve(run: Run) -> None:
    """Encode as one batch what does not fit into the memory."""
    if run.device == "cpu":
        print("Needs a GPU.")
        return
    clear_model_cache()
    rng = np.random.default_rng(0)
    shape = (1024 if run.quick else 3072, 224, 224, 3)
    pictures = list(rng.integers(0, 256, shape, dtype=np.uint8))
    expected = run.encoder(cache=run.folder / "small").fit_transform(pictures)
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info()[1]
    allowed = torch.cuda.memory_reserved() + SPARE_BYTES
    before = torch.cuda.memory_stats().get("num_ooms", 0)
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        encoder = run.encoder(batch_size=len(pictures), cache=run.folder / "large")
        found = encoder.fit_transform(pictures)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    cosine = lowest_cosine(expected, found)
    times = torch.cuda.memory_stats().get("num_ooms", 0) - before
    run.check(
        f"a batch of {len(pictures):,} halves itself in 1 GiB",
        times > 0 and cosine >= COSINES["halved"],
        f"memory refused {times} times, lowest cosine {cosine:.6f}",
    )


# --- the members


def make_posts(n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Make a feature table of two vectors, numbers and categories, and a target."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 6))
    parts = {}
    for stem in ("image__clip", "text__title_clip"):
        mixed = hidden @ rng.normal(size=(6, 64)) + rng.normal(size=(n, 64))
        parts |= {f"{stem}__{i}": mixed[:, i].astype(np.float32) for i in range(64)}
    numbers = rng.normal(size=(n, 8)).astype(np.float32)
    parts |= {f"meta__n_{i}": numbers[:, i] for i in range(8)}
    users, kinds = rng.integers(300, size=n), rng.integers(8, size=n)
    parts["user__user"] = pd.Categorical(users.astype(str))
    parts["meta__kind"] = pd.Categorical(kinds.astype(str))
    y = 0.5 * hidden.sum(axis=1) + np.abs(numbers[:, 0]) + numbers[:, 1] * (kinds > 3)
    y += rng.normal(size=300)[users] + 0.5 * rng.normal(size=n)
    return pd.DataFrame(parts), y


def make_members(run: Run) -> dict[str, Any]:
    epochs = {"max_iter": 3 if run.quick else EPOCHS, "n_threads": run.threads}
    members = [
        CoAttentionRegressor(random_state=0, **epochs),
        ClipHierarchicalRegressor(random_state=0, **epochs),
        TabNetHuberRegressor(random_state=0, **epochs),
        CatBoostHuberRegressor(
            iterations=50 if run.quick else 1000, n_threads=run.threads, random_state=0
        ),
    ]
    return {type(member).__name__: member for member in members}


def members_agree(run: Run) -> None:
    """Fit the members on both devices, and keep those of the GPU."""
    X, y = make_posts(run.n_rows + run.n_rows // 4)
    new, truth = X[run.n_rows :], y[run.n_rows :]
    X, y = X[: run.n_rows], y[: run.n_rows]
    rows = []
    for name, member in make_members(run).items():
        clone(member).set_params(device=run.device).fit(X[:64], y[:64])  # wakes it
        numbers = []
        for device in ("cpu", run.device):
            model = clone(member).set_params(device=device)
            seconds, _ = seconds_of(lambda m=model: m.fit(X, y))
            predicted = model.predict(new)
            scores = r2_score(truth, predicted), spearman_score(truth, predicted)
            numbers.append((seconds, *scores, model.n_iter_))
        run.fitted[name] = model
        rows.append([name])
        for cpu, gpu, form in zip(*numbers, (".1f", ".3f", ".3f", ""), strict=True):
            rows[-1].append(f"{cpu:{form}} / {gpu:{form}}")
        print(" | ".join(rows[-1]), flush=True)
        if run.quick:  # a few epochs leave networks near chance: nothing to compare
            continue
        (_, *cpu, _), (_, *gpu, _) = numbers
        run.check(
            f"{name} reaches the CPU's scores",
            bool(np.all(np.subtract(cpu, gpu) <= SCORES_APART)),
            f"R2 {cpu[0]:.3f} / {gpu[0]:.3f}, SRC {cpu[1]:.3f} / {gpu[1]:.3f}",
        )
    header = ["CPU / GPU", "Seconds to fit", "R2", "SRC", "Epochs or trees"]
    title = f"{run.n_rows:,} rows x {X.shape[1]} features, CPU threads: {run.threads}"
    print_table(title, header, rows)


# --- between machines


def models_reload(run: Run) -> None:
    """Load what was fitted here in a process that sees no GPU, and predict there."""
    cells = {"ClipImageEncoder": [decode(file) for file in make_jpegs(16)]}
    cells["ClipTextEncoder"] = make_texts(16)
    X, y = make_posts(200)
    for kind in (ClipImageEncoder, ClipTextEncoder):
        name = kind.__name__
        run.fitted[name] = run.encoder(kind).fit(cells[name])
    expected = {}
    for name, model in run.fitted.items():
        data = cells.get(name, X)
        predict = model.transform if name in cells else model.predict
        expected[name] = predict(data)
        model.set_params(device="cuda")  # also in a trial on a CPU
        with open(run.folder / f"{name}.pickle", "wb") as file:
            pickle.dump((model, data), file)
    command = [sys.executable, __file__, "--reload", str(run.folder)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, env=environment, check=True)
    reloaded = json.loads((run.folder / RELOADED).read_text())
    for name, found in reloaded.items():
        what = f"{name} loads and predicts without a GPU"
        if "error" in found:
            run.check(what, False, found["error"])
            continue
        values = np.load(run.folder / f"{name}.npy")
        family = "catboost" if "CatBoost" in name else "network"
        if name in cells:
            cosine = lowest_cosine(expected[name], values)
            close, shown = cosine >= COSINES["reloaded"], f"lowest cosine {cosine:.7f}"
        else:
            apart = np.abs(expected[name] - values).max() / np.std(y)
            close, shown = apart <= RELOADED_APART[family], f"{apart:.0e} spreads apart"
        # CatBoost predicts on the CPU everywhere, so there is nothing to warn of
        warned = found["warnings"] == (0 if family == "catboost" else 1)
        classes = ", ".join(found["torch"]) or "none"
        shown += f", {found['warnings']} DeviceWarning, classes of torch: {classes}"
        run.check(what, close and warned and not found["torch"], shown)


class NamingUnpickler(pickle.Unpickler):
    """Notes the classes of torch that a pickle names."""

    def __init__(self, file: Any):
        super().__init__(file)
        self.torch: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        """Return the class, as `Unpickler` does."""
        if module.split(".")[0] == "torch":
            self.torch.add(f"{module}.{name}")
        return super().find_class(module, name)


def reload(folder: Path) -> None:
    """Predict with every model of a folder; runs in a process without a GPU."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.pickle")):
        try:
            found[path.stem] = predict_again(path)
        except Exception as error:
            found[path.stem] = {"error": f"{type(error).__name__}: {error}"}
    (folder / RELOADED).write_text(json.dumps(found))


def predict_again(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        unpickler = NamingUnpickler(file)
        model, data = unpickler.load()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predict = getattr(model, "predict", None) or model.transform
        np.save(path.with_suffix(".npy"), predict(data))
    n_warnings = sum(issubclass(w.category, DeviceWarning) for w in caught)
    return {"warnings": n_warnings, "torch": sorted(unpickler.torch)}


def absent_devices(run: Run) -> None:
    """Ask for one GPU more than there is."""
    device = f"cuda:{max(torch.cuda.device_count(), 1)}"
    X, y = make_posts(100)
    texts = make_texts(2)
    encoders = [run.encoder(ClipTextEncoder), run.encoder(ClipImageEncoder)]
    for model in [*make_members(run).values(), *encoders]:
        data = (texts,) if model in encoders else (X, y)
        try:
            model.set_params(device=device).fit(*data)
            error = "no error"
        except Exception as complaint:
            error = f"{type(complaint).__name__}: {complaint}"
        expected = f"InvalidInputError: device={device!r} is not available: torch sees "
        name = type(model).__name__
        run.check(f"{name} refuses {device}", error.startswith(expected), error)


def describe_machine(run: Run) -> str:
    gpu = torch.cuda.get_device_name() if run.device == "cuda" else "no GPU in use"
    names = ("torch", "open_clip_torch", "catboost", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{gpu}; {os.cpu_count()} CPU cores ({platform.machine()}), Python "
        f"{platform.python_version()}, CUDA {torch.version.cuda}, {versions}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="store_true", help="try it without a GPU")
    parser.add_argument("--quick", action="store_true", help="small sizes and models")
    parser.add_argument("--reload", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reload:
        reload(given.reload)
        return 0
    if given.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if not given.cpu and not torch.cuda.is_available():
        print("torch sees no NVIDIA GPU; --cpu tries what works without one.")
        return 2
    sizes = (32, 100, 300) if given.quick else (6000, 20_000, 12_000)
    if given.cpu and not given.quick:
        sizes = (200, 1000, 12_000)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        device = "cpu" if given.cpu else "cuda"
        run = Run(device, *sizes, given.quick, Path(folder))
        machine = describe_machine(run)
        print(machine, flush=True)
        attempt(run, "encoders", encoder_speeds)
        attempt(run, "a batch too large", batches_halve)
        attempt(run, "members", members_agree)
        attempt(run, "models that load without a GPU", models_reload)
        attempt(run, "devices that are not there", absent_devices)
    print_table("Checks", ["What", "Passed", "Found"], run.checks)
    print(f"{machine}; {time.perf_counter() - started:.0f} s in all")
    return int(any(passed != "yes" for _, passed, _ in run.checks))


if __name__ == "__main__":
    sys.exit(main())
