"""The encoders for each role of a table of posts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import ClassNamePrefixFeaturesOutMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

import hyperfusion.encoders as tier
from hyperfusion._nested import takes_one_column
from hyperfusion.cells._columns import read_cells, shown
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders._base import ColumnEncoder, TableEncoder, column_features
from hyperfusion.encoders.context._plain import VectorEncoder
from hyperfusion.encoders.post._roles import ReadyVector, Roles
from hyperfusion.exceptions import HyperFusionError, InvalidInputError
from hyperfusion.table._build import Part
from hyperfusion.table._frames import as_frame
from hyperfusion.table._names import column_name, unique_names, vector_columns

ENCODED = (
    *("image", "text", "tags", "user", "time", "geo", "place"),
    *("numeric", "categorical", "vectors", "neighbors"),
)
"""The keys of `PostEncoder`'s parameter ``encoders``."""

_COLUMN_PARAMETERS = (
    *("user", "numeric", "items", "time", "timezone", "created", "category", "place"),
    *("latitude", "longitude", "accuracy", "name"),
)

_VECTORS = ("clip", "tfidf", "glove", "svd")

# the paper's 399 suit 70,000 users; most tables have far fewer posts
_SVD_COMPONENTS = 32


@dataclass(frozen=True)
class Component:
    """An encoder, its columns, and where its features go."""

    role: str  # one of `ENCODED`
    name: str  # of the encoder within its role
    block: str
    columns: list[Hashable]
    encoder: Any
    prefix: str = ""  # of its features' names

    @property
    def title(self) -> str:
        return f"{self.block}: {type(self.encoder).__name__} of {self.columns[:3]}"

    def read(self, table: pd.DataFrame) -> Any:
        if not takes_one_column(self.encoder):
            # by position, which takes a fifth of the time for single rows
            places = [table.columns.get_loc(c) for c in self.columns]
            return table.take(places, axis="columns")
        cells = table[self.columns[0]]
        first = self.encoder[0] if isinstance(self.encoder, Pipeline) else self.encoder
        if self.role not in ("text", "tags") or isinstance(first, ColumnEncoder):
            return cells
        # scikit-learn's vectorizers take texts only, without missing ones
        texts = read_cells(cells, read_text, "missing")
        return pd.Series([t or "" for t in texts], cells.index, object, cells.name)

    def fit(self, table: pd.DataFrame, y: Any) -> Part:
        if isinstance(self.encoder, VectorEncoder):
            self.encoder.fit(self.read(table))
            return self._vector(table)
        return self._part(self.encoder.fit_transform, table, y)

    def transform(self, table: pd.DataFrame) -> Part:
        if isinstance(self.encoder, VectorEncoder):
            return self._vector(table)
        if isinstance(self.encoder, ColumnEncoder):
            return self._part(self.encoder._transform, table)
        if isinstance(self.encoder, TableEncoder):  # its columns are known by now
            return self._part(self.encoder._transform_cells, table)
        return self._part(self.encoder.transform, table)

    @property
    def spaces(self) -> dict[str, str]:
        declared = getattr(self.encoder, "spaces_", {})
        return {self._full(vector): space for vector, space in declared.items()}

    def _full(self, name: Any) -> str:
        return column_name(self.block, f"{self.prefix}{name}")

    def full_names(self, own: Iterable[Any]) -> list[str]:
        return [self._full(name) for name in own]

    def _vector(self, table: pd.DataFrame) -> Part:
        names = self.full_names(self.encoder.get_feature_names_out())
        columns = self.read(table)
        return Part(names, lambda out: self.encoder._write(columns, out), {})

    def _part(self, encode: Callable[..., Any], table: pd.DataFrame, *y: Any) -> Part:
        n_rows = len(table)
        try:
            output = as_frame(encode(self.read(table), *y))
        except HyperFusionError:
            raise
        except (ValueError, TypeError) as error:  # other libraries name no column
            raise InvalidInputError(
                f"encoders[{self.role!r}]: {type(self.encoder).__name__} failed on "
                f"{self.columns[:5]}: {error}"
            ) from error
        is_frame = isinstance(output, pd.DataFrame)
        if not is_frame:
            output = output.toarray() if sp.issparse(output) else np.asarray(output)
        if output.shape[:1] != (n_rows,):
            raise InvalidInputError(
                f"encoders[{self.role!r}]: {type(self.encoder).__name__} returned an "
                f"output of shape {output.shape} for {n_rows} posts."
            )
        if not is_frame:
            output = output.reshape(n_rows, -1)
        self._check_numbers(output)
        last = self.encoder[-1] if isinstance(self.encoder, Pipeline) else self.encoder
        # scikit-learn names the output after the class, as for PCA
        is_vector = isinstance(last, ClassNamePrefixFeaturesOutMixin)
        own = (
            output.columns if is_frame else self._own_names(output.shape[1], is_vector)
        )
        names = [f"{self.prefix}{name}" for name in own]
        if type(last).__module__.startswith("sklearn.") and not is_vector:
            names = column_features(names)
        names = [column_name(self.block, name) for name in names]
        if is_frame:
            return Part.of(names, output)
        return Part(names, lambda out: np.copyto(out, output, casting="unsafe"), {})

    def _check_numbers(self, output: Any) -> None:
        is_frame = isinstance(output, pd.DataFrame)
        for i, dtype in enumerate(output.dtypes if is_frame else [output.dtype]):
            is_category = isinstance(dtype, pd.CategoricalDtype)
            if not (is_category or pd.api.types.is_numeric_dtype(dtype)):
                cell = output.iloc[0, i] if is_frame else output[0, 0]
                raise InvalidInputError(
                    f"encoders[{self.role!r}]: {type(self.encoder).__name__} returned "
                    f"{dtype} values such as {shown(cell)}, where numbers are "
                    "expected. Let it return a DataFrame with categories "
                    "(.astype('category')), or encode its output to numbers."
                )

    def _own_names(self, n_features: int, is_vector: bool) -> list[str]:
        """Return the encoder's names; unnamed numbers are a vector."""
        kind = type(self.encoder).__name__.lower()
        if not is_vector:
            with suppress(AttributeError, ValueError, TypeError):
                return [str(n) for n in self.encoder.get_feature_names_out()]
        return vector_columns(kind, n_features) if n_features > 1 else [kind]


