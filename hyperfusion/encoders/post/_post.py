"""Tier 1 as one transformer: from the columns of a table of posts to features."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator
from hyperfusion._nested import NestedEncoders
from hyperfusion._sklearn_compat import HasMethods, StrOptions
from hyperfusion.cells._columns import ON_ERROR
from hyperfusion.encoders.post._components import (
    ENCODED,
    Component,
    build_components,
    default_components,
)
from hyperfusion.encoders.post._roles import (
    ROLES,
    Roles,
    named_roles,
    read_roles,
    read_vectors,
)
from hyperfusion.encoders.post._warn_once import warn_once
from hyperfusion.encoders.text._word_vectors import SharesWordVectors
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


class PostEncoder(
    NestedEncoders, SharesWordVectors, TransformerMixin, HyperFusionEstimator
):
    """Turn a table of posts into a feature table, by the roles of its columns.

    Tier 1 of the paper (section 3.3). Each role gets the encoders that suit it, and
    their features are written side by side as ``<block>__<feature>`` columns; a role
    that is not named is simply absent.

    Parameters
    ----------
    image : column, default=None
        Images: paths, bytes, PIL images or arrays.
    text : column or list of columns, default=()
        Texts, such as title and description.
    tags : column, default=None
        Tags: lists, or texts with separators.
    user : column, default=None
        User.
    user_created : column, default=None
        When the user's account was created; with `time` this gives its age.
    user_numeric : column or list of columns, default=()
        Counts of the user's profile, such as followers.
    time : column, default=None
        When the post was published.
    timezone : column or str, default=None
        Local time zone of each post, or one IANA name for all.
    naive_time : {"utc", "local"}, default="utc"
        What times without a time zone of their own are: UTC, or what a clock showed in
        the post's `timezone`.
    latitude, longitude, geo_accuracy, place : column, default=None
        Where the post was made, how precisely that is known, and the place's name.
    numeric, categorical : column or list of columns, default=()
        Further numbers and categories.
    vectors : dict, default=None
        Ready-made vectors by the block that they belong to: ``{"image":
        "clip_embedding", "text": ["title_e5"], "user": ["v0", "v1", "v2"]}``. A value
        is one column whose cells are arrays or lists, several columns of numbers (one
        vector), a list of such, or a dict of them by name. See `VectorEncoder`.
    image_encoder : ClipImageEncoder, str, None or False, default=None
        Encoder of images; a name is that of a CLIP architecture, None the default
        CLIP, False none. Any transformer of one column will do.
    text_encoder : ClipTextEncoder, str, None or False, default=None
        Encoder of texts and tags, likewise.
    word_vectors : str, path, KeyedVectors, None or False, default=None
        Word vectors for `GloveTextVectorizer`; None and False add no such features.
    user_embedder : SVDUserEmbedder, True or False, default=False
        Embeds users by the tags of their posts; True takes 32 components.
    neighbors : NeighborTargets or None, default=None
        What similar earlier posts of other users came to, as block ``neighbors``. It
        compares the texts, or the tags where there are none; the roles text, tags, user
        and time say which columns. `make_hyperfusion` gives one.
    cache : str, path, EmbeddingCache or None, default=None
        Where the CLIP encoders keep embeddings.
    encoders : dict, default=None
        Transformers to use for a role instead of its own: ``{role: transformer, list
        of transformers or "drop"}``, for the roles image, text, tags, user, time,
        geo, numeric, categorical and vectors; or ``{role: {name: transformer or
        "drop"}}`` for single ones of the role's own (see Notes). Transformers that
        take one column (as `TfidfVectorizer`) get a column, others a table.
    on_error : {"raise", "missing"}, default="missing"
        Whether a cell that can't be used stops with an error that names it, or counts
        as missing, with one warning a column.
    random_state : int, RandomState instance or None, default=None
        Seed of encoders whose own is None.
    verbose : int, default=0
        1 prints a line for every encoder.

    Attributes
    ----------
    components_ : list of Component
        The fitted encoders with their blocks and columns.
    roles_ : dict of {role: list of columns}
        The columns of each role.
    spaces_ : dict of {vector: space}
        Vectors that may be compared with each other, where they share a space.
    n_features_in_ : int
        Number of columns of the table at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    See Also
    --------
    make_hyperfusion : Puts this in front of relations and ensemble.

    Notes
    -----
    The result holds one float32 allocation of all numbers (a gigabyte for 100,000
    posts and 2,500 features), and categories with the levels seen at fit. Columns
    of no role may differ between fit and transform.

    The roles' own encoders are called statistics and clip (image); statistics, tfidf,
    clip and glove (text, tags); profile, svd and history (user); calendar (time); geo;
    numbers (numeric); categories (categorical). Their parameters are set and searched
    as ``encoders__text__tfidf__n_components``.

    A replacement's features belong together as one vector where it doesn't name them,
    or names them as scikit-learn's ``PCA`` does, after its class.

    A user's embedding (equation 4) is off by default: on two sets of real posts,
    most of whose users have few, it did not help.

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

    _vectors_parameter = "word_vectors"

    _parameter_constraints: dict = {
        **dict.fromkeys([*ROLES, "timezone"], "no_validation"),
        "naive_time": [StrOptions({"utc", "local"})],
        "vectors": [dict, None],
        **dict.fromkeys(["image_encoder", "text_encoder"], "no_validation"),
        **dict.fromkeys(["word_vectors", "user_embedder", "cache"], "no_validation"),
        "neighbors": [HasMethods(["fit", "transform"]), None],
        "encoders": [dict, None],
        "on_error": [StrOptions(set(ON_ERROR))],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        image: Columns = None,
        text: Columns = (),
        tags: Columns = None,
        user: Columns = None,
        user_created: Columns = None,
        user_numeric: Columns = (),
        time: Columns = None,
        timezone: Columns = None,
        naive_time: str = "utc",
        latitude: Columns = None,
        longitude: Columns = None,
        geo_accuracy: Columns = None,
        place: Columns = None,
        numeric: Columns = (),
        categorical: Columns = (),
        vectors: dict[str, Any] | None = None,
        image_encoder: Any = None,
        text_encoder: Any = None,
        word_vectors: Any = None,
        user_embedder: Any = False,
        neighbors: Any = None,
        cache: Any = None,
        encoders: dict[str, Any] | None = None,
        on_error: str = "missing",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.image = image
        self.text = text
        self.tags = tags
        self.user = user
        self.user_created = user_created
        self.user_numeric = user_numeric
        self.time = time
        self.timezone = timezone
        self.naive_time = naive_time
        self.latitude = latitude
        self.longitude = longitude
        self.geo_accuracy = geo_accuracy
        self.place = place
        self.numeric = numeric
        self.categorical = categorical
        self.vectors = vectors
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.word_vectors = word_vectors
        self.user_embedder = user_embedder
        self.neighbors = neighbors
        self.cache = cache
        self.encoders = encoders
        self.on_error = on_error
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the encoders of all roles.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts. Columns of an array are named by position.
        y : array-like of shape (n_posts,), default=None
            Targets, for encoders that use them; without, there is no user's history.

        Returns
        -------
        self
            The fitted encoder.

        Raises
        ------
        InvalidInputError
            If a role names a column that is not there, or there is no role at all.
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> pd.DataFrame:
        """Fit the encoders and return the features of the same posts.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts.
        y : array-like of shape (n_posts,), default=None
            Targets, for encoders that use them.
        **fit_params : dict
            Ignored; present for scikit-learn's conventions.

        Returns
        -------
        DataFrame of shape (n_posts, n_features)
            The feature table.
        """
        self._validate_params()
        table = check_table(self, X, reset=True)
        self.roles_ = read_roles(self, table)
        vectors = read_vectors(self.vectors, table)
        self.roles_["vectors"] = [c for vector in vectors for c in vector.columns]
        self.components_ = build_components(self, self.roles_, vectors, y)
        if not self.components_:
            raise InvalidInputError(
                f"{type(self).__name__} has nothing to encode: give at least one role, "
                f"such as time= or numeric=. The table has {list(table.columns)[:20]}."
            )
        parts = []
        with warn_once():
            for component in self.components_:
                start = time.perf_counter()
                parts.append(component.fit(table, y))
                self._print(component, time.perf_counter() - start)
        self._n_numbers = sum(len(part.names) for part in parts)
        features = join_parts(parts, table.index, self._n_numbers)
        self._names = list(features.columns)
        self.spaces_ = {v: s for c in self.components_ for v, s in c.spaces.items()}
        texts = "text" if self.roles_["text"] else "tags"
        of_neighbors = Schema.of(features).in_block("neighbors")
        self._related = {self._names[i]: (texts,) for i in of_neighbors}
        return declare(features, self.spaces_, self._related)

    def transform(self, X: Any) -> pd.DataFrame:
        """Return the features of posts.

        Parameters
        ----------
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts with the columns of all roles.

        Returns
        -------
        DataFrame of shape (n_posts, n_features)
            The feature table, with the index of `X`.
        """
        check_is_fitted(self)
        table = self._select(X)
        parts = (component.transform(table) for component in self.components_)
        with warn_once():
            features = join_parts(parts, table.index, self._n_numbers)
        return declare(features, self.spaces_, self._related)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features, ``<block>__<feature>``.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str
            Names of the feature table's columns.
        """
        check_is_fitted(self)
        return np.asarray(self._names, dtype=object)

    def _named_encoders(self) -> dict[str, Any]:
        roles, given = named_roles(self), self.encoders or {}
        encoders: dict[str, Any] = {}
        for role in (role for role in ENCODED if role not in ("vectors", "neighbors")):
            value = given.get(role, {})
            if isinstance(value, Mapping):
                named = self._default_encoders(role, roles) | dict(value)
            else:
                several = value if isinstance(value, (list, tuple)) else [value]
                several = [each for each in several if not isinstance(each, str)]
                named = {type(each).__name__.lower(): each for each in several}
            encoders |= {f"{role}__{name}": e for name, e in named.items()}
        return encoders

    def _default_encoders(self, role: str, roles: Roles) -> dict[str, Any]:
        try:
            components = default_components(self, role, roles, [])
            return {component.name: component.encoder for component in components}
        except InvalidInputError:  # a wrong image_encoder is refused at fit
            return {}

    def _put_encoder(self, name: str, encoder: Any) -> None:
        role, _, kind = name.partition("__")
        given = dict(self.encoders or {})
        value = given.get(role, {})
        if isinstance(value, Mapping):
            given[role] = {**value, kind: encoder}
        elif isinstance(value, (list, tuple)):
            names = [type(each).__name__.lower() for each in value]
            given[role] = [
                encoder if own == kind else each
                for own, each in zip(names, value, strict=True)
            ]
        else:
            given[role] = encoder
        self.encoders = given

    def _select(self, X: Any) -> pd.DataFrame:
        """Return the roles' columns of new posts; other columns don't matter."""
        X = as_frame(X)
        if not isinstance(X, pd.DataFrame):
            return check_table(self, X, reset=False)
        for role, labels in self.roles_.items():
            check_columns(X, labels, role)
        used = {column for labels in self.roles_.values() for column in labels}
        table = X.loc[:, [c in used for c in X.columns]]
        check_frame(table, type(self).__name__)
        return table

    def _print(self, component: Component, seconds: float) -> None:
        if self.verbose:
            print(
                f"[PostEncoder] {component.block}: "
                f"{type(component.encoder).__name__} of {component.columns[:3]}, "
                f"{seconds:.1f} s",
                flush=True,
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        return tags
