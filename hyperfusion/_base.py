"""What all estimators of the package share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, dataclass_transform

from sklearn import config_context
from sklearn.base import BaseEstimator

from hyperfusion._sklearn_compat import _VisualBlock
from hyperfusion._version import DISTRIBUTION, __version__
from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import InvalidInputError, VersionWarning

_VERSION = "_hyperfusion_version"

Class = TypeVar("Class")


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
def with_parameters(cls: type[Class]) -> type[Class]:
    """Make the ``__init__`` that stores what a class annotates, and does no more.

    Parameters are given by name, and subclasses inherit them.
    """
    return dataclass(kw_only=True, eq=False, repr=False)(cls)


def plain_output() -> Any:
    """Return a context in which transformers within ours give arrays or our frames.

    The global setting of scikit-learn is for what the user calls.
    """
    return config_context(transform_output="default")


class HyperFusionEstimator(BaseEstimator):
    """Base class of all estimators: once saved, they know their version."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of estimators in them as ``<name>__<parameter>``.

        Parameters
        ----------
        **params
            Values by name.

        Returns
        -------
        self
            The estimator.
        """
        for key in params:
            name, _, inner = key.partition("__")
            if not inner or name not in self._get_param_names():
                continue
            value = params.get(name, getattr(self, name))
            if not hasattr(value, "set_params"):
                raise InvalidInputError(
                    f"{key} can't be set: {name} of {type(self).__name__} is "
                    f"{value!r}, which has no parameters. Give it an estimator first, "
                    f"as in {name}=...({inner}=...)."
                )
        return super().set_params(**params)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop(_VERSION, "unknown")
        if saved != __version__:
            warn_user(
                f"This {type(self).__name__} was saved by hyperfusion {saved} and is "
                f"read by {__version__}. Its predictions may differ or fail: fit it "
                f"again, or install {DISTRIBUTION}=={saved}.",
                VersionWarning,
            )
        super().__setstate__(state)


def visual_block(estimator: Any, parts: Sequence[tuple[str, Any]]) -> Any:
    """Return how HTML shows an estimator: its named parts side by side, if any."""
    if not parts:
        details = {"names": type(estimator).__name__, "name_details": repr(estimator)}
        return _VisualBlock("single", estimator, **details)
    names, inner = zip(*parts, strict=True)
    return _VisualBlock("parallel", list(inner), names=list(names))
