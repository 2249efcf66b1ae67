"""Plots of what features, parts and members of a model contribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion._anatomy import ensemble_inside
from hyperfusion._base import with_parameters
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection import _plot
from hyperfusion.inspection._importance import grouped_permutation_importance

_MOST_TEXTS, _MOST_BARS = 160, 20
_METRICS = {"src": ("SRC", -1), "mae": ("MAE", 1)}  # the sign of a change for the worse
_FAMILY_COLORS = {
    "visual": _plot.BLUE,
    "textual": _plot.ORANGE,
    "user": _plot.GREEN,
    "temporal": _plot.PINK,
    "geographic": _plot.SKY,
    "metadata": _plot.VERMILLION,
    "relational": _plot.YELLOW,
}


@with_parameters
class ImportanceDisplay(_plot.Display):
    """Importances of blocks or features as bars, with their spread.

    Use `from_estimator` for permutation importances, or pass a table of
    `feature_importance` or `grouped_permutation_importance`.

    Parameters
    ----------
    importance : DataFrame
        Table of importances. Its first column holds the names. The first 20 are drawn.

    Attributes
    ----------
    %(axes)s
    bars_ : BarContainer
        The bars, the most important first.

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
        X: Any,
        y: ArrayLike,
        *,
        by: Any = "block",
        ax: Any = None,
        **params: Any,
    ) -> Self:
        """Permute the features of each block and draw the losses.

        Parameters
        ----------
        estimator : fitted regressor or Pipeline
            The model.
        %(held_out)s
        by : {"feature", "vector", "block", "family"}, default="block"
            Groups of columns; each gets a bar.
        %(ax)s
        **params
            Further parameters of `grouped_permutation_importance`.

        %(drawn)s
        """
        table = grouped_permutation_importance(estimator, X, y, by=by, **params)
        return cls(importance=table).plot(ax)

    def _draw(self, ax: Any) -> None:
        table = self.importance.head(_MOST_BARS)
        families = list(table.get("family", []))
        color_of = {f: _FAMILY_COLORS.get(f, _plot.GRAY) for f in families}
        spread = table.get("std")
        known = spread is not None and spread.notna().any()
        self.bars_ = ax.barh(
            range(len(table)),
            table["importance"],
            xerr=spread.fillna(0) if known else None,
            color=[color_of[f] for f in families] or _plot.BLUE,
            error_kw={"ecolor": "0.3", "elinewidth": 1, "capsize": 2},
        )
        names = _plot.short_labels(table.iloc[:, 0])
        size = _plot.label_size(len(table), max(map(len, names)))
        ax.set_yticks(range(len(table)), names, fontsize=size)
        ax.invert_yaxis()
        ax.margins(y=0.01 if len(table) > 5 else 0.05)
        ax.axvline(0, color="0.3", linewidth=0.8)
        method, unit = (self.importance.attrs.get(key) for key in ("method", "unit"))
        meanings = {
            "permutation": f"Loss of {unit} when permuted",
            "model": f"Importance ({unit})",
        }
        ax.set_xlabel(meanings.get(method, "Importance"))
        if len(color_of) > 1:
            from matplotlib.patches import Patch

            handles = [Patch(color=color, label=f) for f, color in color_of.items()]
            ax.legend(handles=handles, loc="lower right")


