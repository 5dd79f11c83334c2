"""However many signals arrive, and whenever: a command ends with one line and the exit code that says what to do."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nerf2mesh.run.preemption import INTERRUPTED, REQUEUE
from tests.forked import Fork, forks_of

IMPORTS = """
import sys, time, types
def run_fit(config, overrides=()):
    try:
        print("started", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.2)
fit = types.ModuleType("nerf2mesh.run.fit")
fit.run_fit = run_fit
sys.modules["nerf2mesh.run.fit"] = fit
from nerf2mesh.config import load_config
from nerf2mesh.cli import main
load_config([])
"""
PROGRAM = """
sys.argv = ["nerf2mesh", "input.image=cup.png"]
main()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with forks_of(IMPORTS, PROGRAM) as process:
        yield process


@pytest.fixture
def command(server: subprocess.Popen[str], tmp_path: Path) -> Fork:
    """The command in the middle of a fit, which takes a moment to end."""
    fork = Fork(server, tmp_path)
    fork.wait_for("started")
    return fork


@pytest.mark.parametrize(
    ("number", "pause_s"),
    [
        (signal.SIGTERM, 0.0),
        (signal.SIGINT, 0.05),
        pytest.param(signal.SIGTERM, 0.05, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 0.0, marks=pytest.mark.slow),
    ],
)
def test_three_in_a_row_are_as_one(number: int, pause_s: float, command: Fork) -> None:
    for _ in range(3):
        command.send(number)
        time.sleep(pause_s)
    code, said = command.wait(), (command.folder / "stderr").read_text("utf-8")
    assert code == (INTERRUPTED if number == signal.SIGINT else REQUEUE), said
    assert said.count("the same command goes on from the last checkpoint") == said.count("\n") == 1


def test_signals_until_the_very_end(command: Fork) -> None:
    """One after the other, also while the interpreter takes itself down."""
    while command.send(signal.SIGTERM):
        time.sleep(0.002)
    assert command.wait() == REQUEUE and "Traceback" not in (command.folder / "stderr").read_text("utf-8")
