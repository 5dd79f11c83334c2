"""A run killed at a random moment, started again by the same command, ends with the same checkpoint bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from nerf2mesh.inputs import demo_picture
from tests.optimize.test_loop import assert_equal

SETTINGS = ("preset=tiny", "optimize.steps=40", "optimize.checkpoint_every=3", "lora.steps=2", "seed=7", "threads=1")


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "nerf2mesh.cli", f"input.image={demo_picture()}", f"output_dir={folder}", *SETTINGS]


def environment() -> dict[str, str]:
    root = Path(__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}


def test_killed_and_run_again_ends_the_same(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    started = time.monotonic()
    subprocess.run(command(whole), env=environment(), check=True, capture_output=True, timeout=300)
    duration = time.monotonic() - started

    moment = random.Random()
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            command(parts),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for_loop(process, parts, at_most_s=10 * duration + 60)
        time.sleep(moment.uniform(0.0, 0.1 * duration))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 1
    subprocess.run(command(parts), env=environment(), check=True, capture_output=True, timeout=300)
    checkpoints = [torch.load(folder / "checkpoints/last.pt", weights_only=True) for folder in (whole, parts)]
    assert checkpoints[0]["step"] == 40
    assert_equal(*checkpoints)
    assert (parts / "mesh.glb").read_bytes() != b""


def wait_for_loop(process: subprocess.Popen, folder: Path, at_most_s: float) -> None:
    """Until the first numbers of the loop are on disk, or the process is over."""
    end = time.monotonic() + at_most_s
    while time.monotonic() < end and process.poll() is None:
        log = folder / "metrics.jsonl"
        if log.exists() and log.stat().st_size:
            return
        time.sleep(0.02)