@with_parameters
class AblationDisplay(_plot.Display):
    """Changes of the score without each part of a model, with their intervals.

    Draws the paper's table 1 (section 4.3.2) from the table that `ablate` returns.

    Parameters
    ----------
    table : DataFrame
        Result of `ablate`.
    metric : {"src", "mae"}, default="src"
        Spearman's rank correlation (SRC) or the mean absolute error (MAE).

    Attributes
    ----------
    %(axes)s
    points_ : list of ErrorbarContainer
        A point with an interval for each variant that applies.

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
    metric: str = "src"

    def _draw(self, ax: Any) -> None:
        metric = self.metric
        if metric not in _METRICS:
            raise InvalidInputError(
                f"metric must be one of {tuple(_METRICS)}. Got {metric!r} instead."
            )
        name, worse = _METRICS[metric]
        self.points_ = []
        rows = self.table.iloc[1:]
        columns = [f"{metric}_change{end}" for end in ("", "_low", "_high")]
        for place, (change, *ends) in enumerate(rows[columns].to_numpy(dtype=float)):
            if np.isnan(change):
                look = {"va": "center", "color": "0.4", "fontsize": 8}
                side = ax.get_yaxis_transform()
                ax.text(0.02, place, "does not apply", transform=side, **look)
                continue
            losses = np.multiply(ends, worse)
            sure = _plot.BLUE if losses.min() > 0 else _plot.VERMILLION
            color = sure if losses.min() > 0 or losses.max() < 0 else _plot.GRAY
            reach = np.abs(np.subtract(ends, change))[:, None]
            look = {"fmt": "o", "capsize": 3, "color": color}
            self.points_.append(ax.errorbar(change, place, xerr=reach, **look))
        ax.axvline(0, color="0.3", linewidth=0.8)
        labels, size = _plot.short_labels(rows.index), _plot.label_size(len(rows))
        ax.set_yticks(range(len(rows)), labels, fontsize=size)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        side = "left" if worse < 0 else "right"
        ax.set_xlabel(f"Change of {name} ({side} of zero: the part helps)")
        ax.set_title(f"Full model: {name} {self.table[metric].iloc[0]:.4f}")


@with_parameters
class EnsembleWeightsDisplay(_plot.Display):
    """Weights of the members in each fold, as a heat map with numbers.

    Draws the weights of the paper's equation 8. Use `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_folds, n_members)
        Weights. Each row adds up to 1.
    names : sequence of str of length n_members
        Names of the members.

    Attributes
    ----------
    %(axes)s
    image_ : AxesImage
        The heat map: a row for each member, a column for each fold, then the mean.
    texts_ : list of Text
        The numbers; none if there are more than 160.

    Examples
    --------
    >>> from hyperfusion.inspection import EnsembleWeightsDisplay
    >>> weights = [[0.7, 0.3], [0.5, 0.5]]
    >>> display = EnsembleWeightsDisplay(weights=weights, names=["trees", "ridge"])
    >>> [text.get_text() for text in display.plot().texts_[:3]]
    ['0.70', '0.50', '0.60']
    """

    weights: np.ndarray
    names: Sequence[str]

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the weights of a fitted ensemble.

        Parameters
        ----------
        estimator : HyperFusionRegressor, or Pipeline, search or wrapper around one
            Fitted.
        %(ax)s

        %(drawn)s

        Raises
        ------
        InvalidInputError
            If there is no ensemble inside the model.
        """
        ensemble = ensemble_inside(estimator).ensemble
        names = [name for name, _ in ensemble.members_]
        return cls(weights=ensemble.weights_, names=names).plot(ax)

    def _draw(self, ax: Any) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        table = np.vstack([weights, weights.mean(axis=0)]).T
        n_members, n_columns = table.shape
        most = max(table.max(), 1e-9)
        self.image_ = ax.imshow(table, "viridis", aspect="auto", vmin=0, vmax=most)
        self.figure_.colorbar(self.image_, ax=ax, label="Weight")
        size = _plot.label_size(n_members)
        smaller = min(size, _plot.label_size(2 * n_columns))
        look = {"ha": "center", "va": "center", "fontsize": smaller}
        self.texts_ = []
        labeled = table if table.size <= _MOST_TEXTS else np.empty((0, 0))
        for (row, column), weight in np.ndenumerate(labeled):
            color = "white" if weight < 0.57 * most else "black"
            text = ax.text(column, row, f"{weight:.2f}", color=color, **look)
            self.texts_.append(text)
        ax.axvline(n_columns - 1.5, color="white", linewidth=3)
        folds = [*map(str, range(1, n_columns)), "mean"]
        step = -(-n_columns // 9)  # no more labels than fit side by side
        shown = [*range(0, n_columns - step, step), n_columns - 1]
        ax.set_xticks(shown, [folds[i] for i in shown])
        labels = _plot.short_labels(self.names, 24)
        ax.set_yticks(range(n_members), labels, fontsize=size)
        ax.set(xlabel="Fold")
