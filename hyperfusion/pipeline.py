"""The three tiers as one scikit-learn Pipeline, and predictions in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sized
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, gen_batches

from hyperfusion._base import HyperFusionEstimator, fill_slots
from hyperfusion._device import resolve_device
from hyperfusion._progress import VERBOSE, Progress
from hyperfusion._sklearn_compat import (
    HasMethods,
    _safe_indexing,
    validate_params,
)
from hyperfusion._validation import COUNT, check_target, check_weights
from hyperfusion.encoders import PostEncoder, SVDUserEmbedder
from hyperfusion.encoders.post._roles import ROLES, SLOTS
from hyperfusion.ensemble import HyperFusionRegressor, PseudoLabelWrapper
from hyperfusion.ensemble._folds import make_splits
from hyperfusion.ensemble._members import name_members
from hyperfusion.ensemble._presets import PRESETS
from hyperfusion.exceptions import BadFileError, InvalidInputError
from hyperfusion.preprocessing import BlockImputer, BlockPCA, BlockScaler, IQRFilter
from hyperfusion.relations import NeighborTargets, RelationEncoder
from hyperfusion.table._frames import Columns, as_frame

__all__ = ["make_hyperfusion", "predict_batches"]


class PostPipeline(Pipeline):
    """scikit-learn's Pipeline, which checks target and parameters before it encodes."""

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Check, then fit the steps in turn, as scikit-learn's Pipeline does."""
        for value in self.get_params(deep=True).values():
            if hasattr(value, "fit") and hasattr(value, "_parameter_constraints"):
                value._validate_params()
            if isinstance(value, HyperFusionEstimator):
                device = getattr(value, "device", "auto")
                if device not in ("auto", "cpu"):  # which are everywhere
                    resolve_device(device)
        is_wrapped = isinstance(self[-1], PseudoLabelWrapper)
        ensemble = self[-1].estimator if is_wrapped else self[-1]
        table = as_frame(X)  # the first step refuses what is not a table
        is_table = getattr(table, "ndim", 0) == 2 and table.shape[0]
        if isinstance(ensemble, HyperFusionRegressor) and is_table:
            ensemble._named_members()
            y = check_target(y, table, allow_nan=is_wrapped)
            groups, is_known = None, ~np.isnan(y)
            for name, value in params.items():
                if name.endswith("sample_weight") and value is not None:
                    check_weights(value, y, ensure_non_negative=True)
                if name.endswith("groups") and value is not None:
                    check_consistent_length(y, value)
                    groups = _safe_indexing(value, is_known)
            is_word = isinstance(ensemble.cv, str)
            if isinstance(ensemble.cv, (Integral, Sized)) and not is_word:
                y_known = y[is_known]
                weight = np.ones_like(y_known)
                make_splits(ensemble.cv, y_known, y_known, weight, groups, None)
        # hand frames of pandas on, whatever output is chosen: others lose the spaces
        chosen = {
            name: getattr(step, "_sklearn_output_config", {})
            for name, step in self.steps
            if isinstance(step, HyperFusionEstimator) and hasattr(step, "set_output")
        }
        for name in chosen:
            self.named_steps[name]._sklearn_output_config = {"transform": "default"}
        try:
            return super().fit(table, y, **params)
        finally:
            for name, config in chosen.items():
                self.named_steps[name]._sklearn_output_config = config


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

    The steps are ``encode`` (`PostEncoder`), ``relate`` (`RelationEncoder`), ``reduce``
    (`BlockPCA`, which shortens vectors of more than 64 numbers) and ``predict``
    (`HyperFusionRegressor`). It is an ordinary Pipeline: search
    ``predict__catboost__depth``, or add your own transformer to ``encode__encoders``.

    Name a role for each column that the model should read; `guess_roles` suggests them.
    Then ``model.fit(posts, y).predict(new_posts)`` takes whole tables. The next steps
    are `evaluate` (how good is it on new users and later posts?), `predict_interval`
    (how sure is it?) and `make_report` (one page with scores, importances and the worst
    errors).

    Parameters
    ----------
    %(roles)s
    neighbors : NeighborTargets, None or False, default=None
        Adds the targets of similar earlier posts. None is the default `NeighborTargets`
        if there are texts (or tags) and times, except in the preset "paper". False adds
        nothing.
    %(cache)s
    preset : {"fast", "default", "best", "paper"}, default="default"
        From the cheapest to the most expensive:

        - ``"fast"``: boosted trees on all features, boosted trees without those of
          pictures and texts, and a kernel ridge. Takes about two thirds of the
          default's time;
        - ``"default"``: adds CatBoost in the same two ways. The best scores for its
          time;
        - ``"best"``: adds two networks. Takes two to four times the default's time;
        - ``"paper"``: the paper's features, preprocessing, members and training. Takes
          longest.
    members : str, list of regressors or list of (name, regressor), default=None
        Members of the ensemble to use instead of the preset's, or the name of the
        preset to take them from.
    cv : int, "time", "user", splitter or iterable of splits, default=5
        Folds of the ensemble. "time" (blocks of time) and "user" (whole users) use the
        columns of these roles.
    unlabeled : bool, default=None
        Whether to learn from rows whose target is NaN. The ensemble is then wrapped in
        `PseudoLabelWrapper`, and parameters of members are called
        ``predict__estimator__catboost__depth``. None is True for the preset "paper"
        and False for others.
    time_limit : float or None, default=None
        Seconds that `fit` may take in total; members that don't fit into it are left
        out, see `HyperFusionRegressor`.
    n_jobs : int, default=None
        Parallel fits of the ensemble.
    random_state : int, RandomState instance or None, default=None
        Seed of everything.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook and nothing elsewhere, 0
        nothing, 1 also prints a line for every encoder and every fitted part.

    Returns
    -------
    Pipeline
        Not fitted yet.

    Raises
    ------
    InvalidInputError
        If no role is given, or the preset is unknown.

    Notes
    -----
    If some posts are unlabeled, encoders and relations are fitted on all posts, but
    target means, including those in histories of users, use labeled posts only.

    Examples
    --------
    >>> from hyperfusion import make_hyperfusion
    >>> model = make_hyperfusion(time="when", numeric=["likes", "views"])
    >>> list(model.named_steps)
    ['encode', 'relate', 'reduce', 'predict']
    >>> paper = make_hyperfusion(time="when", numeric=["likes"], preset="paper")
    >>> list(paper.named_steps)
    ['encode', 'relate', 'reduce', 'impute', 'normalize', 'predict']
    """
    given = dict(locals())  # the parameters
    roles: dict[str, Any] = {role: given[role] for role in [*ROLES, "vectors"]}
    named = {
        role
        for role, value in roles.items()
        if (len(value) > 0 if hasattr(value, "__len__") else value is not None)
    }
    if not named:
        raise InvalidInputError(
            "make_hyperfusion needs at least one role, such as text='title'. The "
            f"roles are {list(roles)}."
        )
    if preset not in PRESETS:
        raise InvalidInputError(f"preset must be one of {PRESETS}. Got {preset!r}.")
    paper = preset == "paper"
    if neighbors is None or neighbors is True:
        neighbors = None if paper else NeighborTargets()
    if not isinstance(unlabeled, bool | None):
        raise InvalidInputError(
            f"unlabeled must be True, False or None. Got {unlabeled!r}."
        )
    given["neighbors"] = neighbors or None
    given["members"] = name_members(preset if members is None else members)
    encode = PostEncoder(**_shared(PostEncoder, given))
    ensemble = HyperFusionRegressor(**_shared(HyperFusionRegressor, given))
    predict: Any = ensemble
    if paper if unlabeled is None else unlabeled:
        predict = PseudoLabelWrapper(ensemble, verbose=verbose)
    steps = [
        ("encode", encode),
        ("relate", RelationEncoder(random_state=random_state)),
        ("reduce", BlockPCA()),
        ("predict", predict),
    ]
    if paper:
        _as_in_paper(steps, ensemble, named)
    return PostPipeline(steps)


def _shared(kind: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the given parameters that a class of estimators has as well."""
    return {name: given[name] for name in kind._get_param_names() if name in given}


