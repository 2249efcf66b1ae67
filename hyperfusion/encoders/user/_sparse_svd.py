"""Leading singular vectors of a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.extmath import svd_flip

SOLVERS = ("auto", "full", "krylov", "arpack")

# Up to 160 MB as float64: LAPACK takes seconds at most.
_MAX_DENSE_CELLS = 20_000_000
# More blocks converge further, wider blocks multiply faster.
_MIN_WIDTH, _WIDTHS_PER_COMPONENTS = 8, 8
_MIN_KRYLOV_SIZE = 20 * _MIN_WIDTH


def leading_singular_vectors(
    A: scipy.sparse.csr_array,
    n_components: int,
    *,
    solver: str = "auto",
    oversampling: float = 3.0,
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest singular values and their right singular vectors.

    Parameters
    ----------
    A : sparse array of shape (m, n)
        A real matrix.
    n_components : int
        How many to find; cut to the numerical rank.
    solver : {"auto", "full", "krylov", "arpack"}
        "full" is LAPACK on the dense matrix, "krylov" a randomized block Krylov
        space in single precision, "arpack" scipy's Lanczos with restarts in double
        precision. "auto" takes "full" where the dense matrix is small.
    oversampling : float
        Size of the Krylov space for each component.
    random_state : int, RandomState or None
        For the start vectors of "krylov" and "arpack".

    Returns
    -------
    values : ndarray of shape (rank,)
        In falling order.
    vectors : ndarray of shape (n, rank)
        Their columns have signs as scikit-learn's ``svd_flip`` gives them from the
        right singular vectors.
    """
    smaller = min(A.shape)
    if solver == "auto":
        solver = "full" if A.shape[0] * A.shape[1] <= _MAX_DENSE_CELLS else "krylov"
    if solver == "arpack" and n_components >= smaller:
        solver = "full"
    k = min(n_components, smaller)
    random_state = check_random_state(random_state)
    if solver == "full":
        values, vectors = _full(A, k)
    elif solver == "arpack":
        values, vectors = _arpack(A, k, random_state)
    else:
        size = min(max(int(oversampling * k), _MIN_KRYLOV_SIZE), smaller)
        values, vectors = _krylov(A, k, size, random_state)
    rank = int(np.sum(values > values[:1] * _noise(A.shape, vectors.dtype)))
    values, vectors = values[:rank], vectors[:, :rank]
    return values, svd_flip(vectors, None)[0] if rank else vectors


def _noise(shape: tuple[int, ...], dtype: np.dtype) -> float:
    """Size, beside the largest, of singular values that are rounding errors."""
    return float(np.sqrt(max(shape)) * np.finfo(dtype).eps * 10)


def _full(A: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    dense = A.toarray().astype(np.float64, copy=False)
    _, values, vt = scipy.linalg.svd(dense, full_matrices=False, overwrite_a=True)
    return values[:k], vt[:k].T


def _arpack(A: Any, k: int, random_state: Any) -> tuple[np.ndarray, np.ndarray]:
    start = random_state.uniform(-1, 1, min(A.shape))
    _, values, vt = scipy.sparse.linalg.svds(A.astype(np.float64), k, v0=start)
    order = np.argsort(values)[::-1]
    return values[order], vt[order].T


def _krylov(
    A: Any, k: int, size: int, random_state: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Best approximation within a block Krylov space of the smaller side.

    The space is spanned by G, (A A') G, (A A')^2 G, ... for a random block G. It
    needs a third of the products with A that power iterations of the same accuracy
    need, since no product is thrown away (Musco and Musco, 2015).
    """
    A = A.astype(np.float32)
    wide = A.shape[0] <= A.shape[1]
    A = A if wide else A.T.tocsr()
    basis, image = _krylov_basis(A, k, size, random_state)
    squares, mix = scipy.linalg.eigh(_gram(image), check_finite=False)
    values = np.sqrt(np.maximum(squares[::-1][:k], 0))
    mix = mix[:, ::-1][:, :k].astype(np.float32)
    if not wide:
        return values, basis @ mix
    scale = values.astype(np.float32)
    return values, image @ mix / np.where(scale > 0, scale, 1)


def _krylov_basis(
    A: Any, k: int, size: int, random_state: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis Q of the Krylov space, and A' Q."""
    rng = np.random.default_rng(random_state.randint(2**31, size=4))
    At = A.T.tocsr()
    width = max(k // _WIDTHS_PER_COMPONENTS, _MIN_WIDTH)
    basis = np.empty((A.shape[0], size), dtype=np.float32, order="F")
    image = np.empty((A.shape[1], size), dtype=np.float32, order="F")
    block = A @ rng.standard_normal((A.shape[1], width), dtype=np.float32)
    for start in range(0, size, width):
        block = _orthonormalize(block[:, : size - start], basis[:, :start], rng)
        stop = start + block.shape[1]
        basis[:, start:stop] = block
        image[:, start:stop] = At @ np.ascontiguousarray(block)
        if stop < size:
            block = A @ np.ascontiguousarray(image[:, start:stop])
    return basis, image


def _orthonormalize(
    block: np.ndarray, basis: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Make the columns of a block orthonormal, to each other and to the basis.

    Two passes, since after one pass rounding errors of single precision remain.
    Directions that the basis holds already are exchanged for random ones: they
    arise where the matrix has a low rank or the same singular value many times.
    """
    scale = np.linalg.norm(block, axis=0).max()
    block = block - basis @ (basis.T @ block)
    block, upper = scipy.linalg.qr(block, mode="economic", check_finite=False)
    lost = np.abs(np.diag(upper)) <= 1e-5 * scale
    block[:, lost] = rng.standard_normal((len(block), lost.sum()), dtype=np.float32)
    for _ in range(1 + lost.any()):
        block = block - basis @ (basis.T @ block)
        block = scipy.linalg.qr(block, mode="economic", check_finite=False)[0]
    return block


def _gram(image: np.ndarray) -> np.ndarray:
    """Return ``image.T @ image`` in double precision without a copy of the whole."""
    gram = np.zeros((image.shape[1],) * 2)
    for rows in gen_batches(len(image), 8192):
        part = image[rows].astype(np.float64)
        gram += part.T @ part
    return gram
