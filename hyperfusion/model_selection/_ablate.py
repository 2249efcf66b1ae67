"""The paper's ablation: what each part of a model contributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_random_state

from hyperfusion._anatomy import is_search, layers
from hyperfusion._progress import Progress, now, say, tells_lines
from hyperfusion._sklearn_compat import validate_params
from hyperfusion._workers import Call, in_parallel
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.model_selection._ablation_rows import (
    FULL,
    TRAINING_PARTS,
    Fitted,
    fit_variant,
    plan_variants,
)
from hyperfusion.model_selection._evaluate import COMMON_CONSTRAINTS
from hyperfusion.model_selection._inputs import (
    check_posts,
    find_times,
    find_users,
    labeled_split,
    learns_from_unlabeled,
    read_folds,
    split_by_time,
    take,
)
from hyperfusion.model_selection._scores import print_scores, score_tables
from hyperfusion.table import BLOCKS, MODALITIES

_METRICS = ("src", "mae")
_PAPER = ("visual", "metadata", "textual", "geolocation", *TRAINING_PARTS)


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
    confidence: float = 0.95,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int | str = "auto",
) -> pd.DataFrame:
    """Remove one part of a model at a time, and score the rest.

    This gives the rows of the paper's table 1 (section 4.3.2). Posts are encoded once
    per split. To remove a modality, its columns are dropped from the feature table,
    with the similarities and clusters that relate it to others, and only the last step
    is fitted again.

    Parameters
    ----------
    model : Pipeline or regressor, or search or wrapper around one
        A Pipeline of `make_hyperfusion` or your own, or a regressor if `X` is a feature
        table. A search around a Pipeline runs once per split, and its best Pipeline is
        used. If a wrapper fits a Pipeline in every fold (`PseudoLabelWrapper`), columns
        of `X` are dropped instead of features.
    X : DataFrame or array of shape (n_posts, n_columns)
        Posts, or a feature table, as the model takes them.
    y : array-like of shape (n_posts,)
        Targets. Rows with NaN are never tested. Models with pseudo-labels learn from
        them; for other models they are dropped.
    parts : list of str, default=None
        Parts to remove: the modalities "visual", "metadata", "textual" and
        "geolocation", the training steps "ensemble", "pseudo_labels", "filter" and
        "folds", or single blocks of the feature table such as "tags". None means the
        eight of the paper.
    cv : int, splitter, iterable of (train, test) or None, default=None
        Splits to score on. None is one split by time, with the latest `test_size` of
        the posts for testing. A number gives `StratifiedRegressionKFold`. A splitter
        that takes groups gets the users. Scores are means over the folds.
    users : column or array-like of shape (n_posts,), default=None
        Users of the posts, which the bootstrap resamples. None uses the role ``user``
        of a Pipeline's encoder, if there is one.
    times : column or array-like of shape (n_posts,), default=None
        Times of the posts. None uses the role ``time`` in the same way.
    test_size : float, default=0.2
        Share of the latest posts to test on.
    n_bootstrap : int, default=1000
        Number of bootstrap samples (of users) behind each interval.
    confidence : float, default=0.95
        Coverage of the intervals.
    n_jobs : int, default=None
        Number of variants fitted in parallel, through joblib. The result does not
        depend on it.
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
        visual" and so on. The columns are

        - ``src`` (Spearman's rank correlation, SRC), ``mae`` (mean absolute error):
          scores of the variant;
        - ``src_change``, ``mae_change``: the variant's score minus the full model's.
          The part helps if ``src_change`` is negative and ``mae_change`` positive;
        - ``src_change_low``, ``src_change_high``, ``mae_change_low``,
          ``mae_change_high``: bounds of their paired bootstrap intervals;
        - ``n_features``: number of remaining columns of the feature table;
        - ``seconds``: time to fit and predict, without encoding;
        - ``note``: why a variant does not apply; all other columns are then NaN.

    Raises
    ------
    InvalidInputError
        If the times are unknown and there is no `cv`, a labeled post has no time, `cv`
        does not give positions of rows, or a part is unknown.

    See Also
    --------
    evaluate : Compares different models, on several kinds of splits.

    Notes
    -----
    "Without ensemble" is the single member with the lowest out-of-fold MAE (on posts
    that the models were not fitted on), and needs no further fit. "Without folds" fits
    and weights the members on one random split with the proportions of a fold. "Without
    filter" drops the ``row_filter``. "Without pseudo_labels" fits the same model on the
    labeled posts only. The intervals show the uncertainty due to the choice of test
    posts; the seed of the model adds to it.

    Each variant fits the last step once. For an ensemble, this means K folds times N
    members, or N fits for "folds".

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
    >>> table = ablate(
    ...     Ridge(), X, y, parts=["metadata", "geolocation"], times=np.arange(300),
    ...     random_state=0,
    ... )
    >>> table["src_change"].round(1)
    variant
    full model             0.0
    without metadata      -0.7
    without geolocation    0.0
    Name: src_change, dtype: float64
    """
    parts = _PAPER if parts is None else parts
    wanted = [parts] if isinstance(parts, str) else list(parts)
    blocks = [block for block in BLOCKS if block not in MODALITIES]
    known = [*MODALITIES, *blocks, *TRAINING_PARTS]
    for part in wanted:
        if part not in known:
            raise InvalidInputError(f"parts takes {known}. Got {part!r} instead.")
    X, target = check_posts(X, y)
    units = find_users(X, users, [model])
    moments = find_times(X, times, [model])
    rng = check_random_state(random_state)
    seed = int(rng.randint(2**31 - 1))
    if cv is not None:
        splits = read_folds(cv, "cv", target, units, seed)
    elif moments is not None:
        labeled = np.flatnonzero(~np.isnan(target))
        splits = [split_by_time(moments, labeled, test_size)]
    else:
        raise InvalidInputError(
            "The times of the posts are not known: pass times= (a column, or one value "
            "per row), or other splits as cv=."
        )
    done = []
    with Progress("ablate", len(splits), verbose) as progress:
        for fold, split in enumerate(splits):
            train, test = labeled_split(split, target, learns_from_unlabeled(model))
            start = now()
            progress.at(f"fold {fold}, encoding")
            final, features, left_out = _encode(
                model, take(X, train), target[train], take(X, test)
            )
            if tells_lines(verbose) and final is not model:
                say(f"[ablate] encoded, {now() - start:.1f} s")
            variants = plan_variants(final, features, target[train], wanted, seed)
            tried = [v for v in variants if v.model is not None]
            share = 1 / (len(tried) + 1)
            progress.step(share)
            titles = [f"fold {fold}, {variant.name}" for variant in tried]
            shared = features, target[train], left_out
            calls: Iterator[Call] = (
                (t, (v, *shared)) for t, v in zip(titles, tried, strict=True)
            )
            fits, fitted = in_parallel(fit_variant, calls, n_jobs), {}
            results = progress.over(fits, titles, share)
            for one in (one for several in results for one in several):
                fitted[one.name] = one
                if tells_lines(verbose):
                    said = f"[ablate] {one.name}"
                    print_scores(said, target[test], one.prediction, one.seconds)
            for variant in variants:
                one = fitted.get(variant.name, Fitted(variant.name, note=variant.note))
                done.append((fold, test, one))
    return _result(done, target, units, n_bootstrap, confidence, rng)


def _encode(model: Any, X: Any, y: np.ndarray, left_out: Any) -> tuple[Any, Any, Any]:
    """Return the model without its encoders, and the encoded rows of both sides.

    A search around a pipeline is run, and its best pipeline is used.
    """
    if is_search(model) and any(hasattr(layer, "steps") for layer in layers(model)):
        best = clone(model).fit(X, y).best_estimator_
        return _encode(best, X, y, left_out)
    if hasattr(model, "steps"):
        encoders = clone(model)[:-1]
        if len(encoders):
            X, left_out = encoders.fit_transform(X, y), encoders.transform(left_out)
        return _encode(model.steps[-1][1], X, y, left_out)
    if isinstance(model, TransformedTargetRegressor) and model.regressor is not None:
        change = FunctionTransformer(model.func, model.inverse_func)
        change = clone(change if model.transformer is None else model.transformer)
        target = np.asarray(change.fit_transform(y.reshape(-1, 1))).reshape(-1)
        inside, X, left_out = _encode(model.regressor, X, target, left_out)
        return clone(model).set_params(regressor=inside), X, left_out
    return model, X, left_out


def _result(
    done: list[tuple[int, np.ndarray, Fitted]],
    y: np.ndarray,
    units: np.ndarray | None,
    n_bootstrap: int,
    confidence: float,
    rng: np.random.RandomState,
) -> pd.DataFrame:
    names = list(dict.fromkeys(fitted.name for _, _, fitted in done))
    tested = [
        pd.DataFrame({"y": y[rows], "prediction": fitted.prediction}).assign(
            split="test",
            fold=fold,
            model=fitted.name,
            unit=rows if units is None else units[rows],
        )
        for fold, rows, fitted in done
        if fitted.prediction is not None
    ]
    predictions = pd.concat(tested, ignore_index=True)
    models = [name for name in names if (predictions["model"] == name).any()]
    scores, differences = score_tables(
        predictions, False, models, n_bootstrap, confidence, rng
    )
    about = pd.DataFrame([vars(fitted) for _, _, fitted in done]).groupby("name")
    table = pd.DataFrame(index=pd.Index(names, name="variant"))
    for metric in _METRICS:
        table[metric] = _by_model(scores, metric)["score"]
    for metric in _METRICS:
        changes = _by_model(differences, metric)
        table[f"{metric}_change"] = changes["difference"]
        table[f"{metric}_change_low"] = changes["low"]
        table[f"{metric}_change_high"] = changes["high"]
        table.loc[FULL, f"{metric}_change"] = 0.0
    table["n_features"] = about["n_features"].mean()
    table["seconds"] = about["seconds"].sum(min_count=1)
    table["note"] = about["note"].agg(lambda notes: ", ".join(dict.fromkeys(notes)))
    return table


def _by_model(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[table["metric"] == metric].set_index("model")
