"""The other launchers on the same queue of stand-in jobs; each package is optional."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from pathlib import Path

import pytest

from nerf2mesh.sweep.launchers import JoblibLauncher, RayLauncher, WorkerSpec
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.sweep.slurm import SlurmLauncher, SlurmTask
from nerf2mesh.sweep.supervise import supervise
from nerf2mesh.sweep.worker import Rules
from tests.sweep.standin import lines


def spec_of(folder: Path, count: int = 6) -> tuple[Queue, WorkerSpec]:
    queue = Queue.create(folder, {f"job{k}": {"number": k, "steps": 2, "seconds": 0.01} for k in range(count)})
    Rules(beat_s=0.2, lease_s=5.0).save(folder)
    return queue, WorkerSpec(folder, "tests.sweep.standin:sleep")


def events(folder: Path) -> list[dict]:
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(queue: Queue, launcher: object) -> None:
    supervise(queue, launcher, 2, lease_s=5.0, poll_s=0.1, say_every_s=60, out=io.StringIO())
    assert [queue.result(f"job{k}") for k in range(6)] == [{"square": k * k} for k in range(6)]
    assert set(lines(queue.folder, "ended")) == {f"job{k}" for k in range(6)}


@pytest.mark.slow
def test_joblib(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    queue, each = spec_of(tmp_path)
    run(queue, JoblibLauncher(each))


@pytest.mark.slow
def test_joblib_goes_on_when_a_worker_is_killed(tmp_path: Path) -> None:
    """The other workers stay, the killed one is replaced, and the sweep ends."""
    pytest.importorskip("joblib")
    queue, each = spec_of(tmp_path)
    launcher, victims = JoblibLauncher(each), []

    def kill_the_first() -> None:
        while not victims:
            time.sleep(0.02)
            victims.extend(e for e in events(tmp_path) if e["event"] == "claim")
        os.kill(json.loads((tmp_path / "workers" / victims[0]["worker"]).read_text())["pid"], 9)

    threading.Thread(target=kill_the_first, daemon=True).start()
    sweep = threading.Thread(target=run, args=(queue, launcher), daemon=True)
    sweep.start()
    sweep.join(120)
    assert not sweep.is_alive() and queue.counts()["done"] == 6
    assert sum(e["event"] == "lost" for e in events(tmp_path)) <= 1


@pytest.mark.slow
def test_joblib_workers_have_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's libraries read the variable when they are imported, before the worker runs a line of its own."""
    pytest.importorskip("joblib")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    queue = Queue.create(tmp_path, {"job": {}})
    launcher = JoblibLauncher(WorkerSpec(tmp_path, "tests.sweep.standin:threads", 2))
    supervise(queue, launcher, 1, poll_s=0.1, say_every_s=60, out=io.StringIO())
    assert queue.result("job") == {"torch": 2, "variable": "2"}


@pytest.mark.slow
def test_joblib_says_what_a_worker_could_not_do(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    queue, _ = spec_of(tmp_path)
    with pytest.raises(ValueError, match="MODULE:FUNCTION"):
        run(queue, JoblibLauncher(WorkerSpec(tmp_path, "no colon")))


@pytest.mark.slow
def test_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    queue, each = spec_of(tmp_path)
    run(queue, RayLauncher(each, cpus=0.5))


@pytest.mark.slow
def test_slurm_array_as_submitit_hands_it_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit's local executor stands in for SLURM's: same pickling, same task (SLURM: `make cluster-test`)."""
    submitit = pytest.importorskip("submitit")
    queue, each = spec_of(tmp_path)
    monkeypatch.setattr(submitit, "AutoExecutor", lambda folder, **_: submitit.LocalExecutor(folder))
    run(queue, SlurmLauncher(each, {"timeout_min": 1}))
    again = SlurmTask(each).checkpoint()
    assert again.function.spec == each, "what is put back into the queue is the same worker"
