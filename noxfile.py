"""Tasks: ``nox -s tests``, ``demo``, ``lint``, ``docs``, ``linkcheck``, ``benchmarks``.

Torch alone takes gigabytes, so all but ``lint`` share one environment,
``.nox/shared``; it is made, or brought up to date, by whichever runs first.
"""

import os
import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "none"

SHARED = Path(".nox") / "shared"


def shared_python(session: nox.Session, *extras: str) -> str:
    """Return the shared environment's Python, with the package and extras installed."""
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python = SHARED / folder / "python"
    if not python.exists():
        session.run(sys.executable, "-m", "venv", str(SHARED))
    target = f".[{','.join(extras)}]" if extras else "."
    session.run(str(python), "-m", "pip", "install", "--quiet", "--editable", target)
    return str(python)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests and doctests; arguments go to pytest."""
    python = shared_python(session, "test")
    threads = {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS",)}
    arguments = session.posargs or ["-n", "auto"]
    session.run(python, "-m", "pytest", *arguments, env=threads)


@nox.session
def demo(session: nox.Session) -> None:
    """Predict the popularity of synthetic posts, or of real ones with --smp-video."""
    python = shared_python(session, "plot")
    session.run(python, "examples/demo.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; warnings are errors.

    Arguments go to Sphinx: ``nox -s docs -- -D plot_gallery=0`` runs no examples.
    """
    python = shared_python(session, "docs")
    build_docs(session, python, "html", *session.posargs)


@nox.session
def linkcheck(session: nox.Session) -> None:
    """Look whether the links of the documentation lead somewhere."""
    python = shared_python(session, "docs")
    build_docs(session, python, "linkcheck", "-D", "plot_gallery=0")


def build_docs(session: nox.Session, python: str, builder: str, *options: str) -> None:
    """Run Sphinx; pictures are drawn without a screen."""
    command = ["-m", "sphinx", "-W", "--keep-going", "-b", builder, *options]
    target = f"docs/_build/{builder}"
    session.run(python, *command, "docs", target, env={"MPLBACKEND": "Agg"})


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Run the benchmarks (or those named), which print ratios, not absolute times."""
    python = shared_python(session, "test")
    chosen = session.posargs or sorted(str(p) for p in Path("benchmarks").glob("*.py"))
    for script in chosen:
        session.run(python, script)


@nox.session(venv_backend="virtualenv", reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check style, imports and types."""
    session.install("ruff>=0.8", "mypy>=1.11", "numpy>=1.26")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
