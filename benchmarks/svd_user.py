"""Time, memory and error of the decomposition behind `SVDUserEmbedder`, beside peers.

``python benchmarks/svd_user.py [scale] [n_components]``: scale 1 is 70,000 users
times 100,000 items with some 5 million entries. Every solver runs in a process of its
own, one after the other, so that the peak of its memory is its own. Where the times
should be comparable, set OMP_NUM_THREADS to the number of free cores.

On a machine that others use too, the time of the processors tells more than the clock.
The matrix mimics tags: heavy users, popular items, and groups that share items.
The error is that of the best product of the vectors with the matrix,
``||M - M V V'|| / ||M||``. The limit of the products with the matrix is the memory's
bandwidth: each entry reads one row of the block. That of the rest is the cores' rate of
multiplications in single precision.
"""

import argparse
import multiprocessing
import resource
import time
import warnings

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds
from sklearn.decomposition import TruncatedSVD

from hyperfusion import SVDUserEmbedder
from hyperfusion.encoders.user._interactions import fit_item_weights, weigh

N_USERS, N_ITEMS, N_ENTRIES, N_GROUPS = 70_000, 100_000, 5_000_000, 2_000


def make_counts(scale, seed=0):
    rng = np.random.default_rng(seed)
    m, n = int(N_USERS * scale), int(N_ITEMS * scale)
    activity = rng.pareto(1.3, m) + 0.2
    n_uses = activity / activity.sum() * 1.8 * N_ENTRIES * scale
    n_uses = np.clip(n_uses, 1, n / 10).astype(int)
    users = np.repeat(np.arange(m), n_uses)
    popularity = np.cumsum(1 / (np.arange(n) + 10.0) ** 0.8)
    popular = np.searchsorted(popularity / popularity[-1], rng.random(len(users)))
    groups = rng.integers(0, N_GROUPS, (m, 4))
    group = groups[users, np.minimum(rng.geometric(0.4, len(users)) - 1, 3)]
    rank = (rng.pareto(0.8, len(users)) * 5).astype(np.int64) % 1_000
    shared = rng.permutation(n)[(group * 7_919 + rank * rank * 13) % n]
    items = np.where(rng.random(len(users)) < 0.7, shared, popular)
    ones = np.ones(len(users), dtype=np.float32)
    counts = sp.csr_array((ones, (users, items)), shape=(m, n))
    counts.sum_duplicates()
    return counts[:, np.bincount(counts.indices, minlength=n) > 0]


def make_matrix(scale, weighting):
    counts = make_counts(scale)
    return weigh(counts, weighting, fit_item_weights(counts, weighting))


def ours(M, k):
    embedder = SVDUserEmbedder(
        weighting="counts",
        power=0,
        n_components=k,
        random_state=0,
    )
    return embedder.fit(M).item_vectors_.T


def truncated(M, k, algorithm="randomized", dtype=np.float64):
    model = TruncatedSVD(k, algorithm=algorithm, random_state=0)
    return model.fit(M.astype(dtype)).components_


SOLVERS = {
    "SVDUserEmbedder": ours,
    "TruncatedSVD randomized float32": lambda M, k: truncated(M, k, dtype=np.float32),
    "TruncatedSVD randomized": truncated,
    "TruncatedSVD arpack": lambda M, k: truncated(M, k, "arpack"),
    "svds lobpcg": lambda M, k: svds(M, k, solver="lobpcg", maxiter=20, tol=1e-3)[2],
    "svds propack": lambda M, k: svds(M, k, solver="propack")[2],
}


def relative_error(M, directions):
    """Error of the best approximation of M whose rows these directions span."""
    basis = np.linalg.qr(directions.T.astype(np.float64))[0]
    kept = sum(
        np.sum((M[rows] @ basis) ** 2)
        for rows in np.array_split(np.arange(M.shape[0]), 20)
    )
    return np.sqrt(max(1 - kept / np.sum(M.data**2), 0))


def measure(name, scale, k, weighting, queue):
    warnings.simplefilter("ignore", UserWarning)  # lobpcg lists all residuals
    M = make_matrix(scale, weighting)
    start, cpu = time.perf_counter(), time.process_time()
    directions = SOLVERS[name](M, k)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    queue.put((seconds, cpu, peak, relative_error(M, directions)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scale", type=float, nargs="?", default=0.1)
    parser.add_argument("n_components", type=int, nargs="?", default=100)
    parser.add_argument("--weighting", default="ppmi")
    parser.add_argument("--solvers", nargs="*", default=list(SOLVERS))
    parser.add_argument("--timeout", type=float, default=1800)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    M = make_matrix(args.scale, args.weighting)
    print(f"{M.shape}, {M.nnz:,} entries, {args.weighting}, k={args.n_components}")
    first = None
    for name in args.solvers:
        queue = context.Queue()
        job = (name, args.scale, args.n_components, args.weighting, queue)
        process = context.Process(target=measure, args=job)
        process.start()
        process.join(args.timeout)
        if process.is_alive():
            process.kill()
        if process.exitcode != 0:
            print(f"{name:34s} no result within {args.timeout:.0f} s", flush=True)
            continue
        seconds, cpu, peak, error = queue.get()
        first = first or seconds
        print(
            f"{name:34s} {seconds:8.2f} s (x {seconds / first:5.2f}), of processors "
            f"{cpu:8.2f} s   {peak:5.2f} GB   error {error:.6f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