def _as_in_paper(steps: list[tuple[str, Any]], ensemble: Any, named: set[str]) -> None:
    """Change the steps to what the paper says, and add its own."""
    encode, relate, reduce, predict = (step for _, step in steps)
    svd: dict[str, Any] = {"weighting": "counts", "power": 0.0, "pad": True}
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
    reduce.set_params(blocks="declared")
    ensemble.set_params(
        weighting="simplex", weights_per="fold", row_filter=IQRFilter(max_share=1.0)
    )
    if isinstance(predict, PseudoLabelWrapper):
        predict.set_params(rule="paper", min_gain_se=None)
    steps[3:3] = [("impute", BlockImputer()), ("normalize", BlockScaler())]


@validate_params(
    {
        "model": [HasMethods("predict")],
        "X": "no_validation",
        "batch_size": [COUNT],
        "verbose": VERBOSE,
    },
    prefer_skip_nested_validation=True,
)
def predict_batches(
    model: Any, X: Any, *, batch_size: int = 10_000, verbose: int | str = "auto"
) -> np.ndarray:
    """Predict rows in batches, so that memory doesn't grow with their number.

    Parameters
    ----------
    model : estimator
        Any fitted model with ``predict``.
    X : DataFrame, array, path or iterable of tables
        Rows as ``model.predict`` takes them, the path of a Parquet file, or an iterable
        of tables. Those of Arrow and Parquet are converted to pandas batch by batch.
    batch_size : int, default=10_000
        Rows in a batch. A feature takes about 4 bytes: 100 MB for 10,000 rows of 2,500.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook, 0 never does.

    Returns
    -------
    ndarray of shape (n_samples,)
        What ``model.predict`` returns for all rows at once, except for the last digits:
        linear algebra rounds depending on the number of rows.

    Raises
    ------
    InvalidInputError
        If `X` is something else.
    BadFileError
        If the file is no Parquet file, or damaged.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from hyperfusion import predict_batches
    >>> X = np.arange(5.0).reshape(-1, 1)
    >>> model = LinearRegression().fit(X, 2 * X[:, 0])
    >>> predict_batches(model, X, batch_size=2).round(6).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    n_rows, parts = _parts(X, batch_size)
    found = [np.empty(0)]
    with Progress("predict", n_rows, verbose, unit="row") as progress:
        for part in parts:
            n = part.shape[0] if hasattr(part, "shape") else len(part)
            found += [np.asarray(model.predict(part))] if n else []
            progress.step(n)
    return np.concatenate(found)


def _parts(X: Any, batch_size: int) -> tuple[int | None, Iterable[Any]]:
    """Return the number of rows, or None if it is not known, and the batches."""
    if isinstance(X, (str, os.PathLike)):
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(X)
        except ValueError as error:
            raise BadFileError(f"{X} can't be read as Parquet: {error}") from error
        return file.metadata.num_rows, file.iter_batches(batch_size)
    if hasattr(X, "to_batches"):  # a table or a reader of Arrow
        return getattr(X, "num_rows", None), X.to_batches(max_chunksize=batch_size)
    if hasattr(X, "shape"):
        n = X.shape[0]
        return n, (_safe_indexing(X, part) for part in gen_batches(n, batch_size))
    if isinstance(X, Iterable):
        return None, X
    raise InvalidInputError(
        "predict_batches takes a table, an array, the path of a Parquet file, or an "
        f"iterable of tables. Got {type(X).__name__}."
    )
