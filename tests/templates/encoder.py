"""An encoder of one column, to copy into ``hyperfusion/encoders/<what it reads>/``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hyperfusion._sklearn_compat import StrOptions
from hyperfusion.cells._columns import ON_ERROR, read_cells
from hyperfusion.encoders._base import ColumnEncoder, stack_rows


class MarkCounts(ColumnEncoder):
    """How often marks of punctuation come in a text.

    Parameters
    ----------
    marks : str, default="?!"
        The marks; each gives one feature.
    on_error : {"raise", "missing"}, default="missing"
        What to do with a cell that is no text: raise a
        :class:`~hyperfusion.exceptions.BadCellError` that names it, or treat it as
        missing and warn once.

    Attributes
    ----------
    n_features_in_ : int
        Always 1.

    Examples
    --------
    >>> from tests.templates.encoder import MarkCounts
    >>> MarkCounts().fit_transform(["Where? When?", "Look!"])
    array([[2., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "marks": [str],
        "on_error": [StrOptions(set(ON_ERROR))],
    }

    def __init__(self, marks: str = "?!", *, on_error: str = "missing"):
        self.marks = marks
        self.on_error = on_error

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        return stack_rows(
            read_cells(cells, self._count, self.on_error), len(self.marks)
        )

    def _count(self, cell: Any) -> list[int]:
        if not isinstance(cell, str):
            raise TypeError(f"{cell!r} is no text")
        return [cell.count(mark) for mark in self.marks]

    def _feature_names(self, names: Any = None) -> list[str]:
        return [f"mark_{ord(mark)}" for mark in self.marks] + ["is_missing"]
