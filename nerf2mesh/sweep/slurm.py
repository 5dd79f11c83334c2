"""Workers as a SLURM job array, by submitit."""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from typing import Any

from nerf2mesh.sweep.config import LaunchConfig
from nerf2mesh.sweep.launchers import WorkerSpec

ASK_EVERY_S = 5.0
"""One call of squeue for all workers."""


def slurm_parameters(launch: LaunchConfig) -> dict[str, Any]:
    """The parameters of submitit's executor."""
    slurm = launch.slurm
    parameters = {
        "name": "nerf2mesh-bench",
        "timeout_min": slurm.time_min,
        "mem_gb": slurm.mem_gb,
        "cpus_per_task": slurm.cpus_per_task,
        "slurm_array_parallelism": slurm.array_parallelism,
        "slurm_signal_delay_s": slurm.signal_delay_s,
    }
    parameters |= {"gpus_per_node": slurm.gpus_per_node} if slurm.gpus_per_node else {}
    parameters |= {"slurm_partition": slurm.partition} if slurm.partition else {}
    return parameters | {"slurm_additional_parameters": {"requeue": True, **slurm.extra}}


class SlurmLauncher:
    """A SLURM job array by submitit; each task is a worker, and is put back into the queue when it is preempted.

    A worker that was killed leaves no result. submitit learns of it from SLURM's accounting, up to ten minutes later,
    and never where there is none; `squeue` knows at once.
    """

    def __init__(self, spec: WorkerSpec, parameters: dict[str, Any]) -> None:
        import submitit

        self._spec = spec
        try:
            self._executor = submitit.AutoExecutor(spec.folder / "slurm", cluster="slurm", slurm_max_num_timeout=1000)
        except RuntimeError as error:
            raise ValueError(
                f"launch: expected SLURM's commands on the PATH, got {error}; log in to the cluster"
            ) from error
        self._executor.update_parameters(**parameters)
        if spec.environment:  # before Python starts: the libraries read it once
            exports = [f"export {name}={value}" for name, value in spec.environment.items()]
            self._executor.update_parameters(slurm_setup=exports)
        self._jobs: list[Any] = []
        self._gone: set[str] = set()
        self._asked_s = -math.inf

    def start(self, count: int) -> None:
        """Submits `count` workers as one job array."""
        task = SlurmTask(self._spec)
        with self._executor.batch():
            new = [self._executor.submit(task) for _ in range(count)]
        self._jobs += new

    def alive(self) -> int:
        """Workers that run or wait in SLURM's queue."""
        return len(self._left())

    def refusal(self) -> str:
        """What a worker raised; empty where none did. One that was killed refused nothing."""
        for job in self._jobs:
            error = job.exception() if job.paths.result_pickle.exists() else None
            if error is not None:
                raised = re.findall(r"^[A-Za-z_][\w.]*: .+", str(error), re.MULTILINE)  # amid submitit's text
                return f"SLURM job {job.job_id}: {(raised or ['no words'])[-1]}; see {job.paths.stderr}"
        return ""

    def stop(self, patience_s: float = 5.0) -> None:
        """Workers that find no job left end by themselves; what then still runs or waits in the queue is cancelled."""
        end = time.monotonic() + patience_s
        while self.alive() and time.monotonic() < end:
            time.sleep(0.2)
        for job in self._left():
            job.cancel()

    def _left(self) -> list[Any]:
        """Jobs without a result, which SLURM still had when it was asked last (every ASK_EVERY_S)."""
        left = [j for j in self._jobs if j.job_id not in self._gone and not j.paths.result_pickle.exists()]
        if left and time.monotonic() - self._asked_s >= ASK_EVERY_S:
            self._asked_s = time.monotonic()
            listed = queued()
            if listed is not None:
                self._gone |= {job.job_id for job in left} - listed
        return [job for job in left if job.job_id not in self._gone]


def queued() -> set[str] | None:
    """Names of this user's jobs that wait, run or end, as ARRAY_INDEX; None where SLURM gives no answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
    try:
        return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())
    except (OSError, subprocess.SubprocessError):
        return None


class SlurmTask:
    """A worker in the form that submitit asks for."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec

    def __call__(self) -> int:
        return self.spec()

    def checkpoint(self) -> object:
        """The same task again, which submitit puts back into the queue after a preemption."""
        import submitit

        return submitit.helpers.DelayedSubmission(SlurmTask(self.spec))
