"""Every private name of scikit-learn that the package uses, imported in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._param_validation import (
    HasMethods,
    Options,
    RealNotInt,
    StrOptions,
    validate_params,
)
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._repr_html.estimator import _VisualBlock
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    _num_samples,
)

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9 there are no callbacks

    class _NoContext:
        """Context of a fit without callbacks: its hooks do nothing."""

        def subcontext(self, **_: Any) -> _NoContext:
            return self

        def call_on_fit_task_begin(self, **_: Any) -> _NoContext:
            return self

        def call_on_fit_task_end(self, **_: Any) -> bool:
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn's mixin."""

        def _init_callback_context(self, **_: Any) -> _NoContext:
            return _NoContext()

    def with_callbacks(method: Callable) -> Callable:  # type: ignore[no-redef]
        """Return the method as it is."""
        return method


class Interval(_Interval):
    """scikit-learn's constraint of numbers, that takes no booleans for numbers."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is a number within the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)
