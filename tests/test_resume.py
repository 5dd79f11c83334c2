"""A run killed at a random moment, started again by the same command, ends with the same checkpoint bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nerf2mesh import fit
from nerf2mesh.inputs import demo_picture
from nerf2mesh.utils.checkpoint import read_checkpoint
from tests.optimize.test_loop import assert_equal
from tests.tiny_run import PLAIN

SETTINGS = (*PLAIN, "optimize.steps=8", "optimize.checkpoint_every=2", "seed=7", "threads=1")


def kill_in_the_loop(folder: Path, moment: random.Random) -> bool:
    """Starts the command and kills it at a random moment of its loop; whether there was something left to kill."""
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "nerf2mesh.cli", f"input.image={demo_picture()}", f"output_dir={folder}", *SETTINGS],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_loop(process, folder, at_most_s=120)
    time.sleep(moment.uniform(0.0, 0.3))
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive


@pytest.mark.slow
def test_killed_and_run_again_ends_the_same(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert kill_in_the_loop(parts, random.Random())
    for folder in (whole, parts):
        fit(demo_picture(), overrides=SETTINGS, output_dir=folder)
    checkpoints = [read_checkpoint(folder / "checkpoints/last.safetensors") for folder in (whole, parts)]
    assert checkpoints[0]["step"] == 8
    assert_equal(*checkpoints)
    assert (parts / "mesh.glb").read_bytes() == (whole / "mesh.glb").read_bytes()


def wait_for_loop(process: subprocess.Popen, folder: Path, at_most_s: float) -> None:
    """Until the first numbers of the loop are on disk, or the process is over."""
    end = time.monotonic() + at_most_s
    while time.monotonic() < end and process.poll() is None:
        log = folder / "metrics.jsonl"
        if log.exists() and log.stat().st_size:
            return
        time.sleep(0.02)
