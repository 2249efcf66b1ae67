"""One self-contained HTML page about a fitted model."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib import resources
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hyperfusion import inspection
from hyperfusion._anatomy import Anatomy
from hyperfusion._sklearn_compat import HasMethods, Interval, validate_params
from hyperfusion._validation import check_target, needing
from hyperfusion._version import DISTRIBUTION, __version__
from hyperfusion._warnings import warn_user
from hyperfusion._writing import written_whole
from hyperfusion.cells._texts import mend
from hyperfusion.ensemble._intervals import Intervals, coverage_table, intervals
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.reports import _contents
from hyperfusion.table._frames import as_frame

COVERAGE = 0.9
_FEWEST_PERMUTED, _MOST_PERMUTED = 20, 1000
_N_FEATURES = 20

_FITTED = (
    "These posts look like those that the model was fitted on, so the scores are too "
    "optimistic. Make the report from later posts."
)


@dataclass(frozen=True)
class Section:
    """A section of the page: a text, and perhaps a picture and a table."""

    title: str
    text: str
    figure: str | None = None
    table: pd.DataFrame | None = None


@dataclass(frozen=True, repr=False)
class Report:
    """An HTML page; a notebook shows it in a frame.

    Attributes
    ----------
    html : str
        The whole page. It needs no other files.

    Examples
    --------
    >>> from hyperfusion.reports import Report
    >>> Report("<!doctype html><p>Hello</p>").html
    '<!doctype html><p>Hello</p>'
    """

    html: str

    def __repr__(self) -> str:
        return f"<Report of {len(self.html):,} characters; save(path) writes it>"

    def save(self, path: str | Path) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or Path
            File to write, in UTF-8. An existing file is replaced when the new one is
            complete.

        Raises
        ------
        InvalidInputError
            If the folder does not exist, or `path` is a folder.
        """
        with written_whole(Path(path)) as whole:
            whole.write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        page = escape(self.html, quote=True)
        return f'<iframe srcdoc="{page}" width="100%" height="800"></iframe>'


