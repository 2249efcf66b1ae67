"""Vectors of users and of their items, by singular value decomposition."""

from __future__ import annotations

from itertools import chain
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import Interval, StrOptions
from hyperfusion._validation import COUNT, local_generator
from hyperfusion.cells._columns import is_missing, read_cells
from hyperfusion.cells._texts import in_order, is_list, mend, read_tags
from hyperfusion.encoders._base import TableEncoder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import Columns, check_columns

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
    weighting : {"ppmi", "counts"}, default="ppmi"
        What a cell of M holds: the positive pointwise mutual information of user and
        item, or the count itself, as in the paper.
    power : float between 0 and 1, default=0.5
        Power of the singular values by which the vectors are scaled. With 0, as in the
        paper, all directions count the same; with 1 the distances between users are
        those between their rows of M.
    output : {"user", "item"}, default="user"
        What `transform` gives for a row: the vector of its user, or the mean of the
        vectors of its items.
    split : bool, default=True
        Whether to split texts into tags, as `TextStatistics` does, in lower case. If
        False, a text is one item, such as a place.
    min_frequency : int, default=1
        Items with fewer users are left out; 2 leaves out most and loses little.
    pad : bool, default=False
        Whether shorter vectors are filled with zeros.
    %(on_error)s
    random_state : int, RandomState instance or None, default=None
        Start of the randomized decomposition.

    Attributes
    ----------
    users_, vocabulary_ : dict of {str: int}
        Positions of the users in `user_vectors_`, and of the items in `item_vectors_`.
        Items are named ``column=item`` if there are several columns.
    user_vectors_ : ndarray of shape (n_users, `n_components_`), float32
        Vectors of the users.
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

    Notes
    -----
    The features are ``svd__0``, ``svd__1``, ..., ``svd_missing`` of the user, or
    ``item_svd__0``, ..., ``item_svd_missing`` of the items.

    The vector of a user not seen at fit comes from the row alone: the weighted counts
    of its items times V S^(power - 1), which for users seen at fit is their own vector.
    The vector of a user is missing (NaN) if neither the user nor any item is known, and
    the vector of items if none of them is known. It contains no targets, but the items
    of later posts: if that matters, fit on earlier posts only.

    The decomposition is scikit-learn's ``randomized_svd`` in single precision, exact up
    to rounding for at most 100 users or items. For the vectors of places, to which the
    paper gives 400 numbers, use a second embedder:
    ``SVDUserEmbedder(items="place", split=False, output="item")``.

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
        "n_components": [COUNT],
        "weighting": [StrOptions({"ppmi", "counts"})],
        "power": [Interval(Real, 0, 1, closed="both")],
        "output": [StrOptions({"user", "item"})],
        "split": ["boolean"],
        "min_frequency": [COUNT],
        "pad": ["boolean"],
        "random_state": ["random_state"],
    }

    user: Columns = None
    items: Columns = None
    n_components: int = 399
    weighting: str = "ppmi"
    power: float = 0.5
    output: str = "user"
    split: bool = True
    min_frequency: int = 1
    pad: bool = False
    on_error: str = "missing"
    random_state: Any = None

    def _fit_cells(self, cells: pd.DataFrame, y: Any) -> None:
        user = check_columns(cells, self.user, "user", max_columns=1)
        items = check_columns(cells, self.items, "items")
        user = user or [column for column in cells if column not in items][:1]
        self._items = items or [column for column in cells if column not in user]
        if not user or not self._items:
            raise InvalidInputError(
                "SVDUserEmbedder needs a column of users and at least one of items. "
                f"The table has {list(cells.columns)[:20]}."
            )
        self._user = user[0]
        users = self._levels(cells[self._user]).to_numpy(dtype=object)
        rows, found_items = self._read_items(cells)
        there = ~pd.isna(users[rows])
        user_codes, known_users = pd.factorize(users[rows][there], sort=True)
        names = np.array(found_items, dtype=object)[there]
        item_codes, known_items = pd.factorize(names, sort=True)
        counts = _count(user_codes, item_codes, (len(known_users), len(known_items)))
        n_users = np.bincount(counts.indices, minlength=counts.shape[1])
        kept = np.flatnonzero(n_users >= self.min_frequency)
        if len(kept) == 0:
            raise InvalidInputError(
                f"No item is used by at least min_frequency={self.min_frequency} "
                f"user(s): there are {counts.shape[0]} user(s) and {counts.shape[1]} "
                "item(s)."
            )
        counts = counts[:, kept]
        has_items = np.diff(counts.indptr) > 0
        counts = counts[has_items]
        self.users_ = {u: row for row, u in enumerate(known_users[has_items])}
        self.vocabulary_ = {item: row for row, item in enumerate(known_items[kept])}
        totals = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()
        self._log_shares = np.log(totals / totals.sum())
        rng = local_generator(self.random_state)
        found = _decompose(self._weigh(counts), self.n_components, rng)
        self.singular_values_, directions = found
        self.n_components_ = len(self.singular_values_)
        self.item_vectors_ = directions * self.singular_values_**self.power
        self.user_vectors_ = self._fold_in(counts)

    def _read_items(self, table: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        rows: list[np.ndarray] = []
        items: list[str] = []
        for column in self._items:
            cells = table[column].astype(object)
            found = read_cells(cells, self._read_cell, self.on_error)
            lists = [cell or () for cell in found]
            rows.append(np.repeat(np.arange(len(lists)), [len(cell) for cell in lists]))
            prefix = f"{column}=" if len(self._items) > 1 else ""
            names = chain.from_iterable(lists)
            items += [prefix + (n.lower() if self.split else n) for n in names]
        return np.concatenate(rows), items

    def _read_cell(self, cell: Any) -> list[str]:
        if self.split and isinstance(cell, str):
            return read_tags(cell) or []
        return _read_whole(cell)

    def _weigh(self, counts: Any) -> Any:
        """Return the weighted matrix; each row depends on its own counts alone."""
        weighted = counts.astype(np.float64)
        if self.weighting == "ppmi":
            totals = np.asarray(weighted.sum(axis=1)).ravel()
            share = np.log(weighted.data / np.repeat(totals, np.diff(weighted.indptr)))
            weighted.data = np.maximum(share - self._log_shares[weighted.indices], 0)
            weighted.eliminate_zeros()
        return weighted

    def _fold_in(self, counts: Any) -> np.ndarray:
        weights = self._weigh(counts).astype(np.float32)
        return weights @ self.item_vectors_ / self.singular_values_

    def _transform_cells(self, cells: pd.DataFrame) -> np.ndarray:
        rows, items = self._read_items(cells)
        columns = np.array([self.vocabulary_.get(i, -1) for i in items], dtype=int)
        there = columns >= 0
        shape = len(cells), len(self.vocabulary_)
        counts = _count(rows[there], columns[there], shape)
        missing = np.diff(counts.indptr) == 0
        users = self._levels(cells[self._user])
        if self.output == "user":
            known = np.array([self.users_.get(user, -1) for user in users], dtype=int)
            vectors, new = self.user_vectors_[known], known < 0
            if new.any():
                vectors[new] = self._fold_in(counts[new])
            missing &= new
        else:
            vectors = normalize(counts, norm="l1") @ self.item_vectors_
        if self.pad:
            padding = self.n_components - self.n_components_
            vectors = np.pad(vectors, ((0, 0), (0, padding)))
        vectors[missing] = np.nan
        return np.hstack([vectors, missing[:, np.newaxis].astype(np.float32)])

    def _feature_names(self, names: Any = None) -> list[str]:
        width = self.n_components if self.pad else self.n_components_
        stem = "svd" if self.output == "user" else "item_svd"
        return [*(f"{stem}__{i}" for i in range(width)), f"{stem}_missing"]


def _read_whole(cell: Any) -> list[str]:
    if is_list(cell):
        return [name for part in in_order(cell) for name in _read_whole(part)]
    if is_missing(cell):
        return []
    if isinstance(cell, str):
        return [name] if (name := mend(cell).strip()) else []
    if isinstance(cell, (Real, np.bool_)):
        # whole numbers in a column with gaps are read as floats: 7.0 is item 7
        number = float(cell)
        return [str(int(number) if number.is_integer() else cell)]
    raise TypeError(
        f"expected text, a number or a list of these, got {type(cell).__name__}"
    )


def _count(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
    ones = np.ones(len(rows), dtype=np.float32)
    counts = scipy.sparse.csr_array((ones, (rows, columns)), shape=shape)
    counts.sum_duplicates()
    return counts


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
