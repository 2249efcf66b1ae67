"""Plots of what features and parts of a model contribute."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion._base import with_parameters
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection import _plot
from hyperfusion.inspection._importance import feature_importance
from hyperfusion.inspection._permutation import grouped_permutation_importance

_METHODS = ("permutation", "model", "shap")
_METRICS = {"src": ("SRC", -1), "mae": ("MAE", 1)}  # the sign of a change for the worse


@with_parameters
class ImportanceDisplay(_plot.Display):
    """Importances of blocks or features as bars, with their spread.

    Use `from_estimator`, or pass the table that `feature_importance` or
    `grouped_permutation_importance` returns.

    Parameters
    ----------
    importance : DataFrame
        Table of importances. Its first column holds the names.

    Attributes
    ----------
    %(axes)s
    bars_ : BarContainer
        The bars, the most important first.
    legend_ : Legend or None
        Colors of the families, if there are several.

    See Also
    --------
    feature_importance : The models' own importances, and SHAP.
    grouped_permutation_importance : How much the score drops without each group.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.inspection import ImportanceDisplay
    >>> table = pd.DataFrame(
    ...     {"block": ["user", "time"], "importance": [0.3, 0.1], "std": [0.02, 0.01]}
    ... )
    >>> display = ImportanceDisplay(importance=table).plot()
    >>> [float(bar.get_width()) for bar in display.bars_]
    [0.3, 0.1]
    """

    importance: pd.DataFrame

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: ArrayLike | None = None,
        *,
        method: str = "permutation",
        by: Any = "block",
        n_top: int = 20,
        ax: Any = None,
        **params: Any,
    ) -> Self:
        """Compute importances and draw them.

        Parameters
        ----------
        estimator : fitted regressor or Pipeline
            The model.
        X : DataFrame or array of shape (n_posts, n_columns), default=None
            Posts; not needed for ``method="model"``.
        y : array-like of shape (n_posts,), default=None
            Their targets, for ``method="permutation"``.
        method : {"permutation", "model", "shap"}, default="permutation"
            "permutation" uses `grouped_permutation_importance`; "model" and "shap" are
            methods of `feature_importance`.
        by : {"feature", "vector", "block", "family"} or dict, default="block"
            Groups of columns; each gets a bar.
        n_top : int, default=20
            Maximum number of bars.
        %(ax)s
        **params
            Further parameters of `grouped_permutation_importance`.

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If the method is unknown or needs posts that are not given.
        """
        if method not in _METHODS:
            raise InvalidInputError(
                f"method must be one of {_METHODS}. Got {method!r} instead."
            )
        if method != "permutation":
            table = feature_importance(estimator, X, method=method, by=by, **params)
        elif X is None or y is None:
            raise InvalidInputError(
                "method='permutation' needs X and y to compute scores; method='model' "
                "needs neither."
            )
        else:
            table = grouped_permutation_importance(estimator, X, y, by=by, **params)
        return cls(importance=table).plot(ax, n_top=n_top)

    def plot(self, ax: Any = None, *, n_top: int = 20) -> Self:
        """Draw the bars.

        Parameters
        ----------
        %(ax)s
        n_top : int, default=20
            Maximum number of bars.

        %(drawn)s
        """
        self._open(ax)
        table = self.importance.head(n_top)
        places = range(len(table))
        families = list(table.get("family", []))
        color_of = {f: _plot.FAMILY_COLORS.get(f, _plot.GRAY) for f in families}
        spread = table.get("std")
        known = spread is not None and spread.notna().any()
        self.bars_ = self.ax_.barh(
            places,
            table["importance"],
            xerr=spread.fillna(0) if known else None,
            color=[color_of[f] for f in families] or _plot.BLUE,
            error_kw={"ecolor": "0.3", "elinewidth": 1, "capsize": 2},
        )
        names = _plot.short_labels(table.iloc[:, 0])
        size = _plot.label_size(len(table), max(map(len, names)))
        self.ax_.set_yticks(places, names, fontsize=size)
        self.ax_.invert_yaxis()
        self.ax_.margins(y=0.01 if len(table) > 5 else 0.05)
        self.ax_.axvline(0, color="0.3", linewidth=0.8)
        self.ax_.set_xlabel(_meaning(self.importance.attrs))
        self.legend_ = None
        if len(color_of) > 1:
            from matplotlib.patches import Patch

            handles = [Patch(color=color, label=f) for f, color in color_of.items()]
            self.legend_ = self.ax_.legend(handles=handles, loc="lower right")
        return self


def _meaning(attrs: dict[Any, Any]) -> str:
    method, unit = attrs.get("method"), attrs.get("unit", "")
    if method == "permutation":
        return f"Loss of {unit} when permuted"
    if method == "shap":
        return "Share of mean absolute SHAP value (%)"
    return f"Importance ({unit})" if unit else "Importance"


@with_parameters
class AblationDisplay(_plot.Display, metric="src"):
    """Changes of the score without each part of a model, with their intervals.

    Draws the paper's table 1 (section 4.3.2). Use `from_estimator`, or pass the table
    that `ablate` returns.

    Parameters
    ----------
    table : DataFrame
        Result of `ablate`.

    Attributes
    ----------
    %(axes)s
    points_ : list of ErrorbarContainer
        A point with an interval for each variant that applies.

    See Also
    --------
    hyperfusion.model_selection.ablate : Computes the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from hyperfusion.inspection import AblationDisplay
    >>> table = pd.DataFrame(
    ...     {"src": [0.73, 0.69], "src_change": [0.0, -0.04],
    ...      "src_change_low": [0.0, -0.05], "src_change_high": [0.0, -0.03]},
    ...     index=["full model", "without visual"],
    ... )
    >>> display = AblationDisplay(table=table).plot()
    >>> display.ax_.get_title()
    'Full model: SRC 0.7300'
    """

    table: pd.DataFrame

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        metric: str = "src",
        ax: Any = None,
        **params: Any,
    ) -> Self:
        """Remove one part of a model at a time, and draw the changes of the score.

        Parameters
        ----------
        estimator : Pipeline or regressor
            The model. It is fitted for every variant.
        X : DataFrame or array of shape (n_posts, n_columns)
            Posts.
        y : array-like of shape (n_posts,)
            Their targets.
        %(metric)s
        %(ax)s
        **params
            Further parameters of `ablate`.

        %(drawn)s
        """
        from hyperfusion.model_selection import ablate

        _plot.check_metric(metric, _METRICS)
        return cls(table=ablate(estimator, X, y, **params)).plot(ax, metric=metric)

    def plot(self, ax: Any = None, *, metric: str = "src") -> Self:
        """Draw the changes of one score.

        Parameters
        ----------
        %(ax)s
        %(metric)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If the metric is unknown.
        """
        _plot.check_metric(metric, _METRICS)
        name, worse = _METRICS[metric]
        self._open(ax)
        self.points_ = []
        rows = self.table.iloc[1:]
        columns = [f"{metric}_change{end}" for end in ("", "_low", "_high")]
        for place, (change, *ends) in enumerate(rows[columns].to_numpy(dtype=float)):
            if np.isnan(change):
                look = {"va": "center", "color": "0.4", "fontsize": 8}
                side = self.ax_.get_yaxis_transform()
                self.ax_.text(0.02, place, "does not apply", transform=side, **look)
                continue
            losses = np.multiply(ends, worse)
            sure = _plot.BLUE if losses.min() > 0 else _plot.VERMILLION
            color = sure if losses.min() > 0 or losses.max() < 0 else _plot.GRAY
            reach = np.abs(np.subtract(ends, change))[:, None]
            look = {"fmt": "o", "capsize": 3, "color": color}
            self.points_.append(self.ax_.errorbar(change, place, xerr=reach, **look))
        self.ax_.axvline(0, color="0.3", linewidth=0.8)
        labels, size = map(_plot.shorten, rows.index), _plot.label_size(len(rows))
        self.ax_.set_yticks(range(len(rows)), list(labels), fontsize=size)
        self.ax_.set_ylim(len(rows) - 0.5, -0.5)
        side = "left" if worse < 0 else "right"
        self.ax_.set_xlabel(f"Change of {name} ({side} of zero: the part helps)")
        self.ax_.set_title(f"Full model: {name} {self.table[metric].iloc[0]:.4f}")
        return self
