"""Compare the encoders of images and texts with plain loops over open_clip.

    python benchmarks/encoders.py [sections] [--photos N] [--thumbnails N] [--texts N]
                                  [--memory N N] [--store N]

Sections (without names: all those whose data are available):

- photos: images per second for JPEG files of 1600 x 1200 pixels, which are made here,
  compared with a loop in batches of 32; the limits set by decoding on all cores and by
  the model; the option `jpeg_draft`; a second pass through a warm cache;
  each image ten times;
- thumbnails: the same for the real posts in the folder HYPERFUSION_DATA;
- texts: texts per second, compared with `encode_text` at full context, for smp_video's
  texts and for the same cut to 8 words;
- memory: the peak while a small model encodes more and more images, each time in a new
  process (Linux only). Only the result, the paths and 32 bytes per image may grow;
- store: `EmbeddingCache`, compared with one file that holds the same vectors.

ViT-B-32 has random weights, which take the same time as real ones. Ratios compare the
best of three alternating runs. Nothing else should run on the machine.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import open_clip
import torch
from clip_common import (
    DEVICE,
    IMAGE_BATCH,
    MODEL,
    best,
    describe_machine,
    find_thumbnails,
    make_photos,
    make_small_images,
    open_and_prepare,
    plain_images,
    plain_network,
    plain_texts,
    read_texts,
)

from hyperfusion.encoders import ClipImageEncoder, ClipTextEncoder, EmbeddingCache

EXACT = {**MODEL, "device": DEVICE, "precision": "fp32"}


def photos(args):
    with tempfile.TemporaryDirectory() as folder:
        compare_images("photos", make_photos(args.photos, Path(folder)), args.runs)


def thumbnails(args):
    paths = find_thumbnails(args.thumbnails)
    if paths:
        compare_images("thumbnails", paths, args.runs)
    else:
        print("thumbnails: left out, HYPERFUSION_DATA is not set")


def compare_images(name, paths, runs):
    n, some = len(paths), paths[:IMAGE_BATCH]
    network = plain_network()
    encoder = ClipImageEncoder(**EXACT).fit(some)
    reference = plain_images(network, some)
    cosine = smallest_cosine(encoder, reference, some)
    plain, ours = best(
        lambda: plain_images(network, paths),
        lambda: encoder.transform(paths),
        runs=runs,
    )
    decoding, model = best(
        lambda: decode_all(paths), lambda: model_alone(network, n), runs=1
    )
    print(
        f"{name}: {n} images: {n / plain:.1f}/s plain, {n / ours:.1f}/s ours, ratio "
        f"{plain / ours:.2f} (limits: decoding {n / decoding:.1f}/s, model "
        f"{n / model:.1f}/s), smallest cosine {cosine:.7f}"
    )
    encoder.set_params(jpeg_draft=True)
    (drafts,) = best(lambda: encoder.transform(paths), runs=runs)
    cosine = smallest_cosine(encoder, reference, some)
    print(f"  jpeg_draft: ratio {plain / drafts:.2f}, smallest cosine {cosine:.5f}")
    encoder.set_params(jpeg_draft=False)
    with tempfile.TemporaryDirectory() as folder:
        encoder.set_params(cache=folder).transform(paths)
        (warm,) = best(lambda: encoder.transform(paths), runs=runs)
    print(f"  warm cache: {n / warm:.0f}/s, ratio {plain / warm:.0f}")
    encoder.set_params(cache=None)
    ten_times = [path for path in some for _ in range(10)]
    once, repeated = best(
        lambda: encoder.transform(some), lambda: encoder.transform(ten_times), runs=runs
    )
    print(f"  each image ten times: {repeated / once:.2f} times the time of once")


def smallest_cosine(encoder, reference, cells):
    return (encoder.transform(cells) * reference).sum(axis=1).min()


def decode_all(paths):
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        for _ in pool.map(open_and_prepare, paths):
            pass


def model_alone(network, n):
    batch = torch.zeros(IMAGE_BATCH, 3, 224, 224, device=DEVICE)
    with torch.inference_mode():
        for _ in range(0, n, IMAGE_BATCH):
            network.encode_image(batch).cpu()


def texts(args):
    name, cells = read_texts(args.texts)
    network = plain_network()
    compare_texts(name, cells, network, args.runs)
    words = [text.replace(",", " ").split() for text in cells]
    titles = [" ".join(w[:8]) for w in words if w]
    compare_texts(f"{name}, at most 8 words", titles, network, args.runs)


def compare_texts(name, cells, network, runs):
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    encoder = ClipTextEncoder(**EXACT).fit(cells)
    some = cells[:100]
    error = np.abs(encoder.transform(some) - plain_texts(network, some)).max()
    plain, ours = best(
        lambda: plain_texts(network, cells), lambda: encoder.transform(cells), runs=runs
    )
    tokens = np.mean([min(77, len(tokenizer.encode(t)) + 2) for t in cells])
    n = len(cells)
    print(
        f"texts, {name}: {n} of {tokens:.0f} tokens: {n / plain:.0f}/s plain, "
        f"{n / ours:.0f}/s ours, ratio {plain / ours:.2f} (without padding at most "
        f"{77 / tokens:.2f}), largest difference {error:.0e}"
    )
    with tempfile.TemporaryDirectory() as folder:
        encoder.set_params(cache=folder).transform(cells)
        (warm,) = best(lambda: encoder.transform(cells), runs=runs)
    print(f"  warm cache: {n / warm:.0f}/s, ratio {plain / warm:.0f}")


def memory(args):
    spawn = multiprocessing.get_context("spawn")
    before = None
    with tempfile.TemporaryDirectory() as folder:
        paths = make_small_images(max(args.memory), Path(folder))
        for n in sorted(args.memory):
            queue = spawn.Queue()
            process = spawn.Process(target=encode_alone, args=(paths[:n], queue))
            process.start()
            peak, size, seconds = queue.get()
            process.join()
            print(
                f"memory: {n} images: peak {peak:.0f} MB, of which the result "
                f"{size:.1f} MB ({n / seconds:.0f}/s)"
            )
            if before is not None:
                grown = (peak - size) - before[1]
                each = grown * 2**20 / (n - before[0])
                print(
                    f"  beyond the result: {grown:+.1f} MB, {each:+.0f} bytes an image"
                )
            before = n, peak - size


def encode_alone(paths, queue):
    encoder = ClipImageEncoder("hyperfusion-tiny", device="cpu")
    start = time.perf_counter()
    result = encoder.fit_transform(paths)
    seconds = time.perf_counter() - start
    queue.put((peak_in_mb(), result.nbytes / 2**20, seconds))


def peak_in_mb():
    # getrusage would count what the parent held when it started this process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def store(args):
    n, width, batch = args.store, 512, 32
    vectors = np.random.RandomState(0).normal(size=(n, width)).astype(np.float32)
    keys = [os.urandom(32) for _ in range(n)]

    def write_file():
        with path.open("wb") as file:
            file.write(vectors.tobytes())
            os.fsync(file.fileno())

    def put():
        for start in range(0, n, batch):
            rows = slice(start, start + batch)
            cache.put(dict(zip(keys[rows], vectors[rows], strict=True)))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plain")
        write, read = best(write_file, lambda: np.fromfile(path, np.float32), runs=1)
        with EmbeddingCache(Path(folder, "cache")) as cache:
            times = best(
                put,
                lambda: cache.get(keys),
                lambda: [cache.get([key]) for key in keys],
                runs=1,
            )
            cache.close()
            files = Path(folder, "cache").rglob("*.sqlite")
            size = sum(file.stat().st_size for file in files) / vectors.nbytes
    what = (f"put, {batch} at a time", "get all", "get one by one")
    for name, seconds, limit in zip(what, times, (write, read, read), strict=True):
        each = seconds / n * 1e6
        print(
            f"store: {name}: {each:.0f} us each, {seconds / limit:.1f} times one file"
        )
    print(f"store: size {size:.2f} times the vectors'")


SECTIONS = {f.__name__: f for f in (photos, thumbnails, texts, memory, store)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="section", help="all by default")
    parser.add_argument("--photos", type=int, default=128, help="how many")
    parser.add_argument("--thumbnails", type=int, default=0, help="how many; 0: all")
    parser.add_argument("--texts", type=int, default=1024, help="how many; 0: all")
    parser.add_argument("--memory", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--store", type=int, default=50_000, help="how many vectors")
    parser.add_argument("--runs", type=int, default=3, help="the best of so many")
    args = parser.parse_args()
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {sorted(unknown)}; there are {list(SECTIONS)}")
    warnings.simplefilter("ignore")
    print(describe_machine())
    for name in args.sections or SECTIONS:
        SECTIONS[name](args)


if __name__ == "__main__":
    main()
