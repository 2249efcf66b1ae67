"""What all estimators of the package share."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import dedent, indent
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import pandas as pd
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from hyperfusion._sklearn_compat import _VisualBlock
from hyperfusion._version import DISTRIBUTION, __version__
from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import InvalidInputError, VersionWarning

_VERSION = "_hyperfusion_version"
_MOST_ROWS, _MOST_COLUMNS = 30, 12  # of a table that is shown in full
_SLOT = re.compile(r"^([ \t]*)%\((\w+)\)s$", re.MULTILINE)

Class = TypeVar("Class")
Documented = TypeVar("Documented")


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
def with_parameters(cls: type[Class]) -> type[Class]:
    """Add an ``__init__`` of keyword-only parameters, which it stores as they are."""
    return dataclass(kw_only=True, eq=False, repr=False)(cls)


def fill_slots(**paragraphs: str) -> Callable[[Documented], Documented]:
    """Return a decorator that puts shared paragraphs into the slots of a docstring."""

    def fill(slot: re.Match[str]) -> str:
        return indent(dedent(paragraphs[slot[2]]).strip("\n"), slot[1])

    def decorate(documented: Documented) -> Documented:
        if documented.__doc__ is not None:  # python -OO strips docstrings
            documented.__doc__ = _SLOT.sub(fill, documented.__doc__)
        return documented

    return decorate


def plain_output() -> Any:
    """Return a context in which inner transformers ignore ``set_config``."""
    return config_context(transform_output="default")


def clone_with(estimator: Any, name: str, value: Any) -> Any:
    """Clone an estimator, but set one parameter to a value, which is not copied."""
    stand_in = object.__new__(type(estimator))
    vars(stand_in).update(vars(estimator), **{name: None})
    twin = BaseEstimator.__sklearn_clone__(stand_in)
    setattr(twin, name, value)
    return twin


class Result(Bunch):
    """Named results, each shown in full only if it is short."""

    def __repr__(self) -> str:
        shown = []
        for name, value in self.items():
            shape = getattr(value, "shape", None)
            small = isinstance(value, pd.DataFrame) and len(value) <= _MOST_ROWS
            if small and value.shape[1] <= _MOST_COLUMNS:
                shown.append(f"{name}:\n{value.to_string()}")
            elif shape is not None:
                size = " x ".join(map(str, shape))
                shown.append(f"{name}: {type(value).__name__} of {size}")
            else:
                shown.append(f"{name}: {reprlib.repr(value)}")
        return "\n".join(shown)


class HyperFusionEstimator(BaseEstimator):
    """Base class of all estimators. A saved one records the package's version.

    Lines such as ``%(columns_seen)s`` in the docstrings of subclasses are replaced by
    paragraphs of `_slots`.
    """

    _slots: ClassVar[dict[str, str]] = {
        "columns_seen": """
            n_features_in_ : int
                Number of columns seen at fit.
            feature_names_in_ : ndarray of shape (`n_features_in_`,)
                Names of these columns, if all are strings.
            """
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        fill_slots(**cls._slots)(cls)

    def set_params(self, **params: Any) -> Self:
        for key in params:
            name, _, inner = key.partition("__")
            value = params.get(name, getattr(self, name, None))
            is_own = inner and name in self._get_param_names()
            if is_own and not hasattr(value, "set_params"):
                raise InvalidInputError(
                    f"{key} can't be set: {name} of {type(self).__name__} is "
                    f"{value!r}, which has no parameters. Set {name} to an estimator "
                    f"first, as in {name}=...({inner}=...)."
                )
        return super().set_params(**params)

    set_params.__doc__ = BaseEstimator.set_params.__doc__

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop(_VERSION, "unknown")
        if saved != __version__:
            warn_user(
                f"This {type(self).__name__} was saved by hyperfusion {saved} and is "
                f"loaded by {__version__}. It may predict differently or fail: fit it "
                f"again, or install {DISTRIBUTION}=={saved}.",
                VersionWarning,
            )
        super().__setstate__(state)


def visual_block(estimator: Any, parts: Sequence[tuple[str, Any]]) -> Any:
    """Return an estimator's HTML diagram, with its named parts side by side."""
    if not parts:
        details = {"names": type(estimator).__name__, "name_details": repr(estimator)}
        return _VisualBlock("single", estimator, **details)
    names, inner = zip(*parts, strict=True)
    return _VisualBlock("parallel", list(inner), names=list(names))
