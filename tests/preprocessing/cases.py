"""Small, fast arguments for the common tests."""

from hyperfusion import BlockImputer
from tests.common import Case

CASES: list[Case] = [Case(BlockImputer())]
