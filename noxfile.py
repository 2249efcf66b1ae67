"""Tasks: ``nox -s NAME``; ``nox -l`` lists them, ``nox`` alone runs lint and tests.

Torch alone takes gigabytes, so ``tests``, ``demo``, ``examples``, ``docs``,
``linkcheck``, ``benchmarks``, ``gpu`` and ``kernels`` share one environment,
``.nox/shared``. Whichever runs first makes it. It is brought up to date when
pyproject.toml changes, and needs no network otherwise.
"""

import hashlib
import os
import re
import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent
SHARED = ROOT / ".nox" / "shared"
PROJECT = nox.project.load_toml("pyproject.toml")["project"]
# what a file fits, it fits once; in their own order, short files are the last
IN_PARALLEL = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
LOWEST_PYTHON = PROJECT["requires-python"].removeprefix(">=")

# OpenBLAS's kernels: the flag of a processor that has the instructions, and what oneDNN
# and torch call these
KERNELS = {
    "Prescott": ("pni", "SSE41", "default"),
    "Haswell": ("avx2", "AVX2", "avx2"),
    "Zen": ("avx2", "AVX2", "avx2"),
    "SkylakeX": ("avx512bw", "AVX512_CORE", "avx512"),
}
WITH_PRODUCTS = (
    "(PCA or Cluster or Similarity or Relation or Neighbor or Tfidf or Clip or Glove "
    "or SVD or Attention or TabNet or HyperFusion or Pseudo or LogRidge) "
    "and (invariance or depend or one_row or repeats)"
)


def requirements(extra: str) -> list[str]:
    """Return what an extra requires, with that of the extras it names."""
    found = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{PROJECT['name']}\[(.+)\]", requirement)
        inner = own[1].split(",") if own else []
        found += [r for e in inner for r in requirements(e)] or [requirement]
    return found


def shared_python(session: nox.Session, *extras: str) -> str:
    """Return the shared environment's Python, with the package and extras installed."""
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python = str(SHARED / folder / "python")
    if not SHARED.exists():
        session.run(sys.executable, "-m", "venv", str(SHARED))
    state = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "hyperfusion/_version.py"):
        state.update((ROOT / name).read_bytes())
    note = SHARED / "installed"
    known, *there = note.read_text().split("\n") if note.exists() else [""]
    if known != state.hexdigest():
        there = []
    wanted = {r for extra in extras for r in requirements(extra)}
    if not there or not wanted <= set(there):
        target = f".[{','.join(extras)}]"
        session.run(python, "-m", "pip", "install", "--quiet", "--editable", target)
        note.write_text("\n".join([state.hexdigest(), *{*there, *wanted}]))
    return python


def run_tests(session: nox.Session, python: str, *arguments: str, **env: str) -> None:
    """Run pytest, each of its processes with one thread unless told otherwise."""
    defaults = {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        # or each process that the tests start would compile the package anew
        "PYTHONDONTWRITEBYTECODE": "",
    }
    session.run(python, "-m", "pytest", *arguments, env=defaults | env)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests and doctests; arguments go to pytest."""
    python = shared_python(session, "test")
    run_tests(session, python, *(session.posargs or IN_PARALLEL))


@nox.session(venv_backend="virtualenv", python=LOWEST_PYTHON, reuse_venv=True)
def minimum(session: nox.Session) -> None:
    """Run the tests with the lowest version of each dependency, and of Python."""
    wanted = PROJECT["dependencies"] + requirements("test")
    session.install(*[requirement.replace(">=", "==") for requirement in wanted])
    session.install("--no-deps", "--editable", ".")
    run_tests(session, "python", *(session.posargs or IN_PARALLEL))


@nox.session(venv_backend="virtualenv", reuse_venv=True)
def newest(session: nox.Session) -> None:
    """Run the tests with the newest version of each dependency, pre-releases too."""
    session.install("--upgrade", "--pre", "--editable", ".[test]")
    run_tests(session, "python", *(session.posargs or IN_PARALLEL))


@nox.session(venv_backend="virtualenv")
def package(session: nox.Session) -> None:
    """Build wheel and sdist into dist/, and try the wheel from outside the checkout."""
    session.install("build>=1.2")
    session.run("python", "-m", "build", "--outdir", "dist", ".")
    version = re.search(r'"(\d.+)"', Path("hyperfusion/_version.py").read_text())[1]
    name = PROJECT["name"].replace("-", "_")
    session.install(f"dist/{name}-{version}-py3-none-any.whl")
    session.chdir(session.create_tmp())
    session.run("python", "-I", str(ROOT / "tools" / "smoke.py"))


@nox.session
def gpu(session: nox.Session) -> None:
    """Run the tests that need an NVIDIA GPU, and what compares it with the CPU.

    Everything else is tested with GPUs hidden. Arguments go to benchmarks/gpu.py.
    """
    python = shared_python(session, "test")
    run_tests(session, python, "-m", "gpu", HYPERFUSION_GPU="1")
    session.run(python, "benchmarks/gpu.py", *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """Run the contract tests under several kernels of OpenBLAS, oneDNN and torch.

    Two processors add up a matrix product in different orders. ``-- short`` tries the
    oldest and the newest kernel on what compares rows, with two threads.
    """
    cpu = Path("/proc/cpuinfo")
    flags = set(cpu.read_text().split()) if cpu.exists() else set()
    possible = {k: names for k, (flag, *names) in KERNELS.items() if flag in flags}
    if not possible:
        session.skip("needs Linux on an x86 processor")
    python = shared_python(session, "test")
    short = session.posargs == ["short"]
    arguments = ["-k", WITH_PRODUCTS] if short else session.posargs
    chosen = list(possible)[:: max(len(possible) - 1, 1)] if short else possible
    for kernel in chosen:
        onednn, aten = possible[kernel]
        for threads in ("2",) if short else ("1", "2"):
            session.log(f"OpenBLAS as on {kernel}, {threads} thread(s)")
            run_tests(
                session,
                python,
                "-q",
                "tests/test_common.py",
                *arguments,
                OPENBLAS_CORETYPE=kernel,
                ONEDNN_MAX_CPU_ISA=onednn,
                ATEN_CPU_CAPABILITY=aten,
                OMP_NUM_THREADS=threads,
                OPENBLAS_NUM_THREADS=threads,
            )


@nox.session
def demo(session: nox.Session) -> None:
    """Predict the popularity of synthetic posts, or of real ones with --smp-video."""
    python = shared_python(session, "plot")
    session.run(python, "examples/demo.py", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run the examples and check what they print; arguments name some of them."""
    python = shared_python(session, "docs")
    session.run(python, "tools/run_examples.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; warnings are errors.

    Arguments go to Sphinx: ``nox -s docs -- -D plot_gallery=0`` runs no examples.
    """
    build_docs(session, "html", *session.posargs)


@nox.session
def linkcheck(session: nox.Session) -> None:
    """Look whether the links of the documentation lead somewhere."""
    build_docs(session, "linkcheck", "-D", "plot_gallery=0")


def build_docs(session: nox.Session, builder: str, *options: str) -> None:
    """Run Sphinx; pictures are drawn without a screen."""
    python = shared_python(session, "docs")
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
    session.install(*requirements("lint"))
    session.run("python", "-m", "ruff", "check", ".")
    session.run("python", "-m", "ruff", "format", "--check", ".")
    session.run("python", "-m", "mypy")
