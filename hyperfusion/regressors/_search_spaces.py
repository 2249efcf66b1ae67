"""Where to search for the parameters of the members."""

from __future__ import annotations

from typing import Any

from scipy.stats import loguniform, randint, uniform

from hyperfusion._sklearn_compat import validate_params
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.regressors._catboost import CatBoostHuberRegressor
from hyperfusion.regressors.networks._members import (
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    TabNetHuberRegressor,
)


@validate_params(
    {"member": "no_validation", "prefix": [str]}, prefer_skip_nested_validation=True
)
def param_distributions(member: Any, *, prefix: str = "") -> dict[str, Any]:
    """Return distributions to draw a member's parameters from.

    For ``RandomizedSearchCV`` and similar searches. The paper tunes every member on
    stratified folds (section 3.5): use ``cv=StratifiedRegressionKFold()``, or a split
    by time if the model will predict later posts.

    Parameters
    ----------
    member : estimator or class
        `CatBoostHuberRegressor`, `TabNetHuberRegressor`, `CoAttentionRegressor` or
        `ClipHierarchicalRegressor`.
    prefix : str, default=""
        Prefix of each name: ``"predict__catboost"`` for the member of that name in the
        pipeline of `make_hyperfusion`.

    Returns
    -------
    dict of {str: distribution or list}
        The entries of a list are equally likely.

    Raises
    ------
    InvalidInputError
        If the member is not one of these.

    Examples
    --------
    >>> from hyperfusion import CatBoostHuberRegressor, param_distributions
    >>> list(param_distributions(CatBoostHuberRegressor()))[:3]
    ['learning_rate', 'depth', 'l2_leaf_reg']
    >>> list(param_distributions(CatBoostHuberRegressor, prefix="predict__catboost"))[0]
    'predict__catboost__learning_rate'
    """
    network = {"delta": loguniform(0.1, 1.5), "n_components": [8, 16, 32, 64]}
    attention = network | {
        "learning_rate": loguniform(2e-4, 4e-3),
        "weight_decay": loguniform(1e-3, 1),
        "dropout": uniform(0, 0.5),
    }
    spaces: dict[type, dict[str, Any]] = {
        CatBoostHuberRegressor: {
            "learning_rate": loguniform(0.02, 0.2),
            "depth": randint(4, 9),
            "l2_leaf_reg": loguniform(1, 30),
            "colsample": [0.3, 0.6, 1.0],
            "vector_weight": [0.2, 0.5, 1.0],
            "delta": loguniform(0.1, 1.5),
        },
        TabNetHuberRegressor: network
        | {
            "learning_rate": loguniform(5e-3, 5e-2),
            "weight_decay": loguniform(1e-2, 2),
            "n_d": [8, 16, 32],
            "n_steps": randint(2, 6),
            "gamma": uniform(1, 1),
            "sparsity": loguniform(1e-6, 1e-2),
            "dropout": uniform(0, 0.4),
        },
        CoAttentionRegressor: attention
        | {
            "token_size": [16, 32, 64],
            "n_blocks": [1, 2],
            "hidden_size": [64, 128, 256],
        },
        ClipHierarchicalRegressor: attention
        | {
            "hidden_size": [32, 64, 128],
            "final_sizes": [(64,), (128,), (128, 64), (256, 64)],
        },
    }
    kind = member if isinstance(member, type) else type(member)
    start = f"{prefix}__" if prefix else ""
    for known, space in spaces.items():
        if issubclass(kind, known):
            return {start + name: choices for name, choices in space.items()}
    names = ", ".join(known.__name__ for known in spaces)
    raise InvalidInputError(
        f"There is no search space for {kind.__name__}: member must be one of {names}."
    )
