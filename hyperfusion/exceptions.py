"""Errors and warnings of the package.

Every error is also the standard one that scikit-learn users catch already:
``except ValueError`` and ``except ImportError`` keep working.
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
    """The data or a parameter can't be used as it is; the message says what would."""


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
        The parameters, for programs that want to skip or mend the cell.
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
            place.append(f"column {self.column!r}")
        return f"{', '.join(place)}: {self.reason}" if place else self.reason


class BadFileError(HyperFusionError, ValueError):
    """A file is damaged, or of another kind than was expected; the message names it."""


class MissingDependencyError(HyperFusionError, ImportError):
    """A package that this feature needs is not installed."""


class WeightsNotFoundError(HyperFusionError, ValueError):
    """Pretrained weights can't be found or downloaded; the message says what to do."""


class BadCellWarning(UserWarning):
    """Some cells could not be used and count as missing; the message counts them."""


class DeviceWarning(UserWarning):
    """A model that was fitted on a GPU predicts on the CPU, as there is no GPU."""


class AssociationWarning(UserWarning):
    """A difference between predictions is an association, not what a change causes."""


class VersionWarning(UserWarning):
    """A saved estimator is read by another version than the one that fitted it."""
