"""Tests and doctests see no GPU, so that they find the same on every machine.

``HYPERFUSION_GPU=1 pytest -m gpu`` runs those that need one; ``nox -s gpu`` does so.
"""

import gc
import os
import sys

import pytest

WITH_GPU = bool(os.environ.get("HYPERFUSION_GPU"))

if not WITH_GPU:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # of processes that tests start, too
    if sys.platform == "darwin":  # no variable hides Apple's
        import torch

        torch.backends.mps.is_available = lambda: False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that parallel processes end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Free memory seldom, and never look at what was imported: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU; where one was asked for, its lack is an error."""
    if item.get_closest_marker("gpu") and not WITH_GPU:
        pytest.skip("needs a GPU: nox -s gpu")
