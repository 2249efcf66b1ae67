"""Vectors of users and of their items, by singular value decomposition."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from sklearn.utils.validation import check_non_negative, validate_data

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._validation import local_generator
from hyperfusion.encoders._base import TableEncoder
from hyperfusion.encoders.user._interactions import (
    WEIGHTINGS,
    common_items,
    count_matrix,
    find_columns,
    fit_item_weights,
    read_items,
    weigh,
)
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import Columns, check_columns

_OUTPUTS = ("user", "item", "both")
_EQUAL = 1e-4
_EXACT = 100  # the decomposition of matrices with a side no longer than this is exact


@with_parameters
class SVDUserEmbedder(TableEncoder):
    """Vectors of users and of the items they use.

    Equation 4 of the paper: the matrix M of users times items (tags, concepts,
    places, words) is approximated by U S V'. A user's vector is a row of
    U S^power, an item's vector a row of V S^power. The target is not used.

    Parameters
    ----------
    user : label, default=None
        Column of the users; None takes the first.
    items : label or list of labels, default=None
        Columns of the items; None takes all but the user's. A cell holds one item, a
        list of items, or a text of tags.
    n_components : int, default=399
        Length of a vector, cut to the rank of the matrix.
    weighting : {"ppmi", "tfidf", "log", "counts"}, default="ppmi"
        What a cell of M holds: the positive pointwise mutual information of user
        and item; (1 + log c) times the inverse document frequency, rows scaled to
        length 1; log(1 + c); or the count c itself, as in the paper.
    power : float between 0 and 1, default=0.5
        Power of the singular values by which the vectors are scaled. With 0, as in the
        paper, all directions count the same; with 1 the distances between users are
        those between their rows of M.
    output : {"user", "item", "both"}, default="user"
        What `transform` gives for a row: the vector of its user, the mean of the
        vectors of its items, or both.
    split : bool or list of labels, default=True
        Whether to split texts into tags, at commas, semicolons or bars if there are
        any, otherwise at white space; upper and lower case are then the same. If False,
        a text is one item, such as a place. A list names the columns to split.
    min_frequency : int, default=1
        Items with fewer users are left out. 2 removes items of a single user. These are
        often most of the items, and the loss is small.
    pad : bool, default=False
        Whether shorter vectors are filled with zeros, so that the number of columns
        does not depend on the data.
    %(on_error)s
    random_state : int, RandomState instance or None, default=None
        Start of the randomized decomposition. Pass an int for repeatable results.

    Attributes
    ----------
    users_, vocabulary_ : dict of {str: int}
        Positions of the users in `user_vectors_`, and of the items in `item_vectors_`.
        Items are named ``column=item`` if there are several columns. Both are empty
        after a fit on a sparse matrix.
    user_vectors_ : ndarray of shape (n_users, `n_components_`), float32
        Vectors of the users; NaN for an empty row of a sparse matrix.
    item_vectors_ : ndarray of shape (n_items, `n_components_`), float32
        Vectors of the items.
    singular_values_ : ndarray of shape (rank,)
        Singular values of the weighted matrix, largest first.
    n_components_ : int
        Length of the vectors, without padding.
    %(columns)s

    Raises
    ------
    InvalidInputError
        If no row has both a user and an item.

    See Also
    --------
    sklearn.decomposition.TruncatedSVD : Vectors of the rows of a matrix.

    Notes
    -----
    The features are ``svd__0``, ``svd__1``, ..., ``svd_missing`` of the user, then
    ``item_svd__0``, ..., ``item_svd_missing`` of the items. In place of a table, `fit`
    and `transform` take a sparse matrix whose rows are users, whose columns are items
    and whose cells are counts.

    The vector of a user not seen at fit comes from the row alone: the weighted counts
    of its items times V S^(power - 1). For users seen at fit, this formula gives their
    own vector. The vector of a user is missing (NaN) if neither the user nor any item
    is known, and the vector of items if none of them is known.

    The vector of a user is made from all rows at fit. It contains no targets, but the
    items of later posts: if that matters, fit on earlier posts only.

    The decomposition is scikit-learn's ``randomized_svd`` in single precision. It is
    exact up to rounding if there are at most 100 users or items. The largest entry of
    each item direction is positive. Directions with equal singular values are not
    unique.

    For the vectors of places, to which the paper gives 400 numbers, use a second
    embedder: ``SVDUserEmbedder(items="place", split=False, output="item")``.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import SVDUserEmbedder
    >>> tags = ["sea, sun", "sun", "sea, sun, sun", "snow"]
    >>> posts = pd.DataFrame({"user": ["ann", "ann", "bob", "cat"], "tags": tags})
    >>> embedder = SVDUserEmbedder(weighting="counts", power=1).fit(posts)
    >>> new = pd.DataFrame({"user": ["ann", "dan", "eve"], "tags": ["", "snow", ""]})
    >>> embedder.transform(new).round(2) + 0.0
    array([[2.24, 0.  , 0.  ],
           [0.  , 1.  , 0.  ],
           [ nan,  nan, 1.  ]], dtype=float32)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "weighting": [StrOptions(set(WEIGHTINGS))],
        "power": [Interval(Real, 0, 1, closed="both")],
        "output": [StrOptions(set(_OUTPUTS))],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "pad": ["boolean"],
        "random_state": ["random_state"],
    }

    user: Columns = None
    items: Columns = None
    n_components: int = 399
    weighting: str = "ppmi"
    power: float = 0.5
    output: str = "user"
    split: Any = True
    min_frequency: int = 1
    pad: bool = False
    on_error: str = "missing"
    random_state: Any = None

    def _read(self, X: Any, *, reset: bool) -> Any:
        is_matrix = scipy.sparse.issparse(X)
        if reset:
            self.from_matrix_ = is_matrix
        elif is_matrix != self.from_matrix_:
            what = ["a table", "a sparse matrix"]
            raise InvalidInputError(
                f"SVDUserEmbedder was fitted on {what[self.from_matrix_]}: it can't "
                f"transform {what[is_matrix]}."
            )
        if not is_matrix:
            return super()._read(X, reset=reset)
        kinds = [np.float64, np.float32]
        X = validate_data(
            self, X, reset=reset, accept_sparse="csr", dtype=kinds, copy=True
        )
        if self.weighting != "counts":
            check_non_negative(X, f"SVDUserEmbedder with weighting={self.weighting!r}")
        counts = scipy.sparse.csr_array(X)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        return counts

    def _fit_cells(self, cells: Any, y: Any) -> None:
        self.users_: dict[str, int] = {}
        self.vocabulary_: dict[str, int] = {}
        if self.from_matrix_:
            self.kept_items_ = common_items(cells, self.min_frequency)
            counts = cells[:, self.kept_items_]
        else:
            counts = self._learn_names(cells)
        self.item_weights_ = fit_item_weights(counts, self.weighting)
        self.singular_values_, directions = _decompose(
            weigh(counts, self.weighting, self.item_weights_),
            self.n_components,
            local_generator(self.random_state),
        )
        self.n_components_ = len(self.singular_values_)
        self.item_vectors_ = directions * self.singular_values_**self.power
        self.user_vectors_ = self._fold_in(counts)

    def _learn_names(self, table: pd.DataFrame) -> scipy.sparse.csr_array:
        """Learn the users and items of a table; return their matrix of counts."""
        self.user_, self.items_ = find_columns(table, self.user, self.items)
        if isinstance(self.split, (bool, np.bool_)):
            self.split_ = list(self.items_) if self.split else []
        else:
            self.split_ = check_columns(table, self.split, "split")
        users = self._levels(table[self.user_], warn=False).to_numpy(dtype=object)
        rows, items = self._read_items(table, warn=False)
        has_user = ~pd.isna(users[rows])
        user_codes, known_users = pd.factorize(users[rows][has_user], sort=True)
        names = np.array(items, dtype=object)[has_user]
        item_codes, known_items = pd.factorize(names, sort=True)
        shape = len(known_users), len(known_items)
        counts = count_matrix(user_codes, item_codes, shape)
        self.kept_items_ = common_items(counts, self.min_frequency)
        counts = counts[:, self.kept_items_]
        has_items = np.diff(counts.indptr) > 0
        self.users_ = {u: row for row, u in enumerate(known_users[has_items])}
        kept = known_items[self.kept_items_]
        self.vocabulary_ = {item: row for row, item in enumerate(kept)}
        return counts[has_items]

    def _transform_cells(self, cells: Any) -> np.ndarray:
        if self.from_matrix_:
            counts = cells[:, self.kept_items_]
            return self._features(counts, np.full(counts.shape[0], -1))
        users = self._levels(cells[self.user_])
        known = np.array([self.users_.get(user, -1) for user in users], dtype=int)
        rows, items = self._read_items(cells)
        columns = np.array([self.vocabulary_.get(i, -1) for i in items], dtype=int)
        there = columns >= 0
        shape = len(cells), len(self.vocabulary_)
        counts = count_matrix(rows[there], columns[there], shape)
        return self._features(counts, known)

    def _read_items(
        self, table: pd.DataFrame, *, warn: bool = True
    ) -> tuple[np.ndarray, list[str]]:
        return read_items(table, self.items_, self.split_, self.on_error, warn=warn)

    def _fold_in(self, counts: scipy.sparse.csr_array) -> np.ndarray:
        """Return the vectors of users with these counts."""
        weights = weigh(counts, self.weighting, self.item_weights_).astype(np.float32)
        vectors = weights @ self.item_vectors_ / self.singular_values_
        vectors[np.diff(counts.indptr) == 0] = np.nan
        return vectors

    def _features(
        self, counts: scipy.sparse.csr_array, known: np.ndarray
    ) -> np.ndarray:
        """Return the output for the items of rows and the positions of known users."""
        no_items = np.diff(counts.indptr) == 0
        parts = []
        if self.output != "item":
            vectors = self.user_vectors_[known]
            new = known < 0
            if new.any():
                vectors[new] = self._fold_in(counts[new])
            parts += self._columns_of(vectors, new & no_items)
        if self.output != "user":
            vectors = normalize(counts, norm="l1") @ self.item_vectors_
            parts += self._columns_of(vectors, no_items)
        return np.hstack(parts)

    def _columns_of(self, vectors: np.ndarray, missing: np.ndarray) -> list[np.ndarray]:
        if self.pad:
            padding = self.n_components - self.n_components_
            vectors = np.pad(vectors, ((0, 0), (0, padding)))
        vectors[missing] = np.nan
        return [vectors, missing[:, np.newaxis].astype(np.float32)]

    def _feature_names(self, names: Any = None) -> list[str]:
        width = self.n_components if self.pad else self.n_components_
        names = []
        for output, stem in (("user", "svd"), ("item", "item_svd")):
            if self.output in (output, "both"):
                names += [*(f"{stem}__{i}" for i in range(width)), f"{stem}_missing"]
        return names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _decompose(
    matrix: scipy.sparse.csr_array, n_components: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest singular values, up to the rank, and their item directions."""
    k = min(n_components, *matrix.shape)
    _, values, directions = randomized_svd(
        matrix.astype(np.float32),
        k,
        n_oversamples=max(10, _EXACT - k),
        flip_sign=False,
        random_state=rng,
    )
    noise = np.sqrt(max(matrix.shape)) * np.finfo(np.float32).eps * 10
    rank = int(np.sum(values > values[:1] * noise))
    directions = directions[:rank].T
    # the largest entry of each column becomes positive; of equal ones the first
    sizes = np.abs(directions)
    largest = sizes > (1 - _EQUAL) * sizes.max(axis=0, initial=0)
    first = largest.argmax(axis=0), np.arange(rank)
    directions = (directions * np.sign(directions[first])).astype(np.float32)
    return values[:rank].astype(np.float32), directions
