"""Tier 1 as one transformer: from a table of posts to features."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from hyperfusion._base import with_parameters
from hyperfusion._nested import NestedEncoders
from hyperfusion._progress import VERBOSE, Progress, now, say, tells_lines
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion._validation import check_target
from hyperfusion._warnings import each_once, warn_user
from hyperfusion.cells._columns import as_column, is_blank
from hyperfusion.cells._images import in_folder
from hyperfusion.encoders._base import SLOTS as BASE_SLOTS
from hyperfusion.encoders._base import CellEncoder
from hyperfusion.encoders.cache._cache import EmbeddingCache
from hyperfusion.encoders.post._components import (
    ENCODED,
    build_components,
    by_name,
    default_components,
    labels_in,
)
from hyperfusion.encoders.post._roles import (
    SLOTS,
    ReadyVector,
    named_roles,
    read_roles,
    read_vectors,
)
from hyperfusion.encoders.text._word_vectors import SharesWordVectors
from hyperfusion.encoders.user._svd import SVDUserEmbedder
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._build import join_parts
from hyperfusion.table._frames import (
    Columns,
    as_frame,
    check_columns,
    check_frame,
    check_table,
)
from hyperfusion.table._schema import Schema, declare


@with_parameters
class PostEncoder(NestedEncoders, SharesWordVectors, CellEncoder):
    """Turn a table of posts into a feature table, by the roles of its columns.

    Tier 1 of the paper (section 3.3). Each named role gets suitable encoders, whose
    features become ``<block>__<feature>`` columns.

    Parameters
    ----------
    %(roles)s
    user_embedder : SVDUserEmbedder, True or False, default=False
        Embeds users by the tags of their posts; True uses 32 components.
    place_embedder : SVDUserEmbedder, True or False, default=False
        Embeds places by the users who post there, as block ``place``; True uses 32
        components. Your own embedder needs ``split=False, output="item"``.
    neighbors : NeighborTargets or None, default=None
        Adds the targets of similar earlier posts by other users, as block
        ``neighbors``. Unless it names columns, the roles do (texts before tags, and no
        vectors); without times, or anything to compare, nothing is added.
    %(cache)s
    encoders : dict, default=None
        Transformers that replace those of a role: ``{role: transformer, list of
        transformers or "drop"}``, for the roles image, text, tags, user, time, geo,
        place, numeric, categorical and vectors; or ``{role: {name: transformer, "drop"
        or dict of parameters}}`` for single ones (see Notes). Transformers of one
        column (such as `TfidfVectorizer`) get a column, others a table.
    %(on_error)s
    random_state : int, RandomState instance or None, default=None
        Seed of encoders without their own.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook, 0 shows nothing, and 1
        also prints a line for each encoder.

    Attributes
    ----------
    components_ : list of Component
        The fitted encoders with their blocks and columns.
    roles_ : dict of {role: list of columns}
        The columns of each role.
    spaces_ : dict of {vector: space}
        The space of each vector; vectors in the same space can be compared.
    %(columns)s

    Raises
    ------
    InvalidInputError
        If a role names a missing column, or no role is named.

    Notes
    -----
    The result holds all numbers in one float32 allocation, and categories with the
    levels seen at fit. Columns without a role can differ between fit and transform.
    Without targets at fit, there is no history of the user.

    The encoders of the roles are called statistics and clip (image); statistics, tfidf,
    clip and glove (text, tags); profile, svd and history (user); calendar (time); geo;
    svd (place); numbers (numeric); categories (categorical). Set and search their
    parameters as ``encoders__text__tfidf__n_components``.

    The features of a replacement are one vector if it doesn't name them, or names them
    after its class, as scikit-learn's ``PCA`` does.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion import PostEncoder
    >>> posts = pd.DataFrame({
    ...     "when": ["2024-05-01 10:00", "2024-05-02 22:00"], "likes": [3, 5]
    ... })
    >>> features = PostEncoder(time="when", numeric="likes").fit_transform(posts)
    >>> features[["time__days", "meta__likes"]]
       time__days  meta__likes
    0         0.0          3.0
    1         1.5          5.0
    """

    _slots = BASE_SLOTS | SLOTS
    _vectors_parameter = "word_vectors"

    _parameter_constraints = {
        "naive_time": [StrOptions({"utc", "local"})],
        "image_folder": [str, os.PathLike, None],
        "vectors": [dict, None],
        "user_embedder": ["boolean", SVDUserEmbedder],
        "place_embedder": ["boolean", SVDUserEmbedder],
        "cache": [str, os.PathLike, EmbeddingCache, None],
        "encoders": [dict, None],
        "random_state": ["random_state"],
        "verbose": VERBOSE,
    }

    image: Columns = None
    image_folder: str | os.PathLike[str] | None = None
    text: Columns = ()
    tags: Columns = None
    user: Columns = None
    user_created: Columns = None
    user_numeric: Columns = ()
    time: Columns = None
    timezone: Columns = None
    naive_time: str = "utc"
    latitude: Columns = None
    longitude: Columns = None
    geo_accuracy: Columns = None
    place: Columns = None
    numeric: Columns = ()
    categorical: Columns = ()
    vectors: dict[str, Any] | None = None
    image_encoder: Any = None
    text_encoder: Any = None
    word_vectors: Any = None
    user_embedder: Any = False
    place_embedder: Any = False
    neighbors: Any = None
    cache: Any = None
    encoders: dict[str, Any] | None = None
    on_error: str = "missing"
    random_state: Any = None
    verbose: int | str = "auto"

    def _read(self, X: Any, *, reset: bool) -> pd.DataFrame:
        X = as_frame(X)
        if reset or not isinstance(X, pd.DataFrame):
            return check_table(self, X, reset=reset)
        # only the columns with roles matter in new posts
        for role, labels in self.roles_.items():
            check_columns(X, labels, role)
        used = {column for labels in self.roles_.values() for column in labels}
        for component in self.components_:
            others = [column for column in component.columns if column not in used]
            used.update(check_columns(X, others, component.role))
        table = X.loc[:, [c in used for c in X.columns]]
        check_frame(table, type(self).__name__)
        # looking up columns one by one is slow in an Arrow index
        return table.set_axis(table.columns.astype(object), axis=1)

    def _fit(self, X: Any, y: Any) -> None:
        self._fit_transform(X, y)

    def _fit_transform(self, X: Any, y: Any) -> pd.DataFrame:
        cells = self._read(X, reset=True)
        if y is not None:
            y = check_target(y, len(cells), allow_nan=True)
        self.roles_ = read_roles(self, cells)
        vectors = read_vectors(self.vectors, cells)
        self.roles_["vectors"] = [c for vector in vectors for c in vector.columns]
        vectors = [v for v in vectors if cells[v.columns].notna().any(axis=None)]
        for role, columns in self.roles_.items():
            for label, column in cells[columns].items():
                if all(is_blank(cell) for cell in as_column(column)):
                    warn_user(
                        f"Column {label!r} (role {role}) says nothing: all its "
                        f"{len(column)} cells are missing."
                    )
        cells = self._with_folder(cells)
        self.components_ = build_components(self, self.roles_, vectors, y)
        if not self.components_:
            raise InvalidInputError(
                f"{type(self).__name__} has nothing to encode: give at least one role, "
                f"such as time= or numeric=. The table has {list(cells.columns)[:20]}."
            )
        for component in self.components_:
            check_columns(cells, component.columns, component.role)
        parts: list[Any] = [None] * len(self.components_)
        # pictures come last, so that other errors show before hours are spent, first
        # in the encoder that has most to check
        order = sorted(
            enumerate(self.components_),
            key=lambda pair: (pair[1].role == "image", pair[1].name == "statistics"),
        )
        with each_once(), self._progress() as progress:
            for place, component in order:
                start, what = now(), component.title
                progress.at(what)
                parts[place] = component.fit(cells, y)
                progress.step()
                if tells_lines(self.verbose):
                    say(f"[PostEncoder] {what}, {now() - start:.1f} s")
        self._n_numbers = sum(len(part.names) for part in parts)
        features = join_parts(parts, cells.index, self._n_numbers)
        self._names = list(features.columns)
        self.spaces_ = {v: s for c in self.components_ for v, s in c.spaces.items()}
        self._related = self._relations(Schema.of(features), vectors)
        return declare(features, self.spaces_, self._related)

    def _relations(
        self, schema: Schema, vectors: list[ReadyVector]
    ) -> dict[Hashable, tuple[str, ...]]:
        """Return the blocks that the features of neighbors were compared by."""
        for component in self.components_:
            search = component.encoder
            if component.role != "neighbors" or not hasattr(search, "vectors"):
                continue
            compared = {*labels_in([search.text, search.vectors])}
            blocks = [r for r in ("text", "tags") if compared & {*self.roles_[r]}]
            blocks += [v.block for v in vectors if compared & {*v.columns}]
            if blocks:
                columns = zip(schema.columns, schema.blocks, strict=True)
                return {c: tuple(blocks) for c, b in columns if b == "neighbors"}
        return {}

    def _with_folder(self, cells: pd.DataFrame) -> pd.DataFrame:
        """Return posts whose paths of pictures start at the folder of pictures."""
        if self.image_folder is None or not self.roles_["image"]:
            return cells
        (column,) = self.roles_["image"]
        found = [in_folder(c, self.image_folder) for c in as_column(cells[column])]
        cells = cells.copy(deep=False)
        cells[column] = pd.Series(found, cells.index, dtype=object)
        return cells

    def _transform_cells(self, cells: pd.DataFrame) -> pd.DataFrame:
        cells = self._with_folder(cells)
        with each_once(), self._progress() as progress:
            parts = progress.over(
                (component.transform(cells) for component in self.components_),
                (component.title for component in self.components_),
            )
            features = join_parts(parts, cells.index, self._n_numbers)
        return declare(features, self.spaces_, self._related)

    def _progress(self) -> Progress:
        return Progress("encode", len(self.components_), self.verbose, even=False)

    def _feature_names(self, names: Any = None) -> list[str]:
        return self._names

    def _named_encoders(self) -> dict[str, Any]:
        given = self.encoders if isinstance(self.encoders, Mapping) else {}
        encoders: dict[str, Any] = {}
        defaults = default_components(self, named_roles(self), [])
        own: dict[str, dict[str, Any]] = {role: {} for role in ENCODED}
        with suppress(InvalidInputError):  # a wrong encoder is refused at fit
            for component in defaults:
                own[component.role][component.name] = component.encoder
        for role in (role for role in ENCODED if role not in ("vectors", "neighbors")):
            value = given.get(role, {})
            named = own[role] if isinstance(value, Mapping) else {}
            for name, one in by_name(value).items():
                if not isinstance(one, Mapping):
                    named[name] = one
                elif name in named:
                    named[name].set_params(**one)
            encoders |= {f"{role}__{name}": e for name, e in named.items()}
        return encoders

    def _put_encoder(self, name: str, encoder: Any) -> None:
        role, _, kind = name.partition("__")
        given = dict(self.encoders or {})
        value = given.get(role, {})
        if isinstance(value, Mapping):
            given[role] = {**value, kind: encoder}
        elif isinstance(value, (list, tuple)):
            given[role] = [*(by_name(value) | {kind: encoder}).values()]
        else:
            given[role] = encoder
        self.encoders = given

    def _put_parameter(self, name: str, inner: str, value: Any, changed: Any) -> None:
        role, _, kind = name.partition("__")
        own = (self.encoders or {}).get(role, {})
        if isinstance(own, Mapping) and not hasattr(own.get(kind), "fit"):
            # only the parameter, so that the rest of the default encoder stays open
            changed = {**own.get(kind, {}), inner: value}
        self._put_encoder(name, changed)
