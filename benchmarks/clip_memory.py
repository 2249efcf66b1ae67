"""Peak memory of ClipImageEncoder as the number of images grows.

A tiny CLIP keeps it short; photos of 1600 x 1200 would differ in the size of the files
under way only. What must grow is the result, and 32 bytes an image to find equal ones.

    python benchmarks/clip_memory.py [largest number of images, 100000]
"""

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from hyperfusion.encoders import ClipImageEncoder


def make_images(n, folder):
    paths = []
    for i in range(n):
        pixels = np.random.RandomState(i).randint(0, 256, (16, 16, 3)).astype(np.uint8)
        paths.append(folder / f"{i}.png")
        Image.fromarray(pixels).save(paths[-1], compress_level=0)
    return paths


def peak_in_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    encoder = ClipImageEncoder("hyperfusion-tiny", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_images(largest, Path(folder))
        for n in (largest // 100, largest // 10, largest):
            result = encoder.fit_transform(paths[:n])
            size = result.nbytes / 2**20
            print(f"{n} images: peak {peak_in_mb():.0f} MB, the result {size:.1f} MB")


if __name__ == "__main__":
    main()
