"""The jobs of a server on the disk. What was accepted is there before the answer is sent, and outlives any process.

FOLDER/          a queue of the sweep room (jobs.json, events.jsonl, results/, workers/, runs/ID/)
FOLDER/inputs/   the pictures as they came, ID.png
FOLDER/stopped/  ID.json for a job that is to stop, with the reason, and for one whose files were deleted
FOLDER/tmp/      what is being received; emptied at every start
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerf2mesh.serve.limits import Limits
from nerf2mesh.serve.refused import Refused
from nerf2mesh.sweep.heartbeat import Watch
from nerf2mesh.sweep.queue import Payload, Queue
from nerf2mesh.sweep.states import JobState
from nerf2mesh.sweep.worker import Rules
from nerf2mesh.utils.atomic_write import atomic_write_bytes, atomic_write_text
from nerf2mesh.utils.regular_file import is_regular, open_regular, read_json

MAX_LOSSES = 5
"""A job that took so many workers with it is given up."""
BEAT_S, LEASE_S, LINGER_S = 0.5, 30.0, 15.0
FILES = ("mesh.glb", "report.html", "turntable.mp4", "provenance.json", "metrics.json", "config.yaml", "ATTRIBUTION.md")
"""What may be fetched of a run."""
STATUSES: tuple[str, ...] = ("waiting", "running", "done", "failed", "cancelled")
GIB = 1 << 30


@dataclass(frozen=True)
class Job:
    """How a job stands."""

    id: str
    status: str
    """waiting, running, done, failed or cancelled."""
    posted: str
    attempt: int
    before: int
    """Jobs that wait before this one."""
    step: int
    steps: int
    seconds: float
    why: str
    files: list[str]
    warnings: list[str]


class Store:
    """The folder of one server; its methods may be called from any thread."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder.resolve(), limits
        for name in ("inputs", "stopped", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        rules = Rules(retries=0, max_losses=MAX_LOSSES, beat_s=BEAT_S, lease_s=LEASE_S, linger_s=LINGER_S)
        rules.save(self.folder)
        self.queue = Queue.create(self.folder, {}, retries=rules.retries, max_losses=rules.max_losses)
        self.queue.refresh()
        self.watch = Watch(self.folder, LEASE_S)
        self.stops = {path.stem: read_json(path, {"why": ""}) for path in (self.folder / "stopped").glob("*.json")}
        self._tidy()
        self.used_bytes = folder_bytes(self.folder)

    def add(self, picture: bytes, suffix: str, asked: Payload, key: str = "") -> tuple[str, bool]:
        """Takes a job: its id, and whether it is new. All of it is on the disk when this returns.

        asked: {"settings", "overrides", "steps"}. key: the same key is the same job, however often it is sent.

        Raises:
            Refused: 409 a key that stands for another job, 429 the queue is full, 507 the disk is.
        """
        digest = hashlib.sha256(picture).hexdigest()
        job = f"key-{hashlib.sha256(key.encode()).hexdigest()[:24]}" if key else _new_id()
        payload = {"kind": "served", "picture": f"{job}{suffix}", "sha256": digest, **asked}
        with self.lock:
            self.queue.refresh()
            before = self.queue.payloads.get(job)
            if before is not None:
                if {**before, "posted": ""} != {**payload, "posted": ""} or self._is_removed(job):
                    raise Refused(409, "Idempotency-Key: expected a new one for a new job, got an old one; make one")
                return job, False
            self._check_room(len(picture))
            atomic_write_bytes(self.folder / "inputs" / payload["picture"], picture)
            self.queue.add({job: payload | {"posted": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}})
            self.used_bytes += len(picture)
        return job, True

    def view(self, job: str) -> Job | None:
        """How the job stands; None where there is none of that name."""
        with self.lock:
            self.queue.refresh()
            return self._view(job) if job in self.queue.jobs and not self._is_removed(job) else None

    def views(self, limit: int) -> list[Job]:
        """The newest jobs first."""
        with self.lock:
            self.queue.refresh()
            there = [job for job in reversed(self.queue.jobs) if not self._is_removed(job)]
            return [self._view(job) for job in there[:limit]]

    def counts(self) -> dict[str, int]:
        """Jobs by status, those whose files were deleted left out."""
        found: dict[str, int] = dict.fromkeys(STATUSES, 0)
        with self.lock:
            self.queue.refresh()
            for job, state in self.queue.jobs.items():
                if not self._is_removed(job):
                    found[self._status(job, state)] += 1
        return found

    def stop(self, job: str, why: str) -> None:
        """Gives the job up: at once where it waits, else as soon as its worker has ended (the crew sees to that)."""
        with self.lock:
            self.queue.refresh()
            if self.queue.jobs[job].status in ("done", "failed"):
                return
            if job not in self.stops:
                self._mark(job, {"why": why})
            self.queue.cancel(job, why)

    def remove(self, job: str) -> None:
        """Deletes the files of a job that is over. Refused: 409 where it is not."""
        with self.lock:
            self.queue.refresh()
            if self.queue.jobs[job].status not in ("done", "failed"):
                raise Refused(409, "job: expected one that is over, got one that is not; cancel it first")
            self._mark(job, {"why": "deleted", "removed": True})
            self._remove_files(job)
            self.used_bytes = folder_bytes(self.folder)

    def file(self, job: str, name: str) -> Path | None:
        """A file of the job's run; None where it is not there."""
        path = self.run(job) / name
        return path if name in FILES and is_regular(path) else None

    def run(self, job: str) -> Path:
        """The job's run folder."""
        return self.folder / "runs" / job / "run"

    def _view(self, job: str) -> Job:
        state, payload = self.queue.jobs[job], self.queue.payloads[job]
        status = self._status(job, state)
        result = self.queue.result(job) if status == "done" else None
        seconds = time.monotonic() - state.seen_s if state.status == "running" else state.seconds
        return Job(
            id=job,
            status=status,
            posted=str(payload.get("posted", "")),
            attempt=state.attempt,
            before=self._before(job) if status == "waiting" else 0,
            step=last_step(self.run(job) / "metrics.jsonl"),
            steps=int(payload.get("steps", 0)),
            seconds=round(seconds + state.before_s, 1),
            why=state.why if status in ("failed", "cancelled") else "",
            files=[name for name in FILES if status == "done" and is_regular(self.run(job) / name)],
            warnings=[str(line) for line in (result or {}).get("warnings", [])],
        )

    def _before(self, job: str) -> int:
        """Jobs that wait and came before this one."""
        earlier = itertools.takewhile(lambda name: name != job, self.queue.jobs)
        return sum(self.queue.jobs[name].status == "waiting" for name in earlier)

    def _status(self, job: str, state: JobState) -> str:
        """The queue's word; cancelled for a job that the server gave up."""
        return "cancelled" if job in self.stops and state.status != "done" else state.status

    def _is_removed(self, job: str) -> bool:
        return bool(self.stops.get(job, {}).get("removed"))

    def _check_room(self, size_bytes: int) -> None:
        """Refused where the queue or the disk is full."""
        active = sum(
            state.status in ("waiting", "running") and job not in self.stops for job, state in self.queue.jobs.items()
        )
        if active >= self.limits.queue:
            raise Refused(429, f"queue: expected fewer than {self.limits.queue} jobs, got {active}; try again later")
        free = shutil.disk_usage(self.folder).free
        full = self.used_bytes + size_bytes > self.limits.disk_gib * GIB or free < self.limits.free_gib * GIB
        if full:
            raise Refused(507, "disk: expected room for a job, got a folder that is full; delete jobs that are over")

    def _mark(self, job: str, stop: dict[str, Any]) -> None:
        atomic_write_text(self.folder / "stopped" / f"{job}.json", json.dumps(stop) + "\n")
        self.stops[job] = stop

    def _remove_files(self, job: str) -> None:
        shutil.rmtree(self.folder / "runs" / job, ignore_errors=True)
        (self.folder / "inputs" / str(self.queue.payloads[job]["picture"])).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """What a process that was killed has left: parts of uploads, pictures of jobs that were never accepted."""
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir()
        kept = {payload.get("picture") for payload in self.queue.payloads.values()}
        for path in (self.folder / "inputs").iterdir():
            if path.name not in kept:
                path.unlink()
        for job in self.queue.jobs:
            if self._is_removed(job):
                self._remove_files(job)


def _new_id() -> str:
    """Sorted by time of arrival, and not to be guessed."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(8)


def last_step(path: Path) -> int:
    """The last step that a run's metrics.jsonl tells of; 0 without one. Only the file's end is read."""
    try:
        with open(open_regular(path), "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 8192))
            steps = re.findall(rb'"step": (\d{1,9})\b', stream.read(8192))
    except (OSError, ValueError):
        return 0
    return int(steps[-1]) if steps else 0


def folder_bytes(folder: Path) -> int:
    """Size of all files in a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # another process removed it meanwhile
                continue
    return total
