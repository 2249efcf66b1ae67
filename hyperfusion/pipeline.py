"""The three tiers as one scikit-learn Pipeline."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from hyperfusion._docstrings import fill_slots
from hyperfusion._sklearn_compat import _check_sample_weight
from hyperfusion._validation import check_target
from hyperfusion.encoders import PostEncoder
from hyperfusion.encoders.post._roles import ROLES, SLOTS
from hyperfusion.ensemble import HyperFusionRegressor, PseudoLabelWrapper
from hyperfusion.ensemble._members import name_members
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import StratifiedRegressionKFold
from hyperfusion.relations import NeighborTargets, RelationEncoder
from hyperfusion.table._frames import Columns, as_frame

__all__ = ["make_hyperfusion"]


class PostPipeline(Pipeline):
    """scikit-learn's Pipeline, which checks target and parameters before it encodes.

    Encoding takes hours where there are many pictures.
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit the steps in turn.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Posts.
        y : array-like of shape (n_samples,), default=None
            Targets.
        **params : dict
            Metadata such as ``sample_weight``, as for scikit-learn's Pipeline.

        Returns
        -------
        self
            The fitted pipeline.
        """
        nested = self.get_params(deep=True).values()
        for estimator in (value for value in nested if hasattr(value, "fit")):
            if hasattr(estimator, "_validate_params"):
                estimator._validate_params()
        wrapper = self[-1]
        is_wrapped = isinstance(wrapper, PseudoLabelWrapper)
        ensemble = wrapper.estimator if is_wrapped else wrapper
        table = as_frame(X)  # whatever is none, the first step refuses
        if (
            isinstance(ensemble, HyperFusionRegressor)
            and getattr(table, "ndim", 0) == 2
        ):
            ensemble._named_members()
            target = check_target(y, table.shape[0], allow_nan=is_wrapped)
            for name, value in params.items():
                if name.endswith("sample_weight") and value is not None:
                    _check_sample_weight(value, target, ensure_non_negative=True)
            if isinstance(ensemble.cv, Integral):
                known = target[~np.isnan(target)]
                next(StratifiedRegressionKFold(int(ensemble.cv)).split(known, known))
        return super().fit(X, y, **params)


@fill_slots(**SLOTS)
def make_hyperfusion(
    *,
    image: Columns = None,
    image_folder: str | os.PathLike[str] | None = None,
    text: Columns = (),
    tags: Columns = None,
    user: Columns = None,
    user_created: Columns = None,
    user_numeric: Columns = (),
    time: Columns = None,
    timezone: Columns = None,
    naive_time: str = "utc",
    latitude: Columns = None,
    longitude: Columns = None,
    geo_accuracy: Columns = None,
    place: Columns = None,
    numeric: Columns = (),
    categorical: Columns = (),
    vectors: dict[str, Any] | None = None,
    image_encoder: Any = None,
    text_encoder: Any = None,
    word_vectors: Any = None,
    neighbors: Any = None,
    cache: Any = None,
    members: Any = None,
    cv: Any = 5,
    unlabeled: bool = False,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> Pipeline:
    """Assemble the three tiers for a table of posts.

    The steps are ``encode`` (`PostEncoder`), ``relate`` (`RelationEncoder`) and
    ``predict`` (`HyperFusionRegressor`). It is an ordinary Pipeline: search
    ``predict__catboost__depth``, or put your own transformer into
    ``encode__encoders``.

    Parameters
    ----------
    %(roles)s
    neighbors : NeighborTargets, None or False, default=None
        What similar earlier posts came to; None is the default `NeighborTargets`, where
        there are texts (or tags) and times, False is none.
    %(cache)s
    members : str, list of regressors or list of (name, regressor), default=None
        Members of the ensemble: a preset's name or a list; None is "default".
    cv : int, splitter or iterable of splits, default=5
        Folds of the ensemble.
    unlabeled : bool, default=False
        Whether rows whose target is NaN are unlabeled posts to learn from: the
        ensemble is wrapped in `PseudoLabelWrapper`, and members are searched as
        ``predict__estimator__catboost__depth``.
    n_jobs : int, default=None
        Parallel fits of the ensemble.
    random_state : int, RandomState instance or None, default=None
        Seed of everything.
    verbose : int, default=0
        1 prints a line for every encoder and every fitted part.

    Returns
    -------
    Pipeline
        Unfitted.

    Raises
    ------
    InvalidInputError
        If no role is given, or members are unknown.

    Notes
    -----
    With unlabeled posts, encoders and relations are fitted on labeled and
    unlabeled posts alike; target means, in histories too, read labeled posts alone, and
    a history's counts and dates all posts.

    Examples
    --------
    >>> from hyperfusion import make_hyperfusion
    >>> model = make_hyperfusion(time="when", numeric=["likes", "views"])
    >>> list(model.named_steps)
    ['encode', 'relate', 'predict']
    """
    given = dict(locals())  # the parameters
    roles: dict[str, Any] = {role: given[role] for role in [*ROLES, "vectors"]}
    if not any(
        len(value) if hasattr(value, "__len__") else value is not None
        for value in roles.values()
    ):
        raise InvalidInputError(
            "make_hyperfusion needs at least one role, such as text='title'. The "
            f"roles are {list(roles)}."
        )
    if not isinstance(unlabeled, bool):
        raise InvalidInputError(f"unlabeled must be True or False. Got {unlabeled!r}.")
    encode = PostEncoder(
        **roles,
        image_folder=image_folder,
        naive_time=naive_time,
        image_encoder=image_encoder,
        text_encoder=text_encoder,
        word_vectors=word_vectors,
        neighbors=_neighbors(neighbors),
        cache=cache,
        random_state=random_state,
        verbose=verbose,
    )
    predict: Any = HyperFusionRegressor(
        name_members(members),
        cv=cv,
        n_jobs=n_jobs,
        random_state=random_state,
        verbose=verbose,
    )
    if unlabeled:
        predict = PseudoLabelWrapper(predict, verbose=verbose)
    return PostPipeline(
        [
            ("encode", encode),
            ("relate", RelationEncoder(random_state=random_state)),
            ("predict", predict),
        ]
    )


def _neighbors(value: Any) -> Any:
    if value is None or value is True:
        return NeighborTargets()
    return None if value is False else value
