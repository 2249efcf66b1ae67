"""Tables that no one wants to meet, for the property tests."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

COLUMNS = (
    "image__clip_0",
    "image__clip_1",
    "image__clip_2",
    "text__words",
    "user__followers",
    "time__account_age",
    "geo__latitude",
    "meta__price",
    "no_block",
)

numbers = st.one_of(
    st.floats(width=32, allow_subnormal=False),
    st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 3e38, -3e38]),
)
levels = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "__missing__", "🙂🇫🇷", "é", "e\u0301", "1", "nan"]),
    st.text(max_size=3),
)


@st.composite
def tables(draw, cell=numbers, min_rows=1):
    n = draw(st.integers(min_rows, 8))

    def column(cells):
        return draw(st.lists(cells, min_size=n, max_size=n))

    table = pd.DataFrame({c: column(cell) for c in COLUMNS}, dtype=np.float32)
    whole = st.one_of(st.none(), st.integers(-5, 5))
    table["user__author"] = pd.Categorical(column(whole))
    table["meta__kind"] = pd.Categorical(column(levels))
    return table
