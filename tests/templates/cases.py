"""Small, fast arguments for the common tests."""

import pandas as pd

from tests.common import Case
from tests.templates.encoder import MarkCounts
from tests.templates.member import LogRidge

CASES: list[Case] = [
    Case(MarkCounts(), X=pd.Series(["Where?", "Look!", None, "no"] * 3, name="title")),
    Case(LogRidge()),
]
