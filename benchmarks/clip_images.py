"""ClipImageEncoder beside a plain loop over open_clip (open, preprocess, encode).

Both use ViT-B-32 with the same random weights (the time does not depend on them), the
plain loop in batches of 32. Photos are JPEG files of 1600 x 1200 pixels that are made
here; thumbnails are those of the folder of real posts that HYPERFUSION_DATA names. The
limits are those of decoding alone (all cores) and of the model alone.

    python benchmarks/clip_images.py [number of photos, 128] [of thumbnails, 512]
"""

import os
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import torch
from clip_common import MODEL, best, describe_machine, plain_network
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from hyperfusion.encoders import ClipImageEncoder

BATCH = 32
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TRANSFORM = image_transform_v2(PreprocessCfg(), is_train=False)


def make_photos(n, folder):
    paths = []
    for i in range(n):
        rng = np.random.RandomState(i)
        coarse = Image.fromarray(rng.randint(0, 256, (30, 40, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((1600, 1200), Image.Resampling.BICUBIC))
        grain = rng.normal(0, 6, (1200, 1600, 1))
        paths.append(folder / f"{i}.jpg")
        pixels = (smooth + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(paths[-1], quality=85)
    return paths


def prepare(path):
    return TRANSFORM(Image.open(path).convert("RGB"))


def plain_loop(network, paths):
    parts = []
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            batch = torch.stack([prepare(p) for p in paths[start : start + BATCH]])
            parts.append(network.encode_image(batch.to(DEVICE), normalize=True).cpu())
    return torch.cat(parts).numpy()


def decode_all(paths):
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        return list(pool.map(prepare, paths))


def model_alone(network, n):
    batch = torch.zeros(BATCH, 3, 224, 224, device=DEVICE)
    with torch.inference_mode():
        for _ in range(0, n, BATCH):
            network.encode_image(batch).cpu()


def compare(name, paths, network, folder):
    n = len(paths)
    encoder = ClipImageEncoder(**MODEL, device=DEVICE, precision="fp32").fit(paths)
    some = paths[:BATCH]
    cosines = (encoder.transform(some) * plain_loop(network, some)).sum(axis=1)
    plain, ours = best(
        lambda: plain_loop(network, paths), lambda: encoder.transform(paths)
    )
    decoding, model = best(
        lambda: decode_all(paths), lambda: model_alone(network, n), runs=1
    )
    print(
        f"{name}: {n / plain:.1f}/s plain, {n / ours:.1f}/s ours, ratio "
        f"{plain / ours:.2f} (limits: decoding {n / decoding:.1f}/s, model "
        f"{n / model:.1f}/s), smallest cosine {cosines.min():.7f}"
    )
    encoder.set_params(jpeg_draft=True)
    cosines = (encoder.transform(some) * plain_loop(network, some)).sum(axis=1)
    (drafts,) = best(lambda: encoder.transform(paths))
    print(f"  jpeg_draft: ratio {plain / drafts:.2f}, cosine {cosines.min():.5f}")
    encoder.set_params(jpeg_draft=False)
    encoder.set_params(cache=folder / name).transform(paths)
    (warm,) = best(lambda: encoder.transform(paths))
    print(f"  warm cache: {n / warm:.0f}/s, {plain / warm:.0f} times the plain loop")
    encoder.set_params(cache=None)
    ten_times = [path for path in some for _ in range(10)]
    once, repeated = best(
        lambda: encoder.transform(some), lambda: encoder.transform(ten_times)
    )
    print(f"  each image ten times: {repeated / once:.2f} times the cost of once")


def compare_precisions(paths):
    """Print what half precision gains and costs, where there is a GPU."""
    encoder = ClipImageEncoder(**MODEL, device=DEVICE, precision="fp32").fit(paths)
    exact = encoder.transform(paths)
    for precision in ("fp16", "bf16"):
        encoder.set_params(precision=precision)
        cosine = (encoder.transform(paths) * exact).sum(axis=1).min()
        (seconds,) = best(lambda: encoder.transform(paths))
        print(f"  {precision}: {len(paths) / seconds:.1f}/s, smallest cosine {cosine}")


def main():
    warnings.simplefilter("ignore")
    n_photos, n_thumbnails = (*map(int, sys.argv[1:]), 128, 512)[:2]
    print(describe_machine())
    network = plain_network(DEVICE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = make_photos(n_photos, folder)
        compare("photos", photos, network, folder)
        if DEVICE == "cuda":
            compare_precisions(photos)
        data = os.environ.get("HYPERFUSION_DATA")
        if data is None:
            print("thumbnails: HYPERFUSION_DATA is not set")
        else:
            images = sorted(Path(data, "youtube_thumbnails", "images").glob("*.jpg"))
            compare("thumbnails", images[:n_thumbnails], network, folder)


if __name__ == "__main__":
    main()
