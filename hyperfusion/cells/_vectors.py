"""Ready-made vectors: columns of arrays or lists, or several columns of numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from hyperfusion._validation import has_infinite
from hyperfusion.cells._columns import as_column, is_blank, shown
from hyperfusion.cells._numbers import as_floats
from hyperfusion.exceptions import BadCellError

_ROWS_AT_A_TIME = 4096


def holds_vectors(cells: pd.Series) -> bool:
    """Whether the cells of a column are arrays or lists, judging by the first."""
    if _is_arrow_list(cells):
        return True
    if cells.dtype != object and not pd.api.types.is_string_dtype(cells.dtype):
        return False
    first = next((cell for cell in cells if not is_blank(cell)), None)
    if isinstance(first, str):
        return first.lstrip().startswith("[")
    return isinstance(first, (list, tuple)) or (
        isinstance(first, np.ndarray) and first.ndim == 1
    )


def vector_size(cells: pd.Series) -> int:
    """Return the length of the first vector in a column; raise if there is none."""
    if _is_arrow_list(cells):
        for chunk in _chunks(cells):
            lengths = np.asarray(chunk.drop_null().value_lengths())
            if len(lengths):
                return int(lengths[0])
    else:
        for row, cell in enumerate(cells):
            if not is_blank(cell):
                return len(_numbers(cell, row, cells.name))
    reason = "no cell of the column holds a vector, so its length is not known"
    raise BadCellError(f"{reason}: leave the column out", None, cells.name)


def write_vectors(cells: pd.Series, out: np.ndarray) -> None:
    """Write a column of vectors into a float32 array; missing cells become NaN."""
    if _is_arrow_list(cells):
        _write_arrow(cells, out)
    else:
        for row, cell in enumerate(cells):
            if is_blank(cell):
                out[row] = np.nan
                continue
            values = _numbers(cell, row, cells.name)
            if len(values) != out.shape[1]:
                raise _wrong_length(len(values), out.shape[1], row, cells.name)
            out[row] = values
    _check_range(out, [cells.name] * out.shape[1])


def write_columns(table: pd.DataFrame, out: np.ndarray) -> None:
    """Write columns of numbers into an array, as one vector per row."""
    if all(isinstance(t, np.dtype) and t.kind in "biuf" for t in set(table.dtypes)):
        # some rows at a time: a whole column would touch each page of the array
        for start in range(0, len(table), _ROWS_AT_A_TIME):
            rows = slice(start, start + _ROWS_AT_A_TIME)
            with np.errstate(over="ignore"):
                out[rows] = table.iloc[rows].to_numpy(np.float32)
        return _check_range(out, list(table))
    for position, (label, column) in enumerate(table.items()):
        values = as_floats(as_column(column))
        bad = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
        if len(bad):
            row = int(bad[0])
            reason = f"expected a number of a vector, got {shown(column.iloc[row])}"
            raise BadCellError(reason, row, label)
        with np.errstate(over="ignore"):
            out[:, position] = values
    return _check_range(out, list(table))


def _check_range(vectors: np.ndarray, columns: list[Any]) -> None:
    if has_infinite(vectors):
        row, position = np.argwhere(np.isinf(vectors))[0].tolist()
        reason = "a number of its vector is infinite or beyond the range of float32"
        raise BadCellError(reason, row, columns[position])


def _write_arrow(cells: pd.Series, out: np.ndarray) -> None:
    start = 0
    for chunk in _chunks(cells):
        lengths = np.asarray(chunk.value_lengths().fill_null(out.shape[1]))
        bad = np.flatnonzero(lengths != out.shape[1])
        if len(bad):
            row = int(bad[0])
            raise _wrong_length(lengths[row], out.shape[1], start + row, cells.name)
        there = np.asarray(chunk.is_valid())
        values = chunk.drop_null().flatten().to_numpy(zero_copy_only=False)
        part = out[start : start + len(chunk)]
        part[~there] = np.nan
        with np.errstate(over="ignore"):
            part[there] = values.reshape(-1, out.shape[1])
        start += len(chunk)


def _is_arrow_list(cells: pd.Series) -> bool:
    arrow = getattr(cells.dtype, "pyarrow_dtype", None)
    if arrow is None:
        return False
    import pyarrow as pa

    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(arrow) for is_kind in kinds):
        return False
    # lists of anything else are read cell by cell, which names the bad one
    value = arrow.value_type
    return bool(pa.types.is_integer(value) or pa.types.is_floating(value))


def _chunks(cells: pd.Series) -> Any:
    import pyarrow as pa

    array = pa.array(cells.array)
    return array.chunks if isinstance(array, pa.ChunkedArray) else [array]


def _numbers(cell: Any, row: int, column: Any) -> np.ndarray:
    try:
        values = json.loads(cell) if isinstance(cell, str) else cell
        with np.errstate(over="ignore"):
            numbers = np.asarray(values, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        numbers = np.empty((0, 0), dtype=np.float32)
    if numbers.ndim == 1 and len(numbers):
        return numbers
    reason = f"expected a vector, an array or a list of numbers, got {shown(cell)}"
    raise BadCellError(reason, row, column)


def _wrong_length(got: Any, expected: int, row: int, column: Any) -> BadCellError:
    reason = f"expected a vector of {expected} numbers, as the first one has, got {got}"
    return BadCellError(reason, row, column)


def signs_of_vectors(cells: pd.Series) -> str | None:
    """Describe a column that can hold vectors; None for any other."""
    if not holds_vectors(cells):
        return None
    try:
        size = vector_size(cells)
    except BadCellError:  # lists of texts
        return None
    return f"vectors of {size} numbers"
