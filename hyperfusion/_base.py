"""What all estimators of the package share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

from sklearn.base import BaseEstimator

from hyperfusion._sklearn_compat import _VisualBlock
from hyperfusion._version import DISTRIBUTION, __version__
from hyperfusion.exceptions import VersionWarning

_VERSION = "_hyperfusion_version"

Class = TypeVar("Class")


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
def with_parameters(cls: type[Class]) -> type[Class]:
    """Make the ``__init__`` that stores what a class annotates, and does no more.

    Parameters are given by name, and subclasses inherit them.
    """
    return dataclass(kw_only=True, eq=False, repr=False)(cls)


class HyperFusionEstimator(BaseEstimator):
    """Base class of all estimators: once saved, they know their version."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop(_VERSION, "unknown")
        if saved != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by hyperfusion {saved} and is "
                f"read by {__version__}. Its predictions may differ or fail: fit it "
                f"again, or install {DISTRIBUTION}=={saved}.",
                VersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


def visual_block(estimator: Any, parts: Sequence[tuple[str, Any]]) -> Any:
    """Return how HTML shows an estimator: its named parts side by side, if any."""
    if not parts:
        details = {"names": type(estimator).__name__, "name_details": repr(estimator)}
        return _VisualBlock("single", estimator, **details)
    names, inner = zip(*parts, strict=True)
    return _VisualBlock("parallel", list(inner), names=list(names))
