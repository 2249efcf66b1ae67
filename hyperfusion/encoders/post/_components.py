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
from hyperfusion.cells._columns import read_each, shown
from hyperfusion.cells._texts import read_text
from hyperfusion.encoders._base import CellEncoder, ColumnEncoder, column_features
from hyperfusion.encoders._vectors import VectorEncoder
from hyperfusion.encoders.post._roles import ReadyVector, Roles
from hyperfusion.exceptions import HyperFusionError, InvalidInputError
from hyperfusion.table._build import Part
from hyperfusion.table._frames import as_frame
from hyperfusion.table._names import column_name, vector_columns

ENCODED = (
    *("image", "text", "tags", "user", "time", "geo", "place"),
    *("numeric", "categorical", "vectors", "neighbors"),
)
"""The keys of `PostEncoder`'s parameter ``encoders``."""

_COLUMN_PARAMETERS = (
    *("user", "numeric", "items", "time", "timezone", "created", "category", "place"),
    *("latitude", "longitude", "accuracy", "name"),
)

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
            return table[self.columns]
        cells = table[self.columns[0]]
        first = self.encoder[0] if isinstance(self.encoder, Pipeline) else self.encoder
        if self.role not in ("text", "tags") or isinstance(first, ColumnEncoder):
            return cells
        # scikit-learn's vectorizers take texts only, without missing ones
        texts = read_each(cells, read_text).settle("missing")
        return pd.Series([t or "" for t in texts], cells.index, object, cells.name)

    def fit(self, table: pd.DataFrame, y: Any) -> Part:
        if isinstance(self.encoder, VectorEncoder):
            self.encoder.fit(self.read(table))
            return self._vector(table)
        return self._part(self.encoder.fit_transform, table, y)

    def transform(self, table: pd.DataFrame) -> Part:
        if isinstance(self.encoder, VectorEncoder):
            return self._vector(table)
        if isinstance(self.encoder, CellEncoder):
            return self._part(self.encoder._transform_known, table)
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
        return Part(names, lambda out: self.encoder.write(columns, out), {})

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

        def write(out: np.ndarray) -> None:
            out[:] = output

        return Part(names, write, {})

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


def takes_one_column(encoder: Any) -> bool:
    """Whether a transformer takes a column of cells, as `TfidfVectorizer` does."""
    while isinstance(encoder, Pipeline):
        encoder = encoder.steps[0][1]
    return not get_tags(encoder).input_tags.two_d_array


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
    components: list[Component] = []
    for role in ENCODED:
        default = list(default_components(owner, role, roles, vectors))
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


def default_components(
    owner: Any, role: str, roles: Roles, vectors: list[ReadyVector]
) -> Iterator[Component]:
    """Yield the default components of a role, unfitted; none without a column."""
    if role == "vectors":
        for vector in vectors:
            encoder = VectorEncoder(vector.name)
            yield Component(role, vector.name, vector.block, vector.columns, encoder)
    elif role == "neighbors":
        yield from _neighbors(owner, roles)
    elif role in ("text", "tags"):
        for column in roles[role]:
            prefix = f"{column}_" if role == "text" else ""
            for name, encoder in _words(owner, role).items():
                yield Component(role, name, role, [column], encoder, prefix)
    else:
        block = "meta" if role in ("numeric", "categorical") else role
        for name, (columns, encoder) in _BUILDERS[role](owner, roles).items():
            if columns:
                columns = list(dict.fromkeys(columns))
                yield Component(role, name, block, columns, encoder)


def _replace(default: list[Component], value: Any) -> list[Component]:
    """Replace the default components of a role by the user's transformers."""
    role = default[0].role
    if isinstance(value, str):
        if value != "drop":
            raise InvalidInputError(_wrong_encoders(role, value))
        return []
    if isinstance(value, Mapping):
        return _replace_by_name(default, value)
    several = value if isinstance(value, (list, tuple)) else [value]
    if not all(hasattr(transformer, "fit") for transformer in several):
        raise InvalidInputError(_wrong_encoders(role, value))
    places: dict[tuple[str, str], Component] = {}
    for component in default:
        places.setdefault((component.block, component.prefix), component)
    return [
        placed
        for place in places.values()
        for transformer in several
        for placed in _placed(place, type(transformer).__name__.lower(), transformer)
    ]


def _wrong_encoders(role: str, value: Any) -> str:
    return (
        f"encoders[{role!r}] must be a transformer, a list of transformers, a dict "
        f"of transformers by the names of the role's own, or 'drop'. Got {value!r}."
    )


def _replace_by_name(
    default: list[Component], value: Mapping[str, Any]
) -> list[Component]:
    role, names = default[0].role, list(dict.fromkeys(c.name for c in default))
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise InvalidInputError(
            f"encoders[{role!r}] names {unknown}; the role's own encoders are {names}."
        )
    components: list[Component] = []
    for component in default:
        encoder = value.get(component.name, component.encoder)
        if isinstance(encoder, str) and encoder == "drop":
            continue
        if isinstance(encoder, Mapping):
            component.encoder.set_params(**encoder)
            components.append(component)
            continue
        if not hasattr(encoder, "fit"):
            raise InvalidInputError(_wrong_encoders(role, value))
        if isinstance(encoder, type(component.encoder)):
            # the roles decide which columns it reads
            own = component.encoder.get_params(deep=False)
            own = {key: own[key] for key in _COLUMN_PARAMETERS if key in own}
            component = replace(component, encoder=clone(encoder).set_params(**own))
            components.append(component)
        else:
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


