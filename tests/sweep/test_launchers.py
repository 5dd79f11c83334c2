"""The other launchers on the same queue of stand-in jobs; each package is optional."""

from __future__ import annotations

import io
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


def run(queue: Queue, launcher: object) -> None:
    supervise(queue, launcher, 2, lease_s=5.0, poll_s=0.1, say_every_s=60, out=io.StringIO())
    assert [queue.result(f"job{k}") for k in range(6)] == [{"square": k * k} for k in range(6)]
    assert sorted(lines(queue.folder, "ended")) == [f"job{k}" for k in range(6)]


@pytest.mark.slow
def test_joblib(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    queue, each = spec_of(tmp_path)
    run(queue, JoblibLauncher(each))


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
