"""Jobs that take no time, for testing the queue: every start and every end is written down beside the queue."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nerf2mesh.sweep.supervise import supervise
from nerf2mesh.sweep.worker import Context, work


class Here:
    """A launcher of one worker in this process, so that a test may replace parts of what it does."""

    def __init__(self, launch: object, folder: Path, workers: int) -> None:
        self.folder = folder

    def start(self, count: int) -> None:
        from nerf2mesh.sweep.jobs import run_job

        work(self.folder, run_job)

    def alive(self) -> int:
        return 0

    def refusal(self) -> str:
        return ""

    def stop(self) -> None:
        pass


@pytest.fixture(autouse=True)
def polls_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """For modules that import it: a sweep in this process is done when it is looked at again."""
    assert supervise.__kwdefaults__ is not None
    monkeypatch.setitem(supervise.__kwdefaults__, "poll_s", 0.01)


def note(context: Context, word: str) -> None:
    file = os.open(context.folder.parents[1] / f"{word}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, f"{context.folder.name}\n".encode())
    os.close(file)


def lines(folder: Path, word: str) -> list[str]:
    path = folder / f"{word}.log"
    return path.read_text().splitlines() if path.exists() else []


def sleep(payload: dict, context: Context) -> dict:
    """Takes payload["seconds"], in steps that survive a kill: the folder keeps how far it came."""
    note(context, "started")
    steps = context.folder / "steps"
    while len(steps.read_text() if steps.exists() else "") < int(payload["steps"]):
        time.sleep(float(payload["seconds"]))
        with steps.open("a") as file:
            file.write(".")
    note(context, "ended")
    return {"square": int(payload["number"]) ** 2}


def raise_twice(payload: dict, context: Context) -> dict:
    """Fails on the first two attempts."""
    note(context, "started")
    if context.attempt <= 2:
        raise RuntimeError("not yet")
    return {"attempt": context.attempt}


def threads(payload: dict, context: Context) -> dict:
    """What the libraries took for the number of threads when they were imported."""
    import torch

    return {"torch": torch.get_num_threads(), "variable": os.environ.get("OMP_NUM_THREADS")}


def kill_itself(payload: dict, context: Context) -> dict:
    os.kill(os.getpid(), 9)
    return {}


def fill_the_disk(payload: dict, context: Context) -> dict:
    """A result larger than what the process may write."""
    return {"text": "x" * 200_000}


def fit_tiny(payload: dict, context: Context) -> dict:
    """A whole fit, seconds from end to end: the demo picture, a seed of its own."""
    import nerf2mesh
    from nerf2mesh.inputs import demo_picture

    settings = ["preset=tiny", "report.quiet=true", "report.html=false", "threads=1", f"seed={payload['number']}"]
    mesh = nerf2mesh.fit(demo_picture(), overrides=settings, output_dir=context.folder / "run").mesh
    return {"vertices": len(mesh.vertices), "sum": float(mesh.vertices.sum())}