def build_components(
    owner: Any, roles: Roles, vectors: list[ReadyVector], y: Any
) -> list[Component]:
    """Return the unfitted components; without `y`, those that need no targets."""
    given = dict(owner.encoders or {})
    unknown = sorted(set(given) - set(ENCODED))
    if unknown:
        raise InvalidInputError(
            f"encoders has unknown roles {unknown}; it takes {list(ENCODED)}."
        )
    defaults = list(default_components(owner, roles, vectors))
    components: list[Component] = []
    for role in ENCODED:
        default = [component for component in defaults if component.role == role]
        if role in given and not default:
            named = "place_embedder=True" if role == "place" else f"{role}='...'"
            raise InvalidInputError(
                f"encoders[{role!r}] is given, but no column has this role: name one, "
                f"for example {named}."
            )
        components += _replace(default, given[role]) if role in given else default
    if y is not None:
        return components
    return [c for c in components if not get_tags(c.encoder).target_tags.required]


def by_name(value: Any) -> dict[str, Any]:
    """Return what replaces the encoders of a role, by name."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str) and value == "drop":
        return {}
    several = value if isinstance(value, (list, tuple)) else [value]
    names = unique_names(type(one).__name__.lower() for one in several)
    return dict(zip(names, several, strict=True))


def _replace(default: list[Component], value: Any) -> list[Component]:
    """Replace the default components of a role by the user's transformers."""
    role, names = default[0].role, list(dict.fromkeys(c.name for c in default))
    is_named, given = isinstance(value, Mapping), by_name(value)
    fine = all(
        hasattr(one, "fit")
        or (is_named and (isinstance(one, Mapping) or str(one) == "drop"))
        for one in given.values()
    )
    if not fine:
        raise InvalidInputError(
            f"encoders[{role!r}] must be a transformer, a list of transformers, a dict "
            f"of transformers by the names of the role's own, or 'drop'. Got {value!r}."
        )
    components: list[Component] = []
    if not is_named:
        places: dict[tuple[str, str], Component] = {}
        for component in default:
            places.setdefault((component.block, component.prefix), component)
        for place in places.values():
            for name, one in given.items():
                components += _placed(place, name, one)
        return components
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InvalidInputError(
            f"encoders[{role!r}] names {unknown}; the role's own encoders are {names}."
        )
    for component in default:
        encoder = given.get(component.name, component.encoder)
        if isinstance(encoder, Mapping):
            component.encoder.set_params(**encoder)
            components.append(component)
        elif isinstance(encoder, type(component.encoder)):
            # the roles decide which columns it reads
            own = component.encoder.get_params(deep=False)
            own = {key: own[key] for key in _COLUMN_PARAMETERS if key in own}
            encoder = clone(encoder).set_params(**own)
            components.append(replace(component, encoder=encoder))
        elif not isinstance(encoder, str):
            components += _placed(component, component.name, encoder)
    return components


