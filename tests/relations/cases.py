"""Small, fast arguments for the common tests."""

from tests.common import Case

CASES: list[Case] = []