def _neighbors(owner: Any, roles: Roles) -> Iterator[Component]:
    """Yield the search for similar earlier posts, if there are texts and times."""
    text, user, time = roles["text"] or roles["tags"], roles["user"], roles["time"]
    encoder = owner.neighbors
    if encoder is None or not (text and time):
        return
    if not {"text", "user", "time"} <= set(encoder.get_params()):
        raise InvalidInputError(
            f"neighbors must be NeighborTargets(). Got {encoder!r}."
        )
    own = {"user": _only(user), "time": time[0], "random_state": owner.random_state}
    if encoder.text is None:
        own["text"] = text
    absent = {name: v for name, v in own.items() if getattr(encoder, name) is None}
    encoder = clone(encoder).set_params(**absent)
    columns = list(dict.fromkeys(text + user + time))
    yield Component("neighbors", "neighbors", "neighbors", columns, encoder)


Built = dict[str, tuple[list[Hashable], Any]]


def _image(owner: Any, roles: Roles) -> Built:
    columns, missing = roles["image"], {"on_error": owner.on_error}
    if not columns:
        return {}
    built: Built = {"statistics": (columns, tier.ImageStatistics(**missing))}
    clip = _clip(owner, "image_encoder", tier.ClipImageEncoder, missing)
    return built if clip is None else built | {"clip": (columns, clip)}


def _clip(owner: Any, name: str, default: type, params: dict[str, Any]) -> Any:
    value = getattr(owner, name)
    if value is False:
        return None
    if value is None:
        return default(cache=owner.cache, **params)
    if isinstance(value, str):
        return default(model_name=value, cache=owner.cache, **params)
    if not (hasattr(value, "fit") and hasattr(value, "transform")):
        raise InvalidInputError(
            f"{name} must be an encoder such as {default.__name__}(), the name of a "
            f"model, None (the default CLIP) or False (none). Got {value!r}."
        )
    return clone(value)


def _words(owner: Any, role: str) -> dict[str, Any]:
    missing = {"on_error": owner.on_error}
    encoders = {
        "statistics": tier.TextStatistics(
            analyzer="word" if role == "text" else "tags", **missing
        ),
        "tfidf": tier.TfidfComponents(
            analyzer="characters",
            ngram_range=(2, 4),
            random_state=owner.random_state,
            **missing,
        ),
        "clip": _clip(owner, "text_encoder", tier.ClipTextEncoder, missing),
    }
    if owner.word_vectors is not None and owner.word_vectors is not False:
        encoders["glove"] = tier.GloveTextVectorizer(owner.word_vectors, **missing)
    return {name: encoder for name, encoder in encoders.items() if encoder is not None}


def _user(owner: Any, roles: Roles) -> Built:
    user, numeric, missing = roles["user"], roles["user_numeric"], owner.on_error
    profile = tier.UserProfileEncoder(
        user=_only(user), numeric=numeric, on_error=missing
    )
    built: Built = {"profile": (user + numeric, profile)}
    built |= _svd(owner, owner.user_embedder, roles, "tags")
    if user and roles["time"]:
        category, place = roles["categorical"][:1], roles["place"]
        history = tier.UserHistory(
            user=user[0],
            time=roles["time"][0],
            category=_only(category),
            place=_only(place),
            on_error=missing,
        )
        built["history"] = (user + roles["time"] + category + place, history)
    return built


def _place(owner: Any, roles: Roles) -> Built:
    return _svd(owner, owner.place_embedder, roles, "place", split=False, output="item")


def _svd(owner: Any, value: Any, roles: Roles, items: str, **own: Any) -> Built:
    """Return the embedder of users or items; nothing unless both are named."""
    if value is True:
        value = tier.SVDUserEmbedder(
            n_components=_SVD_COMPONENTS, pad=True, on_error=owner.on_error, **own
        )
    if not isinstance(value, tier.SVDUserEmbedder) or not roles["user"]:
        return {}  # what is no embedder is refused at fit
    used = roles[items] if value.items is None else value.items
    used = used if isinstance(used, list) else [used]
    if not used:
        return {}
    seed = owner.random_state if value.random_state is None else value.random_state
    user = roles["user"][0] if value.user is None else value.user
    svd = clone(value).set_params(user=user, items=used, random_state=seed)
    return {"svd": ([user, *used], svd)}


def _time(owner: Any, roles: Roles) -> Built:
    time, zone, created = roles["time"], roles["timezone"], roles["user_created"]
    if not time:
        return {}
    encoder = tier.TemporalEncoder(
        time=time[0],
        timezone=zone[0] if zone else owner.timezone,
        created=_only(created),
        naive=owner.naive_time,
        cycles="seen",
        on_error=owner.on_error,
    )
    return {"calendar": (time + zone + created, encoder)}


def _geo(owner: Any, roles: Roles) -> Built:
    names = {
        "latitude": roles["latitude"],
        "longitude": roles["longitude"],
        "accuracy": roles["geo_accuracy"],
        "place": roles["place"],
    }
    params: dict[str, Any] = {k: _only(v) for k, v in names.items()}
    encoder = tier.GeoEncoder(**params, on_error=owner.on_error)
    return {"geo": ([c for some in names.values() for c in some], encoder)}


_BUILDERS: dict[str, Callable[[Any, Roles], Built]] = {
    "image": _image,
    "user": _user,
    "time": _time,
    "geo": _geo,
    "place": _place,
    "numeric": lambda owner, roles: {
        "numbers": (roles["numeric"], tier.NumberEncoder(on_error=owner.on_error))
    },
    "categorical": lambda owner, roles: {
        "categories": (
            roles["categorical"],
            tier.CategoryEncoder(on_error=owner.on_error),
        )
    },
}


def _only(columns: list[Hashable]) -> Hashable | None:
    return columns[0] if columns else None
