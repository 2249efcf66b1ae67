"""Encoders that an estimator holds or builds itself: what they take, and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from hyperfusion.exceptions import InvalidInputError


def takes_one_column(encoder: Any) -> bool:
    """Whether a transformer takes a column of cells, as `TfidfVectorizer` does."""
    while isinstance(encoder, Pipeline):
        encoder = encoder.steps[0][1]
    return not get_tags(encoder).input_tags.two_d_array


class NestedEncoders:
    """Mixin: ``encoders__<name>`` and ``encoders__<name>__<parameter>`` work.

    It comes before scikit-learn's base classes. Subclasses implement
    ``_named_encoders()``, which returns the encoders by name,
    ``_put_encoder(name, encoder)``, which replaces one, and
    ``_put_parameter(name, inner, value, changed)``, which keeps a parameter of one;
    `changed` is a clone that has it. They may choose another prefix, also none, and
    another word for encoders.
    """

    _prefix = "encoders__"
    _kind = "encoder"
    _get_param_names: Callable[[], list[str]]  # scikit-learn's
    _named_encoders: Callable[[], dict[str, Any]]
    _put_encoder: Callable[[str, Any], None]
    _put_parameter: Callable[[str, str, Any, Any], None]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        params: dict[str, Any] = super().get_params(deep=deep)  # type: ignore[misc]
        if not deep:
            return params
        for name, encoder in self._named_encoders().items():
            path = f"{self._prefix}{name}"
            params[path] = encoder
            if hasattr(encoder, "get_params"):  # unlike "drop"
                params |= {f"{path}__{k}": v for k, v in encoder.get_params().items()}
        return params

    get_params.__doc__ = BaseEstimator.get_params.__doc__

    def set_params(self, **params: Any) -> Self:
        own = {k: v for k, v in params.items() if not self._is_nested(k)}
        super().set_params(**own)  # type: ignore[misc]
        for key in sorted(set(params) - set(own), key=len):
            path, value = key.removeprefix(self._prefix), params[key]
            encoders = self._named_encoders()
            found = [n for n in encoders if f"{path}__".startswith(f"{n}__")]
            name = max(found, key=len, default=None)
            if name is None:
                raise InvalidInputError(
                    f"There is no {self._kind} {path!r} in {type(self).__name__}. Its "
                    f"{self._kind}s are {[*encoders]}, its other parameters "
                    f"{self._get_param_names()}."
                )
            inner = path.removeprefix(name).removeprefix("__")
            if not inner:
                self._put_encoder(name, value)
                continue
            if not hasattr(encoders[name], "set_params"):
                raise InvalidInputError(
                    f"The {self._kind} {name!r} is {encoders[name]!r}: replace it with "
                    f"an estimator before you set its parameter {inner!r}."
                )
            changed = clone(encoders[name]).set_params(**{inner: value})
            self._put_parameter(name, inner, value, changed)
        return self

    set_params.__doc__ = BaseEstimator.set_params.__doc__

    def _is_nested(self, key: str) -> bool:
        if self._prefix:
            return key.startswith(self._prefix)
        return key.partition("__")[0] not in self._get_param_names()
