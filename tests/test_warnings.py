"""Warnings of the package point at the line that called it, once for each cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyperfusion
from hyperfusion import TfidfComponents
from hyperfusion.exceptions import BadCellWarning
from tests.odd_posts import TABLE, Y, pipeline

# scikit-learn's own files may lie below a folder of the same name
PACKAGE = str(Path(hyperfusion.__file__).parent)


def test_warnings_point_at_the_users_line_and_come_once():
    posts = TABLE.assign(n_photos="many", posted_at=["soon", *TABLE["posted_at"][1:]])
    with pytest.warns(BadCellWarning) as caught:
        model = pipeline(numeric=["n_photos"], user_numeric="n_photos").fit(posts, Y)
    with pytest.warns(BadCellWarning) as later:
        model.predict(posts)
    for records in (caught, later):
        messages = [str(record.message) for record in records]
        assert len(messages) == len(set(messages)) == 2
        assert {record.filename for record in records} == {__file__}
    for give in (
        lambda: pipeline().fit(TABLE, np.ones(40)),
        lambda: pipeline().fit(TABLE[:6], Y[:6]),
        lambda: pipeline().fit(TABLE, np.where(np.arange(40) == 7, 1e7, Y)),
        lambda: pipeline().fit(TABLE, pd.Series(Y, TABLE.index[::-1])),
        lambda: TfidfComponents(min_df=0.99).fit(TABLE["caption"]),
    ):
        with pytest.warns(UserWarning, match=r".") as caught:
            give()
        places = [w.filename for w in caught]
        ours = [f for f in places if f == __file__ or f.startswith(PACKAGE)]
        assert ours == [__file__]
