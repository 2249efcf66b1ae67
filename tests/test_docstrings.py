"""The docstrings of all public names are complete, as numpydoc's validation sees it.

Its checks are chosen in pyproject.toml, under ``tool.numpydoc_validation``.
"""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import pytest

import hyperfusion
from hyperfusion import exceptions, table

validate = pytest.importorskip("numpydoc.validate", reason="needs numpydoc").validate

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
SETTINGS = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
CHECKS = set(SETTINGS["tool"]["numpydoc_validation"]["checks"])
EXAMPLE = "EX01"


def public_objects():
    """Classes and functions by the name under which they are imported."""
    for module in (hyperfusion, table, exceptions):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{module.__name__}.{name}", value


def own_methods(cls):
    """Names of the public methods that were written in this package."""
    for name, value in inspect.getmembers(cls, inspect.isroutine):
        module = getattr(inspect.unwrap(value), "__module__", None) or ""
        if module.startswith("hyperfusion") and not name.startswith("_"):
            yield name


OBJECTS = dict(public_objects())
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}
METHODS = [f"{name}.{m}" for name, cls in CLASSES.items() for m in own_methods(cls)]


def problems(name, checks):
    """What is wrong with a docstring, as texts."""
    return [
        f"{code}: {text}" for code, text in validate(name)["errors"] if code in checks
    ]


def test_everything_public_is_looked_at():
    assert {"hyperfusion.PostEncoder", "hyperfusion.what_if"} <= OBJECTS.keys()
    assert "hyperfusion.PostEncoder.transform" in METHODS
    assert "hyperfusion.ImportanceDisplay.from_estimator" in METHODS
    assert {"GL08", "PR01", "PR02", "PR04", "RT01", EXAMPLE} <= CHECKS


@pytest.mark.parametrize("name", OBJECTS)
def test_class_or_function(name):
    value = OBJECTS[name]
    shown_elsewhere = inspect.isclass(value) and issubclass(value, Exception)
    checks = CHECKS - {EXAMPLE} if shown_elsewhere else CHECKS
    assert problems(name, checks) == []
    assert "%(" not in inspect.getdoc(value)  # no slot is left without its paragraph


@pytest.mark.parametrize("name", METHODS)
def test_method(name):
    # the examples of their class show methods at work
    assert problems(name, CHECKS - {EXAMPLE}) == []


def test_what_is_missing_is_found():
    found = " ".join(problems("tests.test_docstrings.problems", CHECKS))
    assert "PR01" in found
    assert EXAMPLE in found
