"""Conformal prediction intervals, and checks of their coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.signal import fftconvolve
from scipy.stats import betabinom

from hyperfusion._anatomy import Anatomy, ensemble_inside
from hyperfusion._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    validate_params,
)
from hyperfusion._validation import check_target
from hyperfusion._warnings import warn_user
from hyperfusion.ensemble._folds import USER, has_users
from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.table._frames import as_frame

TOLERANCE = 0.03  # smallest distance from the requested coverage that is drift

_CONSTRAINTS: dict[str, list[Any]] = {
    "model": [HasMethods("predict")],
    "coverage": [Interval(Real, 0, 1, closed="neither")],
    "groups": [StrOptions({"user"}), None],
}


@dataclass(frozen=True)
class Calibration:
    """A conformal quantile and what it rests on.

    `n_rows` is the effective number of out-of-fold rows (Kish), `rank` that of the rows
    whose error is not above the quantile, which is infinite where they are too few.
    """

    quantile: float
    n_rows: float
    rank: float

    @classmethod
    def fit(cls, scores: np.ndarray, weight: np.ndarray, coverage: float) -> Self:
        """Calibrate on the scaled errors of rows, with their weights."""
        if not weight.any():
            return cls(np.inf, 0.0, 0.0)
        scaled = weight / weight.max()  # squares of tiny weights would be 0
        n_rows = float(scaled.sum() ** 2 / np.sum(scaled**2))
        # weights add up to the effective number of rows, and the new row is one
        weight = weight * n_rows / weight.sum()
        order = np.argsort(scores, kind="stable")
        share = np.cumsum(weight[order]) / (weight.sum() + 1)
        position = int(np.searchsorted(share, coverage - 1e-9))
        if position == len(order):
            return cls(np.inf, n_rows, n_rows)
        quantile = float(scores[order[position]])
        below = weight[scores <= quantile].sum() / weight.sum()
        return cls(quantile, n_rows, float(below * n_rows))

    def chances(self, n_posts: int) -> np.ndarray:
        """Return the probabilities that 0, 1, ... of new posts are covered."""
        if np.isinf(self.quantile):
            return np.eye(1, n_posts + 1, n_posts)[0]  # all are
        a, b = self.rank, self.n_rows + 1 - self.rank
        return betabinom.pmf(np.arange(n_posts + 1), n_posts, a, b)


def chance_range(
    n_posts: Sequence[int], calibrations: Sequence[Calibration]
) -> tuple[float, float]:
    """Return the range that holds the share of covered posts in 95% of cases."""
    total = np.ones(1)
    for n, calibration in zip(n_posts, calibrations, strict=True):
        total = fftconvolve(total, calibration.chances(n))
    low, high = np.searchsorted(np.cumsum(total), [0.025, 0.975]) / sum(n_posts)
    return float(low), float(high)


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def predict_interval(
    model: Any,
    X: Any,
    *,
    coverage: float = 0.9,
    groups: str | None = None,
) -> pd.DataFrame:
    """Predict intervals that contain the target of a given share of posts.

    An interval is the prediction plus and minus ``q * y_std``: `y_std` is that of
    `HyperFusionRegressor.predict`, and `q` the conformal quantile of the out-of-fold
    errors (of models that were not fitted on the post), each divided by its own `y_std`
    [1]_. Nothing else is fitted.

    Parameters
    ----------
    model : HyperFusionRegressor, or Pipeline, search or wrapper around one
        Fitted. The ends of a `TransformedTargetRegressor` are those of its regressor,
        transformed back.
    X : DataFrame or array of shape (n_samples, n_features)
        Rows to predict, as `model` takes them.
    coverage : float, default=0.9
        Share of posts whose target lies in its interval.
    groups : {"user", None}, default=None
        "user" calibrates posts of users seen and not seen in training (``"known"`` and
        ``"new"``) apart, so that both have the right coverage.

    Returns
    -------
    DataFrame of shape (n_samples, 3)
        Columns ``prediction``, ``lower`` and ``upper``; the index is that of `X`.

    Raises
    ------
    InvalidInputError
        If the model contains no ensemble, or its table no users for ``groups="user"``.

    Warns
    -----
    UserWarning
        If a group has too few out-of-fold rows for `coverage` (9 for 0.9, 19 for
        0.95): its intervals are infinite.

    Notes
    -----
    The quantile is the ``ceil((n + 1) * coverage)``-th smallest of n scaled errors.
    Coverage is then at least `coverage` for posts from the distribution of the training
    posts, exactly so for one member, a single split as ``cv`` and ``refit="folds"``,
    and nearly otherwise. It may be less if later posts are different: see
    `coverage_report`. Sample weights of the fit also weight the errors.

    References
    ----------
    .. [1] Lei et al. "Distribution-free predictive inference for regression." JASA
       113, 2018 (section 5.2, locally weighted).

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import HyperFusionRegressor, predict_interval
    >>> X, y = make_regression(400, 5, noise=10.0, random_state=0)
    >>> ensemble = HyperFusionRegressor([Ridge()], random_state=0).fit(X[:200], y[:200])
    >>> held = predict_interval(ensemble, X[200:], coverage=0.8)
    >>> float(((held["lower"] <= y[200:]) & (y[200:] <= held["upper"])).mean())
    0.8
    """
    X = as_frame(X)
    parts = ensemble_inside(model)
    index = X.index if isinstance(X, pd.DataFrame) else None
    return intervals(parts, parts.features(X), coverage, groups, index).table


class Intervals(NamedTuple):
    """Intervals, the group of each row, and the calibration of each group."""

    table: pd.DataFrame
    groups: np.ndarray
    calibrations: dict[Any, Calibration]


def intervals(
    parts: Anatomy,
    features: Any,
    coverage: float,
    groups: str | None = None,
    index: Any = None,
) -> Intervals:
    """Return the intervals of a feature table, in units of the model's target.

    They are NaN for a model without an ensemble.
    """
    ensemble = parts.ensemble
    if ensemble is None:
        frame = pd.DataFrame({"prediction": parts.predict(features)}, index)
        return Intervals(frame.assign(lower=np.nan, upper=np.nan), np.empty(0), {})
    fitted, new = np.zeros(len(ensemble.oof_residuals_)), np.zeros(features.shape[0])
    if groups is not None:
        known = ensemble._user_known
        if known is None or not has_users(features):
            raise InvalidInputError(
                f"groups='user' needs the column {USER!r} in the feature table, which "
                "the role user of PostEncoder and make_hyperfusion gives."
            )
        fitted = np.where(known == 1, "known", "new")
        new = known_users(ensemble, features)
    calibrations = _calibrate(ensemble, fitted, new, coverage)
    prediction, std = ensemble.predict(features, return_std=True)
    margin = std * np.array([calibrations[group].quantile for group in new])
    ends = [parts.to_target(prediction + sign * margin) for sign in (-1, 1)]
    # sorted, since the way back may fall where the target rises
    lower, upper = np.where(np.isinf(margin), [[-np.inf], [np.inf]], np.sort(ends, 0))
    found = {"prediction": parts.to_target(prediction), "lower": lower, "upper": upper}
    return Intervals(pd.DataFrame(found, index), new, calibrations)


def known_users(ensemble: HyperFusionRegressor, table: pd.DataFrame) -> np.ndarray:
    """Return "known" or "new" for the user of each row of a feature table."""
    known = table[USER].isin(ensemble._users).to_numpy()
    return np.where(known, "known", "new")


def _calibrate(
    ensemble: HyperFusionRegressor, fitted: np.ndarray, new: np.ndarray, coverage: float
) -> dict[Any, Calibration]:
    """Return, for each group of new rows, the quantile of its scaled errors."""
    seen = np.isfinite(ensemble.oof_residuals_) & (ensemble._oof_weight > 0)
    smallest = np.finfo(float).tiny  # no error at all divides by no spread at all
    scores = np.abs(ensemble.oof_residuals_) / np.maximum(ensemble.oof_std_, smallest)
    calibrations, too_few = {}, []
    for group in pd.unique(new):
        rows = seen & (fitted == group)
        found = Calibration.fit(scores[rows], ensemble._oof_weight[rows], coverage)
        calibrations[group] = found
        if np.isinf(found.quantile):
            too_few.append(f"{int(rows.sum())} of {str(group)!r}")
    if too_few:
        warn_user(
            f"Too few out-of-fold rows for coverage={coverage}: {', '.join(too_few)}. "
            "Intervals of these groups are infinite.",
        )
    return calibrations


@validate_params(
    {
        **_CONSTRAINTS,
        "y": ["array-like"],
        "by": [dict, None],
    },
    prefer_skip_nested_validation=True,
)
def coverage_report(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    coverage: float = 0.9,
    by: Mapping[str, ArrayLike] | None = None,
    groups: str | None = None,
) -> pd.DataFrame:
    """Report the coverage of the intervals on labeled posts, overall and by group.

    Parameters
    ----------
    model : HyperFusionRegressor, or Pipeline, search or wrapper around one
        Fitted.
    X : DataFrame or array of shape (n_samples, n_features)
        Posts that the model was not fitted on, such as later ones.
    y : array-like of shape (n_samples,)
        Their targets.
    coverage : float, default=0.9
        The coverage asked of `predict_interval`.
    by : dict of {str: array-like}, default=None
        Groups to report, such as ``{"week": posts["time"].dt.to_period("W")}``. Known
        and new users are also reported if the table has users, as ``"user"`` unless
        `by` has that name.
    groups : {"user", None}, default=None
        As in `predict_interval`.

    Returns
    -------
    DataFrame
        One row for ``("all", "all")`` and one for each group, with the columns

        - ``n``: number of posts;
        - ``coverage``: share of them within their intervals;
        - ``gap``: that share minus the requested one;
        - ``low``, ``high``: range of the share in 95% of cases if posts have not
          changed;
        - ``width``: mean width of the intervals;
        - ``bias``: mean of target minus prediction;
        - ``drift``: whether the gap is above 0.03 and larger than chance explains.

    Notes
    -----
    The number of posts covered has a beta-binomial distribution [1]_. Of many groups,
    one in twenty lies outside ``low`` to ``high`` by chance.

    References
    ----------
    .. [1] Vovk. "Conditional validity of inductive conformal predictors." ACML 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import HyperFusionRegressor, coverage_report
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 3))
    >>> y = X[:, 0] + rng.normal(size=600)
    >>> y[500:] += 2  # posts have become more popular
    >>> ensemble = HyperFusionRegressor([Ridge()], random_state=0).fit(X[:300], y[:300])
    >>> week = np.repeat(["first", "second"], [200, 100])
    >>> report = coverage_report(ensemble, X[300:], y[300:], by={"week": week})
    >>> report["drift"].to_dict()
    {('all', 'all'): True, ('week', 'first'): False, ('week', 'second'): True}
    """
    parts = ensemble_inside(model)
    X = as_frame(X)
    target = check_target(y, X)
    features = parts.features(X)
    held = intervals(parts, features, coverage, groups)
    return coverage_table(parts.ensemble, features, target, held, coverage, by)


def coverage_table(
    ensemble: HyperFusionRegressor,
    features: Any,
    y: np.ndarray,
    intervals: Intervals,
    coverage: float,
    by: Mapping[str, ArrayLike] | None = None,
) -> pd.DataFrame:
    """Report as `coverage_report` does, on intervals of a feature table."""
    held, new, calibrations = intervals
    posts = pd.DataFrame(
        {
            "inside": (held["lower"] <= y) & (y <= held["upper"]),
            "width": held["upper"] - held["lower"],
            "bias": y - held["prediction"],
            "calibration": pd.Series(new, index=held.index),
        }
    ).reset_index(drop=True)
    reports = {("all", "all"): posts}
    given = (by or {}).items()
    partitions = {str(k): pd.Series(v).reset_index(drop=True) for k, v in given}
    if ensemble._user_known is not None and has_users(features):
        partitions.setdefault("user", pd.Series(known_users(ensemble, features)))
    for name, values in partitions.items():
        if len(values) != len(posts):
            raise InvalidInputError(
                f"by[{name!r}] must hold one value for each of {len(posts)} rows. Got "
                f"{len(values)}."
            )
        groups_of = posts.groupby(values, sort=True, observed=True)
        reports |= {(name, group): rows for group, rows in groups_of}
    rows = []
    for part in reports.values():
        sizes = part["calibration"].value_counts()
        chances = [calibrations[group] for group in sizes.index]
        low, high = chance_range(sizes.to_list(), chances)
        share = part["inside"].mean()
        gap = share - coverage
        rows.append(
            {"n": len(part), "coverage": share, "gap": gap, "low": low, "high": high}
            | {"width": part["width"].mean(), "bias": part["bias"].mean()}
            | {"drift": bool(abs(gap) > TOLERANCE and not low <= share <= high)}
        )
    index = pd.MultiIndex.from_tuples(reports, names=["by", "group"])
    return pd.DataFrame(rows, index=index)
