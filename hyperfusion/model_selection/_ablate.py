"""The paper's ablation: what each part of a model contributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import ShuffleSplit, check_cv
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_random_state

from hyperfusion._anatomy import (
    Anatomy,
    folds_parameter,
    is_search,
    layers,
    parameter_path,
)
from hyperfusion._progress import Progress, now, say, tells_lines
from hyperfusion._sklearn_compat import _safe_indexing, validate_params
from hyperfusion._workers import Call, in_parallel
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection import _inputs
from hyperfusion.model_selection._evaluate import COMMON_CONSTRAINTS
from hyperfusion.model_selection._scores import print_scores, score_tables
from hyperfusion.table import BLOCKS, MODALITIES, Schema

_FULL = "full model"
_TRAINING_PARTS = ("ensemble", "pseudo_labels", "filter", "folds")
_METRICS = ("src", "mae")
_PAPER = ("visual", "metadata", "textual", "geolocation", *_TRAINING_PARTS)


@validate_params(
    {**COMMON_CONSTRAINTS, "parts": [str, list, tuple, None], "cv": "no_validation"},
    prefer_skip_nested_validation=True,
)
def ablate(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    parts: str | Sequence[str] | None = None,
    cv: Any = None,
    users: Any = None,
    times: Any = None,
    test_size: float = 0.2,
    n_bootstrap: int = 1000,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int | str = "auto",
) -> pd.DataFrame:
    """Remove one part of a model at a time, and score the rest.

    This gives the rows of the paper's table 1 (section 4.3.2). Posts are encoded once
    per split. To remove a modality, its columns are dropped from the feature table,
    with those that relate it to others, and only the last step is fitted again.

    Parameters
    ----------
    model : Pipeline or regressor, or search or wrapper around one
        A Pipeline, or a regressor if `X` is a feature table. A search around a Pipeline
        runs once per split. If a wrapper fits a Pipeline in every fold
        (`PseudoLabelWrapper`), columns of `X` are dropped instead of features.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts, or a feature table, as the model takes them.
    y : array-like of shape (n_posts,)
        Targets. Rows with NaN are never tested; only models with pseudo-labels learn
        from them.
    parts : list of str, default=None
        Parts to remove: the modalities "visual", "metadata", "textual" and
        "geolocation", the training steps "ensemble" (the best member alone),
        "pseudo_labels" (fit on labeled posts only), "filter" (no ``row_filter``) and
        "folds" (one random split), or single blocks of the feature table such as
        "tags". None means the eight of the paper.
    cv : int, splitter, iterable of (train, test) or None, default=None
        Splits to score on; scores are means over them. None is one split by time, with
        the latest `test_size` of the posts for testing. A number gives
        `StratifiedRegressionKFold`. A splitter that takes groups gets the users.
    users, times : column or array-like of shape (n_posts,), default=None
        Users, which the bootstrap resamples, and times of the posts. None uses the
        roles ``user`` and ``time`` of a Pipeline's encoder, if there are any.
    test_size : float, default=0.2
        Share of the latest posts to test on.
    n_bootstrap : int, default=1000
        Number of bootstrap samples (of users) behind each 95% interval.
    n_jobs : int, default=None
        Number of variants fitted in parallel; the result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap and of the splits. Give the model its own seed, otherwise
        its variants also differ by chance.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook and nothing elsewhere, 0
        nothing, 1 also prints a line for every variant.

    Returns
    -------
    DataFrame
        One row for each variant, indexed by its name: "full model", then "without
        visual" and so on. The columns are the scores ``src`` (Spearman's rank
        correlation, SRC) and ``mae`` (mean absolute error); ``src_change`` and
        ``mae_change``, minus the full model's scores, with the bounds of their paired
        bootstrap intervals (``src_change_low``, ``src_change_high``, ...);
        ``n_features``; ``seconds`` to fit and predict, without encoding; and ``note``,
        which says why a variant does not apply (all other columns are then NaN).

    Raises
    ------
    InvalidInputError
        If the times are unknown and there is no `cv`, a labeled post has no time, `cv`
        does not give positions of rows, or a part is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import ablate
    >>> rng = np.random.RandomState(0)
    >>> X = pd.DataFrame({
    ...     "time__hour": rng.uniform(0, 24, 300), "geo__latitude": rng.normal(size=300)
    ... })
    >>> y = X["time__hour"] + rng.normal(size=300)
    >>> parts = ["metadata", "geolocation"]
    >>> table = ablate(Ridge(), X, y, parts=parts, times=np.arange(300), random_state=0)
    >>> table["src_change"].round(1).tolist()
    [0.0, -0.7, 0.0]
    """
    parts = _PAPER if parts is None else parts
    wanted = [parts] if isinstance(parts, str) else list(parts)
    possible = [*MODALITIES, *BLOCKS, *_TRAINING_PARTS]
    for part in wanted:
        if part not in possible:
            raise InvalidInputError(f"parts takes {possible}. Got {part!r} instead.")
    X, target = _inputs.check_posts(X, y)
    units = _inputs.find_users(X, users, [model])
    moments = _inputs.find_times(X, times, [model])
    rng = check_random_state(random_state)
    seed = int(rng.randint(2**31 - 1))
    if cv is not None:
        splits = _inputs.read_folds(cv, "cv", target, units, seed)
    elif moments is not None:
        labeled = np.flatnonzero(~np.isnan(target))
        splits = [_inputs.split_by_time(moments, labeled, test_size)]
    else:
        raise InvalidInputError(
            "The times of the posts are not known: pass times= (a column, or one value "
            "per row), or other splits as cv=."
        )
    learns = _inputs.learns_from_unlabeled(model)
    done = []
    with Progress("ablate", len(splits), verbose) as progress:
        for fold, split in enumerate(splits):
            train, test = _inputs.labeled_split(split, target, learns)
            start = now()
            progress.at(f"fold {fold}, encoding")
            rows, labels = _safe_indexing(X, train), target[train]
            hidden = _safe_indexing(X, test)
            final, features, held = _encode(model, rows, labels, hidden)
            if tells_lines(verbose) and final is not model:
                say(f"[ablate] encoded, {now() - start:.1f} s")
            variants = [_Variant(_FULL, final)]
            for part in wanted:
                fields = _without(part, final, features, labels, seed)
                variants.append(_Variant(f"without {part}", **fields))
            tried = [v for v in variants if v.model is not None]
            share = 1 / (len(tried) + 1)
            progress.step(share)
            titles = [f"fold {fold}, {variant.name}" for variant in tried]
            arguments = ((variant, features, labels, held) for variant in tried)
            calls: Iterator[Call] = zip(titles, arguments, strict=True)
            fits = in_parallel(_fit, calls, n_jobs)
            fitted = {}
            for one in chain.from_iterable(progress.over(fits, titles, share)):
                fitted[one.name] = one
                if tells_lines(verbose):
                    said = f"[ablate] {one.name}"
                    print_scores(said, target[test], one.prediction, one.seconds)
            done += [(fold, test, fitted.get(v.name, v)) for v in variants]
    return _result(done, target, units, n_bootstrap, rng)


def _encode(model: Any, X: Any, y: np.ndarray, held: Any) -> tuple[Any, Any, Any]:
    """Return the model without its encoders, and the encoded rows of both sides."""
    if is_search(model) and any(hasattr(layer, "steps") for layer in layers(model)):
        best = clone(model).fit(X, y).best_estimator_
        return _encode(best, X, y, held)
    if hasattr(model, "steps"):
        encoders = clone(model)[:-1]
        if len(encoders):
            X, held = encoders.fit_transform(X, y), encoders.transform(held)
        return _encode(model.steps[-1][1], X, y, held)
    if isinstance(model, TransformedTargetRegressor) and model.regressor is not None:
        change = FunctionTransformer(model.func, model.inverse_func)
        change = clone(change if model.transformer is None else model.transformer)
        target = np.asarray(change.fit_transform(y.reshape(-1, 1))).reshape(-1)
        inside, X, held = _encode(model.regressor, X, target, held)
        return clone(model).set_params(regressor=inside), X, held
    return model, X, held


def _result(
    done: list[tuple[int, np.ndarray, _Variant]],
    y: np.ndarray,
    units: np.ndarray | None,
    n_bootstrap: int,
    rng: np.random.RandomState,
) -> pd.DataFrame:
    tested = [
        pd.DataFrame({"y": y[rows], "prediction": one.prediction}).assign(
            split="test",
            fold=fold,
            model=one.name,
            unit=rows if units is None else units[rows],
        )
        for fold, rows, one in done
        if one.prediction is not None
    ]
    predictions = pd.concat(tested, ignore_index=True)
    tables = score_tables(predictions, False, n_bootstrap, rng)
    scores, differences = (t.set_index(["metric", "model"]) for t in tables)
    names = dict.fromkeys(one.name for _, _, one in done)
    own = {metric: scores.loc[metric, "score"] for metric in _METRICS}
    table = pd.DataFrame(own, index=pd.Index([*names], name="variant"))
    for metric in _METRICS:
        for end, column in (("", "difference"), ("_low", "low"), ("_high", "high")):
            known = differences[column].get(metric, pd.Series(dtype=float))
            table[f"{metric}_change{end}"] = known
        table.loc[_FULL, f"{metric}_change"] = 0.0
    about = pd.DataFrame([vars(one) for _, _, one in done]).groupby("name")
    table["n_features"] = about["n_features"].mean()
    table["seconds"] = about["seconds"].sum(min_count=1)
    table["note"] = about["note"].agg(lambda notes: ", ".join(dict.fromkeys(notes)))
    return table


@dataclass
class _Variant:
    """A row of the ablation: a model without a part, and what came of it."""

    name: str
    model: Any = None
    note: str = ""
    without_columns: Sequence[Any] = ()
    labeled_only: bool = False
    prediction: np.ndarray | None = None
    n_features: float = np.nan
    seconds: float = np.nan


def _without(
    part: str, model: Any, features: Any, y: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return the fields of the variant without a part, or why there is none."""
    path, params = parameter_path(model), model.get_params()
    if part == "ensemble":  # the full model makes this variant
        one = "the ensemble has only one member"
        return {"note": "the model is not an ensemble" if path is None else one}
    if part == "pseudo_labels":
        if not _inputs.learns_from_unlabeled(model):
            return {"note": "the model uses no pseudo-labels"}
        if not np.isnan(y).any():
            return {"note": "all posts have labels"}
        # the wrapper, not the model inside: this keeps its folds and its seed
        return {"model": model, "labeled_only": True}
    if part == "filter":
        if path is None or params[f"{path}row_filter"] is None:
            return {"note": "the model has no row filter"}
        return {"model": clone(model).set_params(**{f"{path}row_filter": None})}
    if part == "folds":
        name = folds_parameter(model)
        if name is None:
            return {"note": "the model is not an ensemble over folds"}
        n_folds = _n_folds(params[name])
        if n_folds < 2:
            return {"note": "the model has only one fold"}
        single = ShuffleSplit(1, test_size=1 / n_folds, random_state=seed)
        return {"model": clone(model).set_params(**{name: single})}
    if not isinstance(features, pd.DataFrame):
        return {"note": "the features have no names, so no blocks"}
    columns = Schema.of(features).leaving_with(part)
    if not columns:
        return {"note": "the feature table has no such column"}
    if len(columns) == features.shape[1]:
        return {"note": "the feature table has no other column"}
    return {"model": model, "without_columns": columns}


