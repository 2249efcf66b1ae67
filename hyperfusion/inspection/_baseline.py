"""The usual score of a user's posts, and the predicted lift over it."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._anatomy import Anatomy
from hyperfusion.encoders import PostEncoder, UserHistory
from hyperfusion.exceptions import InvalidInputError
from hyperfusion.inspection._posts import role_column
from hyperfusion.table._frames import as_frame


def user_baseline(
    model: Any,
    X: pd.DataFrame,
    *,
    history: pd.Series | None = None,
    user: Hashable | None = None,
) -> pd.DataFrame:
    """Compare predictions with the user's own usual score.

    Parameters
    ----------
    model : fitted regressor or Pipeline
        The model.
    X : DataFrame of shape (n_posts, n_columns)
        Posts, as for ``model.predict``.
    history : Series, default=None
        Scores of earlier posts, with their users as the index. None uses the posts that
        the model's `UserHistory` was fitted on: for each post, those before it.
    user : column, default=None
        Column of the users in `X`. None uses the model's ``user`` role.

    Returns
    -------
    DataFrame of shape (n_posts, 4)
        With the index of `X`: ``baseline`` (median score of the user's earlier
        posts, NaN for users without any), ``n_posts`` (the number of these),
        ``prediction``, and ``lift`` (prediction minus baseline).

    Raises
    ------
    InvalidInputError
        If the model has no history and none is given, or the column of users is
        unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from hyperfusion.inspection import user_baseline
    >>> posts = pd.DataFrame({"user": ["ann", "bob"]})
    >>> model = DummyRegressor(strategy="constant", constant=5.0)
    >>> earlier = pd.Series([3.0, 4.0, 9.0], index=["ann", "ann", "ann"])
    >>> user_baseline(model.fit(posts, [0, 1]), posts, history=earlier, user="user")
       baseline  n_posts  prediction  lift
    0       4.0        3         5.0   1.0
    1       NaN        0         5.0   NaN
    """
    parts, X = Anatomy.of(model), as_frame(X)
    if history is not None:
        by_user = history.dropna().groupby(level=0)
        users = X[role_column(parts, X, user, "user", "the users")].astype(object)
        medians, counts = users.map(by_user.median()), users.map(by_user.size())
        known = pd.DataFrame({"baseline": medians, "n_posts": counts.fillna(0)})
        known = known.astype({"baseline": np.float64, "n_posts": int})
    elif (found := find_baseline(parts, X)) is not None:
        known = found
    else:
        raise InvalidInputError(
            "The model has no history of its users, which needs the roles user and "
            "time. Pass history=pd.Series(scores, index=users)."
        )
    prediction = np.asarray(model.predict(X), dtype=np.float64)
    return known.assign(prediction=prediction, lift=prediction - known["baseline"])


def find_baseline(parts: Anatomy, X: pd.DataFrame) -> pd.DataFrame | None:
    """Return users' medians before each post from the model's own history."""
    components = getattr(parts.find(PostEncoder), "components_", ())
    found = [(c.encoder, c.read) for c in components]
    if parts.steps:
        found.append((parts.steps[0], lambda posts: posts))
    found = [pair for pair in found if isinstance(pair[0], UserHistory)]
    if not found:
        return None
    encoder, read = found[0]
    # a copy whose medians are not shrunk toward the median of all users
    plain = copy.copy(encoder).set_params(shrinkage=0)
    values = pd.DataFrame(
        np.asarray(plain.transform(read(X)), dtype=np.float64),
        columns=list(encoder.get_feature_names_out()),
        index=X.index,
    )
    n_posts = values["history_scores"].fillna(0).astype(int)
    baseline = values["history_median"].where(n_posts > 0)
    return pd.DataFrame({"baseline": baseline, "n_posts": n_posts})
