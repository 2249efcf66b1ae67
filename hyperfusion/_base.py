"""What all estimators of the package share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from sklearn import config_context
from sklearn.base import BaseEstimator

from hyperfusion._docstrings import fill_slots
from hyperfusion._sklearn_compat import _VisualBlock
from hyperfusion._version import DISTRIBUTION, __version__
from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import InvalidInputError, VersionWarning

_VERSION = "_hyperfusion_version"

Class = TypeVar("Class")


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
def with_parameters(cls: type[Class]) -> type[Class]:
    """Add an ``__init__`` that stores the annotated parameters and does nothing else.

    They are keyword-only, unless ``field(kw_only=False)`` says otherwise. Subclasses
    inherit them.
    """
    return dataclass(kw_only=True, eq=False, repr=False)(cls)


def plain_output() -> Any:
    """Return a context in which inner transformers ignore ``set_config``.

    The global setting is for transformers that the user calls.
    """
    return config_context(transform_output="default")


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
        """Set parameters, also of nested estimators, as ``<name>__<parameter>``.

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
                    f"{value!r}, which has no parameters. Set {name} to an estimator "
                    f"first, as in {name}=...({inner}=...)."
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