def _placed(place: Component, name: str, transformer: Any) -> list[Component]:
    """Return a transformer as the component, or a clone of it for each column."""
    if len(place.columns) == 1 or not takes_one_column(transformer):
        return [replace(place, name=name, encoder=clone(transformer))]
    return [
        replace(
            place,
            name=name,
            columns=[column],
            encoder=clone(transformer),
            prefix=f"{place.prefix}{column}_",
        )
        for column in place.columns
    ]


def default_components(
    owner: Any, roles: Roles, vectors: list[ReadyVector]
) -> Iterator[Component]:
    """Yield the default components of all roles that have columns, unfitted."""
    own = [*_of_content(owner, roles), *_of_context(owner, roles)]
    yield from own
    # those of the roles' own encoders keep their names
    names = [c.full_names([c.name])[0] for c in own if c.name in _VECTORS]
    names += [column_name(vector.block, vector.name) for vector in vectors]
    unique = unique_names(names)[len(names) - len(vectors) :]
    for vector, full in zip(vectors, unique, strict=True):
        name = full.removeprefix(column_name(vector.block, ""))
        encoder = VectorEncoder(name)
        yield Component("vectors", name, vector.block, vector.columns, encoder)
    if owner.neighbors is not None:
        yield from _neighbors(owner, roles)


def _neighbors(owner: Any, roles: Roles) -> Iterator[Component]:
    """Yield the search for neighbors, if posts have times and something to compare."""
    known: dict[str, Any] = getattr(owner.neighbors, "get_params", dict)()
    if not {"text", "vectors", "user", "time"} <= set(known):
        raise InvalidInputError(
            f"neighbors must be NeighborTargets(). Got {owner.neighbors!r}."
        )
    own = {role: _first(roles[role]) for role in ("user", "time")}
    own |= {"text": roles["text"] or roles["tags"] or None}
    own |= {"random_state": owner.random_state}
    absent = {name: v for name, v in own.items() if known[name] is None}
    search = clone(owner.neighbors).set_params(**absent)
    compared = labels_in([search.text, search.vectors])
    if search.time is not None and compared:
        used = compared + labels_in([search.user, search.time])
        yield _component("neighbors", "neighbors", used, search)


