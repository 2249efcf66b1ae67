"""Which encoders stand behind each role of a table of posts."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from hyperfusion.exceptions import InvalidInputError

Roles = dict[str, list[Hashable]]

# the paper's 399 suit 70,000 users; most tables have fewer posts than that
_SVD_COMPONENTS = 32


@dataclass
class Component:
    """An encoder, the columns it reads, and where its features go."""

    role: str
    block: str
    columns: list[Hashable]
    encoder: Any
    prefix: str = ""

    def read(self, table: pd.DataFrame) -> Any:
        """Return the encoder's input: a column if it takes one, otherwise a frame."""
        if _takes_one_column(self.encoder):
            return table[self.columns[0]]
        return table[self.columns]

    def frame(self, output: Any, index: pd.Index) -> pd.DataFrame:
        """Return an encoder's output as a frame with this component's names."""
        if not isinstance(output, pd.DataFrame):
            values = output.toarray() if sp.issparse(output) else np.asarray(output)
            output = pd.DataFrame(values.reshape(len(index), -1), copy=False)
            output.columns = self._names(output.shape[1])
        return output.set_axis([f"{self.prefix}{c}" for c in output.columns], axis=1)

    def _names(self, n_features: int) -> list[str]:
        try:
            return [str(n) for n in self.encoder.get_feature_names_out()]
        except (AttributeError, ValueError, TypeError):
            return [
                f"{type(self.encoder).__name__.lower()}__{i}" for i in range(n_features)
            ]


def _takes_one_column(encoder: Any) -> bool:
    while isinstance(encoder, Pipeline):
        encoder = encoder.steps[0][1]
    return not get_tags(encoder).input_tags.two_d_array


def build_components(post_encoder: Any, roles: Roles, y: Any) -> list[Component]:
    """Return the unfitted components of a `PostEncoder` for its roles.

    Without targets those that need them are left out.
    """
    replaced = dict(post_encoder.encoders or {})
    builders = {
        "image": _image,
        "text": _text,
        "tags": _tags,
        "user": _user,
        "time": _time,
        "geo": _geo,
        "numeric": _numeric,
        "categorical": _categorical,
        "vectors": _vectors,
    }
    unknown = set(replaced) - set(builders)
    if unknown:
        raise InvalidInputError(
            f"encoders has unknown roles {sorted(unknown)}; it takes {list(builders)}."
        )
    components: list[Component] = []
    for role, build in builders.items():
        default = list(build(post_encoder, roles))
        if role in replaced:
            default = _replace(role, default, replaced[role])
        components += default
    if y is not None:
        return components
    return [c for c in components if not get_tags(c.encoder).target_tags.required]


def _replace(role: str, default: list[Component], value: Any) -> list[Component]:
    """Put the user's transformers in place of a role's own."""
    if isinstance(value, str):
        if value != "drop":
            raise InvalidInputError(
                f"encoders[{role!r}] must be a transformer, a list of transformers or "
                f"'drop'. Got {value!r} instead."
            )
        return []
    transformers = value if isinstance(value, (list, tuple)) else [value]
    first: dict[tuple[str, str], Component] = {}
    for component in default:
        first.setdefault((component.block, component.prefix), component)
    return [
        Component(role, place.block, place.columns, clone(transformer), place.prefix)
        for place in first.values()
        for transformer in transformers
    ]


