"""Which vectors are compared with which, and whether they can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hyperfusion.exceptions import InvalidInputError

ALL = "all"

Pair = tuple[str, str]


def choose_pairs(
    pairs: Sequence[Pair] | None, names: Collection[str], aligned: list[str]
) -> list[Pair]:
    """Return the pairs to compare: the user's, or each aligned vector with each.

    Parameters
    ----------
    pairs : list of (str, str) or None
        What the user gave.
    names : collection of str
        The vectors that there are.
    aligned : list of str
        Those of one space. Where there are more than two, the first is also compared
        with all others.

    Raises
    ------
    InvalidInputError
        If a pair names a vector that is not there, or one twice.
    """
    if pairs is None:
        several = [(aligned[0], ALL)] if len(aligned) > 2 else []
        each = [(a, b) for i, a in enumerate(aligned) for b in aligned[i + 1 :]]
        return each + several
    for pair in pairs:
        known = len(pair) == 2 and pair[0] in names
        if not known or pair[1] not in {*names, ALL} or pair[0] == pair[1]:
            raise InvalidInputError(
                f"pairs must hold pairs of two of {sorted(names)}, or of one of "
                f"them and 'all'. Got {pair!r}."
            )
    return [(a, b) for a, b in pairs]


def others_of(name: str, aligned: Sequence[str]) -> list[str]:
    """Return the vectors that "all" stands for beside one of them."""
    return [other for other in aligned if other != name]


def check_widths(
    pairs: Sequence[Pair], aligned: Sequence[str], widths: Mapping[str, int]
) -> None:
    """Raise where the vectors of a pair don't have the same number of columns."""
    for a, b in pairs:
        others = others_of(a, aligned) if b == ALL else [b]
        if not others or any(widths[a] != widths[other] for other in others):
            raise InvalidInputError(
                f"{a} and {b} can't be compared: the vectors have "
                f"{ {name: widths[name] for name in (a, *others)} } numbers. "
                "Encode both sides with the same model."
            )