def labels_in(value: Any) -> list[Any]:
    """Return the columns in a column, a list or a dict of columns."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [label for one in value for label in labels_in(one)]
    return [] if value is None else [value]


def _of_content(owner: Any, roles: Roles) -> Iterator[Component]:
    """Yield the components of pictures, texts and tags."""
    missing, image = {"on_error": owner.on_error}, roles["image"]
    if image:
        yield _component("image", "statistics", image, tier.ImageStatistics(**missing))
        clip = _clip(owner, "image_encoder", tier.ClipImageEncoder)
        if clip is not None:
            yield _component("image", "clip", image, clip)
    for role, analyzer in (("text", "word"), ("tags", "tags")):
        for column in roles[role]:
            encoders = {
                "statistics": tier.TextStatistics(analyzer=analyzer, **missing),
                "tfidf": tier.TfidfComponents(
                    analyzer="characters",
                    ngram_range=(2, 4),
                    random_state=owner.random_state,
                    **missing,
                ),
                "clip": _clip(owner, "text_encoder", tier.ClipTextEncoder),
            }
            if owner.word_vectors is not None and owner.word_vectors is not False:
                words = owner.word_vectors
                encoders["glove"] = tier.GloveTextVectorizer(words, **missing)
            prefix = f"{column}_" if role == "text" else ""
            for name, encoder in encoders.items():
                if encoder is not None:
                    yield Component(role, name, role, [column], encoder, prefix)


def _of_context(owner: Any, roles: Roles) -> Iterator[Component]:
    """Yield the components of users, times, places, numbers and categories."""
    missing = {"on_error": owner.on_error}
    user, time, numbers = roles["user"], roles["time"], roles["user_numeric"]
    if user or numbers:
        profile = tier.UserProfileEncoder(user=_first(user), numeric=numbers, **missing)
        yield _component("user", "profile", user + numbers, profile)
    yield from _svd(owner, "user", roles, "tags")
    if user and time:
        kinds = {r: roles[r] for r in ("user", "time", "place")}
        kinds["category"] = roles["categorical"][:1]
        history = tier.UserHistory(
            **{kind: _first(columns) for kind, columns in kinds.items()}, **missing
        )
        used = user + time + kinds["category"] + roles["place"]
        yield _component("user", "history", used, history)
    if time:
        zone, created = roles["timezone"], roles["user_created"]
        calendar = tier.TemporalEncoder(
            time=time[0],
            timezone=zone[0] if zone else owner.timezone,
            created=_first(created),
            naive=owner.naive_time,
            cycles="seen",
            **missing,
        )
        yield _component("time", "calendar", time + zone + created, calendar)
    names = {"latitude": "latitude", "longitude": "longitude"}
    names |= {"accuracy": "geo_accuracy", "place": "place"}
    used = [column for role in names.values() for column in roles[role]]
    if used:
        places = {name: _first(roles[role]) for name, role in names.items()}
        yield _component("geo", "geo", used, tier.GeoEncoder(**places, **missing))
    yield from _svd(owner, "place", roles, "place", split=False, output="item")
    for role, name, kind in (
        ("numeric", "numbers", tier.NumberEncoder),
        ("categorical", "categories", tier.CategoryEncoder),
    ):
        if roles[role]:
            yield _component(role, name, roles[role], kind(**missing))


def _component(role: str, name: str, columns: list[Any], encoder: Any) -> Component:
    block = "meta" if role in ("numeric", "categorical") else role
    return Component(role, name, block, list(dict.fromkeys(columns)), encoder)


def _first(columns: list[Any]) -> Any:
    return columns[0] if columns else None


def _clip(owner: Any, name: str, default: type) -> Any:
    value = getattr(owner, name)
    if value is False:
        return None
    if value is None or isinstance(value, str):
        model = {} if value is None else {"model_name": value}
        return default(**model, cache=owner.cache, on_error=owner.on_error)
    if not (hasattr(value, "fit") and hasattr(value, "transform")):
        raise InvalidInputError(
            f"{name} must be an encoder such as {default.__name__}(), the name of a "
            f"model, None (the default CLIP) or False (none). Got {value!r}."
        )
    return clone(value)


def _svd(
    owner: Any, role: str, roles: Roles, items: str, **own: Any
) -> Iterator[Component]:
    """Yield the embedder of users or places, if it is wanted and both are named."""
    value = getattr(owner, f"{role}_embedder")
    if value is True:
        value = tier.SVDUserEmbedder(
            n_components=_SVD_COMPONENTS, pad=True, on_error=owner.on_error, **own
        )
    if not isinstance(value, tier.SVDUserEmbedder) or not roles["user"]:
        return  # what is no embedder is refused at fit
    used = roles[items] if value.items is None else value.items
    used = used if isinstance(used, list) else [used]
    if used:
        seed = owner.random_state if value.random_state is None else value.random_state
        user = roles["user"][0] if value.user is None else value.user
        svd = clone(value).set_params(user=user, items=used, random_state=seed)
        yield _component(role, "svd", [user, *used], svd)
