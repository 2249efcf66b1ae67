"""Bars of importances."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._importance import feature_importance
from hyperfusion.inspection._permutation import grouped_permutation_importance
from hyperfusion.inspection._plot import (
    BLUE,
    FAMILY_COLORS,
    GRAY,
    label_size,
    new_axes,
    short_labels,
)

_METHODS = ("permutation", "model", "shap")


class ImportanceDisplay:
    """Importances of blocks or features as bars, with their spread.

    Use `from_estimator`, or give it the table of `feature_importance` or
    `grouped_permutation_importance`.

    Parameters
    ----------
    importance : DataFrame
        Such a table: the first column holds the names.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure that holds them.
    bars_ : BarContainer
        The bars, the most important first.
    legend_ : Legend or None
        The families' colors, where there are several.

    See Also
    --------
    feature_importance : The models' own importances, and SHAP.
    grouped_permutation_importance : What the score loses.

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

    def __init__(self, *, importance: pd.DataFrame):
        self.importance = importance

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
            Their scores, for ``method="permutation"``.
        method : {"permutation", "model", "shap"}, default="permutation"
            `grouped_permutation_importance`, or what `feature_importance` does.
        by : {"feature", "vector", "block", "family"} or dict, default="block"
            What to gather.
        n_top : int, default=20
            How many bars to draw at most.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **params
            Further parameters of `grouped_permutation_importance`.

        Returns
        -------
        ImportanceDisplay
            The drawn display.

        Raises
        ------
        InvalidInputError
            If the method is unknown or needs posts that are not given.
        """
        if method not in _METHODS:
            raise InvalidInputError(
                f"method must be one of {_METHODS}. Got {method!r} instead."
            )
        if method == "permutation":
            if X is None or y is None:
                raise InvalidInputError(
                    "method='permutation' needs X and y to score on; method='model' "
                    "needs neither."
                )
            table = grouped_permutation_importance(estimator, X, y, by=by, **params)
        else:
            table = feature_importance(estimator, X, method=method, by=by, **params)
        return cls(importance=table).plot(ax, n_top=n_top)

    def plot(self, ax: Any = None, *, n_top: int = 20) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        n_top : int, default=20
            How many bars to draw at most.

        Returns
        -------
        self
            The display.
        """
        self.figure_, self.ax_ = new_axes(ax, self)
        table = self.importance.head(n_top)
        places = range(len(table))
        families = table["family"] if "family" in table else pd.Series(dtype=object)
        colors = [FAMILY_COLORS.get(f, GRAY) for f in families] or BLUE
        spread = table.get("std")
        known = spread is not None and spread.notna().any()
        self.bars_ = self.ax_.barh(
            places,
            table["importance"],
            xerr=spread.fillna(0) if known else None,
            color=colors,
            error_kw={"ecolor": "0.3", "elinewidth": 1, "capsize": 2},
        )
        names = short_labels(table.iloc[:, 0])
        size = label_size(len(table), max(map(len, names)))
        self.ax_.set_yticks(places, names, fontsize=size)
        self.ax_.invert_yaxis()
        self.ax_.margins(y=0.01 if len(table) > 5 else 0.05)
        self.ax_.axvline(0, color="0.3", linewidth=0.8)
        self.ax_.set_xlabel(_meaning(self.importance.attrs))
        self._draw_legend(list(dict.fromkeys(families)))
        return self

    def _draw_legend(self, families: list[str]) -> None:
        from matplotlib.patches import Patch

        self.legend_ = None
        if len(families) > 1:
            handles = [
                Patch(color=FAMILY_COLORS.get(family, GRAY), label=family)
                for family in families
            ]
            self.legend_ = self.ax_.legend(handles=handles, loc="lower right")


def _meaning(attrs: dict[Any, Any]) -> str:
    method, unit = attrs.get("method"), attrs.get("unit", "")
    if method == "permutation":
        return f"Loss of {unit} when permuted"
    if method == "shap":
        return "Share of mean absolute SHAP value (%)"
    return f"Importance ({unit})" if unit else "Importance"
