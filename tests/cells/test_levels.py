"""Categories, ids and users."""

import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from hyperfusion import (
    CategoryEncoder,
    GeoEncoder,
    UserHistory,
    UserProfileEncoder,
)
from hyperfusion.cells._levels import number_levels, read_levels
from hyperfusion.exceptions import BadCellWarning

LONG = 1_234_567_890_123_456_789


def test_levels_are_texts():
    cells = [7, 7.0, "7", " 7 ", np.int8(7), Decimal("7.0"), np.float32(7)]
    assert read_levels(cells).clean.tolist() == ["7"] * 7
    cells = [2.5, True, np.inf, "", None, "\ud83d\ude00", "\ud83d", [1], b"\xc3\xa9"]
    found = read_levels(cells)
    assert found.clean.tolist() == [
        "2.5",
        "True",
        "inf",
        None,
        None,
        "😀",
        "\ufffd",
        None,
        "é",
    ]
    assert list(found.bad) == [7]


def test_codes_of_users():
    codes, users = number_levels(["ann", None, " ann", np.nan, "", 7, "7"])
    assert codes.tolist() == [0, -1, 0, -1, -1, 1, 1]
    assert list(users) == ["ann", "7"]


@pytest.mark.parametrize(
    ("fit", "later", "message"),
    [
        ([LONG, 5], [float(LONG), np.nan], rf"fit was '{LONG}'\. .*ids become floats"),
        (["7", "8"], ["7.0", None], r"here is '7\.0', at fit was '7'.*two ways"),
        (["007"], [7], "two ways"),
        ([True, False], [1, 0], "yes and no in two forms"),
        ([1, 0], [True, None], "yes and no in two forms"),
        (["yes", "no"], ["t"], "yes and no in two forms"),
        (["Photo"], ["photo"], "upper and lower case"),
        (["ann", "New York"], ["@ann", "New_York"], "spaces or other signs"),
        (["caf\u00e9"], ["cafe\u0301", "new"], "spaces or other signs"),
    ],
)
def test_levels_in_another_form(fit, later, message):
    X, Z = (pd.DataFrame({"c": cells, "t": "2020"}) for cells in (fit, later))
    for encoder in (
        CategoryEncoder(),
        GeoEncoder(place="c"),
        UserProfileEncoder(user="c"),
        UserHistory(user="c"),
    ):
        encoder.fit(X, np.arange(len(X)))
        with warnings.catch_warnings(record=True, action="always") as seen:
            encoder.transform(Z)
        # long ids as floats are in doubt as such
        told = [str(w.message) for w in seen if "last digits" not in str(w.message)]
        assert len(told) == 1
        assert "column 'c'" in told[0]
        assert re.search(message, told[0])


def test_levels_that_have_nothing_in_common():
    X, Z = pd.DataFrame({"c": ["a", "b"]}), pd.DataFrame({"c": ["x", None, "y"]})
    with pytest.warns(BadCellWarning, match=r"all 2 count.*'x', at fit was 'a'.*same"):
        CategoryEncoder().fit(X).transform(Z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # new users are nothing to wonder at, nor is one known level or none at all
        UserProfileEncoder(user="c").fit(X).transform(
            pd.DataFrame({"c": [*"ABxyzuvwqr"]})
        )
        UserProfileEncoder(user="c").fit(X).transform(Z)
        CategoryEncoder().fit(X).transform(pd.DataFrame({"c": ["a", "x", "y"]}))
        CategoryEncoder().fit(X).transform(pd.DataFrame({"c": [None, None]}))
        CategoryEncoder(min_frequency=9).fit(X).transform(Z)


def test_long_ids_that_are_equal_as_floats_are_new_users():
    fit, later = ([LONG + step, LONG + step + 2] for step in (0, 1))
    encoder = UserProfileEncoder(user="c").fit(pd.DataFrame({"c": fit}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform(pd.DataFrame({"c": later}))


@pytest.mark.parametrize(
    "cells",
    [
        *(["1.78414E+16"], [1.78414e16, None], [True, 2e16]),
        np.array([2**24], dtype=np.float32),
    ],
)
def test_ids_that_have_lost_digits(cells):
    table = pd.DataFrame({"user": pd.Series([*cells, *cells])})
    encoder = UserProfileEncoder(user="user")
    with pytest.warns(BadCellWarning, match="of column 'user'.*lost their last"):
        encoder.fit_transform(table)


@pytest.mark.parametrize("cells", [[2**60], [str(2**60)], [2.0**52], ["1e5"], [np.inf]])
def test_ids_that_keep_their_digits(cells):
    assert read_levels(cells).doubt is None
