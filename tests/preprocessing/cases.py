"""Small, fast arguments for the common tests."""

from hyperfusion import BlockImputer, BlockScaler
from tests.common import Case

CASES: list[Case] = [Case(BlockImputer()), Case(BlockScaler())]
