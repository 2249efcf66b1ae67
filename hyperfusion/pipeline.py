"""The three tiers as one scikit-learn Pipeline."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from hyperfusion._docstrings import fill_slots
from hyperfusion.encoders import PostEncoder, SVDUserEmbedder
from hyperfusion.encoders.post._roles import ROLES, SLOTS
from hyperfusion.ensemble import HyperFusionRegressor, PseudoLabelWrapper
from hyperfusion.ensemble._members import PRESETS, name_members
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.preprocessing import BlockImputer, BlockPCA, BlockScaler, IQRFilter
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
    preset: str = "default",
    members: Any = None,
    cv: Any = 5,
    unlabeled: bool | None = None,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int | str = "auto",
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
        there are texts (or tags) and times, and none in the preset "paper". False is
        none.
    %(cache)s
    preset : {"fast", "default", "paper"}, default="default"
        How much to do:

        - ``"fast"``: members without a network, for a first look;
        - ``"default"``: what measures best for its time;
        - ``"paper"``: the paper's system as it stands, features, preprocessing, members
          and training alike. It takes longest.
    members : list of regressors or list of (name, regressor), default=None
        Members of the ensemble instead of the preset's.
    cv : int, "time", "user", splitter or iterable of splits, default=5
        Folds of the ensemble; "time" (blocks of time) and "user" (whole users) take
        the columns of these roles.
    unlabeled : bool, default=None
        Whether rows whose target is NaN are unlabeled posts to learn from: the
        ensemble is wrapped in `PseudoLabelWrapper`, and members are searched as
        ``predict__estimator__catboost__depth``. None is True for the preset "paper"
        and False for others.
    time_limit : float or None, default=None
        Seconds that `fit` may take in all; members that don't fit are left out, see
        `HyperFusionRegressor`.
    n_jobs : int, default=None
        Parallel fits of the ensemble.
    random_state : int, RandomState instance or None, default=None
        Seed of everything.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook and nothing elsewhere, 0
        nothing, 1 prints a line for every encoder and every fitted part as well.

    Returns
    -------
    Pipeline
        Unfitted.

    Raises
    ------
    InvalidInputError
        If no role is given, or there is no such preset.

    Notes
    -----
    With unlabeled posts, encoders and relations are fitted on labeled and
    unlabeled posts alike; histories and target means read labeled posts alone.

    Examples
    --------
    >>> from hyperfusion import make_hyperfusion
    >>> model = make_hyperfusion(time="when", numeric=["likes", "views"])
    >>> list(model.named_steps)
    ['encode', 'relate', 'predict']
    >>> paper = make_hyperfusion(time="when", numeric=["likes"], preset="paper")
    >>> list(paper.named_steps)
    ['encode', 'relate', 'reduce', 'impute', 'normalize', 'predict']
    """
    given = dict(locals())  # the parameters
    roles: dict[str, Any] = {role: given[role] for role in [*ROLES, "vectors"]}
    named = {role for role, value in roles.items() if _is_given(value)}
    if not named:
        raise InvalidInputError(
            "make_hyperfusion needs at least one role, such as text='title'. The "
            f"roles are {list(roles)}."
        )
    if preset not in PRESETS:
        raise InvalidInputError(f"preset must be one of {PRESETS}. Got {preset!r}.")
    if isinstance(members, str):
        raise InvalidInputError(
            f"members must be a list of regressors. Got {members!r}: the name of a "
            "preset goes into preset."
        )
    paper = preset == "paper"
    if neighbors is None or neighbors is True:
        neighbors = None if paper else NeighborTargets()
    encode = PostEncoder(
        **roles,
        naive_time=naive_time,
        image_encoder=image_encoder,
        text_encoder=text_encoder,
        word_vectors=word_vectors,
        neighbors=neighbors or None,
        cache=cache,
        random_state=random_state,
        verbose=verbose,
    )
    ensemble = HyperFusionRegressor(
        name_members(preset if members is None else members),
        cv=cv,
        time_limit=time_limit,
        n_jobs=n_jobs,
        random_state=random_state,
        verbose=verbose,
    )
    predict: Any = ensemble
    if paper if unlabeled is None else unlabeled:
        predict = PseudoLabelWrapper(ensemble, verbose=verbose)
    steps = [
        ("encode", encode),
        ("relate", RelationEncoder(random_state=random_state)),
        ("predict", predict),
    ]
    return Pipeline(_as_in_paper(steps, ensemble, named) if paper else steps)


def _is_given(role: Any) -> bool:
    return len(role) > 0 if hasattr(role, "__len__") else role is not None


def _as_in_paper(
    steps: list[tuple[str, Any]], ensemble: Any, named: set[str]
) -> list[tuple[str, Any]]:
    """Set and add to the three steps what the paper says of each."""
    (_, encode), (_, relate), (_, predict) = steps
    svd = {"weighting": "counts", "power": 0.0, "pad": True}
    raw = {
        name: {"clip": {"normalize": False}}
        for name in ("image_encoder", "text_encoder")
        if isinstance(getattr(encode, name), str | None)
    }
    words = {"tfidf": "drop"} | raw.get("text_encoder", {})
    encoders = {
        "image": {"statistics": "drop"} | raw.get("image_encoder", {}),
        "text": words,
        "tags": words,
        "time": {"calendar": {"cycles": "all"}},
    }
    encode.set_params(
        user_embedder=SVDUserEmbedder(n_components=399, **svd),
        place_embedder=SVDUserEmbedder(
            n_components=400, split=False, output="item", **svd
        ),
        encoders={role: own for role, own in encoders.items() if role in named},
    )
    relate.set_params(clusters=True)
    ensemble.set_params(
        weighting="simplex", weights_per="fold", row_filter=IQRFilter(max_share=1.0)
    )
    if isinstance(predict, PseudoLabelWrapper):
        predict.set_params(rule="paper", min_gain_se=None)
    return [
        *steps[:2],
        ("reduce", BlockPCA(blocks="declared")),
        ("impute", BlockImputer()),
        ("normalize", BlockScaler()),
        steps[2],
    ]
