"""The three tiers as one scikit-learn Pipeline."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from hyperfusion._docstrings import fill_slots
from hyperfusion.encoders import PostEncoder
from hyperfusion.encoders.post._roles import ROLES, SLOTS
from hyperfusion.ensemble import HyperFusionRegressor, PseudoLabelWrapper
from hyperfusion.ensemble._members import name_members
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.relations import NeighborTargets, RelationEncoder
from hyperfusion.table._frames import Columns

__all__ = ["make_hyperfusion"]


@fill_slots(**SLOTS)
def make_hyperfusion(
    *,
    image: Columns = None,
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
    ``predict__catboost__depth``, or add your own transformer to ``encode__encoders``.

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

    See Also
    --------
    guess_roles : Suggests the roles of a table, with reasons.
    evaluate : The first next step: scores on random, user and time splits.
    predict_interval : The second: how sure are the predictions?
    make_report : The third: one page about the fitted model and its worst errors.
    PostEncoder : The encoders behind each role.

    Notes
    -----
    With unlabeled posts, encoders and relations are fitted on all posts. Histories of
    users and target means only read labeled posts.

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
    encode = PostEncoder(
        **roles,
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
    return Pipeline(
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
