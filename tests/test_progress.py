"""Bars where a person watches, lines where they are asked for, silence elsewhere."""

from __future__ import annotations

import os
import struct
import sys
from subprocess import PIPE, Popen

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from hyperfusion import (
    HyperFusionRegressor,
    PseudoLabelWrapper,
    _progress,
    ablate,
    evaluate,
    make_hyperfusion,
)
from hyperfusion._progress import Progress, say

RNG = np.random.RandomState(0)
POSTS = pd.DataFrame(
    {"when": pd.date_range("2024", periods=60), "n": RNG.normal(size=60)}
)
Y = RNG.normal(size=60)


@pytest.fixture
def watched(monkeypatch):
    """A person watches, and work is long from its first moment."""
    monkeypatch.setattr(_progress, "is_watched", lambda: True)
    monkeypatch.setitem(_progress._TQDM, "delay", 0)
    monkeypatch.setitem(_progress._TQDM, "mininterval", 0)


def pipeline(**params):
    return make_hyperfusion(
        time="when",
        numeric="n",
        members=[("ridge", Ridge()), ("other", Ridge(5.0))],
        cv=2,
        random_state=0,
        **params,
    )


def test_encoding_and_parts_are_shown(watched, capsys):
    pipeline().fit(POSTS, Y)
    said = capsys.readouterr()
    assert said.out == ""
    assert "<?" not in said.err.split("fit:")[0]  # encoders take uneven times
    for what in ("encode:", "time: TemporalEncoder", "fit:", "fold 2/2 other", "100%"):
        assert what in said.err
    assert not Progress.shown


def test_evaluation_names_the_split(watched, capsys):
    evaluate(pipeline(), POSTS, Y, n_bootstrap=5, random_state=0)
    said = capsys.readouterr().err
    assert "random split 0, HyperFusionRegressor" in said
    assert "time split 0, HyperFusionRegressor" in said
    assert "fit:" in said  # the ensemble's own, below


def test_ablation_names_the_variant(watched, capsys):
    ablate(pipeline(), POSTS, Y, parts=["metadata"], n_bootstrap=5, random_state=0)
    said = capsys.readouterr().err
    assert "fold 0, encoding" in said
    assert "fold 0, full model" in said


def test_rounds_of_pseudo_labels_are_shown(watched, capsys):
    y = np.where(np.arange(60) % 2, np.nan, Y)
    PseudoLabelWrapper(Ridge(), max_rounds=2, random_state=0).fit(POSTS[["n"]], y)
    assert "round 1 of 2" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["fit", "evaluate", "ablate", "pseudo"])
def test_zero_is_silence_down_to_the_last_part(watched, capsys, kind):
    if kind == "fit":
        pipeline(verbose=0).fit(POSTS, Y).predict(POSTS)
    elif kind == "pseudo":
        y = np.where(np.arange(60) % 2, np.nan, Y)
        wrapper = PseudoLabelWrapper(HyperFusionRegressor([Ridge()], cv=2), verbose=0)
        wrapper.fit(POSTS[["n"]], y)
    else:
        call = {"evaluate": evaluate, "ablate": ablate}[kind]
        call(pipeline(), POSTS, Y, n_bootstrap=5, verbose=0)
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert Progress._n_silent == 0


def test_files_get_nothing_by_default_and_lines_on_request(capsys):
    pipeline().fit(POSTS, Y)
    said = capsys.readouterr()
    assert said.out == said.err == ""
    pipeline(verbose=1).fit(POSTS, Y)
    said = capsys.readouterr()
    assert said.err == ""
    assert "[PostEncoder] time: TemporalEncoder of ['when']" in said.out
    assert "[HyperFusionRegressor] fold 1/2 ridge: SRC" in said.out


def test_lines_stand_above_bars(watched, capsys):
    with Progress("work", 2, 1) as bar:
        bar.step()
        say("half of it")
    said = capsys.readouterr()
    assert said.out == "half of it\n"
    assert "work:  50%" in said.err


def test_what_fails_closes_its_bar(watched):
    with pytest.raises(KeyError), Progress("outer", 1), Progress("inner", 1):
        raise KeyError
    assert not Progress.shown


SCRIPT = """
import sys, time
from hyperfusion._progress import Progress
with Progress("slow work", 2) as bar:
    bar.at("the first step")
    time.sleep(2.1)
    bar.step(2)
with Progress("quick work", 2) as bar:
    bar.step(2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_a_terminal_sees_long_work_live_and_a_file_sees_nothing():
    import fcntl
    import pty
    import termios

    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    command = [sys.executable, "-c", SCRIPT]
    with (
        Popen(command, stderr=terminal) as process,
        Popen(command, stdout=PIPE, stderr=PIPE) as alone,
    ):
        os.close(terminal)
        said = b""
        while True:
            try:
                some = os.read(main, 4096)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            said += some
        assert alone.communicate() == (b"", b"")
    os.close(main)
    assert process.returncode == alone.returncode == 0
    assert b"slow work:   0%" in said  # before the first step has ended
    assert b"the first step" in said
    assert b"00:02" in said
    assert b"quick" not in said
