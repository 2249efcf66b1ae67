"""Reading numbers: what can't be read says what would help."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from hyperfusion import guess_roles
from hyperfusion.cells._numbers import read_numbers

ADVICE = {
    r"remove the ',' between thousands": ["1,234", "-1,234,567.5"],
    r"comma is a decimal point": ["12,5", "1.234,5"],
    r"remove its unit first": ["20%", "$1,299.00", "€ 12", "-3.5 %", "₹99"],
    r"as 1200 for '1.2K'": ["1.2K", "30k", "4 M", "$2.5B", "1,1 bn"],
    r"durations.*pd\.to_timedelta\(column\)": ["PT15M51S", "P1DT2H", "0:15:51"],
    r"give dates as time": [dt.date(2020, 1, 1), pd.Timestamp(0), pd.Period("2020")],
    r"give durations as numbers": [dt.timedelta(1), np.timedelta64(1, "D")],
}


@pytest.mark.parametrize(
    ("said", "cell"), [(said, cell) for said, cells in ADVICE.items() for cell in cells]
)
def test_numbers_that_cannot_be_read_say_what_would_help(said, cell):
    found = read_numbers(pd.Series([cell, 1.5], dtype=object))
    np.testing.assert_array_equal(found.clean, [np.nan, 1.5])
    with pytest.raises(ValueError, match=said):
        found.settle("raise")


@pytest.mark.parametrize("cell", ["many", "4.5 out of 5", "10x20", b"12", "P", "K", ""])
def test_other_cells_get_no_wrong_advice(cell):
    bad = read_numbers(pd.Series([cell, 1.5], dtype=object)).bad
    assert ": " not in bad.get(0, "")


def test_the_advice_makes_numbers():
    units = pd.Series(["-20%", "$1,299.00"])
    cured = pd.to_numeric(units.str.replace("[^0-9.+-]", "", regex=True))
    assert cured.tolist() == [-20, 1299]
    seconds = pd.to_timedelta(pd.Series(["PT15M51S", "0:15:51"])).dt.total_seconds()
    assert seconds.tolist() == [951, 951]


@pytest.mark.parametrize("cells", [["1.2K", "3M"], ["20%", "5%"], ["PT5M", "PT1H"]])
def test_roles_are_not_guessed_for_numbers_that_cannot_be_read(cells):
    table = pd.DataFrame({"views": cells * 20, "n": np.arange(40) % 7})
    reason = guess_roles(table).left_out["views"]
    assert reason.startswith("expected a finite number")
