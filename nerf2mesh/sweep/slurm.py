"""Workers as a SLURM job array, by submitit."""

from __future__ import annotations

import time
from typing import Any

from nerf2mesh.sweep.config import LaunchConfig
from nerf2mesh.sweep.launchers import WorkerSpec


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
    """A SLURM job array by submitit; each task is a worker, and is put back into the queue when it is preempted."""

    def __init__(self, spec: WorkerSpec, parameters: dict[str, Any]) -> None:
        import submitit

        self._spec = spec
        self._executor = submitit.AutoExecutor(spec.folder / "slurm", cluster="slurm", slurm_max_num_timeout=1000)
        self._executor.update_parameters(**parameters)
        self._jobs: list[Any] = []
        self._known: set[str] = set()

    def start(self, count: int) -> None:
        """Submits `count` workers as one job array."""
        task = SlurmTask(self._spec)
        with self._executor.batch():
            new = [self._executor.submit(task) for _ in range(count)]
        self._jobs += new

    def alive(self) -> int:
        """Workers that run or wait in SLURM's queue."""
        return sum(not job.done(force_check=False) for job in self._jobs)

    def refusal(self) -> str:
        """The last line of a worker that raised; empty where none did."""
        for job in self._jobs:
            if job.done(force_check=False) and job.exception() is not None:
                lines = str(job.exception()).strip().splitlines()
                return f"SLURM job {job.job_id}: {lines[-1]}; see {job.paths.stderr}"
        return ""

    def stop(self, patience_s: float = 5.0) -> None:
        """Workers that find no job left end by themselves; what then still runs or waits in the queue is cancelled."""
        end = time.monotonic() + patience_s
        while self.alive() and time.monotonic() < end:
            time.sleep(0.2)
        for job in self._jobs:
            if not job.done(force_check=False):
                job.cancel()


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
