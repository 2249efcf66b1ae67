"""A killed fit that is started again loses only what was at hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from hyperfusion import HyperFusionRegressor
from hyperfusion.exceptions import InvalidInputError

SCRIPT = """
import sys
from tests.ensemble.test_memory import fit
fit(*sys.argv[1:])
"""


class Counted(RegressorMixin, BaseEstimator):
    """Writes a line for every fit, and kills the process at the fit that is named."""

    def __init__(self, log="", die_at=None):
        self.log = log
        self.die_at = die_at

    def fit(self, X, y, sample_weight=None):
        with open(self.log, "a") as file:
            file.write("fit\n")
        if len(Path(self.log).read_text().splitlines()) == int(os.environ["DIE_AT"]):
            os._exit(9)
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def table():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    X["kind"] = pd.Categorical(rng.choice(["some", "other"], size=60))
    return X, X["a"].to_numpy() + rng.normal(size=60)


def fit(memory, log, n_jobs="1"):
    X, y = table()
    return HyperFusionRegressor(
        [("counted", Counted(log)), ("tree", DecisionTreeRegressor())],
        cv=4,
        memory=memory,
        n_jobs=int(n_jobs),
        random_state=0,
    ).fit(X, y)


def run(die_at, *arguments):
    root = Path(__file__).parents[2]
    environment = os.environ | {"DIE_AT": str(die_at), "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, cwd=root, check=False, timeout=120
    ).returncode


def test_killed_fit_goes_on_where_it_was(tmp_path, monkeypatch):
    log = tmp_path / "log"
    assert run(3, tmp_path / "memory", log) == 9
    monkeypatch.setenv("DIE_AT", "0")
    fit(str(tmp_path / "memory"), str(log))
    assert len(log.read_text().splitlines()) == 4 + 1  # the third fit twice
    again = fit(str(tmp_path / "memory"), str(log))
    assert len(log.read_text().splitlines()) == 4 + 1
    fresh = fit(None, str(log))
    X, _ = table()
    assert_array_equal(again.predict(X), fresh.predict(X))
    assert_array_equal(again.oof_predictions_, fresh.oof_predictions_)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_kept_fits_are_those_of_the_same_data_and_parameters(tmp_path, n_jobs):
    X, y = table()
    X = X[list("abc")]
    kept = HyperFusionRegressor(
        [Ridge()], cv=2, memory=str(tmp_path), n_jobs=n_jobs, random_state=0
    )
    for data, params in (
        ((X, y), {}),
        ((X, -y), {}),
        ((X, y), {"members": [Ridge(9)]}),
    ):
        plain = HyperFusionRegressor([Ridge()], cv=2, random_state=0)
        found = kept.set_params(**params).fit(*data).predict(X)
        expected = plain.set_params(**params).fit(*data).predict(X)
        assert_array_equal(found, expected)


def test_memory_is_validated():
    X, y = table()
    with pytest.raises((InvalidInputError, ValueError), match="memory"):
        HyperFusionRegressor([Ridge()], memory=3).fit(X, y)
