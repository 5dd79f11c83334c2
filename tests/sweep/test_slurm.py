"""The launcher of SLURM's workers, with a scheduler and a submitit that tests command (SLURM: `make cluster-test`)."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from nerf2mesh.sweep import slurm
from nerf2mesh.sweep.launchers import WorkerSpec
from nerf2mesh.sweep.slurm import SlurmLauncher, queued


class Executor:
    """submitit's, as far as the launcher uses it: an array's tasks, whose results are files."""

    def __init__(self, folder: Path, **_: object) -> None:
        self.folder, self.parameters, self.cancelled = folder, {}, []
        self.jobs: list[SimpleNamespace] = []
        self.folder.mkdir(parents=True)

    def update_parameters(self, **parameters: object) -> None:
        self.parameters |= parameters

    def batch(self) -> nullcontext:
        return nullcontext()

    def submit(self, task: object) -> SimpleNamespace:
        name = f"7_{len(self.jobs)}"
        paths = SimpleNamespace(result_pickle=self.folder / f"{name}_result.pkl", stderr=self.folder / f"{name}.err")
        job = SimpleNamespace(job_id=name, paths=paths, error=None, cancel=lambda: self.cancelled.append(name))
        job.exception = lambda: job.error if paths.result_pickle.exists() else RuntimeError("job did not complete")
        self.jobs.append(job)
        return job


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmLauncher:
    """Two workers of one thread; SLURM is asked at every look."""
    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(AutoExecutor=Executor))
    monkeypatch.setattr(slurm, "ASK_EVERY_S", 0.0)
    made = SlurmLauncher(WorkerSpec(tmp_path, "module:function", 1), {"timeout_min": 5})
    made.start(2)
    return made


def test_a_killed_worker_is_missed_and_refuses_nothing(
    launcher: SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves the queue without a result: another can take its place, and the sweep goes on."""
    monkeypatch.setattr(slurm, "queued", lambda: {"7_0", "7_1", "9_0"})
    assert launcher.alive() == 2
    monkeypatch.setattr(slurm, "queued", lambda: {"7_1", "9_0"})
    assert launcher.alive() == 1 and launcher.refusal() == ""
    launcher.start(1)
    monkeypatch.setattr(slurm, "queued", lambda: {"7_1", "7_2"})
    assert launcher.alive() == 2
    launcher.stop(patience_s=0.0)
    assert launcher._executor.cancelled == ["7_1", "7_2"]


def test_a_scheduler_that_does_not_answer_kills_nobody(
    launcher: SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "queued", lambda: None)
    assert launcher.alive() == 2


def test_a_worker_that_raised_is_a_refusal(launcher: SlurmLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "queued", lambda: {"7_0"})
    ended, raised = launcher._jobs
    ended.paths.result_pickle.touch()
    assert launcher.alive() == 0 and launcher.refusal() == ""
    raised.paths.result_pickle.touch()
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: rules.json: expected others'
    raised.error = RuntimeError(f"Job (task=0) failed with trace:\n---\n{trace}\n\n---\nSee\n  - /tmp/x.out\n")
    assert launcher.refusal().startswith("SLURM job 7_1: ValueError: rules.json: expected others; see ")


def test_threads_are_set_before_python_starts(launcher: SlurmLauncher) -> None:
    assert "export OMP_NUM_THREADS=1" in launcher._executor.parameters["slurm_setup"]


def test_squeue_is_asked_for_ones_own_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in on the PATH prints what it was asked, then fails."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tool = tmp_path / "squeue"
    tool.write_text('#!/bin/sh\ncase "$*" in *--array*--user=' + str(os.getuid()) + ") echo 12_0; echo 12_1;; esac\n")
    tool.chmod(0o755)
    assert queued() == {"12_0", "12_1"}
    tool.write_text("#!/bin/sh\necho 12_0\nexit 1\n")
    assert queued() is None
    tool.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued() is None


def test_a_machine_without_slurm_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise RuntimeError('Could not detect "srun"')

    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(AutoExecutor=none))
    with pytest.raises(ValueError, match=r"^launch: expected SLURM's commands .*srun.*; log in"):
        SlurmLauncher(WorkerSpec(tmp_path, "module:function"), {})
