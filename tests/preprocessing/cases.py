"""Small, fast arguments for the common tests."""

from hyperfusion import BlockImputer, BlockPCA, BlockScaler, IQRFilter, NumericTable
from tests.common import Case

CASES: list[Case] = [
    Case(BlockImputer()),
    Case(BlockScaler()),
    Case(BlockPCA(n_components=2)),
    Case(NumericTable()),
    Case(IQRFilter(columns=[0])),
]