@validate_params(
    {
        "model": [HasMethods("predict")],
        "y": ["array-like"],
        "title": [str],
        "target_name": [str, None],
        "n_worst": [Interval(Integral, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def make_report(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    title: str = "Popularity prediction",
    target_name: str | None = None,
    n_worst: int = 12,
) -> Report:
    """Write an HTML page about a fitted model and its errors on labeled posts.

    The page has scores (SRC is Spearman's rank correlation, MAE the mean absolute
    error), the distributions of the paper's figure 2, predictions with intervals,
    calibration, the weights of the ensemble, importances (the members' own, as in the
    paper's table 2; by permutation if they have none) and the posts with the largest
    errors, with their images. `X` is encoded and predicted once.

    Parameters
    ----------
    model : fitted regressor or Pipeline
        The model, such as one of `make_hyperfusion`. Sections that do not apply to it
        are left out.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts that the model was not fitted on, ideally later ones. The page warns if
        they look like those it was fitted on.
    y : array-like of shape (n_posts,)
        Their targets.
    title : str, default="Popularity prediction"
        Title of the page.
    target_name : str, default=None
        Name and unit of the target on the axes, such as "log2 of views". None uses the
        name of `y` if it is a Series with a name, otherwise "target".
    n_worst : int, default=12
        Number of posts with large errors to show.

    Returns
    -------
    Report
        The page: ``make_report(...).save("report.html")``, or show it in a notebook.

    Raises
    ------
    MissingDependencyError
        If jinja2 or matplotlib is not installed.
    InvalidInputError
        If `X` and `y` don't fit together.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import HyperFusionRegressor, make_report
    >>> X, y = make_regression(150, 5, noise=5.0, random_state=0)
    >>> ensemble = HyperFusionRegressor([Ridge()], random_state=0).fit(X[:100], y[:100])
    >>> make_report(ensemble, X[100:], y[100:]).html.count("<h2")
    6
    """
    template = _template()
    X = as_frame(X)
    target = check_target(y, X)
    posts = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    parts = Anatomy.of(model)
    features = parts.features(X)
    held = intervals(parts, features, COVERAGE)
    fitted = _contents.was_fitted_on(parts, target)
    if fitted:
        warn_user(_FITTED)
    name = mend(target_name or str(getattr(y, "name", None) or "target"))
    sections = list(_sections(parts, features, held, target, name, fitted))
    page = template.render(
        title=title,
        model=type(parts.regressor).__name__,
        n_posts=len(posts),
        target=name,
        written=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        version=f"{DISTRIBUTION} {__version__}",
        warning=_FITTED if fitted else None,
        sections=sections,
        worst=list(_contents.worst_posts(parts, posts, held.table, target, n_worst)),
    )
    return Report(mend(page))


def _template() -> Any:
    with needing("jinja2", "make_report", "report"):
        from jinja2 import Environment
    source = resources.files(__package__).joinpath("page.html.jinja").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    return environment.from_string(source)


def _number(value: Any, column: str = "") -> str:
    """Return a cell of a table: few digits, nothing for a missing value."""
    if isinstance(value, (float, np.floating)):
        digits = 1 if column == "seconds" else 3
        return "" if np.isnan(value) else f"{value:.{digits}f}"
    return str(value)


def _sections(
    parts: Anatomy,
    features: Any,
    held: Intervals,
    target: np.ndarray,
    name: str,
    fitted: bool,
) -> Iterator[Section]:
    predicted, ensemble = held.table, parts.ensemble
    values = predicted["prediction"].to_numpy()
    text = (
        "SRC is Spearman's rank correlation: 1 means that the posts are in the right "
        "order, 0 is chance. MAE is the mean absolute error, in units of the target. "
        "Out-of-fold scores are those of the training posts, each predicted by models "
        "that were not fitted on it. They are usually better than scores on later "
        "posts."
    )
    yield Section("Scores", text, table=_contents.score_table(parts, values, target))
    text = (
        "Predictions are averages, so their distribution is narrower than that of the "
        "true values."
    )
    display: Any = inspection.DistributionDisplay(y_true=target, y_pred=values)
    yield Section("Distribution", text, _contents.picture(display, xlabel=name))
    if ensemble is not None:
        covered = coverage_table(ensemble, features, target, held, COVERAGE)
        text = (
            f"The intervals should contain {COVERAGE:.0%} of the posts. They contain "
            f"{covered['coverage'].iloc[0]:.1%} of these."
        )
        if covered["drift"].iloc[0] and not fitted:
            text += " The difference is more than chance: the posts have changed."
        ends = {end: predicted[end].to_numpy() for end in ("lower", "upper")}
        display = inspection.PredictionIntervalDisplay(
            y_true=target, y_pred=values, coverage=COVERAGE, **ends
        )
        labels = {"xlabel": f"predicted {name}", "ylabel": f"true {name}"}
        yield Section("Intervals", text, _contents.picture(display, **labels))
    text = "Posts sorted by prediction, in ten groups of equal size."
    yield Section(
        "Calibration", text, table=_contents.calibration_table(values, target)
    )
    if ensemble is not None:
        text = (
            "The regressors of the ensemble: their mean scores over the folds (MAE in "
            "units of the target that they were fitted to), the seconds of all fits, "
            "and the mean weight."
        )
        weights = ensemble.weights_
        if np.ptp(weights) < 1e-9 and weights.shape[1] > 1:
            text += " Equal weights were used."
        figure = None
        if np.ptp(weights, axis=0).max() > 1e-9:  # not the same in each fold
            names = [name for name, _ in ensemble.members_]
            figure = _contents.picture(
                inspection.EnsembleWeightsDisplay(weights=weights, names=names)
            )
        yield Section("Members", text, figure, _contents.member_table(ensemble))
    yield from _importances(parts, features, target)


def _importances(
    parts: Anatomy, features: Any, target: np.ndarray
) -> Iterator[Section]:
    """Yield the members' own importances, or by permutation if they have none."""
    note = "what the model uses, not what causes popularity."
    try:
        blocks = inspection.feature_importance(parts.regressor, by="block")
        table = inspection.feature_importance(parts.regressor).head(_N_FEATURES)
    except InvalidInputError:  # no member has its own importances
        if not isinstance(features, pd.DataFrame) or len(target) < _FEWEST_PERMUTED:
            return
        # a sample, because each block costs several predictions
        rows = np.random.RandomState(0).permutation(len(target))[:_MOST_PERMUTED]
        held = features.iloc[rows], target[rows]
        blocks = inspection.grouped_permutation_importance(
            parts.regressor, *held, n_repeats=3, random_state=0
        )
        if len(blocks) < 2:
            return
        text = (
            f"Drop of SRC on {len(rows)} of these posts when the features of a block "
            f"are shuffled. It shows {note}"
        )
        table = blocks[["block", "importance", "std"]]
    else:
        text = "Importances as the members measure them, in percent of the total. "
        text += f"They show {note}"
        table = table[["feature", "block", "importance", "std"]]
        known = _contents.feature_terms(parts)
        terms = [known.get(name, "") for name in table["feature"]]
        if any(terms):
            table = table.assign(terms=terms)
            text += " TF-IDF features combine many terms; those with most weight are "
            text += "shown."
    figure = _contents.picture(inspection.ImportanceDisplay(importance=blocks))
    yield Section("Importance", text, figure, table)