def _n_folds(cv: Any) -> int:
    try:
        return int(cv) if isinstance(cv, Integral) else check_cv(cv).get_n_splits()
    except (TypeError, ValueError):  # it depends on the groups
        return 5


def _fit(variant: _Variant, features: Any, y: np.ndarray, held: Any) -> list[_Variant]:
    """Fit a variant and predict. The full model also returns its best member."""
    start = now()
    if variant.labeled_only:
        rows = np.flatnonzero(~np.isnan(y))
        features, y = _safe_indexing(features, rows), y[rows]
    if variant.without_columns:
        features = features.drop(columns=variant.without_columns)
        held = held.drop(columns=variant.without_columns)
    model = clone(variant.model).fit(features, y)

    def row(name: str, note: str = "") -> _Variant:
        found = np.asarray(model.predict(held), dtype=np.float64).reshape(-1)
        about = {"n_features": features.shape[1], "seconds": now() - start}
        return _Variant(name, note=note, prediction=found, **about)

    done = [row(variant.name)]
    ensemble = Anatomy.of(model).ensemble
    if variant.name == _FULL and ensemble is not None and len(ensemble.members_) > 1:
        start = now()
        # all weight to the member with the lowest out-of-fold MAE
        labeled = y[~np.isnan(y)]
        errors = np.abs(ensemble.oof_member_predictions_ - labeled[:, None])
        best = int(np.nanmean(errors, axis=0).argmin())
        ensemble.weights_ = np.zeros_like(ensemble.weights_)
        ensemble.weights_[:, best] = 1.0
        note = f"{ensemble.members_[best][0]} alone"
        done.append(row("without ensemble", note))
    return done
