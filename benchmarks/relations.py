"""Compare relations and preprocessing with the scikit-learn calls that limit them.

A table of posts with two vectors of 512 numbers (image and title, 300 topics) and 40
single columns. The limits: one pass over the vectors for the cosines, the PCA and the
distances to all centers for the clusters, the sorts for the quantiles. Times are CPU
seconds of one thread; the number of posts is the first argument.
"""

import sys
import time
import tracemalloc

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.preprocessing import QuantileTransformer, normalize
from threadpoolctl import threadpool_limits

from hyperfusion import (
    BlockImputer,
    BlockPCA,
    BlockScaler,
    CrossModalSimilarity,
    HierarchicalClusterEncoder,
)

LEVELS = (8, 64, 512)
STEMS = ("image__clip", "text__title_clip")


def posts(n, width=512, singles=40):
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((300, width), dtype=np.float32)
    own = topics[rng.integers(300, size=n)]
    table = np.empty((n, 2 * width + singles), dtype=np.float32)
    for start in (0, width):
        noise = 1.5 * rng.standard_normal((n, width), dtype=np.float32)
        table[:, start : start + width] = own + noise
    table[:, 2 * width :] = rng.lognormal(size=(n, singles))
    names = [f"{stem}__{i}" for stem in STEMS for i in range(width)]
    names += [f"meta__{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(singles)]
    return pd.DataFrame(table, columns=names, copy=False)


def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def report(name, ours, reference, what):
    print(
        f"{name}: {ours:.2f} s, {what} {reference:.2f} s (ratio {ours / reference:.2f})"
    )


def flat_clusters(image):
    points = PCA(32, svd_solver="covariance_eigh").fit_transform(normalize(image))
    for level in LEVELS:
        MiniBatchKMeans(level, n_init=1, random_state=0).fit(points).transform(points)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    X = posts(n)
    image, title = (X.filter(like=stem).to_numpy() for stem in STEMS)
    singles = X.filter(like="meta").to_numpy()
    print(f"{n:,} posts")

    encoder = HierarchicalClusterEncoder(blocks=["image"], random_state=0)
    fit = seconds(lambda: encoder.fit(X))
    flat = seconds(lambda: flat_clusters(image))
    report("clusters, fit", fit, flat, "PCA and three flat k-means")
    print(f"clusters, transform: {seconds(lambda: encoder.transform(X)):.2f} s")
    tracemalloc.start()
    encoder.fit(X)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"clusters, peak memory beside the table: {peak:.0f} MB")

    similarity = CrossModalSimilarity()
    ours = seconds(lambda: similarity.fit_transform(X))
    theirs = seconds(lambda: paired_cosine_distances(image, title))
    report("similarity", ours, theirs, "paired_cosine_distances")

    pca = seconds(lambda: BlockPCA().fit_transform(X.filter(like="image")))
    theirs = seconds(lambda: PCA(64, svd_solver="covariance_eigh").fit_transform(image))
    report("BlockPCA", pca, theirs, "PCA")

    scaler = seconds(lambda: BlockScaler().fit_transform(X[X.columns[1024:]]))
    quantiles = QuantileTransformer(output_distribution="normal", subsample=None)
    theirs = seconds(lambda: quantiles.fit_transform(singles))
    report("BlockScaler, single columns", scaler, theirs, "QuantileTransformer")

    imputer = seconds(lambda: BlockImputer().fit_transform(X))
    report("BlockImputer, all columns", imputer, seconds(X.copy), "a copy")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
