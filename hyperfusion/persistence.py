"""Save fitted models to files without code, and load them again.

A pickle can run any code on the machine that loads it. These files are written by
skops: a schema and arrays, from which only known types are rebuilt.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from hyperfusion._validation import needing
from hyperfusion._writing import written_whole
from hyperfusion.exceptions import BadFileError, InvalidInputError

__all__ = ["load_model", "save_model"]

_HARMLESS = {
    *("numpy.array", "sklearn.tree._tree.Tree"),
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *("pathlib.PosixPath", "pathlib.WindowsPath"),
    *("pathlib._local.PosixPath", "pathlib._local.WindowsPath"),
}
"""Types that skops does not trust although they only hold numbers or names."""

_HARMLESS_MODULES = ("sklearn.model_selection._split", "numpy.dtypes")

_MOST_PADDING = 500
"""Largest compression ratio of a schema; in real models it is below 100."""

_FEWEST_BYTES = 50
"""Bytes of a schema for each object in it; in real models it is some 500."""


def save_model(model: Any, path: str | Path) -> None:
    """Write a fitted model to a file without code in it.

    The file holds neither weights of frozen encoders nor word vectors: a loaded model
    looks for them again, as at fit.

    Parameters
    ----------
    model : estimator
        Any estimator of this package or of scikit-learn, or a Pipeline of them.
    path : str or Path
        File to write. An existing file is replaced when the new one is complete.

    Raises
    ------
    InvalidInputError
        If the folder does not exist, or `path` is a folder.
    MissingDependencyError
        If skops is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from hyperfusion import TemporalEncoder, save_model
    >>> encoder = TemporalEncoder().fit(["2024-05-01 12:00", "2024-05-02 18:30"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(encoder, f"{folder}/encoder.skops")
    """
    io = _skops()
    with written_whole(Path(path)) as whole:
        io.dump(model, whole, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def load_model(path: str | Path, *, trusted: Sequence[str] = ()) -> Any:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or Path
        File to read.
    trusted : list of str, default=()
        Full names of other types that you trust, such as your own estimators:
        ``"my_package.MyTransformer"``.

    Returns
    -------
    estimator
        The fitted model, on the CPU if it was fitted on a GPU that is missing here.

    Raises
    ------
    BadFileError
        If the file is damaged or was not written by `save_model`.
    InvalidInputError
        If it contains types that are neither known to be harmless nor in `trusted`.
    MissingDependencyError
        If skops is not installed.

    Warns
    -----
    VersionWarning
        If another version of this package wrote the file.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.linear_model import Ridge
    >>> from hyperfusion import load_model, save_model
    >>> model = Ridge().fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 3.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, f"{folder}/model.skops")
    ...     loaded = load_model(f"{folder}/model.skops")
    >>> bool(loaded.predict([[5.0]])[0] == model.predict([[5.0]])[0])
    True
    """
    io = _skops()
    path = Path(path)
    with _whole_file(path):
        with zipfile.ZipFile(path) as archive:
            schema = archive.getinfo("schema.json")
            # only a malicious schema takes so much more memory than disk space
            if schema.file_size > max(_MOST_PADDING * schema.compress_size, 2**24):
                size = f"{schema.file_size:,}"
                raise ValueError(f"its schema takes {size} bytes when unpacked")
            parts = _count_parts(json.loads(archive.read("schema.json")), {})
        if parts > schema.file_size // _FEWEST_BYTES:
            raise ValueError(f"its schema unfolds to {parts:,} parts")
        asked = io.get_untrusted_types(file=path)
    unknown = [
        name
        for name in asked
        if name not in trusted and name not in _HARMLESS and not _is_known(name)
    ]
    if unknown:
        raise InvalidInputError(
            f"{str(path)!r} contains types that are not trusted: {unknown}. If you "
            f"trust the source of the file, pass trusted={unknown!r}."
        )
    with _whole_file(path):
        model = io.load(path, trusted=asked)
        # joblib reads pickles from such folders at fit
        inner = model.get_params().values() if hasattr(model, "get_params") else ()
        for part in (model, *inner):
            if isinstance(getattr(part, "memory", None), str):
                part.memory = None
    return model


def _count_parts(state: Any, known: dict[Any, int]) -> int:
    """Return how many objects a schema names, each time that it names one by its id.

    skops walks through all of them, so a few lists that hold one another would keep it
    busy for good.
    """
    if isinstance(state, list):
        return sum(_count_parts(part, known) for part in state)
    if not isinstance(state, dict):
        return 0
    own = state.get("__id__")
    if own in known:
        return known[own]
    parts = 1 + sum(_count_parts(part, known) for part in state.values())
    if own is not None:
        known[own] = parts
    return parts


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    # a file that was tampered with makes skops raise almost anything
    except Exception as error:
        raise BadFileError(
            f"{str(path)!r} is damaged or was not written by save_model "
            f"({type(error).__name__}: {str(error)[:400]}). Save the model again. For "
            "pickles use pickle.load or joblib.load."
        ) from error


def _is_known(name: str) -> bool:
    """Whether a full name is that of a class of this package or a splitter."""
    module, _, attribute = name.rpartition(".")
    if not (name.startswith("hyperfusion.") or module in _HARMLESS_MODULES):
        return False
    try:
        value = getattr(import_module(module), attribute, None)
    except ImportError:
        return False
    return inspect.isclass(value) and value.__module__ == module


def _skops() -> Any:
    with needing("skops", "A file of save_model", "skops"):
        import skops.io
    return skops.io
