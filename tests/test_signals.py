"""However many signals arrive, and whenever: a command ends with one line and the exit code that says what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nerf2mesh.run.preemption import INTERRUPTED, REQUEUE

COMMAND = """
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
sys.argv = ["nerf2mesh", "input.image=cup.png"]
from nerf2mesh.cli import main
main()
"""


def started(folder: Path) -> subprocess.Popen[str]:
    """The command in the middle of a fit, which takes a moment to end."""
    root = Path(__file__).resolve().parents[1]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", COMMAND]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(root)}, **pipes)
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_three_in_a_row_are_as_one(number: int, pause_s: float, tmp_path: Path) -> None:
    process = started(tmp_path)
    for _ in range(3):
        process.send_signal(number)
        time.sleep(pause_s)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (INTERRUPTED if number == signal.SIGINT else REQUEUE), said
    assert said.count("the same command goes on from the last checkpoint") == said.count("\n") == 1


def test_signals_until_the_very_end(tmp_path: Path) -> None:
    """One after the other, also while the interpreter takes itself down."""
    process = started(tmp_path)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.002)
    assert process.returncode == REQUEUE and "Traceback" not in process.stderr.read()
