"""Errors and warnings of the package.

Every error is also a standard one, so ``except ValueError`` and ``except ImportError``
keep working.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AssociationWarning",
    "BadCellError",
    "BadCellWarning",
    "BadFileError",
    "DeviceWarning",
    "HyperFusionError",
    "InvalidInputError",
    "MissingDependencyError",
    "VersionWarning",
    "WeightsNotFoundError",
]


class HyperFusionError(Exception):
    """Base of all errors that the package raises on purpose."""


class InvalidInputError(HyperFusionError, ValueError):
    """The data or a parameter can't be used; the message says what would work."""


class BadCellError(InvalidInputError):
    """One cell of a table can't be used.

    Parameters
    ----------
    reason : str
        What is wrong with the cell.
    row : int, optional
        Position of the row in the table that was passed (0 is the first).
    column : hashable, optional
        Name or position of the column.

    Attributes
    ----------
    reason, row, column
        The parameters, for programs that skip or repair the cell.
    """

    def __init__(self, reason: str, row: int | None = None, column: Any = None):
        self.reason = reason
        self.row = row
        self.column = column
        super().__init__(reason, row, column)

    def __str__(self) -> str:
        """Return the reason preceded by the cell's place."""
        place = [] if self.row is None else [f"row {self.row}"]
        if self.column is not None:
            label = getattr(self.column, "item", lambda: self.column)()
            place.append(f"column {label!r}")  # 0, not np.int64(0)
        return f"{', '.join(place)}: {self.reason}" if place else self.reason


class BadFileError(HyperFusionError, ValueError):
    """A file is damaged or not of the expected kind; the message names it."""


class MissingDependencyError(HyperFusionError, ImportError):
    """A package that this feature needs is not installed."""


class WeightsNotFoundError(HyperFusionError, ValueError):
    """Pretrained weights can't be found or downloaded; the message says what to do."""


class BadCellWarning(UserWarning):
    """Some cells count as missing, or look misread; the message counts them."""


class DeviceWarning(UserWarning):
    """A model fitted on a GPU predicts on the CPU, because there is no GPU here."""


class AssociationWarning(UserWarning):
    """A difference between predictions is an association, not a causal effect."""


class VersionWarning(UserWarning):
    """A saved estimator is loaded by a version other than the one that fitted it."""
