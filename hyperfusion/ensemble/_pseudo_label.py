"""Pseudo-labels around any regressor, judged on labeled rows alone."""

from __future__ import annotations

from dataclasses import field
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import HyperFusionEstimator, with_parameters
from hyperfusion._progress import VERBOSE, Progress
from hyperfusion._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _routing_enabled,
)
from hyperfusion._validation import COUNT, NOT_NEGATIVE, local_generator, warn_of_target
from hyperfusion.ensemble._folds import CV_WORDS
from hyperfusion.ensemble._hyperfusion import HyperFusionRegressor
from hyperfusion.ensemble._pseudo_rounds import TRACE, PseudoLabelRounds, Rows
from hyperfusion.model_selection._split import labeled_scorer
from hyperfusion.table._frames import as_frame


@with_parameters
class PseudoLabelWrapper(MetaEstimatorMixin, RegressorMixin, HyperFusionEstimator):
    """Learn from unlabeled rows, too, if that measurably helps.

    The second stage of the paper's training (section 3.5, equation 10), built so that
    it cannot fool its own validation. Each round labels the unlabeled rows with the
    ensemble, adds the most certain ones to the training rows, fits again, and compares
    the out-of-fold predictions of the labeled rows with those before. A round that does
    not help is undone. The user guide's page on unlabeled posts has the details.

    Parameters
    ----------
    estimator : regressor
        A `HyperFusionRegressor`, or any other regressor or pipeline, which becomes an
        ensemble of one member.
    alpha : float, default=1.0
        Strictness: rows whose confidence is above its mean plus `alpha` standard
        deviations join (equation 10).
    rule : {"balanced", "paper"}, default="balanced"
        "balanced" chooses within ten quantile bins of the prediction, so that the
        middle, where models agree most, does not crowd out the extremes. It does so for
        each fold separately, with labels from the models of this fold, which never saw
        the rows that it validates, and weights pseudo-labels by their confidence.
        "paper" is equation 10 unchanged: one set of rows joins all folds, unweighted,
        labeled by the whole ensemble, so the scores of later rounds are too optimistic.
    max_share : float, default=0.5
        Largest share of the remaining unlabeled rows that "balanced" adds in a round;
        it adds at least a twentieth of them.
    max_rounds : int, default=3
        Maximum number of rounds.
    min_gain_se : float or None, default=2.0
        A round is kept if its gain is above this many standard errors. None keeps every
        round, as the paper does.
    cv : int, "time", "user", splitter, iterable of (train, test) or None, default=None
        The folds, as `HyperFusionRegressor` takes them. None is the ensemble's own, or
        5 for a single regressor.
    random_state : int, RandomState instance or None, default=None
        Seed. None is the ensemble's own.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook and nothing elsewhere, 0
        nothing, 1 prints a line for every round as well.

    Attributes
    ----------
    estimator_ : HyperFusionRegressor
        The ensemble that was kept.
    transduction_ : ndarray of shape (n_samples,)
        Targets and the pseudo-labels used by `estimator_` (the mean over the folds that
        use a row), NaN for unused rows.
    labeled_iter_ : ndarray of shape (n_samples,)
        0 for labeled rows, the round in which a fold first used the row, -1 for
        rows that are not used.
    termination_condition_ : str
        "no_improvement" (the last round was undone), "max_iter", "no_change" (no row
        was chosen), "time_limit" (there was no time for another) or "all_labeled" (none
        is left, or there were none).
    n_iter_ : int
        Number of rounds that were tried, including the one that was undone.
    trace_ : DataFrame
        One row per round: rows added in any fold, pseudo-labeled rows in a fold,
        threshold tau and confidence of the added rows (means over folds), SRC
        (Spearman's rank correlation) and MAE before and after, the gain, its standard
        error, and whether the round was kept.
    oof_predictions_ : ndarray of shape (n_samples,)
        Out-of-fold predictions, NaN for unlabeled rows.
    %(columns_seen)s

    See Also
    --------
    LabeledSplit : Folds for `cross_val_score` where some targets are NaN.
    labeled_scorer : Scores on labeled rows only.

    Notes
    -----
    The confidence of a row is minus the standard deviation of the members' predictions,
    after subtracting each member's mean out-of-fold error. One member can't disagree
    with itself: "balanced" then uses five refits on random halves of each fold's
    training part, "paper" the models of all folds. The gain of a round is the mean of
    the relative gains in MAE and in ``1 - SRC``, paired row by row.

    A fit costs at most ``max_rounds + 1`` fits of the ensemble, one more for
    ``refit="full"``, and for a single regressor five fits on half of the rows per fold.
    If it fails or is interrupted, an already fitted wrapper stays unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from hyperfusion import PseudoLabelWrapper
    >>> X, y = make_regression(300, 50, effective_rank=3, noise=0.1, random_state=0)
    >>> y[60:] = np.nan  # unlabeled
    >>> model = PseudoLabelWrapper(make_pipeline(PCA(3), Ridge()), random_state=0)
    >>> model.fit(X, y).predict(X).shape
    (300,)
    >>> bool(np.isnan(model.oof_predictions_[60:]).all())
    True
    """

    learns_unlabeled = True  # `evaluate` and `ablate` ask for it
    # with metadata routing they are taken whenever they are passed
    __metadata_request__fit = {"sample_weight": True, "groups": True}
    __metadata_request__score = {"sample_weight": True}

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "alpha": [Real],
        "rule": [StrOptions({"balanced", "paper"})],
        "max_share": [Interval(Real, 0, 1, closed="right")],
        "max_rounds": [COUNT],
        "min_gain_se": [NOT_NEGATIVE, None],
        "cv": ["cv_object", StrOptions(set(CV_WORDS)), None],
        "random_state": ["random_state"],
        "verbose": VERBOSE,
    }

    estimator: Any = field(kw_only=False)
    alpha: float = 1.0
    rule: str = "balanced"
    max_share: float = 0.5
    max_rounds: int = 3
    min_gain_se: float | None = 2.0
    cv: Any = None
    random_state: Any = None
    verbose: int | str = "auto"

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit on labeled rows, then on unlabeled ones as long as they help.

        Parameters
        ----------
        X : DataFrame, array or sparse matrix of shape (n_samples, n_features)
            Rows, labeled or not.
        y : array-like of shape (n_samples,)
            Targets, NaN for unlabeled rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; a pseudo-label's own weight is multiplied by it.
        groups : array-like of shape (n_samples,), default=None
            Groups for the splitter, such as users.

        Returns
        -------
        self
            The fitted wrapper.

        Raises
        ------
        InvalidInputError
            If no row has a label, or the inputs don't fit together.
        """
        self._validate_params()
        ensemble = self._ensemble()
        given = {"sample_weight": sample_weight, "groups": groups}
        if _routing_enabled():
            given = {k: v for k, v in given.items() if v is not None}
            given = process_routing(self, "fit", **given).estimator.fit
        passed = (given.get(name) for name in ("sample_weight", "groups"))
        rows = Rows.read(ensemble, X, y, *passed)
        warn_of_target(rows.y)
        refit, unlabeled = ensemble.refit, np.flatnonzero(~rows.labeled)
        if len(unlabeled):
            ensemble.refit = "folds"  # the rounds need fold models
        with Progress("pseudo-labels", 1 + self.max_rounds, self.verbose) as progress:
            progress.at("labeled rows alone")
            done = PseudoLabelRounds(self, rows.fit(ensemble, None), rows)
            progress.step()
            done.run(progress)
            if refit == "full" and len(unlabeled):
                done.fit_on_all()
        # the fitted attributes are set at the end, all at once
        self.estimator_ = done.ensemble
        self.transduction_, self.oof_predictions_ = (
            np.full(len(rows.labeled), np.nan) for _ in range(2)
        )
        self.transduction_[rows.labeled] = rows.y
        if done.used:
            merged = done.merged()
            self.transduction_[unlabeled[merged.chosen]] = merged.labels[merged.chosen]
        self.labeled_iter_ = np.zeros(len(rows.labeled), int)
        self.labeled_iter_[unlabeled] = done.labeled_iter
        self.oof_predictions_[rows.labeled] = done.ensemble.oof_predictions_
        self.n_iter_, self._trace = len(done.trace), done.trace
        self.termination_condition_ = done.condition
        self.n_features_in_ = done.ensemble.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(done.ensemble, "feature_names_in_"):
            self.feature_names_in_ = done.ensemble.feature_names_in_
        return self

    def _ensemble(self) -> HyperFusionRegressor:
        """Return the unfitted ensemble, with a number as seed."""
        ensemble = self._wrapped()
        for name in ("cv", "random_state"):
            if getattr(self, name) is not None:
                setattr(ensemble, name, getattr(self, name))
        if not isinstance(ensemble.random_state, Integral):
            rng = local_generator(ensemble.random_state)
            ensemble.random_state = int(rng.randint(2**31 - 1))
        ensemble._validate_params()
        return ensemble

    def _wrapped(self) -> HyperFusionRegressor:
        if isinstance(self.estimator, HyperFusionRegressor):
            return clone(self.estimator)
        return HyperFusionRegressor([("member", clone(self.estimator))])

    @property
    def trace_(self) -> pd.DataFrame:
        """One row per round: rows added, scores, and whether it was kept."""
        check_is_fitted(self)
        return pd.DataFrame(self._trace, columns=list(TRACE))

    def predict(
        self, X: Any, *, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self)
        return self.estimator_.predict(X, return_std=return_std)

    predict.__doc__ = HyperFusionRegressor.predict.__doc__

    def score(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the coefficient of determination on the labeled rows.

        So a search works on tables with unlabeled rows without a scorer of its own.

        Parameters
        ----------
        X : DataFrame, array or sparse matrix of shape (n_samples, n_features)
            Columns as at fit.
        y : array-like of shape (n_samples,)
            Targets; rows where they are NaN don't count.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            At most 1; 0 for a constant prediction of the mean.
        """
        score = labeled_scorer(RegressorMixin.score)
        return score(self, as_frame(X), y, sample_weight=sample_weight)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata such as ``sample_weight`` and ``groups`` are routed.

        Returns
        -------
        MetadataRouter
            Routes to the ensemble.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return (
            MetadataRouter(owner=type(self).__name__)
            .add_self_request(self)
            .add(estimator=self._wrapped(), method_mapping=mapping)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = HyperFusionRegressor().__sklearn_tags__().input_tags
        return tags