def _image(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import ClipImageEncoder, ImageStatistics

    if not roles["image"]:
        return
    columns = roles["image"]
    missing = {"on_error": owner.on_error}
    yield Component("image", "image", columns, ImageStatistics(**missing))
    clip = _clip(owner, "image_encoder", ClipImageEncoder, missing)
    if clip is not None:
        yield Component("image", "image", columns, clip)


def _clip(owner: Any, name: str, default: type, params: dict[str, Any]) -> Any:
    """Return the encoder that `image_encoder` or `text_encoder` stands for."""
    value = getattr(owner, name)
    if value is False:
        return None
    if value is None:
        return default(cache=owner.cache, **params)
    if isinstance(value, str):
        return default(model_name=value, cache=owner.cache, **params)
    if not hasattr(value, "fit"):
        raise InvalidInputError(
            f"{name} must be an encoder such as {default.__name__}(), the name of a "
            f"model, None (the default CLIP) or False (none). Got {value!r}."
        )
    return clone(value)


def _text(owner: Any, roles: Roles) -> Iterator[Component]:
    for column in roles["text"]:
        yield from _words(owner, "text", [column], f"{column}_", "word")


def _tags(owner: Any, roles: Roles) -> Iterator[Component]:
    if roles["tags"]:
        yield from _words(owner, "tags", roles["tags"], "", "tags")


def _words(
    owner: Any, role: str, columns: list[Hashable], prefix: str, analyzer: str
) -> Iterator[Component]:
    from hyperfusion.encoders import (
        ClipTextEncoder,
        GloveTextVectorizer,
        TextStatistics,
        TfidfComponents,
    )

    missing = {"on_error": owner.on_error}
    encoders = [
        TextStatistics(analyzer=analyzer, **missing),
        TfidfComponents(
            analyzer="characters",
            ngram_range=(2, 4),
            random_state=owner.random_state,
            **missing,
        ),
        _clip(owner, "text_encoder", ClipTextEncoder, missing),
    ]
    if owner.word_vectors is not None and owner.word_vectors is not False:
        encoders.append(GloveTextVectorizer(owner.word_vectors, **missing))
    for encoder in encoders:
        if encoder is not None:
            yield Component(role, role, columns, encoder, prefix)


def _user(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import SVDUserEmbedder, UserHistory, UserProfileEncoder

    user, numeric, missing = roles["user"], roles["user_numeric"], owner.on_error
    if user or numeric:
        encoder = UserProfileEncoder(
            user=_only(user), numeric=numeric, on_error=missing
        )
        yield Component("user", "user", _unique(user + numeric), encoder)
    if owner.user_embedder is not False and user and roles["tags"]:
        default = SVDUserEmbedder(
            user=user[0],
            items=roles["tags"],
            n_components=_SVD_COMPONENTS,
            pad=True,
            on_error=missing,
            random_state=owner.random_state,
        )
        encoder = default if owner.user_embedder is True else clone(owner.user_embedder)
        yield Component("user", "user", _unique(user + roles["tags"]), encoder)
    if user and roles["time"]:
        category, place = roles["categorical"][:1], roles["place"]
        columns = _unique(user + roles["time"] + category + place)
        encoder = UserHistory(
            user=user[0],
            time=roles["time"][0],
            category=_only(category),
            place=_only(place),
            on_error=missing,
        )
        yield Component("user", "user", columns, encoder)


def _time(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import TemporalEncoder

    time, created = roles["time"], roles["user_created"]
    if not time:
        return
    zone = roles["timezone"]
    encoder = TemporalEncoder(
        time=time[0],
        timezone=zone[0] if zone else owner.timezone,
        created=_only(created),
        naive=owner.naive_time,
        cycles="seen",
        on_error=owner.on_error,
    )
    yield Component("time", "time", _unique(time + zone + created), encoder)


def _geo(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import GeoEncoder

    names = {
        "latitude": roles["latitude"],
        "longitude": roles["longitude"],
        "accuracy": roles["geo_accuracy"],
        "place": roles["place"],
    }
    columns = _unique([c for value in names.values() for c in value])
    if columns:
        params: dict[str, Any] = {k: _only(v) for k, v in names.items()}
        encoder = GeoEncoder(**params, on_error=owner.on_error)
        yield Component("geo", "geo", columns, encoder)


def _numeric(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import NumberEncoder

    if roles["numeric"]:
        encoder = NumberEncoder(on_error=owner.on_error)
        yield Component("numeric", "meta", roles["numeric"], encoder)


def _categorical(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import CategoryEncoder

    if roles["categorical"]:
        encoder = CategoryEncoder(on_error=owner.on_error)
        yield Component("categorical", "meta", roles["categorical"], encoder)


def _vectors(owner: Any, roles: Roles) -> Iterator[Component]:
    from hyperfusion.encoders import NumberEncoder

    for kind in ("user", "place"):
        columns = roles[f"vectors_{kind}"]
        if columns:
            encoder = NumberEncoder(log=False, on_error=owner.on_error)
            yield Component("vectors", kind, columns, encoder)


def _only(columns: list[Hashable]) -> Hashable | None:
    return columns[0] if columns else None


def _unique(columns: list[Hashable]) -> list[Hashable]:
    return list(dict.fromkeys(columns))
