"""Keeps workers running while there are jobs, and stops jobs that were cancelled or take too long.

A worker outlives a server that is killed: it has a session of its own and goes on. The next server finds it by its
heartbeat, counts it as one of its own, and can stop it. Processes are named by number, start time and boot, so that no
other process is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nerf2mesh.serve.store import Store, folder_bytes
from nerf2mesh.serve.work import FIT
from nerf2mesh.sweep.heartbeat import process_facts
from nerf2mesh.sweep.launchers import LocalLauncher, WorkerSpec

POLL_S, SCAN_S = 0.3, 15.0
PATIENCE_S = 10.0
"""A worker that was asked to stop and still runs after this is killed; the run's files are whole at any moment."""
KEPT_LOGS = 20
LONGEST_PAUSE_S = 60.0


class Crew:
    """A thread that looks after the workers, between `start` and `stop`."""

    def __init__(
        self, store: Store, *, threads: int, function: str = FIT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store, self._clock = store, clock
        self.launcher = LocalLauncher(WorkerSpec(store.folder, function, threads))
        self.problem = ""
        self._asked: dict[str, float] = {}
        self._starts, self._progress, self._next_start, self._scanned = 0, -1, 0.0, clock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crew", daemon=True)

    def start(self) -> None:
        """Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Asks all workers to write a checkpoint and to end, and waits for those that this server started."""
        self._over.set()
        self._thread.join()
        for pid in self._heard():
            _signal(pid, signal.SIGTERM)
        self.launcher.stop(patience_s=30.0)

    def _run(self) -> None:
        while not self._over.wait(POLL_S):
            try:
                self.tick()
                self.problem = self.launcher.refusal()
            except (OSError, ValueError) as error:  # a full disk: it may have room later
                self.problem = " ".join(str(error).split())

    def tick(self) -> None:
        """One look: dead workers, jobs to stop, workers that are missing."""
        self.launcher.alive()  # takes note of those that have ended
        with self.store.lock:
            self.store.queue.reap(self.store.watch.is_dead)
            self._stop_late_jobs()
            active = sum(state.status in ("waiting", "running") for state in self.store.queue.jobs.values())
            progress = sum(s.attempt for s in self.store.queue.jobs.values()) + self.store.queue.counts()["done"]
        heard = self._heard()
        started = {process.pid for process, _ in self.launcher.processes if process.poll() is None}
        missing = min(self.store.limits.workers, active) - len(heard | started)
        if missing > 0:
            self._start(missing, progress)
        if self._clock() - self._scanned > SCAN_S:
            self._scanned = self._clock()
            self.store.used_bytes = folder_bytes(self.store.folder)
            self._prune()

    def _start(self, count: int, progress: int) -> None:
        """More workers; ever more rarely where they end without having taken a job."""
        if progress != self._progress:
            self._starts, self._next_start, self._progress = 0, 0.0, progress
        if self._clock() < self._next_start:
            return
        self.launcher.start(count)
        self._starts += 1
        pause = 0.0 if self._starts < 3 else min(LONGEST_PAUSE_S, 2.0**self._starts)
        self._next_start = self._clock() + pause

    def _stop_late_jobs(self) -> None:
        """Jobs over their time are given up; workers of jobs that were given up are stopped. The lock is held."""
        queue, stops = self.store.queue, self.store.stops
        for job, state in queue.jobs.items():
            spent_s = state.before_s + time.monotonic() - state.seen_s
            if state.status == "running" and job not in stops and spent_s > self.store.limits.job_s:
                self.store.stop(job, f"job: expected at most {self.store.limits.job_s:g} s, got more; ask for less")
            if job in stops and state.status == "running":
                self._end_worker(state.worker)
            elif job in stops and state.status == "waiting":
                queue.cancel(job, str(stops[job].get("why", "")))

    def _end_worker(self, worker: str) -> None:
        """SIGTERM at first, SIGKILL later."""
        beat = self.store.watch.read(worker)
        own = [process.pid for process, _ in self.launcher.processes if process.poll() is None]
        pid = _pid(beat) or (beat["pid"] if beat and beat.get("pid") in own else 0)
        if not pid:
            return
        if worker not in self._asked:
            self._asked[worker] = self._clock()
            _signal(pid, signal.SIGTERM)
        elif self._clock() - self._asked[worker] > PATIENCE_S:
            _signal(pid, signal.SIGKILL)

    def _heard(self) -> set[int]:
        """Numbers of the processes whose heartbeats are here and that are alive."""
        names = [path.name for path in (self.store.folder / "workers").iterdir()]
        return {pid for name in names if (pid := _pid(self.store.watch.read(name)))}

    def _prune(self) -> None:
        """Old workers' logs and heartbeats go; processes that ended are forgotten."""
        self.launcher.processes[:] = [item for item in self.launcher.processes if item[0].poll() is None]
        logs = sorted((self.store.folder / "logs").glob("worker-*.log"), key=_age)
        for path in logs[:-KEPT_LOGS]:
            path.unlink(missing_ok=True)
        with self.store.lock:
            held = {state.worker for state in self.store.queue.jobs.values() if state.status == "running"}
        for path in (self.store.folder / "workers").iterdir():
            if path.name not in held and not _pid(self.store.watch.read(path.name)):
                path.unlink(missing_ok=True)


def _pid(beat: dict | None) -> int:
    """The number of the worker's process where it is alive on this machine; 0 else."""
    pid = (beat or {}).get("pid")
    if beat is None or beat.get("ended") is True or not isinstance(pid, int):
        return 0
    facts = process_facts(pid)
    same = all(name in beat and facts.get(name) == beat[name] for name in ("place", "start"))
    return pid if same and not _is_zombie(pid) else 0


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
