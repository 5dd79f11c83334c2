"""How workers are started. A launcher starts workers on a queue, counts those that are left, and can stop them.

All workers do the same (`worker.work`) and share only the folder, so several launchers may serve one queue: a cluster
and a laptop that see one file system can work on it together. What a worker prints goes to folder/logs/.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nerf2mesh.sweep.worker import REFUSED, load_function, refusal, work
from nerf2mesh.utils.atomic_write import create_new
from nerf2mesh.utils.interpreter import without_current_folder

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Launcher(Protocol):
    """`start` adds workers; `alive` counts those that run or wait in a scheduler; `refusal` is a worker's last word."""

    def start(self, count: int) -> None:
        """Starts `count` more workers."""
        ...

    def alive(self) -> int:
        """How many workers still run, or wait in a scheduler."""
        ...

    def refusal(self) -> str:
        """The error of a worker that stopped with one; empty where none did."""
        ...

    def stop(self) -> None:
        """Ends all workers of this launcher."""
        ...


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker needs to start: the queue's folder, the job as MODULE:FUNCTION, and its number of CPU threads."""

    folder: Path
    function: str
    threads: int = 0

    @property
    def logs(self) -> Path:
        """The folder of what workers print; created where it is missing."""
        (self.folder / "logs").mkdir(exist_ok=True)
        return self.folder / "logs"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that set the number of CPU threads."""
        return dict.fromkeys(THREAD_VARIABLES, str(self.threads)) if self.threads else {}

    def __call__(self) -> int:
        """Runs a worker in this process and returns its exit code."""
        os.environ.update(self.environment)
        return work(self.folder, load_function(self.function))


class LocalLauncher:
    """Processes of this machine."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec, self._count = spec, 0
        self.processes: list[tuple[subprocess.Popen, Path]] = []

    def start(self, count: int) -> None:
        """Starts `count` more workers."""
        command = [*without_current_folder("nerf2mesh.sweep.worker"), str(self._spec.folder), self._spec.function]
        paths = os.pathsep.join(path for path in sys.path if path)
        for _ in range(count):
            self._count += 1
            log = self._spec.logs / f"worker-{os.getpid()}-{self._count}.log"
            log.unlink(missing_ok=True)
            with open(create_new(log), "w", encoding="utf-8") as file:
                process = subprocess.Popen(
                    command,
                    stdout=file,
                    stderr=file,
                    env=os.environ | {"PYTHONPATH": paths} | self._spec.environment,
                    start_new_session=True,
                )
            self.processes.append((process, log))

    def alive(self) -> int:
        """How many workers still run."""
        return sum(process.poll() is None for process, _ in self.processes)

    def refusal(self) -> str:
        """The error of a worker that stopped with one; empty where none did."""
        for process, log in self.processes:
            if process.poll() == REFUSED:
                lines = [
                    line for line in log.read_text(errors="replace", encoding="utf-8").splitlines() if line.strip()
                ]
                return lines[-1].removeprefix("error: ") if lines else f"a worker refused; see {log}"
        return ""

    def stop(self, patience_s: float = 60.0) -> None:
        """Asks every worker to stop (SIGTERM), and kills those that still run after `patience_s`."""
        for process, _ in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + patience_s
        try:
            for process, _ in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, end - time.monotonic()))
        finally:  # one more signal also ends the patience
            for process, _ in self.processes:
                process.kill()


class JoblibLauncher:
    """Processes of joblib's own pool library, loky: one pool of one process for each worker.

    `joblib.Parallel` shares one pool among all its calls, which waits for running jobs before it takes more, and ends
    as a whole when one process dies. A worker that dies here takes no other along.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self._spec, self._pool = spec, ProcessPoolExecutor
        self._workers: list[tuple[Any, Future[int], Future[int]]] = []

    def start(self, count: int) -> None:
        """Starts `count` more workers."""
        for _ in range(count):
            pool = self._pool(max_workers=1, env=self._spec.environment)  # read before a worker's first import
            self._workers.append((pool, pool.submit(os.getpid), pool.submit(self._spec)))

    def alive(self) -> int:
        """How many workers still run."""
        return sum(not job.done() for _, _, job in self._workers)

    def refusal(self) -> str:
        """The error of a worker that stopped with one; empty where none did."""
        for _, _, job in self._workers:
            error = job.exception() if job.done() and not job.cancelled() else None
            if isinstance(error, ValueError | OSError | ImportError):
                return refusal(error)
        return ""

    def stop(self, patience_s: float = 60.0) -> None:
        """Asks every worker to stop (SIGTERM), and kills those that still run after `patience_s`."""
        for _, number, job in self._workers:
            if not job.done() and number.done() and number.exception() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number.result(), signal.SIGTERM)
        try:
            wait([job for _, number, job in self._workers if number.done()], timeout=patience_s)
        finally:
            for pool, _, _ in self._workers:
                pool.shutdown(wait=False, kill_workers=True)


class RayLauncher:
    """Tasks of a Ray cluster; without an address, of a Ray that is started here for the duration."""

    def __init__(self, spec: WorkerSpec, *, address: str = "", cpus: float = 1.0, gpus: float = 0.0) -> None:
        import ray

        self._ray, self._spec = ray, spec
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(address=address or None, include_dashboard=False, log_to_driver=False)
        runtime = {"env_vars": {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **spec.environment}}
        self._task = ray.remote(WorkerSpec.__call__).options(
            num_cpus=cpus, num_gpus=gpus, max_retries=0, runtime_env=runtime
        )
        self._tasks: list[Any] = []
        self._error = ""

    def start(self, count: int) -> None:
        """Starts `count` more workers."""
        self._tasks += [self._task.remote(self._spec) for _ in range(count)]

    def alive(self) -> int:
        """How many workers still run."""
        if not self._tasks:
            return 0
        over, self._tasks = self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)
        for task in over:
            try:
                self._ray.get(task)
            except self._ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, ValueError | OSError):
                    self._error = " ".join(str(error.cause).split())
            except self._ray.exceptions.RayError as error:
                print(f"ray: {type(error).__name__}", file=sys.stderr)
        return len(self._tasks)

    def refusal(self) -> str:
        """The error of a worker that stopped with one; empty where none did."""
        return self._error

    def stop(self) -> None:
        """Cancels the tasks, and shuts down a Ray that was started here."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        if self._own:
            self._ray.shutdown()
