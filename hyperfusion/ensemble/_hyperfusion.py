"""The ensemble: K folds times members, weighted."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from hyperfusion._base import visual_block
from hyperfusion._nested import NestedEncoders
from hyperfusion._sklearn_compat import (
    CallbackSupportMixin,
    with_callbacks,
)
from hyperfusion._validation import check_target, warn_of_target
from hyperfusion.ensemble._fold_ensemble import FoldEnsemble
from hyperfusion.ensemble._members import check_features, name_members
from hyperfusion.ensemble._out_of_fold import finite_prediction
from hyperfusion.ensemble._weights import disagreement
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import StratifiedRegressionKFold
from hyperfusion.table._frames import as_frame


class HyperFusionRegressor(
    CallbackSupportMixin, RegressorMixin, NestedEncoders, FoldEnsemble
):
    """Weighted ensemble of regressors over K folds.

    Tier 3 of the paper (section 3.4, equations 8 and 9). Every member is fitted on the
    training part of every fold. The weights come from out-of-fold predictions: each row
    is predicted by models that were not fitted on it. New rows get the weighted average
    of all fold models.

    It takes feature tables and plain arrays. For a table of posts use
    `make_hyperfusion`, which puts the encoders before it. Next steps after `fit` are
    `predict_interval` (how sure is it?), `evaluate` (how good is it on new users and
    later posts?) and `make_report` (one page about the model).

    Parameters
    ----------
    members : list of regressors, list of (name, regressor), str or None, default=None
        Any scikit-learn regressors, or a preset. From the cheapest to the most
        expensive, these are

        - ``"fast"``: boosted trees on all features, boosted trees without those of
          pictures and texts, and a kernel ridge. Takes about two thirds of the
          default's time;
        - ``"default"`` (also None): adds CatBoost in the same two ways. The best scores
          for its time;
        - ``"best"``: adds the co-attention and the hierarchical network. Takes two to
          four times the default's time;
        - ``"paper"``: the four members of section 3.4, without early stopping. Takes
          longest.

        Regressors that can't read categories or missing values get the feature table
        as numbers, through `NumericTable`. Pipelines get it unchanged.
    cv : int, "time", "user", splitter or iterable of (train, test), default=5
        The folds. A number gives `StratifiedRegressionKFold`, grouped if `groups` are
        passed to `fit`. "time" gives five blocks of time, "user" five folds of whole
        users. Times and users are read from the feature table, or from `groups`.
    weighting : {"greedy", "simplex", "equal"}, default="greedy"
        How members are weighted: greedy selection with replacement [1]_, the best
        convex combination, or equal weights. Weights minimize the mean of ``1 - SRC``
        (Spearman's rank correlation) and MAE (mean absolute error), each relative to
        the best single member.
    weights_per : {"pooled", "fold"}, default="pooled"
        Whether weights are solved once over all folds, or for each fold on its own
        validation rows as in equation 8.
    row_filter : object with ``fit_resample``, default=None
        Drops rows from the training part of each fold, as `IQRFilter` does.
    refit : {"folds", "full"}, default="folds"
        Predict with the average of the fold models (equation 9), or fit each member
        again on all rows, which makes predictions K times cheaper.
    n_jobs : int, default=None
        Parallel fits, through joblib. The result does not depend on it.
    memory : str or joblib.Memory, default=None
        Folder that stores finished fits. If a fit is killed and restarted with the same
        data, members and `random_state`, only the unfinished ones are repeated. joblib
        stores pickles, which can run code: let nobody else write there.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of every member without its own.
    time_limit : float or None, default=None
        Seconds that `fit` may take, including the `PostEncoder` and `RelationEncoder`
        before it. The most expensive members are left out if it is too short.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook and nothing elsewhere, 0
        nothing, 1 also prints a line for every fitted part.

    Attributes
    ----------
    members_ : list of (name, regressor)
        Unfitted copies of the members, as they were fitted.
    plan_ : list of (name, regressor)
        The given members that were fitted. With ``members=plan_`` and no `time_limit`
        the same ensemble is fitted again, bit for bit.
    skipped_ : dict of {str: str}
        Members that were left out because of `time_limit`, and why.
    estimators_ : list of lists of regressors
        Fitted models: ``estimators_[k][i]`` is member i of fold k (one inner list
        where ``refit="full"``).
    weights_ : ndarray of shape (n_folds, n_members)
        Weights of the members for each fold; rows add up to 1.
    oof_predictions_ : ndarray of shape (n_samples,)
        Out-of-fold predictions of the ensemble, see Notes. NaN for rows that are never
        validated.
    oof_member_predictions_ : ndarray of shape (n_samples, n_members)
        Out-of-fold predictions of each member.
    oof_residuals_ : ndarray of shape (n_samples,)
        Targets minus `oof_predictions_`.
    oof_std_ : ndarray of shape (n_samples,)
        Standard deviations of the out-of-fold predictions, as `predict` returns them.
    variance_coefficients_ : ndarray of shape (2,)
        Coefficients that turn the members' disagreement into a variance, see `predict`.
    fold_scores_ : DataFrame
        SRC, MAE, rows and seconds for every fold and member, and for the ensemble.
    splits_ : list of (train, validation)
        Positions of the rows of each fold.
    %(columns_seen)s

    Notes
    -----
    Fits ``n_folds * n_members`` models (and ``n_members`` more for
    ``refit="full"``). scikit-learn's callbacks (1.9) are supported: each part is a
    task, and scoring callbacks score each fold's models on its validation rows.

    With a `time_limit` a member starts only if all its folds are estimated to fit into
    the remaining time, and is dropped between folds if they don't. The cheapest member
    is always fitted, with a warning if it takes longer than the limit.

    No model and no weight in `oof_predictions_` was fitted to the row's own label:
    weights are solved on rows that the fold does not validate (a single split is cut in
    two halves, which weigh each other). But the models behind those weights, of the
    other folds, were fitted on it.

    If `fit` refuses its input, a fitted ensemble stays unchanged.

    References
    ----------
    .. [1] Caruana et al. "Ensemble selection from libraries of models." ICML 2004.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from hyperfusion import HyperFusionRegressor
    >>> X, y = make_regression(200, 5, noise=1.0, random_state=0)
    >>> members = [Ridge(), KNeighborsRegressor()]
    >>> ensemble = HyperFusionRegressor(members, random_state=0)
    >>> ensemble.fit(X, y).weights_.shape
    (5, 2)
    >>> [float(w) for w in ensemble.weights_[0]]
    [1.0, 0.0]
    """

    # with metadata routing they are taken whenever they are passed
    __metadata_request__fit = {"sample_weight": True, "groups": True}
    __metadata_request__score = {"sample_weight": True}

    _prefix, _kind = "", "member"

    def _named_encoders(self) -> dict[str, Any]:
        try:
            return dict(name_members(self.members))
        except (InvalidInputError, TypeError):  # told of at fit
            return {}

    def _put_encoder(self, name: str, encoder: Any) -> None:
        self.members = [*(self._named_encoders() | {name: encoder}).items()]

    def _put_parameter(self, name: str, inner: str, value: Any, changed: Any) -> None:
        # in place, as scikit-learn's ensembles do
        self._put_encoder(
            name, self._named_encoders()[name].set_params(**{inner: value})
        )

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit every member on every fold and weigh the members.

        Parameters
        ----------
        X : DataFrame, array or sparse matrix of shape (n_samples, n_features)
            A feature table, or whatever the members can read.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the members' fits, the weights and the scores.
        groups : array-like of shape (n_samples,), default=None
            Groups for the splitter, such as users, which are never split.

        Returns
        -------
        self
            The fitted ensemble.

        Raises
        ------
        InvalidInputError
            If `X` and `y` don't fit together, `y` is not finite, there are fewer rows
            than folds, or in some fold training and validation rows overlap, or all
            validation rows have weight 0.

        Warns
        -----
        UserWarning
            If there is hardly anything to learn, such as a constant target, or if the
            indices of `X` and `y` have the same labels in another order.
        """
        self._validate_params()
        X = as_frame(X)
        y = check_target(y, X)
        warn_of_target(y)
        return self._fit(X, y, sample_weight, groups)

    @property
    def fold_scores_(self) -> pd.DataFrame:
        """SRC, MAE, rows and seconds of every fold and member, and of the ensemble."""
        check_is_fitted(self)
        return pd.DataFrame(self._scores).set_index(["fold", "member"])

    @property
    def named_estimators_(self) -> Bunch:
        """The fitted models of each member, one per fold, by the member's name."""
        check_is_fitted(self)
        names = [name for name, _ in self.members_]
        models = map(list, zip(*self.estimators_, strict=True))
        return Bunch(**dict(zip(names, models, strict=True)))

    def predict(
        self, X: Any, *, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict with the weighted average of the models.

        Parameters
        ----------
        X : DataFrame, array or sparse matrix of shape (n_samples, n_features)
            Columns as at fit.
        return_std : bool, default=False
            Whether to also return a standard deviation for each prediction.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,)
            Predictions.
        y_std : ndarray of shape (n_samples,)
            Standard deviation of the target around the prediction,
            ``sqrt(a + b * d)``. `d` is the weighted variance of the members'
            predictions, minus their mean out-of-fold errors, averaged over the folds.
            ``(a, b) = variance_coefficients_`` were fitted to squared out-of-fold
            errors. Only if `return_std`; the same for all rows if there is one member.
        """
        check_is_fitted(self)
        X = check_features(self, X, reset=False)
        weights = self._per_fit(self.weights_) / len(self.estimators_)
        mean, variance = np.zeros(X.shape[0]), np.zeros(X.shape[0])
        for k in range(len(self.estimators_)):
            used, predictions = np.flatnonzero(weights[k]), []
            for i in used:
                model, name = self.estimators_[k][i], self.members_[i][0]
                prediction = finite_prediction(model, X, name, k)
                mean += weights[k, i] * prediction
                predictions.append(prediction)
            if return_std:
                bias, share = self._per_fit(self._bias)[k, used], weights[k, used]
                variance += share.sum() * disagreement(predictions, bias, share)
        if not return_std:
            return mean
        constant, slope = self.variance_coefficients_
        return mean, np.sqrt(constant + slope * variance)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata such as ``sample_weight`` and ``groups`` are routed.

        Returns
        -------
        MetadataRouter
            Routes to the splitter and to the members.
        """
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        word_or_number = isinstance(self.cv, (str, Integral))
        cv = StratifiedRegressionKFold() if word_or_number else self.cv
        if hasattr(cv, "split"):
            mapping = MethodMapping().add(caller="fit", callee="split")
            router.add(splitter=check_cv(cv), method_mapping=mapping)
        fit = MethodMapping().add(caller="fit", callee="fit")
        return router.add(method_mapping=fit, **dict(self._named_members()))

    def _sk_visual_block_(self) -> Any:
        return visual_block(self, name_members(self.members))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        return tags
